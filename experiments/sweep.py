"""Sweeps as data: lists of flat overrides, built from a few combinators, and the runs that they describe.

A sweep is a Python file with

    CONFIG = 'configs/toy.py:ring'             # Default config of the runs; the key 'config' of a run overrides it.
    def sweep(size: str = 'small'): ...        # -> list of {field: value}; the argument comes after a colon.

and optionally QUESTION, METRIC, BY and more for `experiments.compare` (see `experiments.comparison.question`). Nothing
is built or trained here, and the expansion of a sweep has no side effects.
"""

import hashlib
import inspect
import itertools
import json
import math
import reprlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from gan.config import ConfigError, flatten
from gan.config.files import call, load_config, load_module
from gan.config.validate import validate

Overrides = dict[str, Any]


class SweepError(ConfigError):
  """A sweep that cannot be run; the message says what to change."""


def fix(overrides: Overrides) -> list[Overrides]:
  """Return a list of this one setting."""
  return [dict(overrides)]


def param(field: str, values: Iterable[Any]) -> list[Overrides]:
  """Return one setting for each value of a field."""
  return [{field: value} for value in values]


def product(*sweeps: Sequence[Overrides]) -> list[Overrides]:
  """Return all combinations of settings; the last sweep varies fastest.

  Raises:
    SweepError: if two sweeps set the same field.
  """
  return [_joined(parts) for parts in itertools.product(*sweeps)]


def zip_(*sweeps: Sequence[Overrides]) -> list[Overrides]:
  """Join the first settings of all sweeps, then the second settings, and so on.

  Raises:
    SweepError: if the sweeps differ in length, or set the same field.
  """
  if len(lengths := {len(sweep) for sweep in sweeps}) > 1:
    raise SweepError(f'zip_ joins sweeps of equal length; these have {", ".join(map(str, sorted(lengths)))} settings')
  return [_joined(parts) for parts in zip(*sweeps, strict=True)]


def chain(*sweeps: Sequence[Overrides]) -> list[Overrides]:
  """Return all settings of the first sweep, then of the second, and so on."""
  return list(itertools.chain(*sweeps))


def sample(field: str, low: float, high: float, num: int, *, log: bool = False, seed: int = 0) -> list[Overrides]:
  """Draw `num` values of a field, uniform on [low, high] or log-uniform; the same values every time.

  Raises:
    SweepError: if `num` is less than 1, or if the bounds are not in order, or not positive for `log`.
  """
  if num < 1:
    raise SweepError(f'sample({field!r}, ...): num={num} must be at least 1')
  if not low < high or (log and low <= 0):
    raise SweepError(f'sample({field!r}, {low}, {high}) needs low < high{", both positive" if log else ""}')
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
    overrides: fields that differ from this file, {field: value}.
    config: the resolved configuration.
  """

  id: str
  file: str
  overrides: Overrides
  config: ml_collections.ConfigDict

  @property
  def command(self) -> str:
    """The command that trains this run alone."""
    options = ''.join(f' --config.{field}={value}' for field, value in self.overrides.items())
    return f'python -m gan.main --config={self.file}{options}'


class Sweep(NamedTuple):
  """An expanded sweep: its name, its module, and its runs in order."""

  name: str
  module: ModuleType
  runs: list[Run]


def load_sweep(spec: str) -> Sweep:
  """Load and expand the sweep `path.py[:argument]`.

  Raises:
    ConfigError: if the file or a configuration cannot be used, the list is empty, two runs are the same, or a run is
      invalid. The message lists the first five problems, before anything starts.
  """
  path, _, argument = spec.partition(':')
  module = load_module(path, '--sweep')
  if not callable(getattr(module, 'sweep', None)) or not isinstance(getattr(module, 'CONFIG', None), str):
    raise SweepError(f"--sweep={path} must define CONFIG and sweep(): a configuration file, such as "
                     "'configs/toy.py:ring', and a function that returns a list of settings")
  settings = call(lambda: _expanded(module.sweep, argument), f'--sweep={spec}: sweep()', path, argument)
  if not isinstance(settings, list | tuple) or not all(isinstance(overrides, dict) for overrides in settings):
    raise SweepError(f'--sweep={spec}: sweep() must return a list of settings, each a dict {{field: value}}, as '
                     f'param() and product() make them; it returned {reprlib.repr(settings)}')
  if not settings:
    raise SweepError(f'--sweep={spec}: sweep() returned an empty list; is there a product with an empty list?')
  runs, problems, seen = [], [], {}
  for number, overrides in enumerate(settings):
    try:
      run = make_run(overrides, module.CONFIG)
    except ConfigError as error:
      problems.append(f'run {number}, {_text(overrides)}:\n{error}')
      continue
    # Resolved configurations are compared, because an override may equal the default.
    resolved = json.dumps([run.file, flatten(run.config)], default=str)
    if resolved in seen:
      problems.append(f'runs {seen[resolved]} and {number} are the same: {_text(overrides)}')
    seen[resolved] = number
    runs.append(run)
  if problems:
    shown = '\n'.join(problems[:5])
    raise SweepError(f'--sweep={spec} has {len(problems)} problem(s):\n{shown}'
                     + (f'\nand {len(problems) - 5} more' if len(problems) > 5 else ''))
  return Sweep(Path(path).stem + (f'_{argument}' if argument else ''), module, runs)


def make_run(overrides: Overrides, default_file: str) -> Run:
  """Resolve the configuration of one run.

  Raises:
    ConfigError: if the file cannot be used, or if the configuration is invalid.
  """
  overrides = {field: value.item() if isinstance(value, np.generic) else value for field, value in overrides.items()}
  file = overrides.pop('config', default_file)
  if not isinstance(file, str):
    raise SweepError(f"config={file!r} must name a configuration file, such as 'configs/toy.py:ring'")
  config = validate(load_config(file, 'config'), overrides=overrides)
  parts = json.dumps([file, sorted(overrides.items())], default=str)
  return Run(hashlib.sha256(parts.encode()).hexdigest()[:10], file, overrides, config)


def _expanded(sweep: Callable, argument: str) -> Any:
  """Return the settings of sweep(). A generator is run to its end, so that its errors appear here and not later."""
  if argument and not inspect.signature(sweep).parameters:
    raise SweepError(f'sweep() takes no argument; leave out :{argument} after the file')
  settings = sweep(argument) if argument else sweep()
  return list(settings) if isinstance(settings, Iterator) else settings


def _text(overrides: Overrides) -> str:
  return ', '.join(f'{field}={value}' for field, value in overrides.items())
