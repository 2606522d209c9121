"""Sweeps as data: a list of flat overrides, built from a few combinators, and the runs that it stands for.

A sweep is a Python file with

    CONFIG = 'configs/toy.py:ring'             # Of every run; a run may name another one by the key 'config'.
    def sweep(size: str = 'small'): ...        # -> list of {field: value}; the argument comes after a colon.

and, if it likes, QUESTION, METRIC, BY and more for `experiments.compare` (see `experiments.comparison.question`).
Nothing is built or trained here, and expanding has no side effects.
"""

import functools
import hashlib
import importlib.util
import inspect
import itertools
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from gan.config import ConfigError, apply_overrides, flatten, nearest
from gan.validate import validate

Overrides = dict[str, Any]


class SweepError(ValueError):
  """A sweep that cannot be run; the message says what to change."""


def fix(overrides: Overrides) -> list[Overrides]:
  """One setting."""
  return [dict(overrides)]


def param(field: str, values: Iterable[Any]) -> list[Overrides]:
  """One setting for each value of a field."""
  return [{field: value} for value in values]


def product(*sweeps: Sequence[Overrides]) -> list[Overrides]:
  """Every combination, the last one varying fastest.

  Raises:
    SweepError: if two of them set the same field.
  """
  return [_joined(parts) for parts in itertools.product(*sweeps)]


def zip_(*sweeps: Sequence[Overrides]) -> list[Overrides]:
  """The first of each together, then the second, and so on.

  Raises:
    SweepError: if they differ in length, or set the same field.
  """
  if len(lengths := {len(sweep) for sweep in sweeps}) > 1:
    raise SweepError(f'zip_ joins sweeps of equal length; these have {", ".join(map(str, sorted(lengths)))} settings')
  return [_joined(parts) for parts in zip(*sweeps, strict=True)]


def chain(*sweeps: Sequence[Overrides]) -> list[Overrides]:
  """All settings of the first, then of the second, and so on."""
  return list(itertools.chain(*sweeps))


def sample(field: str, low: float, high: float, num: int, *, log: bool = False, seed: int = 0) -> list[Overrides]:
  """`num` random values of a field, uniform on [low, high], or log-uniform; the same ones every time.

  Raises:
    SweepError: if the bounds make no sense.
  """
  if not low < high or (log and low <= 0):
    raise SweepError(f'sample({field!r}, {low}, {high}): needs low < high{", both positive" if log else ""}')
  digest = hashlib.sha256(repr((field, seed)).encode()).digest()  # Two fields of one seed are independent.
  uniforms = np.random.default_rng(int.from_bytes(digest[:8], 'little')).random(num)
  ends = (math.log(low), math.log(high)) if log else (low, high)
  values = ends[0] + uniforms * (ends[1] - ends[0])
  return param(field, [float(math.exp(value) if log else value) for value in values])


def _joined(parts: Iterable[Overrides]) -> Overrides:
  joined: Overrides = {}
  for part in parts:
    if twice := sorted(set(joined) & set(part)):
      raise SweepError(f'{twice[0]} is set twice, to {joined[twice[0]]} and to {part[twice[0]]}; set it once')
    joined |= part
  return joined


class Run(NamedTuple):
  """One run of a sweep.

  Attributes:
    id: hexadecimal digits that depend on `file` and `overrides` alone.
    file: configuration file, with its argument after a colon.
    overrides: what differs from it.
    config: resolved.
  """

  id: str
  file: str
  overrides: Overrides
  config: ml_collections.ConfigDict

  @property
  def command(self) -> str:
    """The command that trains this run alone."""
    given = ''.join(f' --config.{field}={value}' for field, value in self.overrides.items())
    return f'python -m gan.main --config={self.file}{given}'


class Sweep(NamedTuple):
  """An expanded sweep: where it comes from, and its runs in order."""

  name: str
  module: ModuleType
  runs: list[Run]


def load_sweep(spec: str) -> Sweep:
  """Opens and expands `path.py[:argument]`.

  Raises:
    SweepError: if the file or a configuration cannot be used, the list is empty, two runs are the same, or a run makes
      no sense; all of it at once, before anything starts.
  """
  path, _, argument = spec.partition(':')
  module = _load(path, '--sweep')
  if not hasattr(module, 'sweep') or not hasattr(module, 'CONFIG'):
    raise SweepError(f'--sweep={path} must define CONFIG and sweep()')
  takes = inspect.signature(module.sweep).parameters
  if argument and not takes:
    raise SweepError(f'--sweep={spec}: sweep() of that file takes no argument')
  try:
    settings = module.sweep(argument) if argument else module.sweep()
  except KeyError as error:
    raise SweepError(f'--sweep={spec}: sweep() knows no {error}') from None
  except (AttributeError, NameError, TypeError) as error:
    raise SweepError(f'--sweep={spec}: sweep() failed: {type(error).__name__}: {error}') from error
  if not settings:
    raise SweepError(f'--sweep={spec} is empty: a product with an empty list?')
  runs, problems, seen = [], [], {}
  for number, overrides in enumerate(settings):
    try:
      run = make_run(overrides, module.CONFIG)
    except (SweepError, ConfigError) as error:
      problems.append(f'run {number}, {_text(overrides)}:\n{error}')
      continue
    same = json.dumps([run.file, flatten(run.config)], default=str)  # Setting a default is no other run.
    if same in seen:
      problems.append(f'runs {seen[same]} and {number} are the same: {_text(overrides)}')
    seen[same] = number
    runs.append(run)
  if problems:
    shown = '\n'.join(problems[:5])
    raise SweepError(f'--sweep={spec} has {len(problems)} problem(s):\n{shown}'
                     + (f'\nand {len(problems) - 5} more' if len(problems) > 5 else ''))
  return Sweep(Path(path).stem + (f'_{argument}' if argument else ''), module, runs)


def make_run(overrides: Overrides, default_file: str) -> Run:
  """Resolves the configuration of one run.

  Raises:
    SweepError: if a field is unknown.
    ConfigError: if the configuration makes no sense.
  """
  overrides = dict(overrides)
  file = overrides.pop('config', default_file)
  path, _, argument = file.partition(':')
  config = _load(path, 'config').get_config(argument)
  known = flatten(config)
  for field in overrides:
    if field not in known:
      raise SweepError(f'{field}: no such field{nearest(field, known)}')
  try:
    apply_overrides(config, overrides)
  except TypeError as error:
    raise SweepError(f'{error}') from None
  validate(config)
  parts = json.dumps([file, sorted(overrides.items())], default=str)
  return Run(hashlib.sha256(parts.encode()).hexdigest()[:10], file, overrides, config)


@functools.cache
def _load(path: str, what: str) -> ModuleType:
  if not Path(path).is_file():
    raise SweepError(f'{what}={path}: no such file')
  spec = importlib.util.spec_from_file_location(Path(path).stem, path)
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
  except Exception as error:  # Of a file that a person has just written, anything may be wrong.
    raise SweepError(f'{what}={path} cannot be loaded: {type(error).__name__}: {error}') from error
  return module


def _text(overrides: Overrides) -> str:
  return ', '.join(f'{field}={value}' for field, value in overrides.items())
