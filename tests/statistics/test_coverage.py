"""How often 95% intervals cover the truth, and how often tests err. The thorough forms are marked slow.

What is a range is no interval, and is left out: a sample of 8, 8, ..., 8 knows nothing of runs with 7 modes.
"""

import math

import numpy as np
import pytest
from scipy import stats

from gan.statistics import improvement_test, interquartile_mean, probability_of_improvement
from gan.statistics.arms import expanded_level
from gan.statistics.means import difference_interval, mean_interval, unpaired_difference_interval
from gan.statistics.rates import newcombe_paired, newcombe_unpaired, wilson
from tests.statistics.arms import arm

pytestmark = pytest.mark.filterwarnings('error')

LOW, HIGH = 0.92, 0.98
QUICK, THOROUGH = (400, 499), (3_000, 999)  # Samples, resamples of each.


def coverage(interval_of, draw, truth, num_samples):
  """Share of the intervals that hold the truth: draw(rng) is a sample, interval_of(sample) an Interval."""
  rng = np.random.default_rng(0)
  found = [interval_of(draw(rng)) for _ in range(num_samples)]
  found = [interval for interval in found if interval.has_value and interval.method != 'range']
  assert len(found) > num_samples / 2
  return np.mean([interval.low <= truth <= interval.high for interval in found])


def lognormal(rng, count, sigma, common=0.0):
  return np.exp(sigma * (common + math.sqrt(0.5 if np.ndim(common) else 1.0) * rng.standard_normal(count)))


def mean_of_lognormal(sigma):
  return math.exp(sigma**2 / 2)


def correlated_lognormals(rng, count, sigma):
  """Differences of two arms with correlation 1/2 of their logarithms, by the shared seed."""
  common = math.sqrt(0.5) * rng.standard_normal(count)
  return lognormal(rng, count, sigma, common) - lognormal(rng, count, sigma, common)


def modes(rng, count, share):
  """7 or 8 modes, 7 in this share of the runs."""
  return 8.0 - (rng.random(count) < share)


# Draw, truth, and the measured coverage for 16 and 32 values that gan/statistics/means.py quotes.
ONE_ARM = {
    'normal': (lambda rng, n: rng.standard_normal(n), 0.0, (0.94, 0.94)),
    'lognormal 0.5': (lambda rng, n: lognormal(rng, n, 0.5), mean_of_lognormal(0.5), (0.93, 0.93)),
    'lognormal 1': (lambda rng, n: lognormal(rng, n, 1.0), mean_of_lognormal(1.0), (0.88, 0.905)),
    '5 to 8 modes': (lambda rng, n: rng.choice([5.0, 6.0, 7.0, 8.0], n, p=[0.05, 0.1, 0.25, 0.6]), 7.4, (0.95, 0.95)),
}
DIFFERENCES = {
    'normal': (lambda rng, n: rng.standard_normal(n), 0.0, (0.95, 0.95)),
    'lognormal 0.5, correlated': (lambda rng, n: correlated_lognormals(rng, n, 0.5), 0.0, (0.95, 0.95)),
    'lognormal 0.5 and 0.3': (lambda rng, n: lognormal(rng, n, 0.5) - lognormal(rng, n, 0.3),
                              mean_of_lognormal(0.5) - mean_of_lognormal(0.3), (0.94, 0.945)),
    'lognormal 1 and 1': (lambda rng, n: lognormal(rng, n, 1.0) - lognormal(rng, n, 1.0), 0.0, (0.96, 0.96)),
    '7 or 8 modes': (lambda rng, n: modes(rng, n, 0.25) - modes(rng, n, 0.1), -0.15, (0.95, 0.95)),
}


@pytest.mark.parametrize('count', [5, 16, 1_000])
def test_expanded_level(count):
  """A bootstrap whose spread is sqrt((n - 1) / n) of the standard error reaches as far as Student's t."""
  reach = stats.norm.isf((1 - expanded_level(count)) / 2) * math.sqrt((count - 1) / count)
  np.testing.assert_allclose(reach, stats.t.isf(0.025, count - 1), rtol=1e-9)


@pytest.mark.parametrize('case', ['normal', 'lognormal 0.5', '5 to 8 modes'])
def test_mean_of_one_arm(case):
  draw, truth, _ = ONE_ARM[case]
  covered = coverage(lambda values: mean_interval(values, QUICK[1]), lambda rng: draw(rng, 16), truth, QUICK[0])
  assert LOW <= covered <= HIGH


