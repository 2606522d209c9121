"""Scores of points against the exact mixture of Gaussians that they should follow."""

import functools

import numpy as np
from scipy import stats

from gan.metrics import require_finite

NUM_ANGLES = 64   # Directions of the sliced distance.
MIXTURE_OUTPUTS = ('modes', 'high_quality', 'reverse_kl', 'high_quality_reverse_kl', 'total_variation',
                   'covariance_ratio', 'sliced_wasserstein', 'scale')
LINE_OUTPUTS = ('w1',)


def mixture_scores(samples: np.ndarray, modes: np.ndarray, sigma: float) -> dict[str, float]:
  """Count the modes that are covered, and measure how well.

  Args:
    samples: [N, D] generated points.
    modes: [K, D] means of the true modes, which are equally likely.
    sigma: standard deviation of each mode.

  Returns:
    High-quality samples are those within 3 sigma of their nearest mode. The first three scores are as in the code of
    PacGAN (Lin et al. 2018, arXiv:1712.04086, github.com/fjxmlzn/PacGAN), which divides by zero if there is no
    high-quality sample.
    `modes`: number of modes with at least one high-quality sample.
    `high_quality`: share of high-quality samples.
    `high_quality_reverse_kl`: KL(shares of the modes among high-quality samples || uniform), in nats; its maximum log K
      if there is no such sample.
    `reverse_kl`: the same for all samples, each assigned to its nearest mode at any distance.
    `total_variation`: total variation distance between these shares of all samples and the uniform distribution.
    `covariance_ratio`: see `covariance_ratio`, over the high-quality samples.
    `sliced_wasserstein`: mean over directions of the Wasserstein-1 distance to the mixture, in units of the data.
    `scale`: root mean square distance from the centre of the modes, over that of the mixture.

  Raises:
    NonFiniteSamplesError: if a sample is not finite; the message says how many are not.
  """
  require_finite(samples)
  samples, modes = np.asarray(samples, np.float64), np.asarray(modes, np.float64)
  distances = np.linalg.norm(samples[:, None] - modes[None], axis=-1)
  nearest = distances.argmin(axis=1)
  close = distances.min(axis=1) <= 3 * sigma
  shares, close_shares = (np.bincount(x, minlength=len(modes)) / max(len(x), 1) for x in (nearest, nearest[close]))
  sizes = [np.mean(np.sum((points - modes.mean(axis=0)) ** 2, axis=-1)) for points in (samples, modes)]
  return {'modes': float(len(np.unique(nearest[close]))),
          'high_quality': float(close.mean()),
          'reverse_kl': _from_uniform(shares),
          'high_quality_reverse_kl': _from_uniform(close_shares) if close.any() else float(np.log(len(modes))),
          'total_variation': float(0.5 * np.abs(shares - 1 / len(modes)).sum()),
          'covariance_ratio': covariance_ratio(samples[close], nearest[close], sigma),
          'sliced_wasserstein': sliced_wasserstein(samples, modes, sigma),
          'scale': float(np.sqrt(sizes[0] / (sizes[1] + modes.shape[1] * sigma**2)))}


def _from_uniform(shares: np.ndarray) -> float:
  """Return KL(shares [K] || uniform) in nats; log K if one share is 1."""
  present = shares[shares > 0]
  return float(np.sum(present * np.log(present * len(shares))))


def covariance_ratio(samples: np.ndarray, nearest: np.ndarray, sigma: float) -> float:
  """Return the variance of the samples of a mode, over the variance of the mode within 3 sigma; mean over modes.

  Modes with fewer than two samples are left out. 1 is right; 0 means that the modes shrank to points, or that no mode
  has two samples.

  Args:
    samples: [N, D], each within 3 sigma of its nearest mode.
    nearest: [N], index of this mode.
    sigma: standard deviation of each mode.
  """
  dim = samples.shape[1]
  cut = stats.chi2.cdf(9, dim + 2) / stats.chi2.cdf(9, dim)  # E[r^2 | r < 3 sigma] / (dim sigma^2).
  groups = [samples[nearest == mode] for mode in np.unique(nearest)]
  ratios = [np.sum(np.var(group, axis=0, ddof=1)) / (dim * sigma**2 * cut) for group in groups if len(group) > 1]
  return float(np.mean(ratios)) if ratios else 0.0


def sliced_wasserstein(samples: np.ndarray, modes: np.ndarray, sigma: float) -> float:
  """Return the Wasserstein-1 distance between samples and mixture along a direction, averaged over NUM_ANGLES.

  Along each direction of the plane, the sorted samples are compared with the exact quantiles of the projected mixture.
  For N samples drawn from the mixture itself, the distance falls as 1 / sqrt(N).

  Args:
    samples: [N, 2].
    modes: [K, 2].
    sigma: standard deviation of each mode.
  """
  angles = np.pi * (np.arange(NUM_ANGLES) + 0.5) / NUM_ANGLES
  directions = np.stack([np.cos(angles), np.sin(angles)])
  quantiles = _quantiles((modes @ directions).T.tobytes(), len(modes), sigma, len(samples))
  return float(np.mean(np.abs(np.sort(samples @ directions, axis=0) - quantiles.T)))


@functools.lru_cache(maxsize=8)   # Each evaluation of a run and each member of a population needs the same quantiles.
def _quantiles(means: bytes, num_modes: int, sigma: float, num: int) -> np.ndarray:
  """Return exact quantiles [NUM_ANGLES, num] of the mixture along each direction; `means`: float64 [NUM_ANGLES, K]."""
  levels = (np.arange(num) + 0.5) / num
  offsets = sigma * np.linspace(-6, 6, 241)
  quantiles = []
  for along in np.frombuffer(means).reshape(NUM_ANGLES, num_modes):
    grid = np.unique(along[:, None] + offsets)
    quantiles.append(np.interp(levels, stats.norm.cdf(grid[:, None], along, sigma).mean(axis=1), grid))
  return np.stack(quantiles)


def line_scores(samples: np.ndarray, mean: float, sigma: float) -> dict[str, float]:
  """Measure how far a distribution on the line is from a normal distribution.

  Args:
    samples: [N, 1] generated points.
    mean: mean of the normal distribution.
    sigma: standard deviation of the normal distribution; 0 for a point mass.

  Returns:
    `w1`: Wasserstein-1 distance between samples and normal distribution, in units of the data.

  Raises:
    NonFiniteSamplesError: if a sample is not finite; the message says how many are not.
  """
  require_finite(samples)
  x = np.sort(samples[:, 0].astype(np.float64)) - mean
  if sigma == 0.0:
    return {'w1': float(np.mean(np.abs(x)))}
  # Each sample is matched with an interval of quantile levels [low, high]. The level of the sample, clipped to this
  # interval, separates the quantiles below the sample from those above.
  x, ends = x / sigma, np.arange(len(x) + 1) / len(x)
  low, high = ends[:-1], ends[1:]
  level = np.clip(stats.norm.cdf(x), low, high)
  to_low, to_level, to_high = (-stats.norm.pdf(stats.norm.ppf(u)) for u in (low, level, high))  # Quantile integrals.
  return {'w1': float(sigma * np.sum(x * (2.0 * level - low - high) + to_low + to_high - 2.0 * to_level))}
