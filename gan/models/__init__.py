"""Architectures, by name. Every network is called `module(x, *, train)`; discriminators return logits [B]."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn

from gan.models import dcgan, mlp


class Architecture(NamedTuple):
  """How to build the two networks of a name, and what they need.

  `gen(sample_shape, axis_name, **settings)` and `disc(sample_shape, axis_name, **settings)` return Flax modules;
  `settings` and their defaults are what a configuration may set in `model.gen` and `model.disc`.
  """

  gen: Callable[..., nn.Module]
  disc: Callable[..., nn.Module]
  gen_settings: dict[str, int | bool]
  disc_settings: dict[str, int | bool]
  image_sizes: tuple[int, ...] | None = None  # Sides in pixels that it is built for; None: any.
  images: bool = True                         # Whether it is for images [H, W, C], or for vectors.


MODELS = {
    'dcgan': Architecture(
        gen=lambda shape, axis_name, **kw: dcgan.Generator(shape[0], shape[2], axis_name=axis_name, **kw),
        disc=lambda shape, axis_name, **kw: dcgan.Discriminator(shape[0], axis_name=axis_name, **kw),
        gen_settings={'width': 64}, disc_settings={'width': 64, 'batch_norm': True}, image_sizes=dcgan.IMAGE_SIZES),
    'vanilla': Architecture(
        gen=lambda shape, axis_name, **kw: mlp.Generator(shape, bounded=True, **kw),
        disc=lambda shape, axis_name, **kw: mlp.Discriminator(**kw),
        gen_settings={'width': 256, 'layers': 2}, disc_settings={'width': 256, 'layers': 2}),
    'mlp': Architecture(
        gen=lambda shape, axis_name, **kw: mlp.Generator(shape, **kw),
        disc=lambda shape, axis_name, **kw: mlp.Discriminator(**kw),
        gen_settings={'width': 128, 'layers': 2}, disc_settings={'width': 128, 'layers': 2}, images=False),
}


def get_model(player: str, name: str, sample_shape: tuple[int, ...], axis_name: str | None = None,
              **settings) -> nn.Module:
  """Builds one network.

  Args:
    player: 'gen' or 'disc'.
    name: key of MODELS.
    sample_shape: (H, W, C) of images, or (D,) of vectors.
    axis_name: mapped axis that batch norm averages over under `pmap`.
    **settings: the architecture's own, such as `width`.

  Raises:
    ValueError: if the name is unknown; lists the known ones.
  """
  if name not in MODELS:
    raise ValueError(f'model {name!r} is unknown; known: {", ".join(sorted(MODELS))}')
  return getattr(MODELS[name], player)(sample_shape, axis_name, **settings)
