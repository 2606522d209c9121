"""Frechet distance: against SciPy's matrix root, closed forms, and its own limit."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from gan.metrics.frechet import (
    distance_at_infinity,
    distance_with_error,
    frechet_distance,
    jackknife_error,
    root,
)
from gan.metrics.moments import Moments, merged, moments_of, without


def by_definition(one, other):
  """As the paper writes it, with SciPy's root of the product."""
  product = scipy.linalg.sqrtm(one.covariance @ other.covariance)
  apart = one.mean - other.mean
  return apart @ apart + np.trace(one.covariance + other.covariance - 2 * product.real)


def with_covariance(rng, spectrum):
  """Moments with a random mean and a covariance of these eigenvalues."""
  vectors, _ = np.linalg.qr(rng.standard_normal((len(spectrum), len(spectrum))))
  return Moments(101, rng.standard_normal(len(spectrum)), 100 * (vectors * spectrum) @ vectors.T)


@pytest.mark.parametrize('low', [0, -4, -10])
def test_equals_the_matrix_root(low):
  """Condition numbers up to 1e10; SciPy's root is itself good to about the square root of rounding then."""
  rng = np.random.default_rng(0)
  one, other = (with_covariance(rng, np.logspace(low, 0, 40)) for _ in range(2))
  np.testing.assert_allclose(frechet_distance(one, other), by_definition(one, other), rtol=1e-6)


def test_singular_covariances():
  """Fewer samples than features: the singular values of the product of both sets of centred samples, no root at all."""
  rng = np.random.default_rng(1)
  data = rng.standard_normal((10, 30)), rng.standard_normal((15, 30)) + 1
  centred = [(x - x.mean(0)) / np.sqrt(len(x) - 1) for x in data]
  overlap = scipy.linalg.svdvals(centred[0] @ centred[1].T).sum()
  apart = data[0].mean(0) - data[1].mean(0)
  expected = apart @ apart + np.square(centred[0]).sum() + np.square(centred[1]).sum() - 2 * overlap
  one, other = map(moments_of, data)
  np.testing.assert_allclose(frechet_distance(one, other), expected, rtol=1e-7)
  np.testing.assert_allclose(frechet_distance(one, other), by_definition(one, other), rtol=1e-4)  # SciPy at its limit.


def test_of_a_set_with_itself_is_zero():
  rng = np.random.default_rng(2)
  for moments in (moments_of(rng.standard_normal((50, 20))), moments_of(rng.standard_normal((5, 20))),
                  with_covariance(rng, np.logspace(-12, 2, 64))):
    assert frechet_distance(moments, moments) <= 1e-12 * np.trace(moments.covariance)


def test_commuting_gaussians_in_closed_form():
  """Diagonal covariances: |m1 - m2|^2 + sum (s1 - s2)^2."""
  means, deviations = np.array([[0.0, 1.0, 2.0], [1.0, 1.0, -1.0]]), np.array([[1.0, 2.0, 0.0], [3.0, 1.0, 0.5]])
  one, other = (Moments(11, m, 10 * np.diag(s**2)) for m, s in zip(means, deviations, strict=True))
  expected = 1 + 9 + 4 + 1 + 0.25
  np.testing.assert_allclose(frechet_distance(one, other), expected, rtol=1e-12)
  np.testing.assert_allclose(frechet_distance(other, one), expected, rtol=1e-12)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=5), st.floats(-1e6, 1e6), st.integers(0, 2**32 - 1))
def test_merged_moments_are_those_of_all(sizes, offset, seed):
  """Any split, far from the origin too, where sums of squares would cancel."""
  rng = np.random.default_rng(seed)
  parts = [rng.standard_normal((size, 3)) + offset for size in sizes]
  whole = moments_of(parts[0])
  for part in parts[1:]:
    whole = merged(whole, moments_of(part))
  everything = np.concatenate(parts)
  assert whole.count == len(everything)
  np.testing.assert_allclose(whole.mean, everything.mean(0), rtol=1e-12, atol=1e-9)
  expected = np.cov(everything, rowvar=False) if len(everything) > 1 else np.zeros((3, 3))
  np.testing.assert_allclose(whole.covariance, expected, atol=1e-7)
  if len(parts) > 1:
    rest = without(whole, moments_of(parts[-1]))
    np.testing.assert_allclose(rest.scatter, moments_of(np.concatenate(parts[:-1])).scatter, atol=1e-6)
    np.testing.assert_allclose(rest.mean, np.concatenate(parts[:-1]).mean(0), rtol=1e-9, atol=1e-8)


def sample_blocks(seed, num, dim, shift):
  features = np.random.default_rng(seed).standard_normal((num, dim)) + shift
  return [moments_of(part) for part in np.split(features, 10)]


def test_jackknife_error_is_the_spread_over_repetitions():
  truth = Moments(2, np.zeros(8), np.eye(8))
  found = [distance_with_error(sample_blocks(seed, 500, 8, 0.5), truth, np.eye(8)) for seed in range(200)]
  values, errors = np.array(found).T
  np.testing.assert_allclose(np.median(errors), values.std(), rtol=0.2)
  assert values.mean() > 8 * 0.25  # The bias upwards that finitely many samples have.


def test_jackknife_error_is_too_large_where_both_sets_are_alike():
  """The statistic is then quadratic in the deviations, and the jackknife's variance twice the true one, or more."""
  truth = Moments(2, np.zeros(8), np.eye(8))
  for distance, bounds, times in ((distance_with_error, (1.25, 1.6), 200), (distance_at_infinity, (1.3, 2.0), 60)):
    found = [distance(sample_blocks(seed, 500, 8, 0.0), truth, np.eye(8)) for seed in range(times)]
    values, errors = np.array(found).T
    assert bounds[0] < np.sqrt(np.mean(np.square(errors))) / values.std() < bounds[1]


def test_one_block_has_a_distance_and_no_error():
  [block] = [moments_of(np.array([[0.0], [2.0]]))]
  value, error = distance_with_error([block], Moments(2, np.zeros(1), np.zeros((1, 1))), np.zeros((1, 1)))
  assert value == pytest.approx(1.0 + 2.0)
  assert np.isnan(error)


def test_jackknife_of_a_mean_is_exact():
  x = np.random.default_rng(0).standard_normal(10)
  left_out = np.array([np.delete(x, i).mean() for i in range(10)])
  np.testing.assert_allclose(jackknife_error(left_out), x.std(ddof=1) / np.sqrt(10), rtol=1e-12)


def test_distance_at_infinity_is_free_of_bias():
  """Two known Gaussians at a distance of 2: with 500 samples the plain estimate is off by several errors."""
  truth = Moments(2, np.zeros(8), np.eye(8))
  plain, limit = (np.array([function(sample_blocks(seed, 500, 8, 0.5), truth, root(np.eye(8))) for seed in range(100)])
                  for function in (distance_with_error, distance_at_infinity))
  error_of_mean = limit[:, 0].std() / 10
  assert abs(limit[:, 0].mean() - 2.0) < 3 * error_of_mean
  assert plain[:, 0].mean() - 2.0 > 3 * error_of_mean
  np.testing.assert_allclose(np.median(limit[:, 1]), limit[:, 0].std(), rtol=0.3)


def test_few_blocks_have_a_distance_and_no_error():
  blocks = sample_blocks(0, 500, 8, 0.5)
  truth = Moments(2, np.zeros(8), np.eye(8))
  for num in (2, 9, 10):
    value, error = distance_with_error(blocks[:num], truth, np.eye(8))
    assert value > 0
    assert np.isfinite(error) == (num == 10)
