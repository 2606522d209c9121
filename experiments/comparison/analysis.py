"""The statistics of a whole sweep: arms, comparisons within settings, and one correction for all that is reported."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from experiments.comparison.grouping import UNDER_WAY, Grouping, Measure, Setting, measure_of
from experiments.comparison.question import Question, Row
from experiments.sweep import SweepError
from gan.config import nearest
from gan.statistics import (
  Arm,
  Comparison,
  Interval,
  adjust,
  compare,
  interquartile_mean,
  make_arm,
  mean_given_success,
  success_rate,
)
from gan.statistics.power import SIGNIFICANCE
from gan.statistics.ranks import SWAPS


class ArmResult(NamedTuple):
  """What is known of one arm.

  Attributes:
    arm: its runs that count.
    rows: of these runs, in the same order.
    success: rate.
    mean: given success.
    middle: interquartile mean of all runs, those without a value as worst.
    others: value name -> mean given success of those values that do not count, for the small print.
  """

  arm: Arm
  rows: list[Row]
  success: Interval
  mean: Interval
  middle: Interval
  others: dict[str, float]


class SettingResult(NamedTuple):
  """What is known of one setting.

  Attributes:
    setting: which.
    measure: what decides; None if nothing was measured yet.
    arms: name -> result, of the arms that have runs that count.
    reference: name of the arm that the others are compared with; None if there are not two.
    chosen: whether it is the reference because it came out best.
    comparisons: arm -> its comparison with the reference, arm - reference.
    waiting: runs that do not count yet, because others of their population go on.
  """

  setting: Setting
  measure: Measure | None
  arms: dict[str, ArmResult]
  reference: str | None
  chosen: bool
  comparisons: dict[str, Comparison]
  waiting: int


def analyse(rows: Sequence[Row], grouping: Grouping, asked: Question, metric: str | None = None,
            value: str = 'last') -> list[SettingResult]:
  """Compares the arms of each setting.

  Two arms are compared with each other, more of them with the best one, or with the baseline that the sweep names.
  P-values are adjusted for all comparisons of the page together. Choosing the best arm is a look at all pairs, so all
  pairs are adjusted for then. (Of sweeps of 3 and 6 equal arms with 12 seeds, 7 and 9% would make a false claim if only
  those with the best arm were; 5 and 3% do so.)

  Runs count once nothing of their population goes on: failures end early, and would be all that there is.

  Raises:
    SweepError: if a score, a baseline or a function of the sweep cannot be used.
  """
  going_on = {row['population'] for row in rows if row['status'] in UNDER_WAY}
  results = []
  for setting in grouping.settings:
    measure = measure_of(setting, rows, asked, metric, value)
    done = {name: [row for row in own if row['population'] not in going_on] for name, own in setting.arms.items()}
    arms = {name: _arm_result(name, own, measure, asked) for name, own in done.items() if own} if measure else {}
    reference, chosen = _reference(arms, measure, grouping, asked)
    waiting = len(setting.rows) - sum(map(len, done.values()))
    results.append(SettingResult(setting, measure, arms, reference, chosen, {}, waiting))
  pairs = [(result, x, y) for result in results for x, y in _pairs(result)]
  found = [compare(result.arms[x].arm, result.arms[y].arm, higher_is_better=result.measure.higher_is_better)
           for result, x, y in pairs]
  # What has too few seeds is not tested, whatever came out, and costs the others nothing.
  adjusted = iter(adjust([comparison for comparison in found if not comparison.too_few]))
  found = [comparison if comparison.too_few else next(adjusted) for comparison in found]
  for (result, _, _), comparison in zip(pairs, found, strict=True):
    if comparison.y == result.reference:
      result.comparisons[comparison.x] = comparison
  return results


def claimed(comparison: Comparison) -> bool:
  """Whether a difference is shown."""
  return not comparison.too_few and comparison.adjusted_p < SIGNIFICANCE


def is_better(comparison: Comparison) -> bool | None:
  """Whether its arm is shown to be better than the reference; None if nothing is shown."""
  return comparison.improvement.value > 0.5 if claimed(comparison) else None


def seeds_to_show_anything(comparison: Comparison) -> float | None:
  """Pairs from which on the clearest outcome there is would pass the correction; None if there are enough already.

  If one arm is better in all of n pairs, the test of ranks gives 1 / 2^(n - 1); beyond some pairs it draws swaps,
  and those that turn out to be none count, too.

  Returns:
    The number; infinity if there are too many comparisons for any number of pairs.
  """
  def smallest(pairs: int) -> float:
    none, all_swaps = 0.5 ** (pairs - 1), 2 ** (pairs - 1) <= SWAPS
    return (none if all_swaps else (1 + round(SWAPS * none)) / (SWAPS + 1)) * comparison.family

  if comparison.too_few or not comparison.paired or smallest(comparison.count) < SIGNIFICANCE:
    return None
  most = SWAPS.bit_length() + 2
  return next((pairs for pairs in range(comparison.count, most + 1) if smallest(pairs) < SIGNIFICANCE), math.inf)


def as_good_as_best(result: SettingResult) -> list[str]:
  """Arms to go on with: not worse than the reference by their own interval, with a success rate that may be as high.

  These intervals are not adjusted, so that even few seeds narrow the choice; it claims nothing.
  """
  best = result.arms[result.reference]

  def seems_worse(comparison: Comparison) -> bool:
    gain = comparison.difference.value if comparison.higher_is_better else -comparison.difference.value
    return is_better(comparison) is False or (
        has_interval(comparison.difference) and comparison.difference.leaves_out(0.0) and gain < 0.0)

  return [name for name, arm in result.arms.items() if name == result.reference or (
      arm.success.high >= best.success.low and not seems_worse(result.comparisons[name]))]


def has_interval(interval: Interval) -> bool:
  """Whether there is more than a value or a range."""
  return interval.has_value and interval.method not in ('none', 'range')


def _arm_result(name: str, rows: list[Row], measure: Measure, asked: Question) -> ArmResult:
  values = [measure.of(row) for row in rows]
  successes = [not math.isnan(value) and _succeeds(row, asked) for row, value in zip(rows, values, strict=True)]
  arm = make_arm(name, zip([row['seed'] for row in rows], values, successes, strict=True))
  others = {}
  for other in ('last', 'tail_mean', 'best'):
    found = [measure.of(row, other) for row, success in zip(rows, successes, strict=True) if success]
    if other != measure.value and found and all(map(math.isfinite, found)):
      others[other] = float(np.mean(found))
  return ArmResult(arm, rows, success_rate(arm), mean_given_success(arm),
                   interquartile_mean(arm, higher_is_better=measure.higher_is_better), others)


def _succeeds(row: Row, asked: Question) -> bool:
  try:
    return bool(asked.success(row))
  except KeyError as error:
    raise SweepError(f'SUCCESS asks for {error}, and results.csv has no such column'
                     f'{nearest(str(error.args[0]), row)}') from None
  except TypeError as error:
    raise SweepError(f'SUCCESS cannot tell about run {row["run"]} of {row["config"]}: {error}; a score that was not '
                     'measured is None') from None


def _reference(arms: dict[str, ArmResult], measure: Measure | None, grouping: Grouping,
               asked: Question) -> tuple[str | None, bool]:
  """The arm that the others are compared with, and whether its results are the reason."""
  if asked.baseline is not None:
    named = [name for name, values in grouping.arms.items() if asked.baseline in (name, *values)]
    if not named:
      raise SweepError(f'BASELINE = {asked.baseline!r} is no arm of this sweep{nearest(asked.baseline, grouping.arms)}')
    if named[0] in arms:
      return (named[0], False) if len(arms) > 1 else (None, False)
  if len(arms) < 2:
    return None, False
  if len(grouping.arms) == 2:
    return next(iter(arms)), False
  ranks = stats.rankdata(np.concatenate([result.arm.ranked(measure.higher_is_better) for result in arms.values()]))
  ends = np.cumsum([len(result.rows) for result in arms.values()])
  means = [float(np.mean(part)) for part in np.split(ranks, ends[:-1])]
  return list(arms)[int(np.argmax(means))], True


def _pairs(result: SettingResult) -> list[tuple[str, str]]:
  """Pairs of arms that are looked at; those with the reference have it second."""
  if result.reference is None:
    return []
  others = [name for name in result.arms if name != result.reference]
  return [(name, result.reference) for name in others] + (
      list(itertools.combinations(others, 2)) if result.chosen else [])
