"""Kernel distance: the maximum mean discrepancy with a cubic kernel (KID, Binkowski et al. 2018, arXiv:1801.01401)."""

from collections.abc import Sequence

import numpy as np

NUM_SUBSETS = 100
SUBSET_SIZE = 1000
MIN_BLOCKS = 10      # A standard error from fewer blocks would itself be a guess.


def kernel_distance(one: np.ndarray, other: np.ndarray) -> float:
  """Estimate MMD^2 under k(x, y) = (x y / D + 1)^3 without bias; the estimate may be negative if the sets are alike.

  Args:
    one: features [M, D], M >= 2.
    other: features [M, D], with the same M.
  """
  one, other = (np.asarray(x, np.float64) for x in (one, other))
  m, dim = one.shape

  def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    k = x @ y.T / dim + 1.0
    return k * k * k  # k**3 takes three times as long.

  within = sum(np.sum(k) - np.trace(k) for k in (kernel(one, one), kernel(other, other)))
  return float(within / (m * (m - 1)) - 2.0 * np.mean(kernel(one, other)))


def draw_subsets(rng: np.random.Generator, num_one: int, num_other: int) -> list[tuple[np.ndarray, np.ndarray]]:
  """Draw NUM_SUBSETS pairs of index arrays without replacement, of SUBSET_SIZE or of the smaller set's size."""
  size = min(SUBSET_SIZE, num_one, num_other)
  return [(rng.choice(num_one, size, replace=False), rng.choice(num_other, size, replace=False))
          for _ in range(NUM_SUBSETS)]


def over_subsets(one: np.ndarray, other: np.ndarray,
                 subsets: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
  """Return mean and standard deviation of the distance over subsets: the two numbers that are published as KID.

  The subsets overlap, so this standard deviation is the error of one subset, not of the mean; for the latter see
  `standard_error`. It is nan if each subset holds all of one set: then it says nothing of that set.

  Args:
    one: features [N, D].
    other: features [M, D].
    subsets: pairs of index arrays, such as `draw_subsets` returns.
  """
  distances = [kernel_distance(one[i], other[j]) for i, j in subsets]
  whole = any(len(subset) >= len(features) for features, subset in zip((one, other), subsets[0], strict=True))
  return float(np.mean(distances)), float('nan') if whole else float(np.std(distances))


def standard_error(one: np.ndarray, other: np.ndarray) -> float:
  """Return the standard error of the distance from disjoint, hence independent, blocks; nan below 20 samples.

  Blocks have SUBSET_SIZE samples, or fewer if there would be less than MIN_BLOCKS blocks of this size.

  Args:
    one: features [N, D], in random order.
    other: features [M, D], in random order.
  """
  count = min(len(one), len(other))
  num_blocks = max(MIN_BLOCKS, count // SUBSET_SIZE)
  size = count // num_blocks
  if size < 2:
    return float('nan')
  values = [kernel_distance(one[i:i + size], other[i:i + size]) for i in range(0, num_blocks * size, size)]
  return float(np.std(values, ddof=1) / np.sqrt(num_blocks))