@pytest.mark.parametrize('case', DIFFERENCES)
def test_difference_of_pairs(case):
  draw, truth, _ = DIFFERENCES[case]
  assert LOW <= coverage(difference_interval, lambda rng: draw(rng, 16), truth, QUICK[0]) <= HIGH


@pytest.mark.slow
@pytest.mark.parametrize('count', [16, 32])
@pytest.mark.parametrize('case', [*ONE_ARM, *(f'difference {name}' for name in DIFFERENCES)])
def test_means_as_documented(case, count):
  is_difference = case.startswith('difference ')
  draw, truth, measured = DIFFERENCES[case.removeprefix('difference ')] if is_difference else ONE_ARM[case]
  interval_of = difference_interval if is_difference else lambda values: mean_interval(values, THOROUGH[1])
  covered = coverage(interval_of, lambda rng: draw(rng, count), truth, THOROUGH[0])
  np.testing.assert_allclose(covered, measured[count == 32], atol=0.015)
  assert LOW <= covered <= HIGH or case == 'lognormal 1'  # Its limits are documented.


@pytest.mark.slow
def test_extreme_skew_from_128_runs_on():
  covered = coverage(lambda values: mean_interval(values, THOROUGH[1]), lambda rng: lognormal(rng, 128, 1.0),
                     mean_of_lognormal(1.0), THOROUGH[0])
  assert LOW <= covered <= HIGH


@pytest.mark.parametrize('num_samples', [QUICK[0], pytest.param(THOROUGH[0], marks=pytest.mark.slow)])
def test_difference_without_pairs(num_samples):
  """16 runs beside 20, of unequal spread."""
  covered = coverage(lambda arms: unpaired_difference_interval(*arms),
                     lambda rng: (lognormal(rng, 16, 0.5), lognormal(rng, 20, 0.3)),
                     mean_of_lognormal(0.5) - mean_of_lognormal(0.3), num_samples)
  assert LOW <= covered <= HIGH


@pytest.mark.parametrize('count', [16, 32])
def test_mean_of_two_values_exactly(count):
  """All samples of 7 and 8 modes, each with its probability; not those in which all are equal."""
  of_eight = np.arange(1, count)
  found = [mean_interval(np.repeat([7.0, 8.0], [count - k, k])) for k in of_eight]
  for share in (0.05, 0.1, 0.15, 0.25, 0.4, 0.5):
    weights = stats.binom.pmf(of_eight, count, 1 - share)
    # 92.3, 97.9, 99.4, 99.8, 99.2, 99.6% for 16 values: wider than need be, as means of so few values are coarse.
    assert np.sum(weights * [i.low <= 8 - share <= i.high for i in found]) / weights.sum() > LOW


def test_difference_of_counts_exactly():
  """All samples of 16 differences -1, 0 or 1, some of which have two distinct values only."""
  tables = [(a, b, 16 - a - b) for a in range(17) for b in range(17 - a)]
  tables = [table for table in tables if max(table) < 16]
  found = [difference_interval(np.repeat([-1.0, 1.0, 0.0], table)) for table in tables]
  for lower, higher in ((0.225, 0.075), (0.2, 0.2), (0.1, 0.02), (0.3, 0.02), (0.05, 0.05)):
    weights = stats.multinomial.pmf(tables, 16, (lower, higher, 1 - lower - higher))
    covered = np.sum(weights * [i.low <= higher - lower <= i.high for i in found]) / weights.sum()
    assert 0.915 < covered < HIGH  # 95.1, 94.5, 92.0, 96.5, 96.9%.


def test_success_rates_exactly():
  """All tables of 16 runs, each with its probability."""
  tables = [(a, b, c, 16 - a - b - c) for a in range(17) for b in range(17 - a) for c in range(17 - a - b)]
  found = [newcombe_paired(*table) for table in tables]
  for shares in ((0.5, 0.2, 0.1, 0.2), (0.3, 0.4, 0.1, 0.2), (0.25, 0.25, 0.25, 0.25), (0.6, 0.3, 0.02, 0.08)):
    weights, truth = stats.multinomial.pmf(tables, 16, shares), shares[1] - shares[2]
    covered = sum(w for w, i in zip(weights, found, strict=True) if i.low - 1e-12 <= truth <= i.high + 1e-12)
    assert 0.94 < covered < HIGH  # 96.1, 95.1, 94.6, 97.0%.
  single, double = [wilson(k, 16) for k in range(17)], [[newcombe_unpaired(j, 16, k, 16) for k in range(17)]
                                                        for j in range(17)]
  for x, y in ((0.5, 0.5), (0.8, 0.4), (0.9, 0.7)):
    of_x, of_y = (stats.binom.pmf(np.arange(17), 16, p) for p in (x, y))
    assert 0.9 < sum(w for w, i in zip(of_x, single, strict=True) if i.low <= x <= i.high) < 0.99
    covered = sum(of_x[j] * of_y[k] for j in range(17) for k in range(17)
                  if double[j][k].low - 1e-12 <= x - y <= double[j][k].high + 1e-12)
    assert 0.94 < covered < HIGH


