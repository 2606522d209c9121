"""Parsing and checking the text of a schedule, 'linear,over=10000,end=1e-5'; gan/schedules.py has the mathematics.

A configuration has a text `schedule.<field>` for each field that may change during training; '' leaves the field
constant. A text is a kind, followed by `name=value` for each of its numbers and for its unit, in any order.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from gan.declare import nearest
from gan.schedules import PREFIX, SCHEDULES, UNITS, Schedule, numbers_of

# A learning rate must begin above 0, but usually ends at 0.
_MAY_END_AT_ZERO = ('optimizer.gen.lr', 'optimizer.disc.lr')
# At 0 these fields are left out of the program. A program that has them divides by the first, and clips to the second.
_MUST_NOT_END_AT_ZERO = ('penalty.difference_std', 'penalty.clip')
_RULES = {
    **dict.fromkeys(('over', 'every'), (lambda value: value >= 1, 'must be at least 1')),
    **dict.fromkeys(('hold', 'warmup'), (lambda value: value >= 0, 'must not be negative')),
    'factor': (lambda value: 0 <= value < 1, 'must lie in [0, 1)'),
}


class Reading(NamedTuple):
  """A parsed text.

  Attributes:
    schedule: kind and unit.
    numbers: all numbers of the kind; some are missing or wrong if there are problems.
    problems: problems of the text alone, each with its remedy.
  """

  schedule: Schedule
  numbers: dict[str, float]
  problems: list[str]


def read(text: str) -> Reading:
  """Parse the text of a schedule."""
  kind, *words = text.replace(' ', '').split(',')
  if kind not in SCHEDULES:
    return Reading(Schedule(kind), {}, [f'the kind {kind!r} is unknown{nearest(kind, SCHEDULES)}'])
  defaults, stated, problems = numbers_of(kind), {}, []
  for name, _, value in (word.partition('=') for word in words if word):
    if name not in defaults and name != 'unit':
      problems.append(f'{name!r} is unknown for {kind}{nearest(name, (*defaults, "unit"))}')
    elif name in stated:
      problems.append(f'{name} is given twice; give it once')
    stated[name] = value
  unit, numbers = stated.pop('unit', UNITS[0]), {}
  if unit not in UNITS:
    problems.append(f'unit={unit} is unknown{nearest(unit, UNITS)}')
  for name, default in defaults.items():
    if name not in stated and default is None:
      problems.append(f'{kind} needs {name}; add ,{name}=<number>')
      continue
    numbers[name] = _number(stated.get(name, default))
    if problem := _problem(name, numbers[name]):
      problems.append(f'{name}={stated[name]} {problem}')
  if not problems and 'hold' in numbers and np.float32(numbers['hold']) >= np.float32(numbers['over']):
    problems.append(f'hold={numbers["hold"]:g} must be below over={numbers["over"]:g}, when the end is reached')
  return Reading(Schedule(kind, unit), numbers, problems)


def _number(text: str | float) -> float:
  try:
    return float(text)
  except ValueError:
    return math.nan


def _problem(name: str, value: float) -> str | None:
  if not abs(value) < 1e38:   # The comparison is also false for NaN.
    return 'must be a finite float32 number'
  fits, rule = _RULES.get(name, (math.isfinite, ''))
  return None if fits(value) else rule


def texts(flat: Mapping[str, Any]) -> dict[str, str]:
  """Collect the texts of a configuration by the field that they schedule; those that are '' are left out."""
  return {name.removeprefix(PREFIX): text for name, text in flat.items() if name.startswith(PREFIX) and text}


def schedules_of(flat: Mapping[str, Any]) -> dict[str, Schedule]:
  """Parse the schedules of a valid configuration, by field: they are fixed in a compiled program."""
  return {field: read(text).schedule for field, text in texts(flat).items()}


def numbers(flat: Mapping[str, Any]) -> dict[str, float]:
  """Parse the numbers of all schedules, 'schedule.<field>.<number>'; members of a population may differ in them."""
  return {f'{PREFIX}{field}.{name}': value for field, text in texts(flat).items()
          for name, value in read(text).numbers.items()}


def problems(flat: Mapping[str, Any], fields: Collection[str],
             check: Callable[[str, float], Iterable[str]]) -> Iterator[str]:
  """Yield the problems of the schedules of a configuration.

  Args:
    flat: all fields of the configuration.
    fields: fields that are numbers of the compiled program; only these can be scheduled.
    check: (field, value) -> problems of this value of the field.
  """
  for field, text in texts(flat).items():
    reading, begin = read(text), f'{PREFIX}{field}={text!r}: '
    yield from (begin + problem for problem in reading.problems)
    if field not in fields:
      yield f'{begin}{field}={flat[field]} is not in the program of this run; ' + (
          f'set {field} to its initial value, or leave its schedule out' if flat[field] == 0 else
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
