"""The networks of PacGAN's two-dimensional experiments (Lin et al. 2018, arXiv:1712.04086, section 4.1).

Initial weights and the constants of batch norm are those of the authors' code (github.com/fjxmlzn/PacGAN and the
library Blocks). There the generator makes the samples of a pack in as many batches, one for each place in the pack,
and normalises each batch by itself; so it does here with `places`, while without all samples of an update are one
batch. Packing itself is not part of the networks: `model.disc.pack`.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan.models.layers import BatchNorm, dcgan_init

MOMENTUM = 0.95  # Of batch norm's running statistics, per update.
_BatchNorm = functools.partial(BatchNorm, epsilon=1e-4, scale_init=nn.initializers.ones)


class Generator(nn.Module):
  """z [B, Z] -> samples [B, sample_dim], unbounded: dense layers with batch norm and ReLU.

  Attributes:
    sample_dim: numbers of a sample; 2 in the paper.
    width: units of each hidden layer.
    layers: hidden layers.
    places: batch norm sees so many batches, of which every places-th sample is one: those of one place in a pack.
    axis_name: mapped axis of batch norm under `pmap`.
  """

  sample_dim: int
  width: int = 400
  layers: int = 4
  places: int = 1
  axis_name: str | None = None

  @nn.compact
  def __call__(self, z: Array, *, train: bool) -> Array:
    x = z
    for _ in range(self.layers):
      x = nn.Dense(self.width, use_bias=False, kernel_init=dcgan_init)(x)
      # An update has as many batches as places, and what it makes of the running statistics must not depend on that.
      norm = _BatchNorm(self.axis_name, momentum=MOMENTUM**(1 / self.places))
      x = jax.nn.relu(self._by_place(norm, x, train))
    return nn.Dense(self.sample_dim, kernel_init=dcgan_init)(x)

  def _by_place(self, norm: BatchNorm, x: Array, train: bool) -> Array:
    """Each place's samples [B / places, F] through the same norm, one place after another, while training."""
    if self.places == 1 or not train or self.is_initializing():  # The first call's batch is of any size.
      return norm(x, train=train)
    places = x.reshape(-1, self.places, x.shape[-1])
    return jnp.stack([norm(places[:, i], train=True) for i in range(self.places)], axis=1).reshape(x.shape)


class Maxout(nn.Module):
  """[B, F] -> [B, features]: the largest of `pieces` linear functions for each (Goodfellow et al. 2013, 1302.4389)."""

  features: int
  pieces: int

  @nn.compact
  def __call__(self, x: Array) -> Array:
    x = nn.Dense(self.pieces * self.features, kernel_init=dcgan_init)(x)
    return jnp.max(x.reshape(-1, self.pieces, self.features), axis=1)


class Discriminator(nn.Module):
  """samples [B, D], or packs of them, -> logits [B] through maxout layers; no normalisation.

  Attributes:
    width: units of each hidden layer.
    layers: hidden layers.
    pieces: linear functions of which a unit takes the largest.
  """

  width: int = 200
  layers: int = 3
  pieces: int = 5

  @nn.compact
  def __call__(self, images: Array, *, train: bool) -> Array:
    del train  # Nothing here differs between training and evaluation.
    x = images
    for _ in range(self.layers):
      x = Maxout(self.width, self.pieces)(x)
    return nn.Dense(1, kernel_init=dcgan_init)(x)[:, 0]
