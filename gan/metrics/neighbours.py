"""Scores from nearest neighbours in feature space: precision, recall, density, coverage, and copying of the data.

The matrix of distances is computed tile by tile, so memory on the device does not grow with the number of samples.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.stats import mannwhitneyu

from gan.metrics import require_finite

MIN_PER_NEIGHBOUR = 10   # A standard error needs this many samples of each set for each of the k neighbours.
TILE = 2048   # Rows and columns of one tile of the matrix of distances.


class Tile(NamedTuple):
  """A block of vectors, padded to TILE with vectors at infinite distance from everything."""

  start: int
  stop: int
  vectors: np.ndarray   # [TILE, D].
  squares: np.ndarray   # [TILE], |x|^2; inf for the padding.


def _tiles(features: np.ndarray) -> Iterator[Tile]:
  for start in range(0, len(features), TILE):
    part = features[start:start + TILE]
    missing = TILE - len(part)
    vectors = np.pad(part, ((0, missing), (0, 0)))
    yield Tile(start, start + len(part), vectors,
               np.pad(np.sum(np.square(part), axis=1), (0, missing), constant_values=np.inf))


def _distances(rows: Array, row_squares: Array, columns: Array, column_squares: Array) -> Array:
  product = jnp.matmul(rows, columns.T, precision=jax.lax.Precision.HIGHEST)
  return jnp.sqrt(jnp.maximum(row_squares[:, None] + column_squares[None] - 2.0 * product, 0.0))


@functools.partial(jax.jit, static_argnames='k')
def _nearer(best: tuple[Array, Array], rows: Array, row_squares: Array, columns: Array, column_squares: Array,
            first: Array, k: int) -> tuple[Array, Array]:
  """Merge the columns into `best`, the k nearest vectors so far: (distances, indices) [TILE, k]."""
  distances = _distances(rows, row_squares, columns, column_squares)
  indices = jnp.broadcast_to(first + jnp.arange(TILE, dtype=jnp.int32)[None], distances.shape)
  distances, indices = (jnp.concatenate(pair, axis=1) for pair in zip(best, (distances, indices), strict=True))
  smallest, chosen = jax.lax.top_k(-distances, k)
  return -smallest, jnp.take_along_axis(indices, chosen, axis=1)


@jax.jit
def _held(rows: Array, row_squares: Array, row_radii: Array, columns: Array, column_squares: Array,
          column_radii: Array) -> tuple[Array, Array, Array]:
  """Return the number of column balls around each row, and whether each column is in a row's ball, holds a row."""
  distances = _distances(rows, row_squares, columns, column_squares)
  in_column_ball = distances <= column_radii[None]
  return (jnp.sum(in_column_ball, axis=1, dtype=jnp.int32), jnp.any(distances <= row_radii[:, None], axis=0),
          jnp.any(in_column_ball, axis=0))


