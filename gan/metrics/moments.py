"""Mean and covariance of features that stream by, in float64 on the host: nothing of the samples is kept."""

from typing import NamedTuple

import numpy as np


class Moments(NamedTuple):
  """First and second moments of a set of vectors.

  Attributes:
    count: vectors seen.
    mean: float64 [D].
    scatter: float64 [D, D], sum of (x - mean)(x - mean)^T.
  """

  count: int
  mean: np.ndarray
  scatter: np.ndarray

  @property
  def covariance(self) -> np.ndarray:
    """Unbiased covariance [D, D], as np.cov has it; zero for a single vector."""
    return self.scatter / max(self.count - 1, 1)


def moments_of(features: np.ndarray) -> Moments:
  """Moments of features [N, D], N >= 1."""
  features = np.asarray(features, np.float64)
  mean = features.mean(axis=0)
  centred = features - mean  # Before the product: squares of large means would drown the differences.
  return Moments(len(features), mean, centred.T @ centred)


def merged(one: Moments, other: Moments) -> Moments:
  """Moments of both sets together (Chan et al. 1983, The American Statistician 37): no cancellation."""
  count = one.count + other.count
  apart = other.mean - one.mean
  scatter = one.scatter + other.scatter + np.outer(apart, apart) * (one.count * other.count / count)
  return Moments(count, one.mean + apart * (other.count / count), scatter)


def without(whole: Moments, part: Moments) -> Moments:
  """Moments of the whole less a part of it: `merged` the other way round. The rest must not be empty."""
  count = whole.count - part.count
  apart = (whole.mean - part.mean) * (whole.count / count)  # From the part's mean to that of the rest.
  scatter = whole.scatter - part.scatter - np.outer(apart, apart) * (part.count * count / whole.count)
  return Moments(count, part.mean + apart, scatter)
