"""How different samples are from one another, against the data: the cheapest sign of mode collapse."""

import numpy as np
from scipy.spatial.distance import pdist

from gan.metrics import require_finite


def mean_distance(samples: np.ndarray) -> float:
  """Mean Euclidean distance between two different samples.

  Args:
    samples: [N, ...], N >= 2.

  Returns:
    Distance in the units of the samples; 0 if all are equal.

  Raises:
    ValueError: if a sample is not finite; says how many.
  """
  require_finite(samples)
  return float(pdist(samples.reshape(len(samples), -1).astype(np.float64)).mean())
