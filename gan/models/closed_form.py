"""Players of one parameter each, whose games have a solution in closed form.

`coordinate` names the parameter on its axis of the plane in which both parameters are drawn.
"""

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax import Array


class DiracGenerator(nn.Module):
  """Generator of the Dirac-GAN (Mescheder et al. 2018, arXiv:1801.04406): z [B, Z] -> samples [B, 1], all at theta."""

  coordinate: ClassVar[str] = 'theta: where generated samples are'

  start: float = 1.0

  @nn.compact
  def __call__(self, z: Array, *, train: bool) -> Array:
    del train
    theta = self.param('theta', nn.initializers.constant(self.start), (1,), jnp.float32)
    return jnp.broadcast_to(theta, (z.shape[0], 1))


class DiracDiscriminator(nn.Module):
  """Discriminator of the Dirac-GAN (Mescheder et al. 2018, arXiv:1801.04406): samples x [B, 1] -> logits psi x [B]."""

  coordinate: ClassVar[str] = 'psi: slope of the discriminator'

  start: float = 1.0

  @nn.compact
  def __call__(self, images: Array, *, train: bool) -> Array:
    del train
    return (images @ self.param('psi', nn.initializers.constant(self.start), (1, 1), jnp.float32))[:, 0]


class LinearGenerator(nn.Module):
  """Linear generator: z [B, 1] -> samples a z [B, 1], a Gaussian of standard deviation |a| if z is standard normal."""

  coordinate: ClassVar[str] = 'a: standard deviation of generated samples'

  start: float = 2.0

  @nn.compact
  def __call__(self, z: Array, *, train: bool) -> Array:
    del train
    return z @ self.param('a', nn.initializers.constant(self.start), (1, 1), jnp.float32)


class QuadraticDiscriminator(nn.Module):
  """Quadratic discriminator: samples x [B, 1] -> logits w x^2 [B] (Nagarajan & Kolter 2017, arXiv:1706.04156).

  It can tell distributions of different variance apart.
  """

  coordinate: ClassVar[str] = 'w: curvature of the discriminator'

  start: float = 0.5

  @nn.compact
  def __call__(self, images: Array, *, train: bool) -> Array:
    del train
    return (jnp.square(images) @ self.param('w', nn.initializers.constant(self.start), (1, 1), jnp.float32))[:, 0]
