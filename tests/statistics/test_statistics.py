"""Statistics of comparisons: published examples, definitions written out, and what a report may never say."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gan.statistics import (
  compare,
  detectable_difference,
  difference_given_success,
  holm,
  improvement_test,
  interquartile_mean,
  make_arm,
  mean_given_success,
  pairs_needed,
  power_of,
  probability_of_improvement,
  success_difference,
  success_rate,
)
from gan.statistics.rates import newcombe_paired, newcombe_unpaired, wilson
from tests.statistics.arms import RUNS, arm, arm_of

pytestmark = pytest.mark.filterwarnings('error')  # Nothing of SciPy's leaks.


def ends(interval):
  return interval.low, interval.high


# Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3.
@pytest.mark.parametrize(('successes', 'count', 'expected'), [
    (81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))])
def test_wilson_as_published(successes, count, expected):
  np.testing.assert_allclose(ends(wilson(successes, count)), expected, atol=5e-5)


# Newcombe 1998, Statistics in Medicine 17, 873-890, table II, method 10.
@pytest.mark.parametrize(('table', 'expected'), [
    ((56, 70, 48, 80), (0.0524, 0.3339)), ((9, 10, 3, 10), (0.1705, 0.8090)), ((6, 7, 2, 7), (0.0582, 0.8062)),
    ((5, 56, 0, 29), (-0.0381, 0.1926)), ((0, 10, 0, 20), (-0.1611, 0.2775)), ((0, 10, 0, 10), (-0.2775, 0.2775)),
    ((10, 10, 0, 20), (0.6791, 1.0)), ((10, 10, 0, 10), (0.6075, 1.0))])
def test_unpaired_rates_as_published(table, expected):
  np.testing.assert_allclose(ends(newcombe_unpaired(*table)), expected, atol=5e-5)


# Newcombe 1998, Statistics in Medicine 17, 2635-2650, method 10, as the tests of the R package propint quote it; the
# last one from Fagerland et al. 2014, Statistics in Medicine 33, 2850-2875. The second and third need the correction
# of phi: without it they are (0.0618, 0.3239) and (-0.0640, 0.0640).
@pytest.mark.parametrize(('table', 'expected', 'digits'), [
    ((36, 12, 2, 0), (0.0569, 0.3404), 4), ((18, 12, 2, 18), (0.0562, 0.3290), 4),
    ((53, 0, 0, 1), (-0.0729, 0.0729), 4), ((0, 30, 0, 0), (0.8395, 1.0), 4), ((1, 1, 7, 12), (-0.507, -0.026), 3)])
def test_paired_rates_as_published(table, expected, digits):
  np.testing.assert_allclose(ends(newcombe_paired(*table)), expected, atol=0.5 * 10**-digits)


@settings(deadline=None)
@given(st.lists(st.integers(0, 20), min_size=4, max_size=4).filter(sum))
def test_paired_rates_by_another_route(table):
  """Wilson's limits as roots of their quadratic, phi as the correlation of zeros and ones."""
  x, y = (np.repeat(outcomes, table) for outcomes in ([1, 1, 0, 0], [1, 0, 1, 0]))
  n, z = len(x), stats.norm.isf(0.025)
  limits = [np.sort(np.roots([1 + z * z / n, -2 * p - z * z / n, p * p]).real) for p in (x.mean(), y.mean())]
  phi = np.corrcoef(x, y)[0, 1] if np.ptp(x) and np.ptp(y) else 0.0
  if phi > 0:
    phi = max(phi - 0.5 / (n * x.std() * y.std()), 0.0)
  down, up = (limits[0][0] - x.mean(), limits[1][1] - y.mean()), (limits[0][1] - x.mean(), limits[1][0] - y.mean())
  expected = [x.mean() - y.mean() + sign * math.sqrt(max(one**2 + other**2 + 2 * phi * one * other, 0.0))
              for sign, (one, other) in ((-1, down), (1, up))]
  found = newcombe_paired(*table)
  np.testing.assert_allclose(ends(found), expected, atol=1e-7)
  assert -1.0 - 1e-12 <= found.low <= found.high <= 1.0 + 1e-12
  np.testing.assert_allclose(found.value, x.mean() - y.mean(), atol=1e-12)


