"""What can be said of all runs, failed ones too: a run without a value ranks below every other.

A failed run that has a value (it missed the threshold of success) keeps the rank of its value.

The permutation test swaps pairs itself. `scipy.stats.permutation_test` with the same statistic has equal exact p-values
and Monte Carlo ones that agree within their error, but it is slower: in `experiments.compare` of six arms the tests of
16 pairs take 10 to 17 s with it and 1.5 to 3.2 s here, those of 32 pairs 15 to 31 s and 8 to 11 s (two shared CPU
cores, SciPy 1.17.1, three alternating turns each). It lists both mirror images of each swap, in a loop of Python.
"""

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
)

SWAPS, SMALL_P = 2**16 - 1, 0.01   # Of the arms of pairs, where p-values are so small.
TRIMMED = 0.25  # Share of the runs that the interquartile mean cuts off at each end.


def interquartile_mean(arm: Arm, *, higher_is_better: bool, resamples: int = RESAMPLES) -> Interval:
  """Mean of the middle half of an arm's runs, with a percentile bootstrap interval (Agarwal et al. 2021, 2108.13264).

  Runs without a value are among the worst quarter that is cut off; if there are more, it is not estimable. Resamples
  draw failures too. Those with more than a quarter of them count as infinitely bad, so that an arm which might as
  well have failed more often has no finite bound on that side; the note says how many resamples that were.
  """
  runs, sign = np.sort(arm.ranked(higher_is_better)), 1.0 if higher_is_better else -1.0
  count, failed = len(runs), int(np.isinf(runs).sum())
  if failed > TRIMMED * count:
    return unknown(count, f'not estimable: {failed} of {count} runs failed, more than a quarter')
  value = sign * float(stats.trim_mean(runs, TRIMMED))
  notes = [f'{failed} of {count} runs failed and count as worst'] if failed else []

  def found(low: float, high: float, method: str) -> Interval:
    return Interval(value, min(sign * low, sign * high), max(sign * low, sign * high), count, method, '; '.join(notes))

  if count < MIN_RUNS:
    notes.append(f'{count} runs are too few for an interval: the range of values')
    return found(float(runs[failed]), float(runs[-1]), 'range')
  resampled = np.random.default_rng(SEED).choice(runs, (resamples, count))
  means = stats.trim_mean(resampled, TRIMMED, axis=1)
  # No interpolation: between two resamples that are not estimable it would give nan.
  low = float(np.quantile(means, (1 - LEVEL) / 2, method='inverted_cdf'))
  high = -float(np.quantile(-means, (1 - LEVEL) / 2, method='inverted_cdf'))
  if low == high:
    notes.append('nearly all resamples are alike: the range of values, no interval')
    return found(float(runs[failed]), float(runs[-1]), 'range')
  if np.isinf(means).any():
    notes.append(f'{np.isinf(means).mean():.1%} of resamples are not estimable')
  return found(low, high, 'percentile bootstrap')


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

  def draw(size: int, stream: int) -> np.ndarray:
    """Share of each run in each resample [resamples, size]."""
    return np.random.default_rng([SEED, stream]).multinomial(size, np.full(size, 1.0 / size), size=resamples) / size

  # Streams go by name, so that swapped arguments give the mirrored interval exactly.
  of_x = draw(len(left), 0 if pair else int(x.name > y.name))
  of_y = of_x if pair else draw(len(right), int(x.name <= y.name))
  tail = (1.0 - expanded_level(count)) / 2
  low, high = (float(end) for end in np.quantile(np.sum(of_x @ wins * of_y, axis=1), [tail, 1.0 - tail]))
  if np.isclose(low, high):
    return Interval(value, value, value, count, 'range', 'all resamples are alike: no interval')
  return Interval(value, low, high, count, 'percentile bootstrap')


def improvement_test(x: Arm, y: Arm, *, higher_is_better: bool, resamples: int = RESAMPLES) -> float:
  """Two-sided p-value of `probability_of_improvement` being 1/2.

  In pairs it is the studentised permutation test of Konietschke & Pauly 2012 (Electronic Journal of Statistics 6,
  1358-1372): swap the arms of any set of pairs, and see how often the probability of improvement is as many standard
  errors away from 1/2 as it is. All swaps up to 14 pairs, `resamples` of them beyond; if fewer than 1% of those are as
  far away, which many comparisons may ask about, it is all swaps up to 16 pairs and SWAPS of them beyond.

  Swapping leaves the ranks of all runs as they are; so the test is exact, with any ties and with failures as worst
  ranks, if the arms do not differ at all. If they differ in spread only, it still errs in 5% of cases; the same test
  without standard errors was measured to err in up to 15%. Wilcoxon's test would need a difference between a value and
  a failure. The sign test would not, but a near miss counts as much as a failure there: with 16 pairs it finds a
  difference in 5 of 10 cases where this test finds it in 8.

  Without shared seeds it is Mann and Whitney's test.
  """
  pair = shared_runs(x, y)
  left, right = (arm.ranked(higher_is_better) for arm in pair or (x, y))
  runs = stats.rankdata(np.concatenate([left, right]))
  if pair is None:
    return float(stats.mannwhitneyu(runs[:len(left)], runs[len(left):]).pvalue)
  if len(left) < 2:
    return 1.0
  p = _swap_test(runs, len(left), resamples)
  return _swap_test(runs, len(left), SWAPS) if p < SMALL_P and 2 ** (len(left) - 1) > resamples else p


def _swap_test(runs: np.ndarray, pairs: int, resamples: int) -> float:
  """P-value of runs [2 N], those of one arm before those of the other."""
  swaps = _swaps(pairs, resamples)
  wins = (runs[:, None] > runs[None, :]) + 0.5 * (runs[:, None] == runs[None, :])
  in_left = np.concatenate([~swaps, swaps], axis=1)
  won, lost = ~in_left @ wins.T, in_left @ wins  # Right runs that each run beats, left runs that beat it: [swaps, 2 N].
  # How much a pair speaks for the left arm: right runs that its left run beats, left runs that beat its right one.
  scores = (np.where(swaps, won[:, pairs:], won[:, :pairs]) + np.where(swaps, lost[:, :pairs], lost[:, pairs:]))
  away, spread = np.abs(scores.mean(axis=1) - pairs), scores.std(axis=1)
  # No spread and yet away from 1/2: every run of one arm is better than every run of the other.
  sizes = np.divide(away, spread, out=np.where(away > 0.0, np.inf, 0.0), where=spread > 0.0)
  return float(np.mean(sizes >= sizes[0] * (1.0 - 1e-9)))  # Equal but for rounding is as far away.


def _swaps(pairs: int, resamples: int) -> np.ndarray:
  """Which pairs are swapped [swaps, N] bool; first none of them. The last one never is: swapping all is a mirror."""
  if 2 ** (pairs - 1) <= resamples:
    return (np.arange(2 ** (pairs - 1))[:, None] >> np.arange(pairs) & 1).astype(bool)
  drawn = np.random.default_rng(SEED).random((resamples, pairs)) < 0.5
  return np.concatenate([np.zeros((1, pairs), bool), drawn])
