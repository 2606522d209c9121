"""What can be said of all runs, failed ones too: a run without a value ranks below every other.

A failed run that has a value (it missed the threshold of success) keeps the rank of its value.
"""

import numpy as np
from scipy import stats

from experiments.statistics.arms import (
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

TRIMMED = 0.25  # Share of the runs that the interquartile mean cuts off at each end.


def interquartile_mean(arm: Arm, *, higher_is_better: bool, resamples: int = RESAMPLES) -> Interval:
  """Mean of the middle half of an arm's runs, with a percentile bootstrap interval (Agarwal et al. 2021, 2108.13264).

  Runs without a value are among the worst quarter that is cut off; if there are more, it is not estimable. Resamples
  draw failures too. Those with more than a quarter of them count as infinitely bad, so that an arm which might as
  well have failed more often has no finite bound on that side; the note says how many resamples that were.
  """
  runs, sign = np.sort(arm.ranked(higher_is_better)), 1.0 if higher_is_better else -1.0
  count, failed = len(runs), int(np.isinf(runs).sum())
  note = f'{failed} of {count} runs failed and count as worst' if failed else ''
  if failed > TRIMMED * count:
    return unknown(count, f'not estimable: {failed} of {count} runs failed, more than a quarter')
  value = sign * float(stats.trim_mean(runs, TRIMMED))
  finite = sign * runs[failed:]
  if count < MIN_RUNS:
    return value_range(finite, f'{count} runs are too few for an interval: their range')._replace(value=value)
  resampled = np.random.default_rng(SEED).choice(runs, (resamples, count))
  means = stats.trim_mean(resampled, TRIMMED, axis=1)
  # No interpolation: between two resamples that are not estimable it would give nan.
  low = float(np.quantile(means, (1 - LEVEL) / 2, method='inverted_cdf'))
  high = -float(np.quantile(-means, (1 - LEVEL) / 2, method='inverted_cdf'))
  if low == high:
    alike = 'nearly all resamples are alike: the range of values, no interval'
    return value_range(finite, f'{note}; {alike}' if note else alike)._replace(value=value, count=count)
  if np.isinf(means).any():
    note += f'; {np.isinf(means).mean():.1%} of resamples are not estimable'
  return Interval(value, min(sign * low, sign * high), max(sign * low, sign * high), count, 'percentile bootstrap',
                  note)


def probability_of_improvement(x: Arm, y: Arm, *, higher_is_better: bool, resamples: int = RESAMPLES) -> Interval:
  """Probability that a run of x is better than a run of y, ties counting half (Agarwal et al. 2021, 2108.13264).

  That is Mann and Whitney's U / (N M). Two runs without a value tie. The interval is a percentile bootstrap over seeds,
  at `expanded_level`; both arms are resampled together where they share seeds (`shared_runs`).
  """
  pair = shared_runs(x, y)
  x, y = pair or (x, y)
  left, right = x.ranked(higher_is_better), y.ranked(higher_is_better)
  wins = (left[:, None] > right[None, :]) + 0.5 * (left[:, None] == right[None, :])
  count, value = min(wins.shape), float(np.mean(wins))
  if count < MIN_RUNS:
    return Interval(value, 0.0, 1.0, count, 'none', f'{count} runs are too few for an interval')
  if value in (0.0, 1.0):  # P(each of `count` runs beats another one) is at most p^count.
    low, high = stats.binomtest(round(value * count), count).proportion_ci(LEVEL, method='exact')
    return Interval(value, float(low), float(high), count, 'exact binomial',
                    'every run of one arm is better than every run of the other')
  rng = np.random.default_rng(SEED)

  def draw(size: int) -> np.ndarray:
    return rng.multinomial(size, np.full(size, 1.0 / size), size=resamples) / size  # How often each run is drawn.

  of_x = draw(len(left))
  of_y = of_x if pair else draw(len(right))
  tail = (1.0 - expanded_level(count)) / 2
  low, high = (float(end) for end in np.quantile(np.sum(of_x @ wins * of_y, axis=1), [tail, 1.0 - tail]))
  if np.isclose(low, high):
    return Interval(value, value, value, count, 'range', 'all resamples are alike: no interval')
  return Interval(value, low, high, count, 'percentile bootstrap')


def improvement_test(x: Arm, y: Arm, *, higher_is_better: bool) -> float:
  """Two-sided p-value of `probability_of_improvement` being 1/2.

  In pairs it is the sign-flip permutation test of the differences of ranks among all runs of both arms. Their sum is
  N^2 (2 P - 1), so that the test and the estimate cannot disagree. Swapping the two runs of a pair leaves the ranks
  as they are and flips the sign of one difference; so the test is exact, with any ties and with failures as worst
  ranks, if the arms do not differ at all. Wilcoxon's signed ranks would need a difference between a value and a
  failure; the sign test would not, but asks less of the data: a near miss counts as much as a failure.

  Without shared seeds it is Mann and Whitney's test.
  """
  pair = shared_runs(x, y)
  left, right = (arm.ranked(higher_is_better) for arm in pair or (x, y))
  ranks = stats.rankdata(np.concatenate([left, right]))
  left, right = ranks[:len(left)], ranks[len(left):]
  if np.ptp(ranks) == 0.0:
    return 1.0
  if pair is None:
    return float(stats.mannwhitneyu(left, right).pvalue)
  return sign_flip_test(np.rint(2.0 * (left - right)).astype(int))


def sign_flip_test(differences: np.ndarray) -> float:
  """Two-sided p-value of a sum of integers [N] under random signs: the share of all 2^N sums that are as far from 0.

  Exact for any N, because the distribution of a sum of integers is a repeated convolution; SciPy's permutation_test
  lists the 2^N sums, and must draw from them beyond 16 pairs or so.
  """
  total = abs(int(np.sum(differences)))
  probability = np.ones(1)  # Of each sum of absolute values with random signs, from the smallest up in steps of 1.
  for size in np.abs(differences):
    probability = (np.pad(probability, (2 * size, 0)) + np.pad(probability, (0, 2 * size))) / 2
  middle = len(probability) // 2
  if total == 0:
    return 1.0
  return float(min(2.0 * probability[middle + total:].sum(), 1.0))
