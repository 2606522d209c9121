"""Eigenvalues of the field's Jacobian, and how much of it rotates: exact for small games, by products for networks."""

import math
from typing import NamedTuple

import numpy as np
import scipy.sparse.linalg

from gan.dynamics.field import Field

MAX_EXACT = 512      # Parameters up to which the whole Jacobian is formed.
BASIS = 5            # Krylov vectors of Arnoldi's iteration for each eigenvalue that is asked for,
MIN_BASIS = 20
RESTARTS = 6         # and its restarts: they bound the products, which are all of the cost.


class Spectrum(NamedTuple):
  """Eigenvalues of J.

  Attributes:
    values: complex [k], by falling magnitude.
    exact: whether these are all of them.
    converged: whether Arnoldi's iteration reached its tolerance for as many as were asked for.
  """

  values: np.ndarray
  exact: bool
  converged: bool = True

  @property
  def growth(self) -> float:
    """Largest real part found: positive where the players are driven away; nan if none was found."""
    return float(self.values.real.max()) if len(self.values) else math.nan

  @property
  def largest_step(self) -> float:
    """Step size below which simultaneous descent contracts along all of `values`; 0 if there is none.

    |1 + h lambda| < 1 for h < -2 Re(lambda) / |lambda|^2.
    """
    moving = self.values[np.abs(self.values) > 0]
    return max(0.0, float((-2 * moving.real / np.abs(moving) ** 2).min())) if len(moving) else float('inf')


def leading_eigenvalues(field: Field, count: int = 16, seed: int = 0, tolerance: float = 1e-2) -> Spectrum:
  """The eigenvalues of largest magnitude and of largest real part.

  Args:
    field: at the state of interest.
    count: how many of each, where there are too many parameters for all.
    seed: of Arnoldi's first vector.
    tolerance: relative, of Arnoldi's iteration.
  """
  size = field.x.size
  if size <= MAX_EXACT:
    values = np.linalg.eigvals(np.asarray(field.jacobian(), np.float64))
    return Spectrum(_sorted(values), exact=True)
  count = min(count, size - 2)
  basis = min(max(BASIS * count, MIN_BASIS), size)
  product = field.jvp()
  operator = scipy.sparse.linalg.LinearOperator(
      (size, size), matvec=lambda v: np.asarray(product(v.ravel().astype(field.x.dtype)), np.float64), dtype=np.float64)
  start = np.random.default_rng(seed).normal(size=size)
  found, converged = [], True
  for which in ('LM', 'LR'):
    try:
      values = scipy.sparse.linalg.eigs(operator, k=count, which=which, v0=start, tol=tolerance, ncv=basis,
                                        maxiter=RESTARTS, return_eigenvectors=False)
    except scipy.sparse.linalg.ArpackError as error:  # Not all have converged, or J is zero.
      values, converged = getattr(error, 'eigenvalues', np.zeros(0)), False
    found.append(values)
  return Spectrum(_sorted(_joined(*found, tolerance)), exact=False, converged=converged)


def rotation(field: Field, probes: int = 8, seed: int = 0) -> float:
  """Share of the Jacobian that rotates: |A|^2 / (|S|^2 + |A|^2) for J = S + A, S symmetric, A antisymmetric.

  S is the part of a potential that both players would descend together, A turns them around each other (Balduzzi et
  al. 2018, arXiv:1802.05642). 0 is descent, 1 a pure rotation.

  Args:
    field: at the state of interest.
    probes: random vectors r of entries +-1, where the Jacobian is too large to form: E|A r|^2 = |A|^2.
    seed: of the probes.
  """
  if field.x.size <= MAX_EXACT:
    jacobian = np.asarray(field.jacobian(), np.float64)
    symmetric, antisymmetric = 0.5 * (jacobian + jacobian.T), 0.5 * (jacobian - jacobian.T)
  else:
    vectors = np.random.default_rng(seed).choice([-1.0, 1.0], (probes, field.x.size)).astype(field.x.dtype)
    forward, backward = (np.stack([np.asarray(product(v), np.float64) for v in vectors])
                         for product in (field.jvp(), field.vjp()))
    symmetric, antisymmetric = 0.5 * (forward + backward), 0.5 * (forward - backward)
  turning, descending = np.sum(antisymmetric**2), np.sum(symmetric**2)
  return float(turning / (turning + descending)) if turning + descending else 0.0


def _sorted(values: np.ndarray) -> np.ndarray:
  return values[np.lexsort((-values.imag, -values.real, -np.abs(values).round(12)))]


def _joined(largest: np.ndarray, rightmost: np.ndarray, tolerance: float) -> np.ndarray:
  """What two searches found, without those of the first that the second found, too: within twice the tolerance.

  One is dropped for one at most, and never of the second: who has the largest real part decides what becomes of a game,
  and in games there are many close to the imaginary axis and to each other.
  """
  kept = list(largest)
  for value in rightmost:
    nearest = min(range(len(kept)), key=lambda i, value=value: abs(kept[i] - value), default=None)
    if nearest is not None and abs(kept[nearest] - value) <= 2 * tolerance * abs(value):
      del kept[nearest]
  return np.array([*kept, *rightmost])
