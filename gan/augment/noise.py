"""Instance noise: normal noise on real and generated samples alike, so that their distributions overlap."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from gan.declare import NOT_NEGATIVE, Setting

NOISE = Setting(0.0, 'Instance noise: standard deviation, in units of the data; 0: none.', NOT_NEGATIVE)
NOISE_SETTINGS = {'noise_steps': Setting(0, 'Steps over which the noise falls linearly to 0; 0: constant.',
                                         NOT_NEGATIVE)}


def noise_std(std: ArrayLike, decay_steps: ArrayLike, step: ArrayLike) -> Array:
  """Standard deviation of instance noise at a step, falling linearly from `std` to 0.

  Sonderby et al. 2016, arXiv:1610.04490; Arjovsky & Bottou 2017, arXiv:1701.04862. All arguments may be traced.

  Args:
    std: [] at step 0, in units of pixel values in [-1, 1].
    decay_steps: [] steps until the noise is gone; 0 means that it stays.
    step: [] steps finished so far.

  Returns:
    [] float, in [0, std].
  """
  decays = jnp.asarray(decay_steps) > 0
  left = jnp.clip(1.0 - jnp.asarray(step, jnp.float32) / jnp.where(decays, decay_steps, 1), 0.0, 1.0)
  return std * jnp.where(decays, left, 1.0)
