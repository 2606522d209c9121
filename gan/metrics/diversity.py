"""Mean distance between samples: the cheapest sign of mode collapse, if compared with that of the data."""

import numpy as np
from scipy.spatial.distance import pdist

from gan.metrics import require_finite


def mean_distance(samples: np.ndarray) -> float:
  """Return the mean Euclidean distance over all pairs of different samples.

  Args:
    samples: [N, ...], N >= 2.

  Returns:
    Distance in the units of the samples; 0 if all samples are equal.

  Raises:
    NonFiniteSamplesError: if a sample is not finite; the message says how many are not.
  """
  require_finite(samples)
  return float(pdist(samples.reshape(len(samples), -1).astype(np.float64)).mean())
