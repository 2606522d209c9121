"""Eigenvalues and rotation of the field's Jacobian: exact for small games, from Jacobian products for networks."""

import math
from typing import NamedTuple

import numpy as np
import scipy.sparse.linalg

from gan.dynamics.field import Field

MAX_EXACT = 512      # Up to this number of parameters, the whole Jacobian is formed.
BASIS = 5            # Krylov vectors of Arnoldi's iteration for each requested eigenvalue; at least MIN_BASIS in all.
MIN_BASIS = 20
RESTARTS = 6         # Restarts of Arnoldi's iteration. With BASIS they bound the Jacobian products, the main cost.


class Spectrum(NamedTuple):
  """Eigenvalues of J.

  Attributes:
    values: complex [k], by falling magnitude.
    exact: whether these are all eigenvalues.
    converged: whether Arnoldi's iteration reached its tolerance for all requested eigenvalues.
  """

  values: np.ndarray
  exact: bool
  converged: bool = True

  @property
  def growth(self) -> float:
    """Return the largest real part of `values`: above 0 the players move away from here; nan without values."""
    return float(self.values.real.max()) if len(self.values) else math.nan

  @property
  def largest_step(self) -> float:
    """Return the step size below which simultaneous descent contracts along all of `values`; 0 if there is none.

    The condition is |1 + h lambda| < 1, which holds for h < -2 Re(lambda) / |lambda|^2.
    """
    moving = self.values[np.abs(self.values) > 0]
    return max(0.0, float((-2 * moving.real / np.abs(moving) ** 2).min())) if len(moving) else float('inf')


def leading_eigenvalues(field: Field, count: int = 16, seed: int = 0, tolerance: float = 1e-2) -> Spectrum:
  """Return the eigenvalues of largest magnitude and of largest real part; all of them if the game is small.

  Args:
    field: field at the state of interest.
    count: number of eigenvalues of each kind, if there are more than MAX_EXACT parameters.
    seed: seed of the first vector of Arnoldi's iteration.
    tolerance: relative tolerance of Arnoldi's iteration.
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
  searches, converged = [], True
  for which in ('LM', 'LR'):
    try:
      values = scipy.sparse.linalg.eigs(operator, k=count, which=which, v0=start, tol=tolerance, ncv=basis,
                                        maxiter=RESTARTS, return_eigenvectors=False)
    except scipy.sparse.linalg.ArpackError as error:  # Some eigenvalues have not converged, or J is zero.
      values, converged = getattr(error, 'eigenvalues', np.zeros(0)), False
    searches.append(values)
  return Spectrum(_sorted(_joined(*searches, tolerance)), exact=False, converged=converged)


def rotation(field: Field, probes: int = 8, seed: int = 0) -> float:
  """Return the rotating share of the Jacobian: |A|^2 / (|S|^2 + |A|^2) for J = S + A, S symmetric, A antisymmetric.

  S belongs to a potential that both players descend together; A turns them around each other (Balduzzi et al. 2018,
  arXiv:1802.05642). The share is 0 for descent and 1 for a pure rotation.

  Args:
    field: field at the state of interest.
    probes: number of random vectors r with entries +-1, if the Jacobian is too large to form: E|A r|^2 = |A|^2.
    seed: seed of the probes.
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
  """Join the eigenvalues of two searches; eigenvalues that agree within twice the tolerance count as one.

  For each eigenvalue of the second search, at most one of the first search is dropped. All of the second search are
  kept: the largest real part decides the fate of a game, and many eigenvalues of games lie close to each other, near
  the imaginary axis.
  """
  kept = list(largest)
  for value in rightmost:
    nearest = min(range(len(kept)), key=lambda i, value=value: abs(kept[i] - value), default=None)
    if nearest is not None and abs(kept[nearest] - value) <= 2 * tolerance * abs(value):
      del kept[nearest]
  return np.array([*kept, *rightmost])
