"""The text of a schedule, 'linear,over=10000,end=1e-5', and what is wrong with it; its mathematics is schedules.py.

A configuration has a text `schedule.<field>` for each field that may change while a run goes on; '' leaves it constant.
A text is a kind, and then `name=value` for each of its numbers and for its unit, in any order.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from gan.declare import nearest
from gan.schedules import PREFIX, SCHEDULES, UNITS, Schedule, numbers_of

# An end of 0 is the usual one of a learning rate, which must not begin with 0.
_MAY_END_AT_ZERO = ('optimizer.gen.lr', 'optimizer.disc.lr')
# Where these are 0 they are left out of the program; in the program they are divided by, or bound every parameter.
_MUST_NOT_END_AT_ZERO = ('penalty.difference_std', 'penalty.clip')
_RULES = {
    **dict.fromkeys(('over', 'every'), (lambda value: value >= 1, 'must be at least 1')),
    **dict.fromkeys(('hold', 'warmup'), (lambda value: value >= 0, 'must not be negative')),
    'factor': (lambda value: 0 <= value < 1, 'must lie in [0, 1)'),
}


class Reading(NamedTuple):
  """What a text says.

  Attributes:
    schedule: its kind and unit.
    numbers: all numbers of the kind, unless there are problems.
    problems: what is wrong with the text alone, each with its way out.
  """

  schedule: Schedule
  numbers: dict[str, float]
  problems: list[str]


def read(text: str) -> Reading:
  """Reads the text of a schedule."""
  kind, *words = text.replace(' ', '').split(',')
  if kind not in SCHEDULES:
    return Reading(Schedule(kind), {}, [f'the kind {kind!r} is unknown{nearest(kind, SCHEDULES)}'])
  defaults, given, problems = numbers_of(kind), {}, []
  for name, _, value in (word.partition('=') for word in words if word):
    if name not in defaults and name != 'unit':
      problems.append(f'{name!r} is unknown for {kind}{nearest(name, (*defaults, "unit"))}')
    elif name in given:
      problems.append(f'{name} is given twice; give it once')
    given[name] = value
  unit, numbers = given.pop('unit', UNITS[0]), {}
  if unit not in UNITS:
    problems.append(f'unit={unit} is unknown{nearest(unit, UNITS)}')
  for name, default in defaults.items():
    if name not in given and default is None:
      problems.append(f'{kind} needs {name}; add ,{name}=<number>')
      continue
    numbers[name] = _number(given.get(name, default))
    if problem := _problem(name, numbers[name]):
      problems.append(f'{name}={given[name]} {problem}')
  if not problems and 'hold' in numbers and np.float32(numbers['hold']) >= np.float32(numbers['over']):
    problems.append(f'hold={numbers["hold"]:g} must be below over={numbers["over"]:g}, when the end is reached')
  return Reading(Schedule(kind, unit), numbers, problems)


def _number(text: str | float) -> float:
  try:
    return float(text)
  except ValueError:
    return math.nan


def _problem(name: str, value: float) -> str | None:
  if not abs(value) < 1e38:   # Nor is this true of NaN.
    return 'must be a finite number of float32'
  fits, rule = _RULES.get(name, (math.isfinite, ''))
  return None if fits(value) else rule


def texts(flat: Mapping[str, Any]) -> dict[str, str]:
  """The texts of a configuration by the field that they schedule; without those that are ''."""
  return {name.removeprefix(PREFIX): text for name, text in flat.items() if name.startswith(PREFIX) and text}


def schedules_of(flat: Mapping[str, Any]) -> dict[str, Schedule]:
  """The schedules of a valid configuration by field: their part of the program."""
  return {field: read(text).schedule for field, text in texts(flat).items()}


def numbers(flat: Mapping[str, Any]) -> dict[str, float]:
  """The numbers of all schedules of a valid configuration, 'schedule.<field>.<number>'; members may differ in them."""
  return {f'{PREFIX}{field}.{name}': value for field, text in texts(flat).items()
          for name, value in read(text).numbers.items()}


def problems(flat: Mapping[str, Any], fields: Collection[str],
             check: Callable[[str, float], Iterable[str]]) -> Iterator[str]:
  """What is wrong with the schedules of a configuration.

  Args:
    flat: all its fields.
    fields: those that are numbers of its run; no other can be scheduled.
    check: (field, value) -> what is wrong with a value of that field.
  """
  for field, text in texts(flat).items():
    reading, begin = read(text), f'{PREFIX}{field}={text!r}: '
    yield from (begin + problem for problem in reading.problems)
    if field not in fields:
      yield f'{begin}{field}={flat[field]} is not in the program of this run; ' + (
          f'set {field} to the value that it begins with, or leave its schedule out' if flat[field] == 0 else
          'leave its schedule out')
      continue
    if not math.isfinite(flat[field]):
      yield f'{begin}{field}={flat[field]} must be finite if it is to change'
    if not math.isfinite(end := reading.numbers.get('end', math.nan)):
      continue
    if end == 0 and field in _MUST_NOT_END_AT_ZERO:
      yield f'{begin}at its end {field}={end} must be positive; add ,end=<number>'
    elif end != 0 or field not in _MAY_END_AT_ZERO:
      yield from (f'{begin}at its end {problem}; set end' for problem in check(field, end))
