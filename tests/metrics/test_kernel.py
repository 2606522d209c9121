"""Kernel distance: against its definition, unbiased, and with an error that is one."""

import numpy as np

from gan.metrics.kernel import draw_subsets, kernel_distance, over_subsets, standard_error


def by_definition(x, y):
  """Three double sums, pair by pair (Gretton et al. 2012, equation 3)."""
  k = lambda a, b: (np.dot(a, b) / len(a) + 1) ** 3  # noqa: E731
  m, n = len(x), len(y)
  within_x = sum(k(x[i], x[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
  within_y = sum(k(y[i], y[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
  return within_x + within_y - 2 * sum(k(a, b) for a in x for b in y) / (m * n)


def test_definition():
  rng = np.random.default_rng(0)
  x, y = rng.standard_normal((7, 5)), rng.standard_normal((7, 5)) + 0.3
  np.testing.assert_allclose(kernel_distance(x, y), by_definition(x, y), rtol=1e-10)


def test_disjoint_halves_of_one_set_are_at_distance_zero_within_their_error():
  rng = np.random.default_rng(1)
  z = []
  for _ in range(60):
    x = rng.standard_normal((400, 8))
    one, other = x[:200], x[200:]
    subsets = draw_subsets(rng, 200, 200)[:1]  # Of 200: all of them.
    z.append(over_subsets(one, other, subsets)[0] / standard_error(one, other))
  assert abs(np.mean(z)) < 0.5  # Unbiased: 60 values of spread 1 have a mean within 0.4 in 99.8% of cases.
  assert np.mean(np.abs(z) < 2.3) > 0.9  # Nine degrees of freedom: 95% within 2.26.


def test_spread_of_subsets_does_not_shrink_with_samples_and_the_error_does():
  rng = np.random.default_rng(2)
  spreads, errors = [], []
  for num in (2_000, 20_000):
    x, y = rng.standard_normal((num, 8)), rng.standard_normal((num, 8)) + 0.2
    subsets = [(i[:200], j[:200]) for i, j in draw_subsets(rng, num, num)]
    spreads.append(over_subsets(x, y, subsets)[1])
    errors.append(standard_error(x, y))
  assert 0.5 < spreads[1] / spreads[0] < 2
  assert errors[1] < 0.6 * errors[0]


def test_too_few_for_an_error_says_so():
  assert np.isnan(standard_error(np.zeros((15, 2)), np.zeros((15, 2))))


def test_subsets_that_hold_a_whole_set_have_no_spread():
  """Of 50 samples and 50 images each subset is all of them: the same number, hence a spread of zero, 100 times."""
  rng = np.random.default_rng(3)
  x, y = rng.standard_normal((50, 4)), rng.standard_normal((60, 4))
  for one, other in ((x, x[::-1]), (x, y), (y, x)):
    value, spread = over_subsets(one, other, draw_subsets(rng, len(one), len(other)))
    assert np.isfinite(value)
    assert np.isnan(spread)