def test_failures_stay_in_the_denominator():
  x, y = arm([5.0] * 6 + [None] * 10), arm([None] * 4 + [5.0] * 12, 'y')
  assert (success_rate(x).value, success_rate(x).count) == (6 / 16, 16)
  assert success_difference(x, y)[:3] == newcombe_paired(2, 4, 10, 0)[:3]
  mean, difference = mean_given_success(x), difference_given_success(x, y)
  assert mean.count == 6
  assert mean.note.startswith('given success: 6 of 16 runs')
  assert difference.count == 2
  assert difference.note.startswith('given success of both: 2 of 16 pairs')
  missed = make_arm('z', [(seed, 5.0, False) for seed in range(16)])  # A value, and no success.
  assert success_rate(missed).value == 0.0
  assert not mean_given_success(missed).has_value
  assert probability_of_improvement(missed, x, higher_is_better=True).value == 0.5 + 0.5 * 10 / 16
  comparison = compare(x, y, higher_is_better=True)
  assert (comparison.count, comparison.success_x.count, comparison.success_difference.count) == (16, 16, 16)


# R's multtest, from statsmodels' test_multi.py; and the example of Wikipedia's article on the method.
@pytest.mark.parametrize(('p', 'expected'), [
    ([0.001, 0.002, 0.003, 0.004, 0.005, 0.05, 0.06, 0.07, 0.08, 0.09],
     [0.01, 0.018, 0.024, 0.028, 0.03, 0.25, 0.25, 0.25, 0.25, 0.25]),
    ([0.838541367553, 0.642193923795, 0.680845947633, 0.967833824309, 0.71626938238, 0.177096952723, 5.23656777208e-5,
      0.0202732688798, 0.00028140506198, 0.0149877310796],
     [1, 1, 1, 1, 1, 1, 5.2365677720800e-4, 0.14191288215860, 2.53264555782e-3, 0.11990184863680]),
    ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02])])
def test_holm_as_published(p, expected):
  np.testing.assert_allclose(holm(p), expected, rtol=1e-9)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_bonferroni_of_every_subset(p):
  """Closed testing: a hypothesis is rejected if Bonferroni rejects each set of hypotheses that it belongs to."""
  subsets = [subset for size in range(1, len(p) + 1) for subset in itertools.combinations(range(len(p)), size)]
  expected = [max(min(1.0, len(subset) * min(p[i] for i in subset)) for subset in subsets if i in subset)
              for i in range(len(p))]
  np.testing.assert_allclose(holm(p), expected, rtol=1e-12)


def test_power_as_published():
  """R: power.t.test(power=0.8, delta=0.5, type='paired') has n = 33.36713; G*Power: 34 pairs, with power 0.8078."""
  assert pairs_needed(0.5, 1.0) == 34
  np.testing.assert_allclose(power_of(0.5, 1.0, 34), 0.8078, atol=5e-5)
  np.testing.assert_allclose(power_of(0.0, 1.0, 7), 0.05, rtol=1e-6)
  assert power_of(-50.0, 1.0, 16) == power_of(50.0, 1.0, 16) == 1.0


@pytest.mark.parametrize('pairs', [4, 16, 64])
def test_power_is_how_often_a_difference_is_found(pairs):
  difference = detectable_difference(2.7, pairs)
  draws = difference + 2.7 * np.random.default_rng(0).standard_normal((20_000, pairs))
  found = stats.ttest_1samp(draws, 0.0, axis=1).pvalue < 0.05
  np.testing.assert_allclose(found.mean(), 0.8, atol=0.01)  # The error of 20,000 draws is 0.003.


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 2_000), st.floats(0.01, 100), st.sampled_from([0.5, 0.8, 0.99]))
def test_seeds_needed_for_what_seeds_detect(pairs, deviation, power):
  difference = detectable_difference(deviation, pairs, power=power)
  np.testing.assert_allclose(power_of(-difference, deviation, pairs), power, rtol=1e-6)
  assert pairs_needed(difference * 1.0001, deviation, power=power) == pairs
  assert pairs_needed(-difference * 0.9999, deviation, power=power) == pairs + 1


