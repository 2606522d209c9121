"""How a setting is declared: its default, its meaning and its range, once, beside the code that uses it.

The type of a setting is that of its default: bool, int, float or str. A float setting takes an int, too.
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
  """Which values of a setting make sense.

  Attributes:
    words: for people: 'positive', 'at least 2', 'one of a, b'; '' if every value of the type will do.
    problem: value -> the end of the sentence that begins with 'field=value'; '' if the value makes sense.
    bounded: whether the type's own bounds hold besides: finite and a float32, or an int32.
  """

  words: str
  problem: Callable[[Any], str]
  bounded: bool = True


class Setting(NamedTuple):
  """A field of a configuration.

  Attributes:
    default: of the type that all its values have.
    meaning: a phrase, with units.
    range: which values make sense.
  """

  default: Any
  meaning: str
  range: Range


Settings = Mapping[str, Setting]
Meanings = Mapping[str, tuple[str, Range]]


def numbers(words: str, holds: Callable[[Any], bool], bounded: bool = True) -> Range:
  """The numbers for which `holds`; a message says that a number must be `words`."""
  return Range(words, lambda value: '' if holds(value) else f' must be {words}', bounded)


def at_least(least: int) -> Range:
  """Numbers from `least` on."""
  return numbers(f'at least {least}', lambda value: value >= least)


def one_of(names: Iterable[str]) -> Range:
  """Names of a table; a message lists them, and the nearest one."""
  known = tuple(names)
  return Range(f'one of {", ".join(known)}',
               lambda value: '' if value in known else f' is unknown{nearest(value, known)}')


ANY = Range('', lambda value: '')
POSITIVE = numbers('positive', lambda value: value > 0)
POSITIVE_OR_INFINITE = numbers('positive', lambda value: value > 0, bounded=False)._replace(words='positive, or inf')
NOT_NEGATIVE = numbers('0 or more', lambda value: value >= 0)
SIZE = NOT_NEGATIVE._replace(bounded=False)   # In bytes: it stays a number of Python.
FRACTION = numbers('in [0, 1)', lambda value: 0 <= value < 1)
SHARE = numbers('in (0, 1]', lambda value: 0 < value <= 1)
SIGN = numbers('in (-1, 1)', lambda value: -1 < value < 1)
SEED = numbers('0 or more and below 2^32', lambda value: 0 <= value < 2**32, bounded=False)


def of(function: Callable, meanings: Meanings) -> dict[str, Setting]:
  """Settings of a function or a class whose defaults are those of its own parameters.

  Args:
    function: has a parameter with a default for each setting.
    meanings: name -> (meaning, range).
  """
  parameters = inspect.signature(function).parameters
  return {name: Setting(parameters[name].default, *said) for name, said in meanings.items()}


def parse(setting: Setting, text: str) -> Any:
  """The value that a text stands for; the text itself where it stands for none, which `problem` then refuses."""
  kind = type(setting.default)
  if kind is bool:
    return _BOOLS.get(text.lower(), text)
  try:
    return kind(text)
  except ValueError:
    return text


def typed(setting: Setting, value: Any) -> Any:
  """The value as the type of the setting has it: an int where a float is wanted becomes one.

  Raises:
    TypeError: if it is of another type; the message is the end of a sentence that begins with 'field=value'.
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
  """What is wrong with a value of the right type: the end of a sentence that begins with 'field=value'; '': nothing."""
  if setting.range.bounded and isinstance(value, float):
    if not math.isfinite(value):
      return ' must be a finite number'
    if value and not FLOAT32[0] < abs(value) < FLOAT32[1]:
      return f' must be a number of float32, between {FLOAT32[0]:.0e} and {FLOAT32[1]:.0e}'
  if isinstance(value, str) and any(unicodedata.category(char) in ('Cc', 'Cs') for char in value):
    return ' has control characters, or bytes that are no UTF-8; write it without them'
  if found := setting.range.problem(value):
    return found
  if setting.range.bounded and isinstance(value, int) and abs(value) >= COUNTS_BELOW:
    return ' must be below 2^31'
  return ''


def plain(text: str) -> str:
  """The text itself if it can be printed, else with escapes and in quotes."""
  return text if text.isprintable() else ascii(text)


def quoted(field: str, value: Any) -> str:
  """'field=value', as a message begins; a text is in quotes, and cut if it is long."""
  text = repr(value) if isinstance(value, str) else str(value)
  return f'{field}={text if len(text) <= 80 else text[:77] + "..."}'


def close(name: str, known: Iterable[str]) -> str:
  """' (did you mean a?)', or '' if no known name is near."""
  found = difflib.get_close_matches(str(name), list(known), n=1)
  return f' (did you mean {found[0]}?)' if found else ''


def check_known(names: Iterable[str], known: Iterable[str]) -> None:
  """Raises ValueError for the first of the numbers handed to a program that nothing in it would read."""
  for name in names:
    if name not in known:
      raise ValueError(f'{name!r} is no number of this run{close(name, known)}; it would change nothing')


def nearest(name: str, known: Iterable[str]) -> str:
  """'; known: a, b (did you mean a?)': the end of every message about an unknown name."""
  known = list(known)
  return f'; known: {", ".join(sorted(known))}{close(name, known)}'
