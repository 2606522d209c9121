"""Comparisons of arms: what they may not depend on, what is no interval, and the sentences."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gan.statistics import (
  adjust,
  compare,
  difference_given_success,
  improvement_test,
  interquartile_mean,
  make_arm,
  mean_given_success,
  power_of,
  probability_of_improvement,
  success_rate,
  verdict,
)
from gan.statistics.comparison import observed_deviation
from gan.statistics.means import difference_interval, mean_interval, unpaired_difference_interval
from tests.statistics.arms import PAIRS, arm, arm_of

pytestmark = pytest.mark.filterwarnings('error')

NOISE = np.round(np.random.default_rng(1).standard_normal(16), 3)
NOISE -= NOISE.mean()
WAVE = np.resize([0.3, -0.3, 0.1, -0.1], 16)


def two_arms(pairs, first=0):
  one, other = zip(*pairs, strict=True)
  return arm_of(one), arm_of(other, 'y', first)


def assert_mirrored(found, expected, total=0.0):
  np.testing.assert_allclose([found.value, found.low, found.high],
                             [total - expected.value, total - expected.high, total - expected.low], atol=1e-9)
  assert (found.count, found.method, found.note) == (expected.count, expected.method, expected.note)


@settings(deadline=None, max_examples=40)
@given(PAIRS, st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_runs_does_not_matter(pairs, random, higher_is_better):
  x, y = two_arms(pairs)
  positions = list(range(len(pairs)))
  random.shuffle(positions)
  shuffled = [make_arm(one.name, [(one.seeds[i], one.values[i], one.successes[i]) for i in positions])
              for one in (x, y)]
  assert repr(compare(*shuffled, higher_is_better=higher_is_better)) == repr(
      compare(x, y, higher_is_better=higher_is_better))
  assert repr(mean_given_success(shuffled[0])) == repr(mean_given_success(x))


@settings(deadline=None, max_examples=60)
@given(PAIRS, st.booleans(), st.booleans())
def test_swapped_arms_are_mirrored(pairs, higher_is_better, shared):
  x, y = two_arms(pairs, first=0 if shared else 100)
  one = compare(x, y, higher_is_better=higher_is_better)
  other = compare(y, x, higher_is_better=higher_is_better)
  assert_mirrored(other.success_difference, one.success_difference)
  if one.difference.count:
    found = other.difference._replace(note='')  # Welch's note names both counts, in order.
    assert_mirrored(found, one.difference._replace(note=''))
  assert_mirrored(other.improvement, one.improvement, 1.0)
  np.testing.assert_allclose(other.p, one.p, rtol=1e-9)
  if one.p < 0.05 and not one.too_few:
    assert verdict(one).split(' in rank')[0].split(' by ')[0] == verdict(other).split(' in rank')[0].split(' by ')[0]


@settings(deadline=None, max_examples=40)
@given(PAIRS)
def test_only_ranks_and_their_direction_count(pairs):
  """A monotone change of the metric leaves ranks alone; a falling one with the other direction, too."""
  x, y = two_arms(pairs)
  falling = [make_arm(one.name, zip(one.seeds, -np.arctan(one.values), one.successes, strict=True)) for one in (x, y)]
  for function in (probability_of_improvement, improvement_test):
    assert repr(function(x, y, higher_is_better=True)) == repr(function(*falling, higher_is_better=False))
  negated = make_arm('x', zip(x.seeds, -x.values, x.successes, strict=True))
  one, other = interquartile_mean(x, higher_is_better=True), interquartile_mean(negated, higher_is_better=False)
  assert one.has_value == other.has_value
  if one.has_value:
    assert_mirrored(other, one)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(-8, 8), min_size=1, max_size=12), st.sampled_from([-64.0, 0.0, 512.0]),
       st.sampled_from([0.5, 1.0, 4.0]))
def test_means_follow_units_and_are_never_nan(values, offset, scale):
  values = np.array(values, float)
  for function in (mean_interval, difference_interval):
    plain, changed = function(values), function(scale * values + offset)
    assert plain.low <= plain.value + 1e-12
    assert plain.value <= plain.high + 1e-12
    assert plain.method == changed.method
    np.testing.assert_allclose([changed.low, changed.high], [scale * plain.low + offset, scale * plain.high + offset],
                               rtol=1e-9, atol=1e-9)


def test_nothing_is_random():
  x, y = arm(NOISE), arm(NOISE[::-1] + 0.4, 'y')
  assert compare(x, y, higher_is_better=True) == compare(x, y, higher_is_better=True)
  assert mean_given_success(x) == mean_given_success(x)


@pytest.mark.parametrize(('values', 'low', 'high', 'note'), [
    ([7.5], 7.5, 7.5, 'only one of the values'),
    ([8.0] * 16, 8.0, 8.0, 'all 16 values are equal'),
    ([0.1 + 0.2, 0.3, 0.3], 0.3, 0.3, 'all 3 values are equal'),
    ([1.0, 2.0, 5.0], 1.0, 5.0, '3 values are too few')])
def test_what_is_no_interval(values, low, high, note):
  found = mean_interval(np.array(values))
  np.testing.assert_allclose([found.value, found.low, found.high], [np.mean(values), low, high])
  assert found.method == 'range'
  assert note in found.note
  assert found.count == len(values)


@pytest.mark.parametrize('count', [5, 6, 16, 40])
def test_two_values_have_an_interval(count):
  """However few of them are the other one; between the two values."""
  for higher in range(1, count):
    for interval_of in (mean_interval, difference_interval):
      found = interval_of(np.repeat([7.0, 8.0], [count - higher, higher]))
      assert found.method == 'BCa bootstrap'
      assert 7.0 <= found.low < found.value < found.high <= 8.0


def test_nothing_to_be_said():
  x, y = arm([None] * 8), arm([1.0] * 8, 'y')
  for found in (mean_given_success(x), difference_given_success(x, y), interquartile_mean(x, higher_is_better=True)):
    assert not found.has_value
    assert found.note
    assert not found.leaves_out(0.0)
  assert (success_rate(x).value, success_rate(x).low) == (0.0, 0.0)
  few = probability_of_improvement(arm([1.0]), arm([2.0], 'y'), higher_is_better=False)
  assert few[:5] == (1.0, 0.0, 1.0, 1, 'none')
  ties = probability_of_improvement(y, y, higher_is_better=False)
  assert ties[:5] == (0.5, 0.5, 0.5, 8, 'range')
  assert interquartile_mean(y, higher_is_better=False).method == 'range'
  assert interquartile_mean(arm([None, 1.0, 2.0, 3.0]), higher_is_better=True)[:5] == (1.5, 1.0, 3.0, 4, 'range')
  assert unpaired_difference_interval(np.array([1.0]), np.array([3.0, 7.0]))[:5] == (-4.0, -6.0, -2.0, 1, 'range')
  assert unpaired_difference_interval(np.ones(6), np.full(7, 3.0))[:5] == (-2.0, -2.0, -2.0, 6, 'range')
  assert unpaired_difference_interval(np.ones(6), np.arange(6.0)).method == "Welch's t"


def test_means_without_pairs_are_welchs():
  """As every textbook has it, from unequal numbers and spreads."""
  x, y = NOISE[:6] * 5.0 + 1.0, NOISE
  variances = x.var(ddof=1) / 6, y.var(ddof=1) / 16
  freedom = sum(variances) ** 2 / (variances[0] ** 2 / 5 + variances[1] ** 2 / 15)
  half = stats.t.isf(0.025, freedom) * math.sqrt(sum(variances))
  found = unpaired_difference_interval(x, y)
  value = x.mean() - y.mean()
  np.testing.assert_allclose(found[:4], [value, value - half, value + half, 6])


def test_complete_separation_has_an_interval():
  """No bootstrap knows that the next run may be another: 1 - 0.025^(1/16) of all may."""
  found = probability_of_improvement(arm(NOISE + 9), arm(NOISE, 'y'), higher_is_better=True)
  np.testing.assert_allclose([found.value, found.low, found.high], [1.0, 0.025 ** (1 / 16), 1.0], rtol=1e-9)


def test_pairs_are_the_shared_seeds():
  x, y = arm(NOISE), arm(NOISE[::-1], 'y', first=4)  # 12 of 16 are shared.
  comparison = compare(x, y, higher_is_better=True)
  assert (comparison.paired, comparison.count) == (True, 12)
  np.testing.assert_allclose(comparison.difference.value, np.mean(NOISE[4:] - NOISE[::-1][:12]))
  assert (comparison.success_x.count, comparison.success_difference.count) == (16, 12)
  apart = compare(x, arm(NOISE[::-1], 'y', first=9), higher_is_better=True)  # 7 of 16: no reason to drop 9.
  assert (apart.paired, apart.count, apart.difference.method) == (False, 16, "Welch's t")
  assert apart.detectable is None
  assert compare(x, arm(NOISE[:2], 'y'), higher_is_better=True).paired


def test_arms_that_contradict_themselves():
  with pytest.raises(ValueError, match="'x' has seed 3 twice"):
    make_arm('x', [(3, 1.0, True), (2, 1.0, True), (3, 2.0, True)])
  with pytest.raises(ValueError, match="'x', seed 3: a successful run needs a finite value"):
    make_arm('x', [(2, 1.0, True), (3, math.inf, True)])
  with pytest.raises(ValueError, match='has no runs'):
    make_arm('x', [])


def test_adjusted_for_all_that_is_reported():
  arms = [arm(NOISE + shift * WAVE + shift, f'{shift}') for shift in (0.0, 0.5, 1.5)]
  comparisons = [compare(x, y, higher_is_better=True) for x, y in itertools.combinations(arms, 2)]
  adjusted = adjust(comparisons)
  assert [c.family for c in adjusted] == [3, 3, 3]
  assert [c.p for c in adjusted] == [c.p for c in comparisons]
  best = int(np.argmin([c.p for c in comparisons]))
  assert adjusted[best].adjusted_p == 3 * comparisons[best].p
  assert comparisons[best].p == 2 / 2**16  # Better in each of 16 pairs.
  assert 'p < 0.0001 after Holm, 3 comparisons' in verdict(adjusted[best])
  doubtful = adjust([*comparisons, compare(arm(NOISE + WAVE, 'a'), arm(NOISE, 'b'), higher_is_better=True)])[-1]
  assert 0.05 < doubtful.adjusted_p == doubtful.p
  assert f'p = {doubtful.p:.2g} after Holm, 4 comparisons' in verdict(doubtful)


def test_what_could_have_been_detected_among_others():
  comparisons = [compare(arm(NOISE + WAVE * i, f'{i}'), arm(NOISE, 'y'), higher_is_better=True) for i in (1, 2, 3)]
  for alone, among in zip(comparisons, adjust(comparisons), strict=True):
    assert among.detectable > alone.detectable
    assert observed_deviation(among) == pytest.approx(observed_deviation(alone))
    assert power_of(among.detectable, observed_deviation(among), 16, significance=0.05 / 3) == pytest.approx(0.8)


def test_the_adjusted_value_decides():
  comparison = compare(arm(NOISE + WAVE + 2.0), arm(NOISE, 'y'), higher_is_better=True)
  doubted = comparison._replace(adjusted_p=0.06, family=9)
  assert verdict(doubted).startswith('no difference shown between x and y (difference 2, ')
  assert ('p = 0.06 after Holm, 9 comparisons; the interval excludes 0, but is not adjusted for the other comparisons; '
          in verdict(doubted))


def told(left, right, higher_is_better=True, first=0):
  return verdict(compare(arm(left, 'A'), arm(right, 'B', first), higher_is_better=higher_is_better))


def test_no_difference_shown():
  assert told(NOISE + WAVE + 0.02, NOISE) == (
      'no difference shown between A and B (difference 0.02, 95% interval -0.103 to 0.143, 16 pairs; p = 0.72; a '
      'difference of 0.173 would have been detected with 80% probability)')


@pytest.mark.parametrize('higher_is_better', [True, False])
def test_who_is_better(higher_is_better):
  winner = 'A is better than B' if higher_is_better else 'B is better than A'
  sentence = told(NOISE + WAVE + 2.0, NOISE, higher_is_better)
  assert sentence.startswith(f'{winner} by 2 (95% interval 1.88 to 2.12, 16 pairs; p < 0.0001; probability of '
                             'improvement 0.9')
  assert told([8.0] * 16, [7.0] * 16, higher_is_better) == (
      f'{winner} by 1 (always the same, 16 pairs; p < 0.0001; probability of improvement 1, 95% interval 0.794 to 1)')


def test_failures_are_told():
  half = [None if i % 4 > 1 else value for i, value in enumerate(NOISE)]
  sentence = told(NOISE + WAVE, half)
  assert sentence.startswith('A is better than B in rank (p = ')
  assert 'no difference of means shown (better by ' in sentence
  assert 'given success of both: 8 of 16 pairs' in sentence
  assert sentence.endswith('; A succeeds in 16 of 16 runs, B in 8 of 16 (difference 50 percentage points, 95% interval '
                           '21 to 72)')
  mostly = [None if i >= 4 else value for i, value in enumerate(NOISE)]
  assert 'too few seeds to compare means, given success of both: 4 of 16 pairs' in told(NOISE, mostly)
  assert told([None] * 16, [None] * 16).endswith(
      'too few seeds to compare means, given success of both: 0 of 16 pairs); none of the 16 and 16 runs succeeds')


def test_rates_of_all_runs_beside_a_difference_of_some():
  """Half of one arm has not been run: over the seeds that both have, they succeed equally often."""
  x, y = arm([*NOISE[:8], *[None] * 8]), arm(NOISE[:8], 'B')
  assert verdict(compare(x, y, higher_is_better=True)).endswith(
      'x succeeds in 8 of 16 runs, B in 8 of 8 (difference over the 8 shared seeds 0 percentage points, 95% interval '
      '-32 to 32)')


def test_better_where_it_succeeds_and_yet_not_better():
  """B fails often, and is better by 1 in its other runs: neither half of that may be kept silent."""
  some = told(NOISE / 9 + WAVE, [None if i < 8 else value / 9 + 1 for i, value in enumerate(NOISE)])
  assert some.startswith('no difference shown between A and B (difference -1')
  assert 'the interval excludes 0, but the ranks show no difference' in some
  assert some.endswith('A succeeds in 16 of 16 runs, B in 8 of 16 (difference 50 percentage points, 95% interval 21 to '
                       '72)')
  noise = np.concatenate([NOISE, NOISE[::-1]]) / 9
  often = told(noise + np.resize(WAVE, 32), [None if i < 24 else value + 1 for i, value in enumerate(noise)])
  assert often.startswith('A is better than B in rank (p = ')
  assert ', but if both succeed, A is worse by 1 (95% interval ' in often
  assert '(95% interval 0.8 to 1.2, given success of both: 8 of 32 pairs); A succeeds in 32 of 32 runs' in often


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1, max_size=5), st.booleans())
def test_few_seeds_claim_nothing(pairs, shared):
  left, right = zip(*pairs, strict=True)
  sentence = told(left, right, first=0 if shared else 100)
  assert sentence == (f'A or B: too few seeds to say ({len(pairs)} {"pairs" if shared else "runs"}, at least 6 are '
                      'needed)')