@pytest.mark.parametrize('pairs', [8, 14, 16, 31, 64, 100, 200])
@pytest.mark.parametrize('family', [100, 325, 496, 1488])
def test_power_among_hundreds_of_comparisons(pairs, family):
  """Far out in the tails, where SciPy's distribution function is no number; and more seeds never see less."""
  level = 0.05 / family
  difference = detectable_difference(1.0, pairs, significance=level)
  assert power_of(difference, 1.0, pairs, significance=level) == pytest.approx(0.8)
  needed = pairs_needed(difference / 2, 1.0, significance=level)
  powers = [power_of(difference / 2, 1.0, n, significance=level) for n in range(2, needed + 1)]
  assert np.all(np.diff(powers) > 0)
  assert powers[-1] >= 0.8 > powers[-2]


def test_power_needs_spread():
  for arguments in ((0.0, 16), (1.0, 1)):
    with pytest.raises(ValueError, match='two pairs that differ'):
      detectable_difference(*arguments)
  with pytest.raises(ValueError, match='neither may be 0'):
    pairs_needed(0.0, 1.0)


def test_interquartile_mean_by_hand():
  assert interquartile_mean(arm([8, 1, 7, 2, 6, 3, 5, 4]), higher_is_better=True).value == (3 + 4 + 5 + 6) / 4
  # Two of eight failed: they are the worst quarter. Of [1, ..., 6] remain the best four but two.
  failed = arm([None, 1, 2, 3, 4, 5, 6, None])
  assert interquartile_mean(failed, higher_is_better=True).value == (1 + 2 + 3 + 4) / 4
  assert interquartile_mean(failed, higher_is_better=False).value == (3 + 4 + 5 + 6) / 4
  assert '2 of 8 runs failed' in interquartile_mean(failed, higher_is_better=True).note


@pytest.mark.parametrize(('failed', 'count', 'estimable'), [(2, 8, True), (3, 8, False), (1, 5, True), (2, 7, False),
                                                            (4, 16, True), (5, 16, False), (1, 3, False)])
def test_interquartile_mean_up_to_a_quarter_of_failures(failed, count, estimable):
  found = interquartile_mean(arm([None] * failed + list(range(count - failed))), higher_is_better=True)
  assert found.has_value == estimable
  assert found.count == count
  assert ('not estimable: ' in found.note) != estimable


def test_interquartile_mean_is_not_bounded_where_failures_are_many():
  """Four of 16 failed: resamples often have five and more. One of 16: hardly ever."""
  values = np.linspace(1, 2, 16)
  many = interquartile_mean(arm([None] * 4 + list(values[4:])), higher_is_better=True)
  assert many.low == -math.inf
  assert math.isfinite(many.high)
  share = float(many.note.split('; ')[1].split('%')[0]) / 100
  np.testing.assert_allclose(share, stats.binom.sf(4, 16, 4 / 16), atol=0.02)
  assert interquartile_mean(arm([None] * 4 + list(values[4:])), higher_is_better=False).high == math.inf
  assert math.isfinite(interquartile_mean(arm([None, *values[1:]]), higher_is_better=True).low)


@settings(deadline=None)
@given(RUNS, RUNS, st.booleans())
def test_probability_of_improvement_by_counting(one, other, higher_is_better):
  """Over all N M pairs of runs; a failure loses against every value and ties with a failure."""
  x, y = arm_of(one), arm_of(other, 'y', first=100)
  wins = 0.0
  for left, right in itertools.product(x.values, y.values):
    if left == right or (np.isnan(left) and np.isnan(right)):
      wins += 0.5
    elif np.isnan(right) or (not np.isnan(left) and (left > right) == higher_is_better):
      wins += 1.0
  found = probability_of_improvement(x, y, higher_is_better=higher_is_better, resamples=9)
  np.testing.assert_allclose(found.value, wins / (len(one) * len(other)), rtol=1e-12)


