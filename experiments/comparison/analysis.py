"""Statistics of a whole sweep: arms, comparisons within settings, and one adjustment of all reported p-values."""

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
  """Results of one arm.

  Attributes:
    arm: its runs that count.
    rows: rows of these runs, in the same order.
    success: success rate.
    mean: mean given success.
    middle: interquartile mean of all runs; runs without a value count as worst.
    others: mean given success of the other values of the score (last, best, tail_mean), by name.
  """

  arm: Arm
  rows: list[Row]
  success: Interval
  mean: Interval
  middle: Interval
  others: dict[str, float]


class SettingResult(NamedTuple):
  """Results of one setting.

  Attributes:
    setting: the setting.
    measure: the measure that decides; None if nothing was measured yet.
    arms: name of an arm -> its result, for arms with runs that count.
    reference: name of the arm that the others are compared with; None if there are fewer than two arms.
    chosen: whether the reference was chosen because it has the best results.
    comparisons: name of an arm -> its comparison with the reference, arm - reference.
    waiting: number of runs that do not count yet, because their population is still running.
  """

  setting: Setting
  measure: Measure | None
  arms: dict[str, ArmResult]
  reference: str | None
  chosen: bool
  comparisons: dict[str, Comparison]
  waiting: int


def analyse(rows: Sequence[Row], grouping: Grouping, question: Question, metric: str | None = None,
            value: str = 'last') -> list[SettingResult]:
  """Compare the arms of each setting.

  Two arms are compared with each other; three or more with the best arm, or with the baseline that the sweep names. The
  p-values of all comparisons on the page are adjusted together. The choice of the best arm is a look at all pairs, so
  the adjustment then counts all pairs. (For sweeps of 3 and 6 equal arms with 12 seeds, the rate of false claims was 5
  and 3%; if only the comparisons with the best arm were counted, it would be 7 and 9%.)

  The runs of a population count after all of its runs have ended. Failed runs end early, so a running population would
  show failures only.

  Raises:
    SweepError: if a score, a baseline or a function of the sweep cannot be used.
  """
  going_on = {row['population'] for row in rows if row['status'] in UNDER_WAY}
  results = []
  for setting in grouping.settings:
    measure = measure_of(setting, rows, question, metric, value)
    done = {name: [row for row in arm_rows if row['population'] not in going_on]
            for name, arm_rows in setting.arms.items()}
    arms = {}
    if measure:
      arms = {name: _arm_result(name, ended, measure, question) for name, ended in done.items() if ended}
    reference, chosen = _reference(arms, measure, grouping, question)
    waiting = len(setting.rows) - sum(map(len, done.values()))
    results.append(SettingResult(setting, measure, arms, reference, chosen, {}, waiting))
  pairs = [(result, x, y) for result in results for x, y in _pairs(result)]
  comparisons = [compare(result.arms[x].arm, result.arms[y].arm, higher_is_better=result.measure.higher_is_better)
                 for result, x, y in pairs]
  # Comparisons with too few seeds are not tested, whatever their results, so the adjustment does not count them.
  adjusted = iter(adjust([comparison for comparison in comparisons if not comparison.too_few]))
  comparisons = [comparison if comparison.too_few else next(adjusted) for comparison in comparisons]
  for (result, _, _), comparison in zip(pairs, comparisons, strict=True):
    if comparison.y == result.reference:
      result.comparisons[comparison.x] = comparison
  return results


def claimed(comparison: Comparison) -> bool:
  """Return whether a difference is shown."""
  return not comparison.too_few and comparison.adjusted_p < SIGNIFICANCE


def is_better(comparison: Comparison) -> bool | None:
  """Return whether the arm is better than the reference; None if no difference is shown."""
  return comparison.improvement.value > 0.5 if claimed(comparison) else None