def two_arms(rng, count, shift, failures, correlation, spread=1.0):
  """Normal values, better by `shift` in x; y fails in this share of its runs."""
  common = math.sqrt(correlation) * rng.standard_normal(count)
  own = math.sqrt(1 - correlation) * rng.standard_normal((2, count))
  x, y = common + own[0] + shift, spread * (common + own[1])
  return arm(x), arm(np.where(rng.random(count) < failures, np.nan, y), 'y')


def improvement_of(shift, failures):
  """Closed form of two_arms with spread 1, across seeds, so that there is no correlation."""
  return failures + (1 - failures) * stats.norm.cdf(shift / math.sqrt(2))


IMPROVEMENTS = [(0.0, 0.0, 0.3), (0.75, 0.0, 0.3), (0.5, 0.25, 0.0), (0.75, 0.1, 0.7)]  # Shift, failures, correlation.


def improvement_coverage(case, count, num_samples, resamples):
  return coverage(lambda arms: probability_of_improvement(*arms, higher_is_better=True, resamples=resamples),
                  lambda rng: two_arms(rng, count, *case), improvement_of(*case[:2]), num_samples)


@pytest.mark.parametrize('case', IMPROVEMENTS[1:3])
def test_probability_of_improvement(case):
  assert LOW <= improvement_coverage(case, 16, *QUICK) <= HIGH


@pytest.mark.slow
@pytest.mark.parametrize('count', [16, 32])
@pytest.mark.parametrize('case', [*IMPROVEMENTS, (1.8, 0.0, 0.0)])
def test_probability_of_improvement_thoroughly(case, count):
  assert LOW <= improvement_coverage(case, count, *THOROUGH) <= HIGH


def quartile_coverage(failures, count, num_samples, resamples):
  """Standard normal values of which a share is missing, as worst: the rest of the middle half is a truncated normal."""
  low, high = stats.norm.ppf([(0.25 - failures) / (1 - failures), (0.75 - failures) / (1 - failures)])
  truth = (stats.norm.pdf(low) - stats.norm.pdf(high)) / (stats.norm.cdf(high) - stats.norm.cdf(low))
  return coverage(lambda values: interquartile_mean(arm(values), higher_is_better=True, resamples=resamples),
                  lambda rng: np.where(rng.random(count) < failures, np.nan, rng.standard_normal(count)), truth,
                  num_samples)


@pytest.mark.parametrize('failures', [0.0, 0.1])
def test_interquartile_mean(failures):
  assert LOW <= quartile_coverage(failures, 16, *QUICK) <= HIGH


@pytest.mark.slow
@pytest.mark.parametrize('count', [16, 32])
@pytest.mark.parametrize('failures', [0.0, 0.05, 0.1, 0.2])
def test_interquartile_mean_thoroughly(failures, count):
  assert LOW <= quartile_coverage(failures, count, *THOROUGH) <= HIGH


# Shift, failures, correlation, spread of y: nothing differs; and the spread only, where a test without standard errors
# claims a difference in 6, 9 and 15%. With failures P is 1/2 only if x fails as often, so there are none.
@pytest.mark.parametrize('case', [(0.0, 0.0, 0.3, 1.0), (0.0, 0.0, 0.8, 3.0)])
@pytest.mark.parametrize(('num_samples', 'error'), [(400, 0.02), pytest.param(4_000, 0.01, marks=pytest.mark.slow)])
def test_errors_of_the_permutation_test(case, num_samples, error):
  rng = np.random.default_rng(0)
  p = [improvement_test(*two_arms(rng, 16, *case), higher_is_better=True, resamples=399) for _ in range(num_samples)]
  np.testing.assert_allclose(np.mean(np.array(p) <= 0.05), 0.05, atol=error)
