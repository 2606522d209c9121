"""Exact scores for mixtures of Gaussians whose modes are known."""

import numpy as np
import scipy.stats

from gan.metrics import require_finite


def mixture_scores(samples: np.ndarray, modes: np.ndarray, sigma: float) -> dict[str, float]:
  """How many modes are covered, and how well (PacGAN's definitions, Lin et al. 2018, arXiv:1712.04086).

  Args:
    samples: [N, 2] generated points.
    modes: [K, 2] means of the true modes, which are equally likely.
    sigma: standard deviation of each mode.

  Returns:
    `modes`: number of modes that are the nearest one of a sample within 3 sigma; `high_quality`: share of samples
    within 3 sigma of their nearest mode; `reverse_kl`: KL divergence, in nats, of the shares of all samples by nearest
    mode from the uniform distribution; `scale`: root mean square distance from the centre of the modes, over that of
    the mixture.

  Raises:
    ValueError: if a sample is not finite; says how many.
  """
  require_finite(samples)
  distances = np.linalg.norm(samples[:, None].astype(np.float64) - modes[None].astype(np.float64), axis=-1)
  nearest = distances.argmin(axis=1)
  close = distances.min(axis=1) <= 3 * sigma
  shares = np.bincount(nearest, minlength=len(modes)) / len(samples)
  present = shares[shares > 0]
  centre = modes.mean(axis=0, dtype=np.float64)
  sizes = [np.mean(np.sum((points - centre) ** 2, axis=-1)) for points in (samples.astype(np.float64), modes)]
  return {'modes': float(len(np.unique(nearest[close]))),
          'high_quality': float(close.mean()),
          'reverse_kl': float(np.sum(present * np.log(present * len(modes)))),
          'scale': float(np.sqrt(sizes[0] / (sizes[1] + modes.shape[1] * sigma**2)))}


def line_scores(samples: np.ndarray, truth: np.ndarray) -> dict[str, float]:
  """How far a distribution on the line is from the true one.

  Args:
    samples: [N, 1] generated points.
    truth: [M, 1] points of the data.

  Returns:
    `w1`: the Wasserstein-1 distance between the two sets, in units of the data.

  Raises:
    ValueError: if a sample is not finite; says how many.
  """
  require_finite(samples)
  return {'w1': float(scipy.stats.wasserstein_distance(samples[:, 0], truth[:, 0]))}
