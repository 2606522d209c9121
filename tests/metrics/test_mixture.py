"""Scores of mixtures: known answers, and a brute force over samples and modes."""

import math

import numpy as np
import pytest
from scipy import stats

from gan.data import toy
from gan.metrics.mixture import line_scores, mixture_scores

MODES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], np.float32)


def test_perfect_samples():
  scores = mixture_scores(np.repeat(MODES, 5, axis=0), MODES, 0.01)
  assert scores == {'modes': 4.0, 'high_quality': 1.0, 'reverse_kl': pytest.approx(0.0, abs=1e-12),
                    'high_quality_reverse_kl': pytest.approx(0.0, abs=1e-12),
                    'total_variation': 0.0, 'covariance_ratio': 0.0,
                    'sliced_wasserstein': pytest.approx(0.005, abs=0.005),
                    'scale': pytest.approx(math.sqrt(0.5 / 0.5002))}


def test_collapse_to_one_mode():
  """KL of a point mass from the uniform distribution over K modes is log K."""
  scores = mixture_scores(np.full((50, 2), 1.0), MODES, 0.01)
  directions = np.pi * (np.arange(64) + 0.5) / 64
  apart = [np.abs((MODES - 1.0) @ [np.cos(angle), np.sin(angle)]).mean() for angle in directions]
  assert scores == {'modes': 1.0, 'high_quality': 1.0, 'reverse_kl': pytest.approx(math.log(4)),
                    'high_quality_reverse_kl': pytest.approx(math.log(4)),
                    'total_variation': 0.75, 'covariance_ratio': 0.0,
                    'sliced_wasserstein': pytest.approx(np.mean(apart), rel=0.03),
                    'scale': pytest.approx(1.0, abs=1e-3)}


def test_shares_count_all_samples_and_modes_only_close_ones():
  """Three at one mode, one near another but 4 sigma away from it."""
  samples = np.array([[0.0, 0.0], [0.02, 0.0], [0.0, -0.029], [1.0, 0.04]])
  scores = mixture_scores(samples, MODES, 0.01)
  assert scores['modes'] == 1.0
  assert scores['high_quality'] == 0.75
  assert scores['reverse_kl'] == pytest.approx(0.75 * math.log(3.0) + 0.25 * math.log(1.0))
  assert scores['high_quality_reverse_kl'] == pytest.approx(math.log(4.0))


@pytest.mark.parametrize(('noise', 'all_samples', 'good_ones'), [
    (0, math.log(8 / 6), math.log(8 / 5)), (1, 0.290, 0.457)])
def test_pacgan_counts_good_samples_only(noise, all_samples, good_ones):
  """Six modes of eight are drawn, one of them 5 sigma beside its place: its samples are far from any mode."""
  ring = toy.ring()
  rng = np.random.default_rng(0)
  drawn = np.repeat(np.arange(6), 1_000)
  samples = ring.modes[drawn] + noise * ring.sigma * rng.normal(size=(len(drawn), 2))
  samples[drawn == 5] += 5 * ring.sigma * ring.modes[5] / np.linalg.norm(ring.modes[5])
  scores = mixture_scores(samples, ring.modes, ring.sigma)
  assert scores['reverse_kl'] == pytest.approx(all_samples, abs=0.01 * noise + 1e-6)
  assert scores['high_quality_reverse_kl'] == pytest.approx(good_ones, abs=0.01 * noise + 1e-6)
  # To the uniform distribution, log K less the entropy of the shares that their code writes down.
  distances = np.linalg.norm(samples[:, None] - ring.modes, axis=-1)
  counts = np.bincount(distances.argmin(axis=1)[distances.min(axis=1) < 3 * ring.sigma], minlength=8)
  assert scores['high_quality_reverse_kl'] == pytest.approx(math.log(8) - stats.entropy(counts / counts.sum()))


