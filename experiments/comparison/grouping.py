"""Grouping of rows into settings and arms, and the choice of the score that decides. Statistics are in analysis.py."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from experiments.comparison.question import Question, Row
from experiments.sweep import SweepError
from gan.config import nearest
from gan.scoring.records import TARGETS, target

UNDER_WAY, FAILED = ('running', 'waiting'), ('diverged', 'stopped')
MIN_CURVE = 7   # With at least this number of values, a numeric field is a curve rather than a set of arms.


class Setting(NamedTuple):
  """Runs that differ only in arm and seed. Arms are compared within a setting, never between settings.

  Attributes:
    name: name for headings.
    arms: name of an arm -> its rows, in the order of seeds.
  """

  name: str
  arms: dict[str, list[Row]]

  @property
  def rows(self) -> list[Row]:
    """Rows of all arms."""
    return [row for rows in self.arms.values() for row in rows]


class Grouping(NamedTuple):
  """All settings of a sweep.

  Attributes:
    by: fields whose values are the arms.
    arms: name -> values of these fields, in the order of the sweep; single numbers in ascending order.
    settings: all settings, in the order of the sweep.
    linked: further fields that differ between arms, because they change together with `by`.
    replicates: random fields in which runs of an arm differ; the `seed` of a row then numbers the draw.
    is_curve: whether the arms are points of a curve over a number.
  """

  by: tuple[str, ...]
  arms: dict[str, tuple]
  settings: list[Setting]
  linked: list[str]
  replicates: list[str]
  is_curve: bool


class Measure(NamedTuple):
  """The measure that decides: a score, which of its values counts, and which direction is better.

  Attributes:
    metric: name of the score.
    value: last, best or tail_mean.
    target: ideal value of the score; inf if more is better, -inf if less is better.
  """

  metric: str
  value: str
  target: float

  @property
  def higher_is_better(self) -> bool:
    """Whether higher is better; False for a finite target, where the distance from the target counts."""
    return self.target == math.inf

  @property
  def name(self) -> str:
    """Name such as 'modes', or '|scale - 1|' if the distance from a finite target counts."""
    return self.metric if math.isinf(self.target) else f'|{self.metric} - {self.target:g}|'

  @property
  def direction(self) -> str:
    """The better direction, in words."""
    if math.isinf(self.target):
      return 'more is better' if self.higher_is_better else 'less is better'
    return f'distance from {self.target:g}, less is better'

  def of(self, row: Row, value: str | None = None) -> float:
    """Return the measure of a row; nan if there is none. `value` (last, best or tail_mean) replaces `self.value`."""
    score = row.get(f'{self.metric}.{value or self.value}')
    if score is None or not math.isfinite(score):
      return math.nan
    return float(score if math.isinf(self.target) else abs(score - self.target))


def group(rows: Sequence[Row], question: Question, by: str | None = None) -> Grouping:
  """Group rows into settings and arms.

  Args:
    rows: rows of the table of a sweep.
    question: question of the sweep.
    by: fields whose values are the arms, separated by commas; replaces that of the question.

  Raises:
    SweepError: if several fields could define the arms, or if a field is unknown.
  """
  fields = _fields(rows)
  drawn = [field for field in question.replicates if field in fields]
  chosen = _choose_by(rows, fields, by or question.by, drawn)
  drawn = [field for field in drawn if field not in chosen]
  replicates = [field for field in drawn if _telling_apart(rows, [field], [*chosen, 'seed'])]
  rows = _numbered(rows, replicates)
  others = _telling_apart(rows, [field for field in fields if field not in (*chosen, *drawn)], chosen)
  named = others if 'config' in chosen else list(dict.fromkeys(['config', *others]))
  arms, settings = _arm_names(rows, chosen), []
  for key in dict.fromkeys(_key(row, named) for row in rows):
    setting_rows = sorted((row for row in rows if _key(row, named) == key), key=lambda row: row['seed'])
    by_arm = {arm: [row for row in setting_rows if _key(row, chosen) == kind] for arm, kind in arms.items()}
    settings.append(Setting(_setting_name(dict(zip(named, key, strict=True))),
                            {arm: runs for arm, runs in by_arm.items() if runs}))
  linked = [field for field in fields if field not in (*chosen, *named, *replicates) and any(
      len({_key(row, [field]) for row in setting.rows}) > 1 for setting in settings)]
  numeric = len(chosen) == 1 and all(_is_number(values[0]) for values in arms.values())
  if question.curve and chosen == (question.curve,) and not numeric:
    raise SweepError(f'CURVE = {question.curve!r}: its values must be numbers; use BY instead of CURVE for this field')
  is_curve = numeric and (len(arms) >= MIN_CURVE or chosen == (question.curve,))
  return Grouping(chosen, arms, settings, linked, replicates, is_curve)


def measure_of(setting: Setting, rows: Sequence[Row], question: Question, metric: str | None,
               value: str) -> Measure | None:
  """Return the measure that decides in a setting; None if the score is not measured there yet.

  If all runs of the setting failed, there is a measure all the same.

  Args:
    setting: the setting.
    rows: rows of the whole sweep.
    question: question of the sweep.
    metric: score that decides; replaces that of the question.
    value: value of the score that counts: last, best or tail_mean.

  Raises:
    SweepError: if there is no such score.
  """
  measured = _scores(rows)
  if metric and metric not in measured:
    raise SweepError(f'--metric={metric} was not measured in this sweep{nearest(metric, measured)}')
  if metric is None and question.metric is not None:
    config = setting.rows[0]['config']
    metric = question.metric if isinstance(question.metric, str) else question.metric.get(config)
    if metric and metric not in measured:
      try:
        target(metric)  # The score exists, but was not measured, or not yet.
      except KeyError:
        raise SweepError(f'METRIC = {metric!r}: no such score{nearest(metric, measured or TARGETS)}') from None
  measured_here = _scores(setting.rows)
  all_failed = all(row['status'] in FAILED for row in setting.rows)
  if metric is None:
    scores = measured_here or measured * all_failed
    metric = next((name for name in ('fd_classifier', 'modes', *scores) if name in scores), 'modes')
  return Measure(metric, value, target(metric)) if metric in measured_here or all_failed else None


def _fields(rows: Sequence[Row]) -> list[str]:
  """Return the fields that a sweep sets: the columns between the configuration file and the status, without seed."""
  names = list(rows[0])
  return [name for name in names[names.index('config'):names.index('status')] if name != 'seed']


def _numbered(rows: Sequence[Row], replicates: Sequence[str]) -> Sequence[Row]:
  """Replace the seeds of rows by numbers of random draws, so that arms with the same draws are compared in pairs."""
  if not replicates:
    return rows
  draws = list(dict.fromkeys(_key(row, ['seed', *replicates]) for row in rows))
  return [row | {'seed': draws.index(_key(row, ['seed', *replicates]))} for row in rows]


def _scores(rows: Sequence[Row]) -> list[str]:
  """Return the names of the scores that any row has."""
  return [name.removesuffix('.last') for name in rows[0]
          if name.endswith('.last') and any(row[name] is not None for row in rows)]


def _choose_by(rows: Sequence[Row], fields: list[str], question: str | None, drawn: list[str]) -> tuple[str, ...]:
  if question:
    chosen = tuple(field.strip() for field in question.split(','))
    for field in chosen:
      if field == 'seed':
        raise SweepError('by=seed: the runs of an arm differ in their seeds, so seeds cannot be arms; name another '
                         'field')
      if field not in fields:
        raise SweepError(f'by={field} is no field that this sweep sets{nearest(field, fields)}')
    return chosen
  candidates = _telling_apart(rows, [field for field in fields if field not in ('config', *drawn)], ('config',))
  if len(candidates) > 1:
    raise SweepError(f'the runs differ in {len(candidates)} fields: {", ".join(candidates)}; name the one whose values '
                     f"are compared: --by={candidates[-1]}, or BY = '{candidates[-1]}' in the file of the sweep")
  return tuple(candidates)


def _telling_apart(rows: Sequence[Row], fields: Iterable[str], fixed: Sequence[str]) -> list[str]:
  """Return the fields that split the rows further than `fixed` and the fields before them.

  The other fields are determined by these.
  """
  splitting = list(fixed)
  for field in fields:
    if _num_kinds(rows, [*splitting, field]) > _num_kinds(rows, splitting):
      splitting.append(field)
  return splitting[len(fixed):]


def _num_kinds(rows: Sequence[Row], fields: Sequence[str]) -> int:
  return len({_key(row, fields) for row in rows})


def _key(row: Row, fields: Sequence[str]) -> tuple:
  return tuple(tuple(value) if isinstance(value := row[field], list) else value for field in fields)


def _arm_names(rows: Sequence[Row], by: tuple[str, ...]) -> dict[str, tuple]:
  """Name the arms: 'saturating', or with the field, 'r1=0.1, loss=hinge', if the value alone would be unclear."""
  kinds = list(dict.fromkeys(_key(row, by) for row in rows))
  if not by:
    return {'all runs': ()}
  if len(by) == 1 and all(isinstance(kind[0], str) for kind in kinds):
    return {_config_name(kind[0]) if by == ('config',) else kind[0]: kind for kind in kinds}
  if len(by) == 1 and all(_is_number(kind[0]) for kind in kinds):
    kinds.sort()
  short = _short_names(by)
  for digits in (4, 17):  # Four digits, unless two arms would have the same name.
    names = [', '.join(f'{short[field]}={_text(value, digits)}' for field, value in zip(by, kind, strict=True))
             for kind in kinds]
    if len(set(names)) == len(kinds):
      break
  return dict(zip(names, kinds, strict=True))


def _setting_name(values: dict[str, Any]) -> str:
  """Name a setting: 'toy:ring, disc_steps=5'."""
  short = _short_names([field for field in values if field != 'config'])
  return ', '.join(_config_name(value) if field == 'config' else f'{short[field]}={_text(value)}'
                   for field, value in values.items()) or 'all runs'


def _short_names(fields: Sequence[str]) -> dict[str, str]:
  """Shorten fields: 'loss.name' to 'loss', 'penalty.r1' to 'r1'; longer if two would be the same."""
  short = {}
  for field in fields:
    parts = field.removesuffix('.name').split('.')
    endings = ['.'.join(parts[-count:]) for count in range(1, len(parts) + 1)]
    short[field] = next((ending for ending in endings if sum(
        other.removesuffix('.name') == ending or other.removesuffix('.name').endswith(f'.{ending}')
        for other in fields) == 1), field)
  return short


def _config_name(file: str) -> str:
  """Shorten 'configs/toy.py:ring' to 'toy:ring'."""
  return file.removeprefix('configs/').replace('.py', '', 1)


def _text(value: Any, digits: int = 6) -> str:
  return f'{value:.{digits}g}' if isinstance(value, float) else _config_name(str(value))


def _is_number(value: Any) -> bool:
  return isinstance(value, int | float) and not isinstance(value, bool)
