"""Comparisons of two arms, and p-values adjusted for many comparisons."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gan.statistics.arms import Arm, Interval, shared_runs
from gan.statistics.means import difference_given_success, differences_given_success
from gan.statistics.power import SIGNIFICANCE, detectable_difference
from gan.statistics.ranks import improvement_test, probability_of_improvement
from gan.statistics.rates import success_difference, success_rate

MIN_PAIRS = 6  # With 5 pairs even the clearest outcome, one arm better in every pair, has p = 2 / 2^5 = 0.06.


class Comparison(NamedTuple):
  """Statistics of two arms. Differences are x - y.

  Attributes:
    x: name of one arm.
    y: name of the other arm.
    higher_is_better: whether higher values of the metric are better.
    paired: whether the arms share seeds (`arms.shared_runs`).
    count: pairs of runs, or runs of the smaller arm; failed runs included.
    success_x: success rate of all runs of x.
    success_y: success rate of all runs of y.
    success_difference: difference of the success rates, in pairs if `paired`.
    difference: difference of the means given success, in units of the metric.
    detectable: true difference that would have been detected with 80% probability, adjusted like p; None if unknown.
    improvement: probability that a run of x is better than a run of y; failed runs included.
    p: p-value of the hypothesis that this probability is 1/2.
    adjusted_p: p-value after `adjust`.
    family: number of comparisons that p was adjusted for.
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
    """Whether runs are so few that no outcome in pairs, and hardly any without pairs, could show a difference."""
    return self.count < MIN_PAIRS


def compare(x: Arm, y: Arm, *, higher_is_better: bool) -> Comparison:
  """Compare two arms by all runs of shared seeds, or by all runs if too few seeds are shared.

  The p-value is that of a rank test, in which failed runs count. The p-value alone decides whether a difference is
  claimed; the intervals say how large the difference may be.
  """
  pair, differences, difference = shared_runs(x, y), differences_given_success(x, y), difference_given_success(x, y)
  detectable = None
  if differences is not None and difference.method not in ('none', 'range'):
    spread = float(np.std(differences, ddof=1))
    detectable = detectable_difference(spread, len(differences)) if spread else None
  p = improvement_test(x, y, higher_is_better=higher_is_better)
  return Comparison(
      x.name, y.name, higher_is_better, pair is not None,
      len(pair[0].seeds) if pair else min(len(x.seeds), len(y.seeds)),
      success_rate(x), success_rate(y), success_difference(x, y), difference,
      detectable, probability_of_improvement(x, y, higher_is_better=higher_is_better), p, p)


def adjust(comparisons: Sequence[Comparison]) -> list[Comparison]:
  """Adjust the p-values of comparisons that are reported together, by Holm's method.

  The detectable differences use Bonferroni's correction, which is never more powerful than Holm's.
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
  """Return the standard deviation of the paired differences; None if unknown."""
  if comparison.detectable is None:
    return None
  unit = detectable_difference(1.0, comparison.difference.count, significance=SIGNIFICANCE / comparison.family)
  return comparison.detectable / unit


def holm(p_values: Sequence[float]) -> np.ndarray:
  """Adjust p-values [N] by Holm's method (Holm 1979, Scandinavian Journal of Statistics 6, 65-70).

  If hypotheses with adjusted p < 5% are rejected, the probability of any false rejection is at most 5%, for any
  dependence between the tests. (SciPy only has corrections for the false discovery rate.)

  Returns:
    Adjusted p-values [N], in the order of the arguments.
  """
  p = np.asarray(p_values, np.float64)
  order = np.argsort(p)
  adjusted = np.empty_like(p)
  adjusted[order] = np.minimum(np.maximum.accumulate(np.arange(len(p), 0, -1) * p[order]), 1.0)
  return adjusted
