"""Kernel distance: the maximum mean discrepancy with a cubic kernel (KID, Binkowski et al. 2018, arXiv:1801.01401)."""

from collections.abc import Sequence

import numpy as np

NUM_SUBSETS = 100
SUBSET_SIZE = 1000
MIN_BLOCKS = 10      # For the standard error: with fewer it would itself be a guess.


def kernel_distance(one: np.ndarray, other: np.ndarray) -> float:
  """Unbiased estimate of MMD^2 under k(x, y) = (x y / D + 1)^3; may be negative where the sets are alike.

  Args:
    one: features [M, D], M >= 2.
    other: features [M, D], as many.
  """
  one, other = (np.asarray(x, np.float64) for x in (one, other))
  m, dim = one.shape

  def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    k = x @ y.T / dim + 1.0
    return k * k * k  # A power would take three times as long.

  within = sum(np.sum(k) - np.trace(k) for k in (kernel(one, one), kernel(other, other)))
  return float(within / (m * (m - 1)) - 2.0 * np.mean(kernel(one, other)))


def draw_subsets(rng: np.random.Generator, num_one: int, num_other: int) -> list[tuple[np.ndarray, np.ndarray]]:
  """NUM_SUBSETS pairs of indices without repetition, of SUBSET_SIZE or as many as there are."""
  size = min(SUBSET_SIZE, num_one, num_other)
  return [(rng.choice(num_one, size, replace=False), rng.choice(num_other, size, replace=False))
          for _ in range(NUM_SUBSETS)]


def over_subsets(one: np.ndarray, other: np.ndarray,
                 subsets: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
  """Mean and spread of the distance over subsets: the two numbers that are published as KID.

  The subsets overlap, so their spread is no error of the mean: it is that of one subset, however many samples there
  are. See `standard_error`. Where each subset holds all of one set, the spread says nothing of that set, and is nan.

  Args:
    one: features [N, D].
    other: features [M, D].
    subsets: pairs of indices, such as `draw_subsets` makes.
  """
  distances = [kernel_distance(one[i], other[j]) for i, j in subsets]
  whole = any(len(subset) >= len(features) for features, subset in zip((one, other), subsets[0], strict=True))
  return float(np.mean(distances)), float('nan') if whole else float(np.std(distances))


def standard_error(one: np.ndarray, other: np.ndarray) -> float:
  """Standard error of the distance from disjoint blocks, each an estimate independent of the others; nan below 20.

  Blocks have SUBSET_SIZE samples, or fewer where there would not be MIN_BLOCKS of them.

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
