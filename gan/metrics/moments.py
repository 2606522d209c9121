"""Mean and covariance of a stream of features, in float64 on the host, without keeping the features."""

from typing import NamedTuple

import numpy as np


class Moments(NamedTuple):
  """First and second moments of a set of vectors.

  Attributes:
    count: number of vectors.
    mean: float64 [D].
    scatter: float64 [D, D], sum of (x - mean)(x - mean)^T.
  """

  count: int
  mean: np.ndarray
  scatter: np.ndarray

  @property
  def covariance(self) -> np.ndarray:
    """Unbiased covariance [D, D], as np.cov computes it; zero for a single vector."""
    return self.scatter / max(self.count - 1, 1)


def moments_of(features: np.ndarray) -> Moments:
  """Compute the moments of features [N, D], N >= 1."""
  features = np.asarray(features, np.float64)
  mean = features.mean(axis=0)
  centred = features - mean  # Centre before the product: squares of large means would swamp the differences.
  return Moments(len(features), mean, centred.T @ centred)


def merged(one: Moments, other: Moments) -> Moments:
  """Return the moments of both sets together, without cancellation (Chan et al. 1983, The American Statistician 37)."""
  count = one.count + other.count
  apart = other.mean - one.mean
  scatter = one.scatter + other.scatter + np.outer(apart, apart) * (one.count * other.count / count)
  return Moments(count, one.mean + apart * (other.count / count), scatter)


def without(whole: Moments, part: Moments) -> Moments:
  """Return the moments of the whole set without a part of it: the inverse of `merged`. Vectors must remain."""
  count = whole.count - part.count
  apart = (whole.mean - part.mean) * (whole.count / count)  # Mean of the remaining vectors minus mean of the part.
  scatter = whole.scatter - part.scatter - np.outer(apart, apart) * (part.count * count / whole.count)
  return Moments(count, part.mean + apart, scatter)
