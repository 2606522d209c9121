"""A generator of sines, with a frequency of its own."""

import flax.linen as nn
import jax.numpy as jnp

from gan.declare import POSITIVE, of
from gan.models import MODELS, Architecture, mlp


class Sines(nn.Module):
  """z [B, Z] -> samples [B, D] through one layer of sines."""

  dim: int
  frequency: float = 2.0

  @nn.compact
  def __call__(self, z, *, train):
    return nn.Dense(self.dim)(jnp.sin(self.frequency * nn.Dense(8)(z)))


LINES = [(MODELS, 'sines', Architecture(
    gen=lambda shape, axis_name, **settings: Sines(shape[0], **settings),
    disc=lambda shape, axis_name, **settings: mlp.Discriminator(width=8, layers=1, axis_name=axis_name),
    gen_settings=of(Sines, {'frequency': ('Of the sines.', POSITIVE)}), disc_settings={}, images=False))]
OVERRIDES = {'model.gen.name': 'sines', 'model.gen.frequency': 3.0, 'model.disc.name': 'sines'}
MEMBERS = [{}, {'optimizer.gen.lr': 0.1}]
SHOWN = 'frequency'