@pytest.mark.parametrize('modes', [1, 4])
def test_no_good_sample_is_as_bad_as_all_good_ones_at_one_mode(modes):
  far = mixture_scores(MODES[:2] + 0.4, MODES[:modes], 0.01)
  assert far['high_quality'] == 0
  assert far['high_quality_reverse_kl'] == pytest.approx(math.log(modes))


@pytest.mark.parametrize(('distance', 'close'), [(2.99, 1.0), (3.01, 0.0)])
def test_three_sigma_is_a_euclidean_distance(distance, close):
  offset = distance * 0.05 * np.array([[0.6, 0.8]])
  assert mixture_scores(MODES[:1] + offset, MODES, 0.05)['high_quality'] == close


def test_the_ring_itself_scores_as_theory_says():
  """Within 3 sigma lies 1 - exp(-9/2) of a two-dimensional Gaussian."""
  ring = toy.ring()
  rng = np.random.default_rng(0)
  samples = ring.modes[rng.integers(8, size=40_000)] + ring.sigma * rng.normal(size=(40_000, 2))
  scores = mixture_scores(samples.astype(np.float32), ring.modes, ring.sigma)
  assert scores['modes'] == 8.0
  assert scores['high_quality'] == pytest.approx(1 - math.exp(-4.5), abs=0.002)
  assert 0.0 <= scores['reverse_kl'] < 0.001
  assert scores['scale'] == pytest.approx(1.0, abs=1e-4)
  assert scores['covariance_ratio'] == pytest.approx(1.0, abs=0.01)
  assert scores['sliced_wasserstein'] < 0.01


def test_brute_force():
  rng = np.random.default_rng(1)
  samples, modes = rng.normal(size=(60, 2)), rng.normal(size=(5, 2))
  counts, close, covered = [0] * 5, 0, set()
  for sample in samples:
    distances = [math.dist(sample, mode) for mode in modes]
    best = min(range(5), key=distances.__getitem__)
    counts[best] += 1
    if distances[best] <= 3 * 0.15:
      close += 1
      covered.add(best)
  kl = sum(n / 60 * math.log(n / 60 * 5) for n in counts if n)
  far = [sum(math.dist(point, modes.mean(axis=0)) ** 2 for point in points) / len(points)
         for points in (samples, modes)]
  expected = {'modes': float(len(covered)), 'high_quality': close / 60, 'reverse_kl': kl,
              'scale': math.sqrt(far[0] / (far[1] + 2 * 0.15**2))}
  expected['total_variation'] = sum(abs(n / 60 - 0.2) for n in counts) / 2
  found = mixture_scores(samples, modes, 0.15)
  assert {name: found[name] for name in expected} == pytest.approx(expected)
  assert 0 < close < 60


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_samples_that_are_not_finite(value):
  samples = np.zeros((5, 2))
  samples[1, 0] = samples[3, 1] = samples[3, 0] = value
  with pytest.raises(ValueError, match='2 of 5 samples are not finite'):
    mixture_scores(samples, MODES, 0.01)


@pytest.mark.parametrize('count', [1, 2, 7, 300])
@pytest.mark.parametrize(('mean', 'sigma'), [(0.0, 1.0), (-2.0, 0.3), (1.5, 0.0)])
def test_distance_on_the_line_is_exact(count, mean, sigma):
  """That of a million points in the middle of as many equal parts of the true distribution."""
  samples = np.random.default_rng(count).normal(0.4, 1.2, (count, 1))
  truth = mean + sigma * stats.norm.ppf((np.arange(1_000_000) + 0.5) / 1_000_000)
  expected = stats.wasserstein_distance(samples[:, 0], truth)
  assert line_scores(samples, mean, sigma)['w1'] == pytest.approx(expected, abs=2e-6)


def test_distance_of_a_point_to_a_normal():
  """E|x| = sqrt(2 / pi)."""
  assert line_scores(np.zeros((5, 1)), 0.0, 1.0)['w1'] == pytest.approx(math.sqrt(2 / math.pi), rel=1e-12)
