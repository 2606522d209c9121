"""The networks of PacGAN's two-dimensional experiments (Lin et al. 2018, arXiv:1712.04086, section 4.1).

Initial weights and the constants of batch norm are those of the authors' code (github.com/fjxmlzn/PacGAN and the
library Blocks). In that code the generator makes one batch for each place of a pack, and each batch is normalised
separately. Here, `places` set to the size of a pack does the same; with places = 1, all samples of an update are
normalised together. Packing itself is not part of the networks (see `model.disc.pack`).
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan.models.layers import BatchNorm, dcgan_init

MOMENTUM = 0.95  # Decay of batch norm's running statistics, per update.
_BatchNorm = functools.partial(BatchNorm, epsilon=1e-4, scale_init=nn.initializers.ones)


class Generator(nn.Module):
  """Generator of dense layers with batch norm and ReLU: z [B, Z] -> unbounded samples [B, sample_dim].

  Attributes:
    sample_dim: length of a sample; 2 in the paper.
    width: units of each hidden layer.
    layers: number of hidden layers.
    places: During training the batch is split into `places` groups (sample i is in group i mod places), and each group
      is normalised separately. With `places` equal to the size of a pack, a group holds one place of all packs.
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
      # The root makes the decay of the running statistics per update independent of the number of groups.
      norm = _BatchNorm(self.axis_name, momentum=MOMENTUM**(1 / self.places))
      x = jax.nn.relu(self._by_place(norm, x, train))
    return nn.Dense(self.sample_dim, kernel_init=dcgan_init)(x)

  def _by_place(self, norm: BatchNorm, x: Array, train: bool) -> Array:
    """Normalise the batch; during training, each group [B / places, F] separately, one after another."""
    if self.places == 1 or not train or self.is_initializing():  # `places` may not divide the batch of `init`.
      return norm(x, train=train)
    places = x.reshape(-1, self.places, x.shape[-1])
    return jnp.stack([norm(places[:, i], train=True) for i in range(self.places)], axis=1).reshape(x.shape)


class Maxout(nn.Module):
  """Maxout layer (Goodfellow et al. 2013, arXiv:1302.4389): [B, F] -> [B, features].

  Each feature is the largest of `pieces` linear functions.
  """

  features: int
  pieces: int

  @nn.compact
  def __call__(self, x: Array) -> Array:
    x = nn.Dense(self.pieces * self.features, kernel_init=dcgan_init)(x)
    return jnp.max(x.reshape(-1, self.pieces, self.features), axis=1)


class Discriminator(nn.Module):
  """Discriminator of maxout layers without normalisation: samples [B, D], or packs of samples -> logits [B].

  Attributes:
    width: units of each hidden layer.
    layers: number of hidden layers.
    pieces: number of linear functions of each maxout unit.
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
