"""Loading and calling of Python files of the user; every failure becomes a message of one sentence."""

import functools
import importlib.util
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import ml_collections

from gan.config import ConfigError


def load_config(spec: str, option: str = '--config') -> ml_collections.ConfigDict:
  """Load the fields that a configuration file states.

  Args:
    spec: 'file.py[:argument]'.
    option: flag or field that named the file, for messages.

  Raises:
    ConfigError: if the file cannot be used.
  """
  path, _, argument = spec.partition(':')
  module = load_module(path, option)
  if not callable(getattr(module, 'get_config', None)):
    raise ConfigError(f'{option}={path} has no get_config(); name a configuration file, such as configs/toy.py')
  config = call(lambda: module.get_config(argument), f'{option}={spec}: get_config()', path, argument)
  if not isinstance(config, ml_collections.ConfigDict):
    raise ConfigError(f'{option}={spec}: get_config() must return a ConfigDict, such as base_config() makes')
  return config


@functools.cache
def load_module(path: str, option: str) -> ModuleType:
  """Execute a Python file, only once for equal arguments.

  Raises:
    ConfigError: if the file cannot be loaded.
  """
  if not Path(path).is_file():
    files = ', '.join(sorted(map(str, Path('configs').glob('*.py'))))
    raise ConfigError(f'{option}={path}: no such file' + (f'; known: {files}' if files and 'config' in option else ''))
  if Path(path).suffix != '.py':
    raise ConfigError(f'{option}={path} is not a Python file; name a file that ends in .py')
  spec = importlib.util.spec_from_file_location(Path(path).stem, path)
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
  except (Exception, SystemExit) as error:  # A new file of the user may fail in any way.
    raise ConfigError(f'{option}={path} cannot be loaded: {_described(error, path)}') from error
  return module


def call(function: Callable[[], Any], called: str, path: str, argument: str) -> Any:
  """Call a function of the file `path`.

  Args:
    function: calls the function with its argument.
    called: text that names the call in messages.
    path: the file, whose line number the message of an error gives.
    argument: the argument of the call; a KeyError for it means that the function does not accept it.

  Raises:
    ConfigError: if the call fails.
  """
  try:
    return function()
  except ConfigError:  # The message already says what to change.
    raise
  except (Exception, SystemExit) as error:
    if isinstance(error, KeyError) and argument and error.args == (argument,):
      raise ConfigError(f'{called} knows no {argument!r}') from None
    raise ConfigError(f'{called} failed: {_described(error, path)}') from error


def _described(error: BaseException, path: str) -> str:
  """Describe an error and the innermost line of the file that raised it: 'ValueError: no (line 7)'."""
  file = Path(path).absolute()
  lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == file]
  return f'{type(error).__name__}: {error}' + (f' (line {lines[-1]})' if lines else '')
