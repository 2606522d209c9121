"""The table of architectures, by name.

A generator is called as `module(z=..., train=...)` and returns samples. A discriminator is called as
`module(images=..., train=...)` and returns logits [B].
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn

from gan.declare import ANY, NOT_NEGATIVE, POSITIVE, SHARE_OR_NONE, Setting, Settings, at_least, of, one_of
from gan.models import closed_form, dcgan, minibatch, mlp, pacgan, resnet, stylegan2

WIDTH = {'width': ('Channels at the largest resolution; doubled at each halving.', POSITIVE)}
UNITS = {'width': ('Units of each hidden layer.', POSITIVE), 'layers': ('Number of hidden layers.', at_least(1))}
BLOCKS = {'blocks': ('Number of residual blocks at each resolution.', at_least(1))}
START = {'start': ('Initial value of the parameter.', ANY)}
MINIBATCH = {'minibatch': ('Layer that compares the samples of a batch.', one_of(minibatch.MINIBATCH))}
STYLES = WIDTH | {
    'max_width': ('Bound of the channels at all resolutions.', POSITIVE),
    'mapping_layers': ('Dense layers of the mapping network; that of D maps classes.', NOT_NEGATIVE)}
# Settings that work from outside with any discriminator, so that no architecture has to implement them.
AROUND = {
    'spectral_norm': Setting(False, 'Divide each kernel by its largest singular value.', ANY),
    'pack': Setting(1, 'Number of samples that get one logit together (PacGAN); it must divide the batch.', POSITIVE),
}


class Architecture(NamedTuple):
  """A pair of networks: how to build them, their settings, and the data that they suit.

  `gen(sample_shape, axis_name, **settings)` and `disc(sample_shape, axis_name, **settings)` return Flax modules;
  `gen_settings` and `disc_settings` declare the settings under `model.gen` and `model.disc`.
  """

  gen: Callable[..., nn.Module]
  disc: Callable[..., nn.Module]
  gen_settings: Settings
  disc_settings: Settings
  image_sizes: tuple[int, ...] | None = None  # Sides of images in pixels that the networks support; None: any.
  images: bool = True                         # Whether samples are images [H, W, C]; otherwise they are vectors.
  sample_dim: int | None = None               # Length of the vectors that the networks support; None: any.
  styles: bool = False                        # Whether the generator has styles, for path length and truncation.
  # (player, settings of a run by field) -> sentences on settings that do not go together.
  problems: Callable[[str, Mapping[str, Any]], Iterable[str]] = lambda player, settings: ()


_VANILLA_GEN, _VANILLA_DISC = (functools.partial(net, width=256) for net in (mlp.Generator, mlp.Discriminator))
MODELS = {
    'dcgan': Architecture(
        gen=lambda shape, axis_name, **kw: dcgan.Generator(shape[0], shape[2], axis_name=axis_name, **kw),
        disc=lambda shape, axis_name, **kw: dcgan.Discriminator(shape[0], axis_name=axis_name, **kw),
        gen_settings=of(dcgan.Generator, WIDTH),
        disc_settings=of(dcgan.Discriminator, WIDTH | MINIBATCH | {
            'batch_norm': ('Batch norm after every convolution but the first.', ANY)}),
        image_sizes=dcgan.IMAGE_SIZES),
    'vanilla': Architecture(
        gen=lambda shape, axis_name, **kw: _VANILLA_GEN(shape, bounded=True, **kw),
        disc=lambda shape, axis_name, **kw: _VANILLA_DISC(axis_name=axis_name, **kw),
        gen_settings=of(_VANILLA_GEN, UNITS), disc_settings=of(_VANILLA_DISC, UNITS | MINIBATCH)),
    'mlp': Architecture(
        gen=lambda shape, axis_name, **kw: mlp.Generator(shape, **kw),
        disc=lambda shape, axis_name, **kw: mlp.Discriminator(axis_name=axis_name, **kw),
        gen_settings=of(mlp.Generator, UNITS), disc_settings=of(mlp.Discriminator, UNITS | MINIBATCH),
        images=False),
    'pacgan': Architecture(
        gen=lambda shape, axis_name, **kw: pacgan.Generator(shape[0], axis_name=axis_name, **kw),
        disc=lambda shape, axis_name, **kw: pacgan.Discriminator(**kw),
        gen_settings=of(pacgan.Generator, UNITS | {
            'places': ('Groups that batch norm normalises separately, one per place of a pack: 1, or model.disc.pack.',
                       POSITIVE)}),
        disc_settings=of(pacgan.Discriminator, UNITS | {
            'pieces': ('Number of linear pieces of each maxout unit.', at_least(1))}),
        images=False),
    'resnet': Architecture(
        gen=lambda shape, axis_name, **kw: resnet.Generator(shape[0], shape[2], **kw),
        disc=lambda shape, axis_name, **kw: resnet.Discriminator(shape[0], **kw),
        gen_settings=of(resnet.Generator, WIDTH | BLOCKS), disc_settings=of(resnet.Discriminator, WIDTH | BLOCKS),
        image_sizes=resnet.IMAGE_SIZES),
    'stylegan2': Architecture(
        gen=lambda shape, axis_name, **kw: stylegan2.Generator(shape[0], shape[2], axis_name=axis_name, **kw),
        disc=lambda shape, axis_name, **kw: stylegan2.Discriminator(shape[0], axis_name=axis_name, **kw),
        gen_settings=of(stylegan2.Generator, STYLES | {
            'w_dim': ('Length of a style w.', POSITIVE),
            'mixing': ('Probability that an image has two styles in training.', SHARE_OR_NONE)}),
        disc_settings=of(stylegan2.Discriminator, STYLES | {
            'architecture': ('resnet, residual blocks; or orig, without the paths around them.',
                             one_of(stylegan2.ARCHITECTURES)),
            'minibatch': ('Layer that compares the samples of a batch.', one_of(stylegan2.MINIBATCH)),
            'group': ('Number of samples that stddev compares.', POSITIVE)}),
        image_sizes=stylegan2.IMAGE_SIZES, styles=True, problems=stylegan2.problems),
    'dirac': Architecture(
        gen=lambda shape, axis_name, **kw: closed_form.DiracGenerator(**kw),
        disc=lambda shape, axis_name, **kw: closed_form.DiracDiscriminator(**kw),
        gen_settings=of(closed_form.DiracGenerator, START), disc_settings=of(closed_form.DiracDiscriminator, START),
        images=False, sample_dim=1),
    'linear_quadratic': Architecture(
        gen=lambda shape, axis_name, **kw: closed_form.LinearGenerator(**kw),
        disc=lambda shape, axis_name, **kw: closed_form.QuadraticDiscriminator(**kw),
        gen_settings=of(closed_form.LinearGenerator, START),
        disc_settings=of(closed_form.QuadraticDiscriminator, START), images=False, sample_dim=1),
}


def get_model(player: str, name: str, sample_shape: tuple[int, ...], axis_name: str | None = None,
              convolution: str = 'auto', **settings) -> nn.Module:
  """Build one network.

  Args:
    player: 'gen' or 'disc'.
    name: key of MODELS.
    sample_shape: (H, W, C) of images, or (D,) of vectors.
    axis_name: mapped axis under `pmap` over which the batch is split; batch norm and minibatch layers reduce over it.
    convolution: form of the convolutions, one of `gan.models.convolution.FORMS`, where the network has some.
    **settings: settings of the architecture, such as `width`.

  Raises:
    ValueError: if the name is unknown; the message lists the known names.
  """
  if name not in MODELS:
    raise ValueError(f'model {name!r} is unknown; known: {", ".join(sorted(MODELS))}')
  net = getattr(MODELS[name], player)(sample_shape, axis_name, **settings)
  return net.clone(convolution=convolution) if hasattr(net, 'convolution') else net
