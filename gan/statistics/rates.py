"""Success rates and their differences. A failed run is always in the denominator."""

import math

import numpy as np
from scipy import stats

from gan.statistics.arms import LEVEL, Arm, Interval, shared_runs


def success_rate(arm: Arm) -> Interval:
  """Return the share of an arm's runs that succeeded, in [0, 1]."""
  return wilson(int(arm.successes.sum()), len(arm.successes))


def success_difference(x: Arm, y: Arm) -> Interval:
  """Return the success rate of x minus that of y, in [-1, 1]; in pairs if seeds are shared (`shared_runs`)."""
  pair = shared_runs(x, y)
  if pair is None:
    return newcombe_unpaired(int(x.successes.sum()), len(x.successes), int(y.successes.sum()), len(y.successes))
  left, right = pair[0].successes, pair[1].successes
  return newcombe_paired(*(int(np.sum(table)) for table in (left & right, left & ~right, ~left & right,
                                                            ~left & ~right)))


def wilson(successes: int, count: int) -> Interval:
  """Return a proportion with Wilson's score interval (Wilson 1927), which is valid for few runs and for 0% and 100%."""
  low, high = stats.binomtest(successes, count).proportion_ci(LEVEL, method='wilson')
  return Interval(successes / count, float(low), float(high), count, 'Wilson')


def newcombe_paired(both: int, only_x: int, only_y: int, neither: int) -> Interval:
  """Return the difference of two paired proportions.

  The interval is that of method 10 of Newcombe 1998 (Statistics in Medicine 17, 2635-2650): Wilson's limits of the two
  proportions are combined with the correlation phi of the pairs. A positive phi makes the interval narrower, so the
  numerator of a positive phi is first reduced by n / 2, a continuity correction.

  Args:
    both: pairs in which x and y succeeded.
    only_x: pairs in which only x succeeded.
    only_y: pairs in which only y succeeded.
    neither: pairs in which neither succeeded.
  """
  count = both + only_x + only_y + neither
  x, y = wilson(both + only_x, count), wilson(both + only_y, count)
  margins = (both + only_x) * (only_y + neither) * (both + only_y) * (only_x + neither)
  covariance = both * neither - only_x * only_y
  if covariance > 0:
    covariance = max(covariance - count / 2, 0.0)
  phi = covariance / math.sqrt(margins) if margins else 0.0
  return _square_and_add(x, y, phi, count, 'Newcombe, paired')


def newcombe_unpaired(successes_x: int, count_x: int, successes_y: int, count_y: int) -> Interval:
  """Return the difference of two independent proportions.

  The interval is that of method 10 of Newcombe 1998 (Statistics in Medicine 17, 873-890).
  """
  return _square_and_add(wilson(successes_x, count_x), wilson(successes_y, count_y), 0.0, min(count_x, count_y),
                         'Newcombe, unpaired')


def _square_and_add(x: Interval, y: Interval, phi: float, count: int, method: str) -> Interval:
  def distance(one: float, other: float) -> float:
    return math.sqrt(max(one**2 - 2.0 * phi * one * other + other**2, 0.0))  # The sum is below 0 by rounding only.

  value = x.value - y.value
  low = value - distance(x.value - x.low, y.high - y.value)
  high = value + distance(x.high - x.value, y.value - y.low)
  return Interval(value, low, high, count, method)
