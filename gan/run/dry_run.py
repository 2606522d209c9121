"""A description of the run that a configuration defines, made without training."""

import math
from typing import Any

import jax
import ml_collections

from gan.build import build, describe_data, is_conditional, make_initial_state, open_data
from gan.config import flatten
from gan.config.complete import fields_of
from gan.config.validate import validate
from gan.state import GanState, PyTree


def describe(config: ml_collections.ConfigDict) -> str:
  """Describe a run as text: its configuration with the meaning of each field, data, shapes and parameter counts.

  Raises:
    ConfigError, DataError: as the run itself would.
  """
  config = validate(config, jax.device_count())
  info = describe_data(open_data(config), is_conditional(config))
  built = build(config, info.columns)
  state = jax.eval_shape(lambda: make_initial_state(built, config.seed))
  batch = {name: jax.ShapeDtypeStruct((config.train.batch_size, *column.shape), column.seen.dtype)
           for name, column in info.columns.items()}
  lines = ['Configuration (* differs from the default)', *_fields(flatten(config)),
           'Data', f'  {info.name}: {info.num_examples or "endless"} examples {list(info.sample_shape)}, '
                   f'{len(info.class_names)} classes',
           'Shapes', *(f'  {line}' for line in built.game.describe(state, batch)),
           *_parameters('Generator', state.gen.params), *_parameters('Discriminator', state.disc.params),
           f'State: {_bytes(state) / 2**20:.1f} MiB on each of {jax.device_count()} '
           f'{jax.devices()[0].device_kind} device(s)']
  return '\n'.join(lines)


def _fields(flat: dict[str, Any]) -> list[str]:
  """Write a line for each field: a star if it differs from its default, its value and its meaning."""
  settings = fields_of(flat)
  texts = {field: f'{field} = {value!r}' if value == '' else f'{field} = {value}' for field, value in flat.items()}
  width = max(map(len, texts.values()))
  return [f'{"*" if flat[field] != settings[field].default else " "} {text:<{width}}  {settings[field].meaning}'
          for field, text in texts.items()]


def _parameters(name: str, params: PyTree) -> list[str]:
  leaves = jax.tree_util.tree_leaves_with_path(params)
  total = sum(math.prod(leaf.shape) for _, leaf in leaves)
  names = [jax.tree_util.keystr(path, simple=True, separator='/') for path, _ in leaves]
  return [f'{name}: {total:,} parameters',
          *(f'  {path:<40} {list(leaf.shape)}' for path, (_, leaf) in zip(names, leaves, strict=True))]


def _bytes(state: GanState) -> int:
  return sum(math.prod(leaf.shape) * 4 for leaf in jax.tree.leaves(state))
