"""StyleGAN2 (Karras et al. 2020, arXiv:1912.04958) at 16 to 1,024 pixels, with the sizes of StyleGAN2-ADA.

A mapping network turns latents into styles w. The synthesis network has a learnt 4x4 start; each of its convolutions is
modulated by a style. Images are sums over all resolutions (skip generator), without a bound; the discriminator has
residual blocks. Classes enter both mapping networks, as in StyleGAN2-ADA (arXiv:2006.06676).
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan.models.conditional import NO_HEAD, Head, Judged, judge
from gan.models.convolution import downsample, upsample
from gan.models.equalized import EqualizedConv, EqualizedDense, kernel_init, scaled_leaky_relu
from gan.models.layers import dense_init
from gan.models.minibatch import MinibatchStddev, mean_over
from gan.models.styles import Mapper, StyledConv, ToImage, bounded
from gan.randomness import normal, uniform

IMAGE_SIZES = (16, 32, 64, 128, 256, 512, 1024)
ARCHITECTURES = ('resnet', 'orig')
MINIBATCH = ('none', 'stddev')
MEAN_DECAY = 0.995   # Decay of the tracked mean of w, per update of the generator.


def _resolutions(image_size: int) -> list[int]:
  if image_size not in IMAGE_SIZES:
    raise ValueError(f'image_size={image_size}: StyleGAN2 is built for {", ".join(map(str, IMAGE_SIZES))} pixels')
  return [2**i for i in range(2, image_size.bit_length())]


def _channels(net: 'Synthesis | Discriminator', resolution: int) -> int:
  return min(net.width * net.image_size // resolution, net.max_width)


class Synthesis(nn.Module):
  """Synthesis network: styles [B, N, W] of its N layers -> images [B, S, S, channels], without a bound."""

  image_size: int
  channels: int
  width: int
  max_width: int
  dtype: Any = jnp.float32
  convolution: str = 'auto'

  @nn.compact
  def __call__(self, ws: Array, draw: Any) -> Array:
    batch, image = ws.shape[0], None
    x = self.param('start', kernel_init, (4, 4, _channels(self, 4)))
    x = jnp.broadcast_to(x[None], (batch, *x.shape)).astype(self.dtype)
    layer = 0
    for resolution in _resolutions(self.image_size):
      for i, kind in enumerate(('3x3',) if resolution == 4 else ('up', '3x3')):
        name = f'conv{resolution}_{i}'
        noise = draw(f'noise/{name}', normal, (batch, resolution, resolution, 1))
        x = StyledConv(_channels(self, resolution), kind, self.dtype, self.convolution, name=name)(
            x, ws[:, layer], noise)
        layer += 1
      part = ToImage(self.channels, self.dtype, name=f'image{resolution}')(x, ws[:, layer])
      image = part if image is None else upsample(image) + part
    return image


class Generator(nn.Module):
  """Generator: z [B, Z] and classes -> images [B, S, S, channels], mostly in [-1, 1] once trained.

  It draws its random numbers with `draw`: noise for each convolution and, in training, a second latent for each image,
  of which the style takes over from a random layer on (style mixing). The paper's code draws one such layer for a
  batch, this one draws one for each image. The statistics `averages` hold the mean of w over all updates.

  Attributes:
    image_size: S in pixels, one of IMAGE_SIZES.
    channels: 1 or 3.
    width: channels at full resolution; doubled at each halving of the image.
    max_width: bound of the channels at all resolutions.
    w_dim: length of w and of all layers of the mapping network.
    mapping_layers: number of layers of the mapping network.
    mixing: probability that an image has two styles in training.
    classes: number of classes; 0: `labels` are not read.
    axis_name: mapped axis of the batch under `pmap`, over which the mean of w is taken.
    dtype: dtype of the synthesis network; parameters, styles and images are float32.
    convolution: form of the convolutions, one of `convolution.FORMS`.
  """

  random: ClassVar[bool] = True       # It receives `draw`.
  takes_labels: ClassVar[tuple[str, ...]] = ('concat', 'projection', 'acgan')   # All go through the mapping network.

  image_size: int
  channels: int
  width: int = 32
  max_width: int = 512
  w_dim: int = 512
  mapping_layers: int = 8
  mixing: float = 0.9
  classes: int = 0
  axis_name: str | None = None
  dtype: Any = jnp.float32
  convolution: str = 'auto'

  def setup(self):
    self.mapper = Mapper(self.w_dim, self.mapping_layers, self.classes)
    self.synthesis = Synthesis(self.image_size, self.channels, self.width, self.max_width, self.dtype,
                               self.convolution)
    self.mean = self.variable('averages', 'w', jnp.zeros, (self.w_dim,), jnp.float32)

  @property
  def num_styles(self) -> int:
    """Number of layers N with a style of their own: the image of a resolution shares that of the next convolution."""
    return 2 * len(_resolutions(self.image_size))

  def __call__(self, z: Array, labels: Array | None = None, *, train: bool, draw: Any,
               truncation: Any = None) -> Array:
    """Make images; `truncation` in [0, 1] pulls styles towards their mean, 0 is the mean and 1 the whole style."""
    ws = self.styles(z, labels, train=train, draw=draw)
    if truncation is not None:
      mean = self.mean.value.reshape(1, 1, -1)
      ws = mean + truncation * (ws - mean)
    return self.synthesize(ws, train=train, draw=draw)

  def styles(self, z: Array, labels: Array | None = None, *, train: bool, draw: Any) -> Array:
    """Map latents [B, Z] to the styles [B, N, W] of all layers; in training, mix styles and track the mean of w."""
    w, layers = self.mapper(z, labels), self.num_styles
    if train and not self.is_initializing():
      mean = jax.lax.stop_gradient(mean_over(jnp.mean(w, axis=0), self.axis_name))
      self.mean.value = MEAN_DECAY * self.mean.value + (1.0 - MEAN_DECAY) * mean
    ws = jnp.broadcast_to(w[:, None], (w.shape[0], layers, w.shape[1]))
    if not train or not self.mixing:
      return ws
    other = self.mapper(draw('mixing/latents', normal, z.shape), labels)[:, None]
    where, whether = draw('mixing/layers', uniform, (w.shape[0], 2)).T
    first = jnp.where(whether < self.mixing, 1.0 + jnp.floor(where * (layers - 1)), layers)
    return jnp.where(jnp.arange(layers, dtype=jnp.float32)[None, :, None] < first[:, None, None], ws, other)

  def synthesize(self, ws: Array, *, train: bool, draw: Any) -> Array:
    """Make images of the styles [B, N, W] of all layers."""
    del train
    return self.synthesis(ws, draw)


class Discriminator(nn.Module):
  """Discriminator: images [B, S, S, C] -> logits [B], or `Judged` where its head says more.

  The projection is that of StyleGAN2-ADA: the inner product of the last features and a mapped class.

  Attributes:
    image_size: S in pixels, one of IMAGE_SIZES.
    width: channels at full resolution; doubled at each halving of the image.
    max_width: bound of the channels at all resolutions.
    architecture: 'resnet', residual blocks; or 'orig', the same without the paths around them.
    minibatch: 'stddev', a feature that compares the samples of a batch before the last convolution; or 'none'.
    group: number of samples that this feature compares.
    mapping_layers: number of layers of the mapping network, where there are classes.
    head: what it says besides the logit; the projection reads `labels` [B].
    axis_name: mapped axis of the minibatch layer under `pmap`.
    dtype: dtype of the computation; parameters stay float32.
    convolution: form of the convolutions, one of `convolution.FORMS`.
  """

  image_size: int
  width: int = 32
  max_width: int = 512
  architecture: str = 'resnet'
  minibatch: str = 'stddev'
  group: int = 4
  mapping_layers: int = 8
  head: Head = NO_HEAD
  axis_name: str | None = None
  dtype: Any = jnp.float32
  convolution: str = 'auto'

  @nn.compact
  def __call__(self, images: Array, labels: Array | None = None, *, train: bool) -> Array | Judged:
    del train
    if self.architecture not in ARCHITECTURES:
      raise ValueError(f'architecture={self.architecture!r} is unknown; known: {", ".join(ARCHITECTURES)}')
    x = self._conv('from_image', _channels(self, self.image_size), '1x1', images)
    for resolution in reversed(_resolutions(self.image_size)[1:]):
      x = self._block(x, resolution)
    if self.minibatch == 'stddev':
      x = MinibatchStddev(self.group, self.axis_name)(x)
    features = _channels(self, 4)
    x = self._conv('conv4', features, '3x3', x)
    x = scaled_leaky_relu(EqualizedDense(features, dtype=self.dtype, name='hidden')(x.reshape(x.shape[0], -1)))
    if self.head.kind == 'projection':
      mapped = Mapper(features, self.mapping_layers, self.head.classes, name='mapper')(None, labels)
      x = EqualizedDense(features, dtype=self.dtype, name='logit')(x).astype(jnp.float32)
      return jnp.sum(x * mapped, axis=-1) / math.sqrt(features)
    logits = EqualizedDense(1, dtype=self.dtype, name='logit')(x)[:, 0].astype(jnp.float32)
    return judge(self.head, x, logits, labels, dense_init, self.dtype)

  def _block(self, x: Array, resolution: int) -> Array:
    """Halve the image by two convolutions and, in the architecture 'resnet', a linear path around them."""
    y = self._conv(f'conv{resolution}_0', _channels(self, resolution), '3x3', x)
    y = self._conv(f'conv{resolution}_1', _channels(self, resolution // 2), 'down', y)
    if self.architecture == 'orig':
      return y
    around = EqualizedConv(_channels(self, resolution // 2), '1x1', bias=False, dtype=self.dtype,
                           name=f'skip{resolution}')(downsample(x))
    return math.sqrt(0.5) * (y + bounded(around))

  def _conv(self, name: str, features: int, kind: str, x: Array) -> Array:
    layer = EqualizedConv(features, kind, dtype=self.dtype, form=self.convolution, name=name)
    return bounded(scaled_leaky_relu(layer(x)))


def problems(player: str, settings: Mapping[str, Any]) -> Iterator[str]:
  """Yield what is wrong with the settings of a run, by field, in which a player has this architecture."""
  if player == 'disc' and settings.get('model.disc.minibatch') == 'stddev':
    count, group = settings['train.batch_size'] // settings['model.disc.pack'], settings['model.disc.group']
    if count % min(count, group):
      yield f'model.disc.group={group} must divide the {count} samples that the discriminator compares; try ' \
            f'{math.gcd(count, group)}, or another train.batch_size'
  if player == 'gen' and settings['model.condition'] == 'infogan' and settings['model.gen.mixing']:
    yield f'model.gen.mixing={settings["model.gen.mixing"]} gives an image the codes of another latent, too, and ' \
          'model.condition=infogan must recognise its codes; add --config.model.gen.mixing=0'