def seeds_to_show_anything(comparison: Comparison) -> float | None:
  """Return the number of pairs with which the clearest outcome would be significant; None if there are enough pairs.

  If one arm is better in all of n pairs, the p-value of the rank test is 1 / 2^(n - 1). With many pairs the test draws
  random swaps instead of all swaps; then draws without any swap count, too, and p is a little larger.

  Returns:
    Number of pairs; infinity if there are too many comparisons for any number of pairs.
  """
  def smallest(pairs: int) -> float:
    none, all_swaps = 0.5 ** (pairs - 1), 2 ** (pairs - 1) <= SWAPS
    return (none if all_swaps else (1 + round(SWAPS * none)) / (SWAPS + 1)) * comparison.family

  if comparison.too_few or not comparison.paired or smallest(comparison.count) < SIGNIFICANCE:
    return None
  most = SWAPS.bit_length() + 2
  return next((pairs for pairs in range(comparison.count, most + 1) if smallest(pairs) < SIGNIFICANCE), math.inf)


def as_good_as_best(result: SettingResult) -> list[str]:
  """Return the arms that may be as good as the reference, by their unadjusted intervals.

  The interval of their difference to the reference must not show that they are worse, and the upper end of their
  success rate must reach the lower end of the reference's success rate. The intervals are not adjusted, so that few
  seeds narrow the choice, too; the choice claims nothing.
  """
  best = result.arms[result.reference]

  def seems_worse(comparison: Comparison) -> bool:
    gain = comparison.difference.value if comparison.higher_is_better else -comparison.difference.value
    return is_better(comparison) is False or (
        has_interval(comparison.difference) and comparison.difference.leaves_out(0.0) and gain < 0.0)

  return [name for name, arm in result.arms.items() if name == result.reference or (
      arm.success.high >= best.success.low and not seems_worse(result.comparisons[name]))]


def has_interval(interval: Interval) -> bool:
  """Return whether there is a confidence interval, not only a value or a range."""
  return interval.has_value and interval.method not in ('none', 'range')


def _arm_result(name: str, rows: list[Row], measure: Measure, question: Question) -> ArmResult:
  values = [measure.of(row) for row in rows]
  successes = [not math.isnan(value) and _succeeds(row, question) for row, value in zip(rows, values, strict=True)]
  arm = make_arm(name, zip([row['seed'] for row in rows], values, successes, strict=True))
  others = {}
  for other in ('last', 'tail_mean', 'best'):
    scores = [measure.of(row, other) for row, success in zip(rows, successes, strict=True) if success]
    if other != measure.value and scores and all(map(math.isfinite, scores)):
      others[other] = float(np.mean(scores))
  return ArmResult(arm, rows, success_rate(arm), mean_given_success(arm),
                   interquartile_mean(arm, higher_is_better=measure.higher_is_better), others)


def _succeeds(row: Row, question: Question) -> bool:
  try:
    return bool(question.success(row))
  except KeyError as error:
    raise SweepError(f'SUCCESS uses the column {error}, which results.csv does not have'
                     f'{nearest(str(error.args[0]), row)}') from None
  except TypeError as error:
    raise SweepError(f'SUCCESS fails on run {row["run"]} of {row["config"]}: {error}; a score that was not measured is '
                     'None, so SUCCESS must handle None') from None


def _reference(arms: dict[str, ArmResult], measure: Measure | None, grouping: Grouping,
               question: Question) -> tuple[str | None, bool]:
  """Return the arm that the others are compared with, and whether it was chosen by its results."""
  if question.baseline is not None:
    named = [name for name, values in grouping.arms.items() if question.baseline in (name, *values)]
    if not named:
      raise SweepError(f'BASELINE = {question.baseline!r} is no arm of this sweep'
                       f'{nearest(question.baseline, grouping.arms)}')
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
  """Return the pairs of arms that are compared; the reference is the second of a pair."""
  if result.reference is None:
    return []
  others = [name for name in result.arms if name != result.reference]
  return [(name, result.reference) for name in others] + (
      list(itertools.combinations(others, 2)) if result.chosen else [])
