"""Means given success, and their differences between two arms.

The methods of the intervals were chosen by their coverage of the true value, in % of 4,000 samples of 16 / of 32 values
(* at `expanded_level`; + marks the method in use):

                                                  Student's t   percentile *   BCa        BCa *      bootstrap-t
  one arm: normal                                   95 / 94       94 / 94      92 / 93    94 / 94 +    94 / 95
    lognormal, sigma 0.5 (skewness 1.8)             92 / 93       92 / 93      90 / 92    93 / 93 +    94 / 94
    lognormal, sigma 1 (skewness 6.2)               85 / 88       86 / 89      85 / 89    88 / 90 +    91 / 92
    5, 6, 7 or 8 modes (5, 10, 25, 60%)             92 / 93       93 / 93      92 / 94    95 / 95 +    95 / 96
  differences: lognormal, 0.5, correlated           95 / 95 +     94 / 94      89 / 91    92 / 92      93 / 93
    lognormal, 0.5 and 0.3                          94 / 94 +     94 / 94      90 / 92    93 / 93      94 / 94
    lognormal, 1 and 1                              96 / 96 +     93 / 93      85 / 88    89 / 89      90 / 91
    lognormal, 1 and 0.5                            86 / 89 +     87 / 89      84 / 89    87 / 90      89 / 91
    7 or 8 modes (8 in 75% and 90%)                 95 / 95 +     95 / 94      90 / 93    94 / 94      93 / 95

So the coverage is within 3% of 95% from 16 runs on, unless one arm has extreme outliers: then it is 86 to 88% with 16
runs, and 92% with 64 to 128. No method repairs this, and the bootstrap-t, which comes closest, gives infinite intervals
for counts of modes. Such metrics are better compared by ranks, or by their logarithm.

For a metric with two values, 7 or 8 modes, BCa covers in 92 to 99.8%: too wide rather than too narrow. Wilson's
interval for the share of the higher value would be right here, but it is far too narrow if there is a third, rare value
that has not occurred yet: a collapsed run.
"""

import warnings

import numpy as np
from scipy import stats

from gan.statistics.arms import (
    LEVEL,
    MIN_RUNS,
    RESAMPLES,
    SEED,
    Arm,
    Interval,
    expanded_level,
    shared_runs,
    unknown,
    value_range,
)


def mean_given_success(arm: Arm) -> Interval:
  """Return the mean over the runs that succeeded; the note says how many of all runs did.

  Report this mean together with `success_rate`: alone it hides failures. `interquartile_mean` includes them.
  """
  values = arm.values[arm.successes]
  condition = f'given success: {len(values)} of {len(arm.values)} runs'
  mean = mean_interval(values)
  return mean._replace(note=f'{condition}; {mean.note}' if mean.note else condition)


def difference_given_success(x: Arm, y: Arm) -> Interval:
  """Return the mean of x - y, in units of the metric, over the shared seeds with which both arms succeeded.

  The note says how many of all pairs these are. Arms that share too few seeds (`shared_runs`) are compared without
  pairs, by Welch's t.
  """
  pair, differences = shared_runs(x, y), differences_given_success(x, y)
  if pair is None or differences is None:
    left, right = x.values[x.successes], y.values[y.successes]
    condition = (f'given success: {len(left)} of {len(x.values)} and {len(right)} of {len(y.values)} runs, no shared '
                 'seeds')
    difference = unpaired_difference_interval(left, right)
  else:
    condition = f'given success of both: {len(differences)} of {len(pair[0].seeds)} pairs'
    difference = difference_interval(differences)
  return difference._replace(note=f'{condition}; {difference.note}' if difference.note else condition)


def differences_given_success(x: Arm, y: Arm) -> np.ndarray | None:
  """Return the paired differences x - y [N] given success of both, by seed; None if too few seeds are shared."""
  pair = shared_runs(x, y)
  if pair is None:
    return None
  both = pair[0].successes & pair[1].successes
  return pair[0].values[both] - pair[1].values[both]


def mean_interval(values: np.ndarray, resamples: int = RESAMPLES) -> Interval:
  """Return the mean of one arm's values [N] with a BCa bootstrap interval (Efron 1987), at `expanded_level`.

  The values of one arm are often skewed; BCa corrects for skewness. With one value, few values or equal values, BCa
  does not work: then the interval is the range of the values, and a note says why.
  """
  special = _special_case(values, 'values')
  if special:
    return special
  if len(values) < MIN_RUNS:
    return value_range(values, f'{len(values)} values are too few for an interval: their range')
  # Sorted, so that the resamples do not depend on which seed has which value.
  result = stats.bootstrap((np.sort(values),), np.mean, confidence_level=expanded_level(len(values)), method='BCa',
                           n_resamples=resamples, rng=np.random.default_rng(SEED), vectorized=True)
  low, high = result.confidence_interval
  return Interval(float(np.mean(values)), float(low), float(high), len(values), 'BCa bootstrap')


def difference_interval(differences: np.ndarray) -> Interval:
  """Return the mean of paired differences [N] with Student's t interval.

  The differences of two arms are nearly symmetric, whatever the arms are. So BCa has nothing to correct, and its
  estimate of the skewness is noise. `power.detectable_difference` belongs to this interval. There is one exception: if
  the differences have only two distinct values, for example because one arm is constant, `mean_interval` is used.
  """
  special = _special_case(differences, 'differences')
  if special:
    return special
  if _levels(differences) == 2 and len(differences) >= MIN_RUNS:
    return mean_interval(differences)
  low, high = stats.ttest_1samp(differences, 0.0).confidence_interval(LEVEL)
  return Interval(float(np.mean(differences)), float(low), float(high), len(differences), "Student's t")


def unpaired_difference_interval(x: np.ndarray, y: np.ndarray) -> Interval:
  """Return the difference of the means of x [N] and y [M] with Welch's t interval."""
  count = min(len(x), len(y))
  if not count:
    return unknown(0, 'one of the arms has no values')
  value = float(np.mean(x) - np.mean(y))
  if count == 1 or (_levels(x) == 1 and _levels(y) == 1):
    extremes = float(np.min(x) - np.max(y)), float(np.max(x) - np.min(y))
    return Interval(value, *extremes, count, 'range', 'the spread cannot be estimated: smallest and largest difference')
  with warnings.catch_warnings():
    warnings.simplefilter('ignore', RuntimeWarning)  # SciPy warns if one arm has no spread, but its result is right.
    low, high = stats.ttest_ind(x, y, equal_var=False).confidence_interval(LEVEL)
  return Interval(value, float(low), float(high), count, "Welch's t")


def _special_case(values: np.ndarray, noun: str) -> Interval | None:
  """Return the result for values that are too few, or all equal, so that no interval exists; otherwise None."""
  count, levels = len(values), _levels(values)
  if not count:
    return unknown(0, f'no {noun}')
  if count == 1:
    return value_range(values, f'only one of the {noun}: no interval')
  if levels == 1:
    return value_range(values, f'all {count} {noun} are equal: their range, no interval')
  return None


def _levels(values: np.ndarray) -> int:
  """Count distinct values; values that differ only by rounding are the same."""
  scale = np.max(np.abs(values), initial=0.0) or 1.0
  return len(np.unique(np.round(values / scale, 10)))
