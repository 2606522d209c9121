"""The Dirac-GAN on paper: what each loss does at the equilibrium, and the update rules as 2x2 matrices. NumPy only.

Real data sit at 0, G(z) = theta, D(x) = psi x (Mescheder et al. 2018, arXiv:1801.04406). Both kinds of samples may
carry independent noise of variance s^2, and R1 or R2 (the same thing, since D is linear) may add gamma/2 psi^2. The
gradient field v = (dL_G/dtheta, dL_D/dpsi) vanishes at (0, 0), for every loss. Its Jacobian there is

  J = [[0,                     slope_gen          ],
       [slope_disc,            curvature s^2 + gamma]]

since D enters through psi x: a derivative by theta leaves a factor psi, which is 0. Where a discriminator's loss is
E A(real logit) + E B(fake logit) and the generator's E C(fake logit),

  slope_gen = C'(0),   slope_disc = B'(0),   curvature = A''(0) + B''(0).

A'(0) drops out: it meets E x = 0. Relativistic losses are worked out beside their lines.
"""

from math import e
from typing import NamedTuple

import numpy as np

RULES = ('simultaneous', 'alternating', 'extragradient', 'consensus')


class Slopes(NamedTuple):
  """The three numbers of a loss in J."""

  gen: float
  disc: float
  curvature: float


# A = softplus(-v), B = softplus(v): slopes -1/2 and 1/2, curvatures 1/4 and 1/4. C is -softplus(v) (saturating) or
# softplus(-v) (non-saturating), with the slope -1/2 both.
LOGISTIC = Slopes(-1 / 2, 1 / 2, 1 / 4 + 1 / 4)

CLOSED_FORM = {
    'saturating': LOGISTIC,
    'nonsaturating': LOGISTIC,
    # A = (v - 1)^2 / 2, B = v^2 / 2, C = (v - 1)^2 / 2. B'(0) = 0: this discriminator has no bias with which to reach
    # its neutral score 1/2, and at 0 it has no wish to lower the score of generated samples.
    'least_squares': Slopes(-1, 0, 1 + 1),
    # A = 1 - v, B = 1 + v, C = -v on |v| < 1.
    'hinge': Slopes(-1, 1, 0),
    # A = -v, B = v, C = -v.
    'wasserstein': Slopes(-1, 1, 0),
    # L_D = E P(psi (x - y)): dL_D/dpsi = E P'(psi (x - y)) (x - y), whose slope is -P'(0) in theta and
    # P''(0) E (x - y)^2 = P''(0) 2 s^2 in psi: each of the two samples has its own noise. L_G = E P(psi (y - x)).
    'rpgan_logistic': Slopes(-1 / 2, 1 / 2, 2 / 4),   # P = softplus(-t).
    'rpgan_hinge': Slopes(-1, 1, 0),                  # P = 1 - t on |t| < 1.
    'rpgan_least_squares': Slopes(-2, 2, 2 * 2),      # P = (t - 1)^2.
    # L_D = E P(psi (x - E y)) + E P(psi (E x - y)), with E x = 0 and E y = theta. Two terms, so twice the slopes of one
    # pair, but in each only one of the two has noise, so P''(0) s^2 twice.
    'ragan_logistic': Slopes(-2 / 2, 2 / 2, 2 / 4),
    'ragan_hinge': Slopes(-2, 2, 0),
    'ragan_least_squares': Slopes(-4, 4, 2 * 2),
    # f-GANs: A = -g(v), B = f*(g(v)); C is -f*(g(v)), or -g(v) for the alternative generator.
    'fgan_kl': Slopes(-1 / e, 1 / e, 1 / e),                     # g = v, f* = exp(t - 1).
    'fgan_kl_alternative': Slopes(-1, 1 / e, 1 / e),
    'fgan_reverse_kl': Slopes(-1, 1, 1),                         # g = -exp(-v), f* = -1 - log(-t): v - 1 in v.
    'fgan_reverse_kl_alternative': Slopes(-1, 1, 1),
    'fgan_jensen_shannon': LOGISTIC,                             # g = log 2 - softplus(-v), f* = softplus(v) - log 2.
    'fgan_jensen_shannon_alternative': LOGISTIC,
    'fgan_pearson': Slopes(-1, 1, 1 / 2),                        # g = v, f* = t^2 / 4 + t.
    'fgan_pearson_alternative': Slopes(-1, 1, 1 / 2),
    'fgan_squared_hellinger': Slopes(-1, 1, 1 + 1),              # g = 1 - exp(-v), f* = t / (1 - t): exp(v) - 1 in v.
    'fgan_squared_hellinger_alternative': Slopes(-1, 1, 1 + 1),
    'fgan_total_variation': Slopes(-1 / 2, 1 / 2, 0),            # g = tanh(v) / 2, which is odd; f* = t.
    'fgan_total_variation_alternative': Slopes(-1 / 2, 1 / 2, 0),
    # -log P and -log(1 - P) at alpha = 1, the default.
    'alpha_saturating': LOGISTIC,
    'alpha_nonsaturating': LOGISTIC,
    # L_D = log sum exp over all 2B logits - mean real logit. dL_D/dpsi is the mean of samples under the softmax weights
    # less that of real ones: theta / 2 at equal weights, and their variance s^2 for each unit of psi. L_G subtracts the
    # mean of all logits instead: dL_G/dtheta = psi (weight of the generated ones - 1/2), of third order.
    'softmax': Slopes(0, 1 / 2, 1),
}


