"""Mean distance between samples: known answers and a brute force."""

import itertools

import numpy as np
import pytest

from gan.metrics.diversity import mean_distance


def test_known_answers():
  assert mean_distance(np.zeros((7, 4, 4, 1))) == 0.0
  assert mean_distance(np.array([[0.0, 0.0], [3.0, 4.0]])) == 5.0
  assert mean_distance(np.array([[0.0], [1.0], [3.0]])) == pytest.approx(2.0)  # (1 + 3 + 2) / 3.


def test_brute_force_over_pairs():
  images = np.random.default_rng(0).normal(size=(9, 3, 2, 1)).astype(np.float32)
  pairs = [np.sqrt(np.sum((a.astype(np.float64) - b) ** 2)) for a, b in itertools.combinations(images, 2)]
  assert mean_distance(images) == pytest.approx(np.mean(pairs), rel=1e-6)


def test_scales_and_ignores_a_shift():
  images = np.random.default_rng(1).normal(size=(6, 5))
  assert mean_distance(3.0 * images + 7.0) == pytest.approx(3.0 * mean_distance(images))
