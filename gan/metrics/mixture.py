"""Exact scores for mixtures of Gaussians whose modes are known."""

import functools

import numpy as np
from scipy import stats

from gan.metrics import require_finite

NUM_ANGLES = 64   # Directions of the sliced distance.
MIXTURE_OUTPUTS = ('modes', 'high_quality', 'reverse_kl', 'high_quality_reverse_kl', 'total_variation',
                   'covariance_ratio', 'sliced_wasserstein', 'scale')
LINE_OUTPUTS = ('w1',)


def mixture_scores(samples: np.ndarray, modes: np.ndarray, sigma: float) -> dict[str, float]:
  """How many modes are covered, and how well.

  Args:
    samples: [N, D] generated points.
    modes: [K, D] means of the true modes, which are equally likely.
    sigma: standard deviation of each mode.

  Returns:
    `modes`: modes that are the nearest one of a sample within 3 sigma; `high_quality`: share of samples within 3 sigma
    of their nearest mode; `high_quality_reverse_kl`: KL divergence, in nats, of the modes' shares of these samples from
    the uniform distribution; log K, the largest, where there are none. These three are as in the code of PacGAN (Lin et
    al. 2018, arXiv:1712.04086, github.com/fjxmlzn/PacGAN), which divides by zero where there are none.
    `reverse_kl`: the same of all samples, each counted for its nearest mode however far that is; `total_variation`
    between the same shares of all samples; `covariance_ratio`: variance of the high-quality samples about their mean,
    over what it should be, averaged over modes that have two of them (1 is right, 0 a mode shrunk to a point or no mode
    at all); `sliced_wasserstein`: mean over directions of the Wasserstein-1 distance to the truth along them, in units
    of the data; `scale`: root mean square distance from the centre of the modes, over that of the mixture.

  Raises:
    NonFiniteSamplesError: if a sample is not finite; says how many.
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
  """KL divergence, in nats, of shares [K] from equal ones; log K if all is in one."""
  present = shares[shares > 0]
  return float(np.sum(present * np.log(present * len(shares))))


def covariance_ratio(samples: np.ndarray, nearest: np.ndarray, sigma: float) -> float:
  """Variance of samples within 3 sigma of their mode, over that of the mode cut off there; mean over modes.

  Args:
    samples: [N, D], all within 3 sigma of a mode.
    nearest: [N], which one.
    sigma: standard deviation of each mode.
  """
  dim = samples.shape[1]
  cut = stats.chi2.cdf(9, dim + 2) / stats.chi2.cdf(9, dim)  # E[r^2 | r < 3 sigma] / (dim sigma^2).
  groups = [samples[nearest == mode] for mode in np.unique(nearest)]
  ratios = [np.sum(np.var(group, axis=0, ddof=1)) / (dim * sigma**2 * cut) for group in groups if len(group) > 1]
  return float(np.mean(ratios)) if ratios else 0.0


def sliced_wasserstein(samples: np.ndarray, modes: np.ndarray, sigma: float) -> float:
  """Mean Wasserstein-1 distance between samples and the mixture itself, along directions of the plane.

  Along each, the sorted samples are compared with the exact quantiles of the projected mixture. N samples of the
  mixture itself have a distance that falls as 1 / sqrt(N).

  Args:
    samples: [N, 2].
    modes: [K, 2].
    sigma: standard deviation of each mode.
  """
  angles = np.pi * (np.arange(NUM_ANGLES) + 0.5) / NUM_ANGLES
  directions = np.stack([np.cos(angles), np.sin(angles)])
  quantiles = _quantiles((modes @ directions).T.tobytes(), len(modes), sigma, len(samples))
  return float(np.mean(np.abs(np.sort(samples @ directions, axis=0) - quantiles.T)))


@functools.lru_cache(maxsize=8)   # The same at each evaluation of a run, and for each member of a population.
def _quantiles(means: bytes, num_modes: int, sigma: float, num: int) -> np.ndarray:
  """Exact quantiles [NUM_ANGLES, num] of the mixture along each direction; `means` are float64 [NUM_ANGLES, K]."""
  levels = (np.arange(num) + 0.5) / num
  offsets = sigma * np.linspace(-6, 6, 241)
  quantiles = []
  for along in np.frombuffer(means).reshape(NUM_ANGLES, num_modes):
    grid = np.unique(along[:, None] + offsets)
    quantiles.append(np.interp(levels, stats.norm.cdf(grid[:, None], along, sigma).mean(axis=1), grid))
  return np.stack(quantiles)


def line_scores(samples: np.ndarray, mean: float, sigma: float) -> dict[str, float]:
  """How far a distribution on the line is from a normal one.

  Args:
    samples: [N, 1] generated points.
    mean: of the true distribution.
    sigma: its standard deviation; 0 for a point.

  Returns:
    `w1`: the Wasserstein-1 distance of the samples' distribution to the true one, in units of the data.

  Raises:
    NonFiniteSamplesError: if a sample is not finite; says how many.
  """
  require_finite(samples)
  x = np.sort(samples[:, 0].astype(np.float64)) - mean
  if sigma == 0.0:
    return {'w1': float(np.mean(np.abs(x)))}
  # Each sample goes to, or comes from, a stretch of the quantiles: those below it, and those above.
  x, ends = x / sigma, np.arange(len(x) + 1) / len(x)
  low, high = ends[:-1], ends[1:]
  own = np.clip(stats.norm.cdf(x), low, high)
  to_low, to_own, to_high = (-stats.norm.pdf(stats.norm.ppf(u)) for u in (low, own, high))  # Integrals of quantiles.
  return {'w1': float(sigma * np.sum(x * (2.0 * own - low - high) + to_low + to_high - 2.0 * to_own))}
