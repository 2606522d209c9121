"""The mixtures: where their modes are, and that samples have the moments they should."""

import jax
import numpy as np
import pytest

from gan.data import toy

COUNT = 50_000


def test_ring_is_eight_points_on_the_unit_circle():
  ring = toy.ring()
  assert (ring.name, ring.modes.shape, ring.modes.dtype, ring.sigma) == ('ring', (8, 2), np.float32, 0.01)
  np.testing.assert_allclose(np.linalg.norm(ring.modes, axis=1), 1.0, rtol=1e-6)
  distances = np.linalg.norm(ring.modes - np.roll(ring.modes, 1, axis=0), axis=1)
  np.testing.assert_allclose(distances, 2 * np.sin(np.pi / 8), rtol=1e-5)
  np.testing.assert_allclose(ring.modes[[0, 2]], [[1, 0], [0, 1]], atol=1e-6)


def test_grid_is_twenty_five_points():
  grid = toy.grid()
  assert (grid.name, grid.modes.shape, grid.modes.dtype, grid.sigma) == ('grid', (25, 2), np.float32, 0.05)
  assert {tuple(mode) for mode in grid.modes.tolist()} == {(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)}


def test_all_of_dirac_is_at_zero():
  samples = np.asarray(toy.dirac().draw(jax.random.key(0), 100))
  assert samples.shape == (100, 1)
  np.testing.assert_array_equal(samples, 0.0)


@pytest.mark.parametrize('name', sorted(set(toy.MIXTURES) - {'dirac'}))
def test_samples_have_equal_modes_and_isotropic_noise(name):
  mixture = toy.MIXTURES[name]()
  samples = np.asarray(mixture.draw(jax.random.key(0), COUNT))
  dim = mixture.modes.shape[1]
  assert samples.shape == (COUNT, dim)
  assert samples.dtype == np.float32
  nearest = np.linalg.norm(samples[:, None] - mixture.modes, axis=-1).argmin(axis=1)
  share = 1 / len(mixture.modes)
  counts = np.bincount(nearest, minlength=len(mixture.modes))
  spread = np.sqrt(COUNT * share * (1 - share))
  assert np.abs(counts - COUNT * share).max() <= 4.5 * spread
  noise = (samples - mixture.modes[nearest]) / mixture.sigma
  np.testing.assert_allclose(noise.mean(axis=0), 0.0, atol=4.5 / np.sqrt(COUNT))
  np.testing.assert_allclose(np.atleast_2d(np.cov(noise.T)), np.eye(dim), atol=0.04)
  assert 3.5 < np.abs(noise).max() < 6.5
  if len(mixture.modes) > 1:
    assert abs(np.corrcoef(noise[:, 0], nearest)[0, 1]) < 0.02  # The noise does not know its mode.


def test_keys_decide():
  ring = toy.ring()
  first, again, other = (np.asarray(ring.draw(jax.random.key(seed), 8)) for seed in (0, 0, 1))
  np.testing.assert_array_equal(first, again)
  assert not np.any(first == other)
