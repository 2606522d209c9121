"""Two arms beside each other, and what many such comparisons do to their p-values."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gan.statistics.arms import Arm, Interval, shared_runs
from gan.statistics.means import difference_given_success, differences_given_success
from gan.statistics.power import SIGNIFICANCE, detectable_difference
from gan.statistics.ranks import improvement_test, probability_of_improvement
from gan.statistics.rates import success_difference, success_rate

MIN_PAIRS = 6  # With 5 pairs the clearest outcome there is, all for one arm, has p = 2 / 2^5 = 0.06.


class Comparison(NamedTuple):
  """What is known of two arms. Differences are x - y.

  Attributes:
    x: name of one arm.
    y: name of the other.
    higher_is_better: of the metric.
    paired: whether the arms share seeds (`arms.shared_runs`).
    count: pairs of runs, or runs of the smaller arm; failed ones included.
    success_x: success rate of all runs of x.
    success_y: of y.
    success_difference: in pairs if there are any.
    difference: of the means given success, in units of the metric.
    detectable: the true difference that would have been found with 80% probability, adjusted as p is; None where that
      is not known.
    improvement: probability that a run of x is better than one of y; failed runs included.
    p: of the test of that.
    adjusted_p: the same after `adjust`.
    family: number of comparisons that were adjusted for.
  """

  x: str
  y: str
  higher_is_better: bool
  paired: bool
  count: int
  success_x: Interval
  success_y: Interval
  success_difference: Interval
  difference: Interval
  detectable: float | None
  improvement: Interval
  p: float
  adjusted_p: float
  family: int = 1

  @property
  def too_few(self) -> bool:
    """Whether there are too few runs: in pairs no outcome whatsoever could show a difference, and apart hardly one."""
    return self.count < MIN_PAIRS


def compare(x: Arm, y: Arm, *, higher_is_better: bool) -> Comparison:
  """Compares two arms by all runs of shared seeds, or by all runs if they share too few.

  The p-value is that of the test of ranks, in which failed runs count. It alone decides whether a difference is
  claimed; the intervals say how large it may be.
  """
  pair, differences, difference = shared_runs(x, y), differences_given_success(x, y), difference_given_success(x, y)
  spread = pair and difference.method not in ('none', 'range') and float(np.std(differences, ddof=1))
  p = improvement_test(x, y, higher_is_better=higher_is_better)
  return Comparison(
      x.name, y.name, higher_is_better, pair is not None,
      len(pair[0].seeds) if pair else min(len(x.seeds), len(y.seeds)),
      success_rate(x), success_rate(y), success_difference(x, y), difference,
      detectable_difference(spread, len(differences)) if spread else None,
      probability_of_improvement(x, y, higher_is_better=higher_is_better), p, p)


def adjust(comparisons: Sequence[Comparison]) -> list[Comparison]:
  """The same comparisons with p-values that hold for all of them together: everything that is reported at once.

  What would have been detected is that by Bonferroni's correction, of which Holm's is never the worse.
  """
  adjusted, family = holm([comparison.p for comparison in comparisons]), len(comparisons)

  def detectable(comparison: Comparison) -> float | None:
    deviation = observed_deviation(comparison)
    if deviation is None or comparison.difference.count < MIN_PAIRS:
      return None
    return detectable_difference(deviation, comparison.difference.count, significance=SIGNIFICANCE / family)

  return [comparison._replace(adjusted_p=float(p), family=family, detectable=detectable(comparison))
          for comparison, p in zip(comparisons, adjusted, strict=True)]


def observed_deviation(comparison: Comparison) -> float | None:
  """Standard deviation of the paired differences; None where it is not known."""
  if comparison.detectable is None:
    return None
  unit = detectable_difference(1.0, comparison.difference.count, significance=SIGNIFICANCE / comparison.family)
  return comparison.detectable / unit


def holm(p_values: Sequence[float]) -> np.ndarray:
  """Adjusted p-values [N], in the order given (Holm 1979, Scandinavian Journal of Statistics 6, 65-70).

  Rejecting those below 5% makes one or more false claims with a probability of 5% at most, however they depend on
  each other. (SciPy corrects for the rate of false discoveries only.)
  """
  p = np.asarray(p_values, np.float64)
  order = np.argsort(p)
  adjusted = np.empty_like(p)
  adjusted[order] = np.minimum(np.maximum.accumulate(np.arange(len(p), 0, -1) * p[order]), 1.0)
  return adjusted