def nearest(features: np.ndarray, others: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
  """Find the k nearest of `others` [M, D] for each of `features` [N, D], M >= k.

  Returns:
    Euclidean distances float32 [N, k], ascending, and indices into `others`, int32 [N, k].
  """
  features, others = _centred(features, others)
  distances, indices = [], []
  for row in _tiles(features):
    best = np.full((TILE, k), np.inf, np.float32), np.zeros((TILE, k), np.int32)
    for column in _tiles(others):
      best = _nearer(best, row.vectors, row.squares, column.vectors, column.squares, np.int32(column.start), k)
    distances.append(np.asarray(best[0])[:row.stop - row.start])
    indices.append(np.asarray(best[1])[:row.stop - row.start])
  return np.concatenate(distances), np.concatenate(indices)


def radii(features: np.ndarray, k: int) -> np.ndarray:
  """Return the distance [N] from each of `features` [N, D], N > k, to its k-th nearest neighbour among the others."""
  return nearest(features, features, k + 1)[0][:, k]  # The nearest vector is the vector itself.


def prdc(reals: np.ndarray, fakes: np.ndarray, k: int = 5) -> dict[str, tuple[float, float]]:
  """Compute precision, recall, density and coverage of generated samples.

  Precision and recall are by Kynkaanniemi et al. 2019 (arXiv:1904.06991), density and coverage by Naeem et al. 2020
  (arXiv:2002.09797). The ball of a sample reaches to its k-th nearest neighbour in the same set, border included.

  * Precision: share of fakes that lie in the ball of a real.
  * Recall: share of reals that lie in the ball of a fake.
  * Density: number of real balls around a fake, over k, averaged over fakes.
  * Coverage: share of reals whose ball holds a fake.

  The first paper uses k = 3, the second k = 5. Values for different k or different numbers of samples are not
  comparable.

  Args:
    reals: features [N, D], N > k.
    fakes: features [M, D], M > k.
    k: number of neighbours.

  Returns:
    name -> (value, standard error). The error is that of a mean over samples with fixed balls. It is nan if a set has
    fewer than MIN_PER_NEIGHBOUR * k samples: then a ball holds more than a tenth of its set, and with k + 1 samples the
    whole set.

  Raises:
    ValueError: if there are too few samples.
    NonFiniteSamplesError: if a feature is not finite.
  """
  for name, features in (('real', reals), ('generated', fakes)):
    require_finite(features)
    if len(features) <= k:
      raise ValueError(f'{len(features)} {name} samples are too few for {k} neighbours each; take at least {k + 1} '
                       'samples, or fewer neighbours')
  fakes, reals = _centred(fakes, reals)
  fake_radii, real_radii = radii(fakes, k), radii(reals, k)
  counts, in_fake_ball, holds_fake = np.zeros(len(fakes)), np.zeros(len(reals), bool), np.zeros(len(reals), bool)
  for row in _tiles(fakes):
    for column in _tiles(reals):
      row_radii, column_radii = (np.pad(r[tile.start:tile.stop], (0, TILE - (tile.stop - tile.start)))
                                 for r, tile in ((fake_radii, row), (real_radii, column)))
      balls = _held(row.vectors, row.squares, row_radii, column.vectors, column.squares, column_radii)
      num_real_balls, column_in_ball, column_holds_row = (np.asarray(x) for x in balls)
      columns = slice(column.start, column.stop)
      counts[row.start:row.stop] += num_real_balls[:row.stop - row.start]
      in_fake_ball[columns] |= column_in_ball[:column.stop - column.start]
      holds_fake[columns] |= column_holds_row[:column.stop - column.start]
  enough = min(len(fakes), len(reals)) >= MIN_PER_NEIGHBOUR * k
  per_sample = {'precision': counts > 0, 'recall': in_fake_ball, 'density': counts / k, 'coverage': holds_fake}
  return {name: (float(np.mean(values)), float(np.std(values) / np.sqrt(len(values))) if enough else float('nan'))
          for name, values in per_sample.items()}


def copying(generated: np.ndarray, held_out: np.ndarray) -> tuple[float, float, float]:
  """Test whether generated samples are nearer to the training data than held-out data are.

  This is the data-copying test of Meehan et al. 2020 (arXiv:2004.05675) with the whole space as one cell: a
  Mann-Whitney test on distances to the nearest training sample.

  Args:
    generated: distances [N] of generated samples to their nearest training sample.
    held_out: distances [M] of real samples that were not trained on.

  Returns:
    * Probability that a generated sample is nearer than a held-out sample: 0.5 is neutral, 1 means copies.
    * Standard error of this probability if both distributions were equal.
    * p-value of the one-sided test that generated samples are not nearer.

    Error and p-value exist for any number of samples.
  """
  n, m = len(generated), len(held_out)
  test = mannwhitneyu(generated, held_out, alternative='less')
  return float(1.0 - test.statistic / (n * m)), float(np.sqrt((n + m + 1) / (12.0 * n * m))), float(test.pvalue)


def _centred(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Subtract the mean of `other` from both sets: distances stay, and the squares lose less to rounding."""
  mean = np.mean(other, axis=0, dtype=np.float64)
  return np.asarray(one - mean, np.float32), np.asarray(other - mean, np.float32)