def test_probability_of_improvement_is_mann_and_whitneys():
  rng = np.random.default_rng(0)
  left, right = rng.integers(0, 5, 12), rng.integers(1, 6, 9)
  x, y = arm(left), arm(right, 'y', first=100)
  expected = stats.mannwhitneyu(left, right)
  found = probability_of_improvement(x, y, higher_is_better=True)
  np.testing.assert_allclose(found.value, expected.statistic / (12 * 9), rtol=1e-12)
  np.testing.assert_allclose(improvement_test(x, y, higher_is_better=True), expected.pvalue, rtol=1e-12)


@pytest.mark.parametrize('paired', [True, False])
def test_interval_of_improvement_by_definition(paired):
  """Pairs are resampled together, and the quantiles are those at which a normal reaches as far as Student's t does."""
  rng = np.random.default_rng(0)
  left, right = np.sort(rng.standard_normal((2, 16)) + np.array([[0.5], [0.0]]))  # As correlated as can be.
  drawn = rng.integers(0, 16, (20_000, 16))
  values = np.mean(left[drawn][:, :, None] > right[drawn if paired else rng.integers(0, 16, drawn.shape)][:, None, :],
                   axis=(1, 2))
  tail = stats.norm.cdf(stats.t.ppf(0.025, 15) * math.sqrt(16 / 15))
  found = probability_of_improvement(arm(left), arm(right, 'y', first=0 if paired else 100), higher_is_better=True)
  np.testing.assert_allclose(ends(found), np.quantile(values, [tail, 1 - tail]), atol=0.008)
  assert np.abs(np.array(ends(found)) - np.quantile(values, [0.025, 0.975])).max() > 0.01  # So that this tells.


def p_by_definition(left, right):
  """Studentised permutation test of pairs, over all swaps, in loops."""
  count = len(left)

  def size(swap):
    x, y = np.where(swap, right, left), np.where(swap, left, right)
    wins = np.array([[(a > b) + 0.5 * (a == b) for b in y] for a in x])
    scores = [np.mean(wins[i]) + np.mean(wins[:, i]) for i in range(count)]
    away, error = abs(np.mean(wins) - 0.5), np.std(scores, ddof=1) / math.sqrt(count)
    return 0.0 if away < 1e-12 else away / error if error > 1e-12 else math.inf

  sizes = np.array([size(np.array(swap)) for swap in itertools.product([False, True], repeat=count)])
  return np.mean(sizes >= sizes[0] - 1e-9)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=6))
def test_permutation_test_by_definition(pairs):
  """The worst rank, here 0, is that of runs without a value."""
  left, right = np.array(pairs, float).T
  x, y = (arm([value or None for value in values], name) for values, name in ((left, 'x'), (right, 'y')))
  expected = 1.0 if np.ptp(np.concatenate([left, right])) == 0 else p_by_definition(left, right)
  np.testing.assert_allclose(improvement_test(x, y, higher_is_better=True), expected, rtol=1e-12)


def test_permutation_test_drawn_and_listed():
  """Random swaps come close to all of them; p-values are never 0."""
  rng = np.random.default_rng(0)
  x, y = arm(rng.standard_normal(12) + 0.7), arm(rng.standard_normal(12), 'y')
  listed = improvement_test(x, y, higher_is_better=True)
  drawn = improvement_test(x, y, higher_is_better=True, resamples=2_000)
  assert listed != drawn
  np.testing.assert_allclose(drawn, listed, atol=0.02)
  assert improvement_test(arm([2.0] * 20), arm([1.0] * 20, 'y'), higher_is_better=True) == pytest.approx(2.0**-16)
  assert improvement_test(arm([2.0] * 6), arm([1.0] * 6, 'y'), higher_is_better=True) == 2 / 2**6
  assert improvement_test(arm([1.0] * 6), arm([1.0] * 6, 'y'), higher_is_better=True) == 1.0
  assert improvement_test(arm([None] * 6), arm([None] * 6, 'y'), higher_is_better=True) == 1.0
  assert improvement_test(arm([None] * 6), arm([None] * 7, 'y', first=9), higher_is_better=True) == 1.0
