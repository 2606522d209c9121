"""Python files that a person wrote: loaded and called, with a sentence about whatever is wrong in them."""

import functools
import importlib.util
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import ml_collections

from gan.config import ConfigError


def load_config(spec: str, what: str = '--config') -> ml_collections.ConfigDict:
  """What a configuration file states.

  Args:
    spec: 'file.py[:argument]'.
    what: how a person named it.

  Raises:
    ConfigError: if it cannot be used.
  """
  path, _, argument = spec.partition(':')
  module = load_module(path, what)
  if not callable(getattr(module, 'get_config', None)):
    raise ConfigError(f'{what}={path} has no get_config(); name a configuration file, such as configs/toy.py')
  config = call(lambda: module.get_config(argument), f'{what}={spec}: get_config()', path, argument)
  if not isinstance(config, ml_collections.ConfigDict):
    raise ConfigError(f'{what}={spec}: get_config() must return a configuration, as base_config() makes one')
  return config


@functools.cache
def load_module(path: str, what: str) -> ModuleType:
  """Executes a Python file, once.

  Raises:
    ConfigError: if it cannot be loaded.
  """
  if not Path(path).is_file():
    known = ', '.join(sorted(map(str, Path('configs').glob('*.py'))))
    raise ConfigError(f'{what}={path}: no such file' + (f'; known: {known}' if known and 'config' in what else ''))
  if Path(path).suffix != '.py':
    raise ConfigError(f'{what}={path} is no Python file; name one that ends in .py')
  spec = importlib.util.spec_from_file_location(Path(path).stem, path)
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
  except (Exception, SystemExit) as error:  # A file that a person has just written may fail in any way.
    raise ConfigError(f'{what}={path} cannot be loaded: {_described(error, path)}') from error
  return module


def call(function: Callable[[], Any], what: str, path: str, argument: str) -> Any:
  """Calls a function of the file `path`.

  Raises:
    ConfigError: if it fails.
  """
  try:
    return function()
  except ConfigError:  # Says itself what to change.
    raise
  except (Exception, SystemExit) as error:
    if isinstance(error, KeyError) and argument and error.args == (argument,):
      raise ConfigError(f'{what} knows no {argument!r}') from None
    raise ConfigError(f'{what} failed: {_described(error, path)}') from error


def _described(error: BaseException, path: str) -> str:
  """'ValueError: no (line 7)': the last line of that file that had to do with it."""
  file = Path(path).absolute()
  lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == file]
  return f'{type(error).__name__}: {error}' + (f' (line {lines[-1]})' if lines else '')