def field_jacobian(slopes: Slopes, noise: float = 0.0, gamma: float = 0.0) -> np.ndarray:
  """J of the module's docstring; rows and columns are (theta, psi). `noise` is s."""
  return np.array([[0.0, slopes.gen], [slopes.disc, slopes.curvature * noise ** 2 + gamma]])


def operator(rule: str, jacobian: np.ndarray, lr: float, consensus: float = 0.0, disc_steps: int = 1,
             gen_steps: int = 1) -> np.ndarray:
  """What a rule does to (theta, psi) near the equilibrium, to first order."""
  eye = np.eye(2)
  if rule == 'simultaneous':
    return eye - lr * jacobian
  if rule == 'alternating':  # The discriminator first; the generator sees where it went.
    gen, disc = (eye - lr * jacobian * row for row in (np.array([[1], [0]]), np.array([[0], [1]])))
    return np.linalg.matrix_power(gen, gen_steps) @ np.linalg.matrix_power(disc, disc_steps)
  if rule == 'extragradient':
    return eye - lr * jacobian @ (eye - lr * jacobian)
  if rule == 'consensus':
    return eye - lr * (jacobian + consensus * jacobian.T @ jacobian)
  raise ValueError(f'rule={rule!r} has no closed form here; known: {", ".join(RULES)}')


def linear_distances(matrix: np.ndarray, start: np.ndarray, num_steps: int) -> np.ndarray:
  """Distances [num_steps + 1] from 0 of the linear iteration; they may overflow."""
  points, power = start[:, None], matrix
  with np.errstate(over='ignore', invalid='ignore'):
    while points.shape[1] <= num_steps:  # Doubled: `power` is that of as many steps as there are points.
      points, power = np.concatenate([points, power @ points], axis=1), power @ power
    return np.hypot(*points[:, :num_steps + 1])


def is_defective(matrix: np.ndarray) -> bool:
  """Whether a 2x2 matrix has one eigenvalue with a single eigenvector: there eigenvalues move as roots of changes."""
  half = np.trace(matrix) / 2
  return bool(abs(half ** 2 - np.linalg.det(matrix)) < 1e-12 and np.abs(matrix - half * np.eye(2)).max() > 1e-9)


def eigenvalue_error(one: np.ndarray, other: np.ndarray) -> float:
  """Largest difference of two pairs of eigenvalues, in the order that fits best."""
  return min(np.abs(one - other).max(), np.abs(one - other[::-1]).max())
