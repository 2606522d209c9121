"""Precision, recall, density, coverage and copies: against brute force, and in cases with known answers."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from gan.metrics import NonFiniteSamplesError, neighbours
from gan.metrics.neighbours import copying, nearest, prdc, radii


def by_definition(reals, fakes, k):
  """The formulas of both papers on the whole matrix of distances, in float64."""
  real_radii, fake_radii = (np.sort(cdist(x, x), axis=1)[:, k] for x in (reals, fakes))
  distances = cdist(fakes, reals)
  in_real_ball = distances <= real_radii[None]
  return {'precision': in_real_ball.any(1).mean(), 'recall': (distances <= fake_radii[:, None]).any(0).mean(),
          'density': in_real_ball.sum(1).mean() / k, 'coverage': in_real_ball.any(0).mean()}


@pytest.mark.parametrize('tile', [7, 64, 2048])
def test_definition_whatever_the_tiles(monkeypatch, tile):
  monkeypatch.setattr(neighbours, 'TILE', tile)
  rng = np.random.default_rng(0)
  reals, fakes = rng.standard_normal((90, 6)) + 100, 0.8 * rng.standard_normal((61, 6)) + 100.3
  found = {name: value for name, (value, _) in prdc(reals, fakes, 3).items()}
  assert found == pytest.approx(by_definition(reals, fakes, 3))
  distances, indices = nearest(fakes, reals, 4)
  np.testing.assert_allclose(distances, np.sort(cdist(fakes, reals), axis=1)[:, :4], rtol=1e-4)
  np.testing.assert_array_equal(indices, np.argsort(cdist(fakes, reals), axis=1)[:, :4])
  np.testing.assert_allclose(radii(reals, 3), np.sort(cdist(reals, reals), axis=1)[:, 3], rtol=1e-4)


def test_a_set_with_itself():
  x = np.random.default_rng(1).standard_normal((200, 10))
  found = {name: value for name, (value, _) in prdc(x, x).items()}
  assert found['precision'] == found['recall'] == found['coverage'] == 1.0
  assert found['density'] >= 1.0


def test_coverage_of_some_of_the_classes():
  """Fakes in k of 10 separate classes, as many as reals in each: coverage is (k / 10)(1 - 2^-nearest_k)."""
  rng = np.random.default_rng(2)
  centres = 100.0 * np.eye(10)
  reals, others = (np.concatenate([c + rng.standard_normal((300, 10)) for c in centres]) for _ in range(2))
  for k in (3, 10):
    value, error = prdc(reals, others[:300 * k], 5)['coverage']
    # Coverage of neighbours is not independent; three errors of independent ones, and a little for that.
    assert abs(value - k / 10 * (1 - 2**-5)) < 3 * error + 0.005


def test_too_few_samples_and_no_numbers():
  x = np.zeros((5, 2))
  with pytest.raises(ValueError, match='5 generated samples are too few for 5 neighbours each; take at least 6'):
    prdc(np.zeros((9, 2)), x)
  with pytest.raises(NonFiniteSamplesError, match='1 of 9'):
    prdc(np.zeros((9, 2)), np.where(np.arange(9)[:, None] == 3, np.nan, 0.0))


def test_copies_are_told_from_new_samples():
  rng = np.random.default_rng(3)
  train, test, fresh = (rng.standard_normal((500, 4)) for _ in range(3))
  copies = train[:300] + 0.01 * rng.standard_normal((300, 4))
  distances = [nearest(x, train, 1)[0][:, 0] for x in (test, fresh, copies)]
  value, error, p_value = copying(distances[1], distances[0])
  assert abs(value - 0.5) < 3 * error
  assert p_value > 0.01
  value, _, p_value = copying(distances[2], distances[0])
  assert value > 0.95
  assert p_value < 1e-10


@pytest.mark.parametrize(('num_real', 'num_fake', 'known'), [
    (4, 4, False), (29, 90, False), (90, 29, False), (30, 30, True)])
def test_few_samples_have_no_error(num_real, num_fake, known):
  """Of k + 1 samples every ball holds all of its set."""
  rng = np.random.default_rng(4)
  found = prdc(rng.standard_normal((num_real, 4)), rng.standard_normal((num_fake, 4)), 3)
  assert {np.isfinite(error) for _, error in found.values()} == {known}
