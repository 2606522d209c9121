"""From rows to settings and their arms, and which score decides between them. No statistics."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from experiments.comparison.question import Question, Row
from experiments.sweep import SweepError
from gan.config import nearest
from gan.scoring.records import TARGETS, target

UNDER_WAY, FAILED = ('running', 'waiting'), ('diverged', 'stopped')
MIN_CURVE = 7   # Values of a number from which they are points of a curve rather than arms.


class Setting(NamedTuple):
  """Runs that differ in the arm and the seed only; arms are compared within a setting, never across.

  Attributes:
    name: for headings.
    arms: name -> its rows, in the order of seeds.
  """

  name: str
  arms: dict[str, list[Row]]

  @property
  def rows(self) -> list[Row]:
    """Of all arms."""
    return [row for rows in self.arms.values() for row in rows]


class Grouping(NamedTuple):
  """All settings of a sweep.

  Attributes:
    by: fields whose values are the arms.
    arms: name -> values of these fields, in the order of the sweep, numbers from small to large.
    settings: in the order of the sweep.
    linked: fields that differ between arms as well, because they go with them.
    replicates: fields in which runs of an arm differ besides the seed, which then numbers what they were drawn as.
    is_curve: whether the arms are many values of a number.
  """

  by: tuple[str, ...]
  arms: dict[str, tuple]
  settings: list[Setting]
  linked: list[str]
  replicates: list[str]
  is_curve: bool


class Measure(NamedTuple):
  """What decides: a score, which of its values counts, and which way is better.

  Attributes:
    metric: name of the score.
    value: last, best or tail_mean.
    target: the best value there could be; infinite for more or less without bound.
  """

  metric: str
  value: str
  target: float

  @property
  def higher_is_better(self) -> bool:
    """Whether more is better; never for the distance from a finite target."""
    return self.target == math.inf

  @property
  def name(self) -> str:
    """'modes', or '|scale - 1|' where the distance from a target is what counts."""
    return self.metric if math.isinf(self.target) else f'|{self.metric} - {self.target:g}|'

  @property
  def direction(self) -> str:
    """Which way is better, in words."""
    if math.isinf(self.target):
      return 'more is better' if self.higher_is_better else 'less is better'
    return f'distance from {self.target:g}, less is better'

  def of(self, row: Row, value: str | None = None) -> float:
    """What a row has of it, by the value that counts or another one; nan if nothing."""
    found = row.get(f'{self.metric}.{value or self.value}')
    if found is None or not math.isfinite(found):
      return math.nan
    return float(found if math.isinf(self.target) else abs(found - self.target))


def group(rows: Sequence[Row], asked: Question, by: str | None = None) -> Grouping:
  """Sorts rows into settings and arms.

  Args:
    rows: of the table of a sweep.
    asked: what its file says.
    by: fields that are preferred to those of the file, separated by commas.

  Raises:
    SweepError: if it is not clear what the arms are, or a field is unknown.
  """
  fields = _fields(rows)
  drawn = [field for field in asked.replicates if field in fields]
  chosen = _choose_by(rows, fields, by or asked.by, drawn)
  drawn = [field for field in drawn if field not in chosen]
  replicates = [field for field in drawn if _telling_apart(rows, [field], [*chosen, 'seed'])]
  rows = _numbered(rows, replicates)
  others = _telling_apart(rows, [field for field in fields if field not in (*chosen, *drawn)], chosen)
  named = others if 'config' in chosen else list(dict.fromkeys(['config', *others]))
  arms, found = _arm_names(rows, chosen), []
  for key in dict.fromkeys(_key(row, named) for row in rows):
    own = sorted((row for row in rows if _key(row, named) == key), key=lambda row: row['seed'])
    by_arm = {arm: [row for row in own if _key(row, chosen) == kind] for arm, kind in arms.items()}
    found.append(Setting(_setting_name(dict(zip(named, key, strict=True))),
                         {arm: runs for arm, runs in by_arm.items() if runs}))
  linked = [field for field in fields if field not in (*chosen, *named, *replicates) and any(
      len({_key(row, [field]) for row in setting.rows}) > 1 for setting in found)]
  numeric = len(chosen) == 1 and all(_is_number(values[0]) for values in arms.values())
  if asked.curve and chosen == (asked.curve,) and not numeric:
    raise SweepError(f'CURVE = {asked.curve!r}: its values must be numbers; name the field by BY instead')
  is_curve = numeric and (len(arms) >= MIN_CURVE or chosen == (asked.curve,))
  return Grouping(chosen, arms, found, linked, replicates, is_curve)


def measure_of(setting: Setting, rows: Sequence[Row], asked: Question, metric: str | None,
               value: str) -> Measure | None:
  """The score that decides in a setting; None if it has none yet, unless that is so because all of it failed.

  Args:
    setting: where.
    rows: of the whole sweep.
    asked: what its file says.
    metric: preferred to that of the file.
    value: which one counts.

  Raises:
    SweepError: if the sweep has no such score.
  """
  known = _scores(rows)
  if metric and metric not in known:
    raise SweepError(f'--metric={metric} was not measured in this sweep{nearest(metric, known)}')
  if metric is None and asked.metric is not None:
    config = setting.rows[0]['config']
    metric = asked.metric if isinstance(asked.metric, str) else asked.metric.get(config)
    if metric and metric not in known:
      try:
        target(metric)  # A score that there is, only not here or not yet.
      except KeyError:
        raise SweepError(f'METRIC = {metric!r}: no such score{nearest(metric, known or TARGETS)}') from None
  own = _scores(setting.rows)
  all_failed = all(row['status'] in FAILED for row in setting.rows)
  if metric is None:
    scores = own or known * all_failed
    metric = next((name for name in ('fd_classifier', 'modes', *scores) if name in scores), 'modes')
  return Measure(metric, value, target(metric)) if metric in own or all_failed else None


def _fields(rows: Sequence[Row]) -> list[str]:
  """Fields that a sweep sets: in the table they stand between the configuration file and the status."""
  names = list(rows[0])
  return [name for name in names[names.index('config'):names.index('status')] if name != 'seed']


def _numbered(rows: Sequence[Row], replicates: Sequence[str]) -> Sequence[Row]:
  """Rows whose seed numbers what they were drawn as: arms that share the drawing are compared draw by draw."""
  if not replicates:
    return rows
  draws = list(dict.fromkeys(_key(row, ['seed', *replicates]) for row in rows))
  return [row | {'seed': draws.index(_key(row, ['seed', *replicates]))} for row in rows]


def _scores(rows: Sequence[Row]) -> list[str]:
  """Names of the scores that any row has."""
  return [name.removesuffix('.last') for name in rows[0]
          if name.endswith('.last') and any(row[name] is not None for row in rows)]


def _choose_by(rows: Sequence[Row], fields: list[str], asked: str | None, drawn: list[str]) -> tuple[str, ...]:
  if asked:
    chosen = tuple(field.strip() for field in asked.split(','))
    for field in chosen:
      if field == 'seed':
        raise SweepError('by=seed: runs of an arm differ in the seed; name another field')
      if field not in fields:
        raise SweepError(f'by={field}: no field that this sweep sets{nearest(field, fields)}')
    return chosen
  candidates = _telling_apart(rows, [field for field in fields if field not in ('config', *drawn)], ('config',))
  if len(candidates) > 1:
    raise SweepError(f'the runs differ in {len(candidates)} fields: {", ".join(candidates)}; say which one is the '
                     f"question: --by={candidates[-1]}, or BY = '{candidates[-1]}' in the file of the sweep")
  return tuple(candidates)


def _telling_apart(rows: Sequence[Row], fields: Iterable[str], given: Sequence[str]) -> list[str]:
  """Those fields that split the rows further than `given` and the ones before them do: the rest goes with these."""
  found = list(given)
  for field in fields:
    if _num_kinds(rows, [*found, field]) > _num_kinds(rows, found):
      found.append(field)
  return found[len(given):]


def _num_kinds(rows: Sequence[Row], fields: Sequence[str]) -> int:
  return len({_key(row, fields) for row in rows})


def _key(row: Row, fields: Sequence[str]) -> tuple:
  return tuple(tuple(value) if isinstance(value := row[field], list) else value for field in fields)


def _arm_names(rows: Sequence[Row], by: tuple[str, ...]) -> dict[str, tuple]:
  """'saturating', or 'r1=0.1, loss=hinge' where a value by itself would not be understood."""
  kinds = list(dict.fromkeys(_key(row, by) for row in rows))
  if not by:
    return {'all runs': ()}
  if len(by) == 1 and all(isinstance(kind[0], str) for kind in kinds):
    return {_config_name(kind[0]) if by == ('config',) else kind[0]: kind for kind in kinds}
  if len(by) == 1 and all(_is_number(kind[0]) for kind in kinds):
    kinds.sort()
  short = _short_names(by)
  for digits in (4, 17):  # As short as they can be told apart.
    names = [', '.join(f'{short[field]}={_text(value, digits)}' for field, value in zip(by, kind, strict=True))
             for kind in kinds]
    if len(set(names)) == len(kinds):
      break
  return dict(zip(names, kinds, strict=True))


def _setting_name(values: dict[str, Any]) -> str:
  """'toy:ring, disc_steps=5'."""
  short = _short_names([field for field in values if field != 'config'])
  return ', '.join(_config_name(value) if field == 'config' else f'{short[field]}={_text(value)}'
                   for field, value in values.items()) or 'all runs'


def _short_names(fields: Sequence[str]) -> dict[str, str]:
  """'loss.name' as 'loss', 'penalty.r1' as 'r1'; more of the path where two would be the same."""
  short = {}
  for field in fields:
    parts = field.removesuffix('.name').split('.')
    endings = ['.'.join(parts[-count:]) for count in range(1, len(parts) + 1)]
    short[field] = next((ending for ending in endings if sum(
        other.removesuffix('.name') == ending or other.removesuffix('.name').endswith(f'.{ending}')
        for other in fields) == 1), field)
  return short


def _config_name(file: str) -> str:
  """'configs/toy.py:ring' as 'toy:ring'."""
  return file.removeprefix('configs/').replace('.py', '', 1)


def _text(value: Any, digits: int = 6) -> str:
  return f'{value:.{digits}g}' if isinstance(value, float) else _config_name(str(value))


def _is_number(value: Any) -> bool:
  return isinstance(value, int | float) and not isinstance(value, bool)
