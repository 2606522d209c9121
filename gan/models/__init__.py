"""Architectures, by name.

A generator is called `module(z=..., train=...)`; a discriminator `module(images=..., train=...)`, which returns logits
[B].
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn

from gan.models import closed_form, dcgan, mlp, pacgan, resnet


class Architecture(NamedTuple):
  """How to build the two networks of a name, and what they need.

  `gen(sample_shape, axis_name, **settings)` and `disc(sample_shape, axis_name, **settings)` return Flax modules;
  `settings` and their defaults are what a configuration may set in `model.gen` and `model.disc`.
  """

  gen: Callable[..., nn.Module]
  disc: Callable[..., nn.Module]
  gen_settings: dict[str, int | float]
  disc_settings: dict[str, int | float | bool | str]
  image_sizes: tuple[int, ...] | None = None  # Sides in pixels that it is built for; None: any.
  images: bool = True                         # Whether it is for images [H, W, C], or for vectors.
  sample_dim: int | None = None               # Length of the vectors that it is built for; None: any.


MODELS = {
    'dcgan': Architecture(
        gen=lambda shape, axis_name, **kw: dcgan.Generator(shape[0], shape[2], axis_name=axis_name, **kw),
        disc=lambda shape, axis_name, **kw: dcgan.Discriminator(shape[0], axis_name=axis_name, **kw),
        gen_settings={'width': 64}, disc_settings={'width': 64, 'batch_norm': True, 'minibatch': 'none'},
        image_sizes=dcgan.IMAGE_SIZES),
    'vanilla': Architecture(
        gen=lambda shape, axis_name, **kw: mlp.Generator(shape, bounded=True, **kw),
        disc=lambda shape, axis_name, **kw: mlp.Discriminator(axis_name=axis_name, **kw),
        gen_settings={'width': 256, 'layers': 2}, disc_settings={'width': 256, 'layers': 2, 'minibatch': 'none'}),
    'mlp': Architecture(
        gen=lambda shape, axis_name, **kw: mlp.Generator(shape, **kw),
        disc=lambda shape, axis_name, **kw: mlp.Discriminator(axis_name=axis_name, **kw),
        gen_settings={'width': 128, 'layers': 2}, disc_settings={'width': 128, 'layers': 2, 'minibatch': 'none'},
        images=False),
    'pacgan': Architecture(
        gen=lambda shape, axis_name, **kw: pacgan.Generator(shape[0], axis_name=axis_name, **kw),
        disc=lambda shape, axis_name, **kw: pacgan.Discriminator(**kw),
        gen_settings={'width': 400, 'layers': 4, 'places': 1},
        disc_settings={'width': 200, 'layers': 3, 'pieces': 5},
        images=False),
    'resnet': Architecture(
        gen=lambda shape, axis_name, **kw: resnet.Generator(shape[0], shape[2], **kw),
        disc=lambda shape, axis_name, **kw: resnet.Discriminator(shape[0], **kw),
        gen_settings={'width': 64, 'blocks': 1}, disc_settings={'width': 64, 'blocks': 1},
        image_sizes=resnet.IMAGE_SIZES),
    'dirac': Architecture(
        gen=lambda shape, axis_name, **kw: closed_form.DiracGenerator(**kw),
        disc=lambda shape, axis_name, **kw: closed_form.DiracDiscriminator(**kw),
        gen_settings={'start': 1.0}, disc_settings={'start': 1.0}, images=False, sample_dim=1),
    'linear_quadratic': Architecture(
        gen=lambda shape, axis_name, **kw: closed_form.LinearGenerator(**kw),
        disc=lambda shape, axis_name, **kw: closed_form.QuadraticDiscriminator(**kw),
        gen_settings={'start': 2.0}, disc_settings={'start': 0.5}, images=False, sample_dim=1),
}


def get_model(player: str, name: str, sample_shape: tuple[int, ...], axis_name: str | None = None,
              **settings) -> nn.Module:
  """Builds one network.

  Args:
    player: 'gen' or 'disc'.
    name: key of MODELS.
    sample_shape: (H, W, C) of images, or (D,) of vectors.
    axis_name: mapped axis under `pmap` that the batch is split over: batch norm and minibatch layers look across it.
    **settings: the architecture's own, such as `width`.

  Raises:
    ValueError: if the name is unknown; lists the known ones.
  """
  if name not in MODELS:
    raise ValueError(f'model {name!r} is unknown; known: {", ".join(sorted(MODELS))}')
  return getattr(MODELS[name], player)(sample_shape, axis_name, **settings)
