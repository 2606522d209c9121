"""Declarations of settings: default, meaning and range are stated once, beside the code that uses the setting.

The type of a setting is that of its default: bool, int, float or str. A float setting also accepts an int.
"""

import difflib
import inspect
import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

COUNTS_BELOW = 2**31   # A step, a size or a count becomes an int32.
FLOAT32 = 1e-37, 1e38  # Magnitudes between which float32 has all its digits.
KINDS = {bool: 'True or False', int: 'a whole number', float: 'a number', str: 'a text'}
_BOOLS = {'true': True, 't': True, '1': True, 'false': False, 'f': False, '0': False}


class Range(NamedTuple):
  """The allowed values of a setting.

  Attributes:
    words: text for the user: 'positive', 'at least 2', 'one of a, b'; '' if every value of the type is allowed.
    problem: value -> the end of the sentence that begins with 'field=value'; '' if the value is allowed.
    bounded: whether the value must also fit float32 (and be finite) or int32.
  """

  words: str
  problem: Callable[[Any], str]
  bounded: bool = True


class Setting(NamedTuple):
  """A field of a configuration.

  Attributes:
    default: the default value; all values have its type.
    meaning: a phrase, with units.
    range: the allowed values.
  """

  default: Any
  meaning: str
  range: Range


Settings = Mapping[str, Setting]
Meanings = Mapping[str, tuple[str, Range]]


def numbers(words: str, holds: Callable[[Any], bool], bounded: bool = True) -> Range:
  """Make the range of the numbers for which `holds` is true; a message says that a number must be `words`."""
  return Range(words, lambda value: '' if holds(value) else f' must be {words}', bounded)


def at_least(least: int) -> Range:
  """Make the range of the numbers from `least` on."""
  return numbers(f'at least {least}', lambda value: value >= least)


def one_of(names: Iterable[str]) -> Range:
  """Make the range of some names; a message about another name lists them and suggests the nearest."""
  choices = tuple(names)
  return Range(f'one of {", ".join(choices)}',
               lambda value: '' if value in choices else f' is unknown{nearest(value, choices)}')


ANY = Range('', lambda value: '')
POSITIVE = numbers('positive', lambda value: value > 0)
POSITIVE_OR_INFINITE = numbers('positive', lambda value: value > 0, bounded=False)._replace(words='positive, or inf')
NOT_NEGATIVE = numbers('0 or more', lambda value: value >= 0)
SIZE = NOT_NEGATIVE._replace(bounded=False)   # In bytes: a Python int, which may exceed int32.
FRACTION = numbers('in [0, 1)', lambda value: 0 <= value < 1)
SHARE_OR_NONE = numbers('in [0, 1]', lambda value: 0 <= value <= 1)
SHARE = numbers('in (0, 1]', lambda value: 0 < value <= 1)
SIGN = numbers('in (-1, 1)', lambda value: -1 < value < 1)
SEED = numbers('0 or more and below 2^32', lambda value: 0 <= value < 2**32, bounded=False)


def of(function: Callable, meanings: Meanings) -> dict[str, Setting]:
  """Declare settings of a function or a class; their defaults are those of its parameters.

  Args:
    function: has a parameter with a default for each setting.
    meanings: name -> (meaning, range).
  """
  parameters = inspect.signature(function).parameters
  return {name: Setting(parameters[name].default, meaning, values) for name, (meaning, values) in meanings.items()}


def parse(setting: Setting, text: str) -> Any:
  """Convert a text to the type of the setting; return the text itself if that fails, and `typed` then refuses it."""
  kind = type(setting.default)
  if kind is bool:
    return _BOOLS.get(text.lower(), text)
  try:
    return kind(text)
  except ValueError:
    return text


def typed(setting: Setting, value: Any) -> Any:
  """Return the value in the type of the setting: for a float setting an int becomes a float.

  Raises:
    TypeError: if the value has another type; the message is the end of a sentence that begins with 'field=value'.
  """
  kind = type(setting.default)
  if value is None:
    raise TypeError(f': it must have a value, such as {setting.default!r}')
  if kind is float and type(value) is int and abs(value) < 2**63:
    return float(value)
  if type(value) is not kind:
    raise TypeError(f' must be {KINDS[kind]}')
  return value


def problem(setting: Setting, value: Any) -> str:
  """Check a value of the right type; return '', or the end of a sentence that begins with 'field=value'."""
  if setting.range.bounded and isinstance(value, float):
    if not math.isfinite(value):
      return ' must be a finite number'
    if value and not FLOAT32[0] < abs(value) < FLOAT32[1]:
      return f' must be a float32 number, of a magnitude between {FLOAT32[0]:.0e} and {FLOAT32[1]:.0e}'
  if isinstance(value, str) and any(unicodedata.category(char) in ('Cc', 'Cs') for char in value):
    return ' has control characters, or bytes that are not UTF-8; write it without them'
  if sentence_end := setting.range.problem(value):
    return sentence_end
  if setting.range.bounded and isinstance(value, int) and abs(value) >= COUNTS_BELOW:
    return ' must be below 2^31'
  return ''


def plain(text: str) -> str:
  """Return the text itself if it is printable, else in quotes and with escapes."""
  return text if text.isprintable() else ascii(text)


def quoted(field: str, value: Any) -> str:
  """Write 'field=value', the beginning of a message; a text is in quotes, and a long value is cut."""
  text = repr(value) if isinstance(value, str) else str(value)
  return f'{field}={text if len(text) <= 80 else text[:77] + "..."}'


def close(name: str, choices: Iterable[str]) -> str:
  """Suggest the nearest name: ' (did you mean a?)', or '' if none is near."""
  matches = difflib.get_close_matches(str(name), list(choices), n=1)
  return f' (did you mean {matches[0]}?)' if matches else ''


def check_numbers(names: Iterable[str], readable: Iterable[str]) -> None:
  """Check that a program reads every number in `names`.

  Raises:
    ValueError: for the first name that is not among `readable`, the names of the numbers that the program reads.
  """
  for name in names:
    if name not in readable:
      raise ValueError(f'{name!r} is not a number of this run{close(name, readable)}; it would change nothing')


def nearest(name: str, choices: Iterable[str]) -> str:
  """List the valid names: '; known: a, b (did you mean a?)', the end of every message about an unknown name."""
  choices = list(choices)
  return f'; known: {", ".join(sorted(choices))}{close(name, choices)}'
