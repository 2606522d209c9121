"""Small ResNets without normalisation, after R3GAN (Huang et al. 2024, arXiv:2501.05441), at 16, 32 or 64 pixels.

The paper's ablation of losses on stacked MNIST uses small networks of this kind; neither their code nor their sizes
were published. The networks here follow the published large ones (github.com/brownvc/R3GAN). The path from z to the
image, or from the image to the logit, is linear except for residual branches of three convolutions and the tanh.
Branches are zero at the start (fix-up initialisation, Zhang et al. 2019, arXiv:1901.09321). Resampling is bilinear and
outside of the branches. The networks differ from R3GAN in

* channels: they double at each halving of the image, as in DCGAN; R3GAN has nearly as many at all resolutions;
* branches: they narrow to half of the channels, which is four times cheaper than R3GAN's grouped convolutions with
  twice the channels;
* ends: dense layers between z and the 4x4 features, and between the last 4x4 features and the logit, where R3GAN scales
  one learnt 4x4 pattern for each channel; and a tanh, because our images are in [-1, 1].
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan.models.conditional import NO_HEAD, Head, Judged, judge
from gan.models.layers import Conv3x3, dense_init, fan_in_init, leaky_relu

IMAGE_SIZES = (16, 32, 64)
MAX_DOUBLINGS = 3                     # Channels double three times at most: at 64 pixels as often as at 32.
LEAKY_GAIN = (2 / (1 + 0.2**2))**0.5  # This gain keeps the second moment through a LeakyReLU 0.2.


def _num_halvings(image_size: int) -> int:
  """Return how often the image must be halved to get 4x4 features."""
  if image_size not in IMAGE_SIZES:
    raise ValueError(f'image_size={image_size}: the ResNet is built for {", ".join(map(str, IMAGE_SIZES))} pixels')
  return image_size.bit_length() - 3


def _channels(width: int, halvings: int) -> int:
  return width * 2 ** min(halvings, MAX_DOUBLINGS)


class ResidualBlock(nn.Module):
  """Residual block [B, H, W, C] -> [B, H, W, C]: its branch has 1x1, 3x3 and 1x1 convolutions, with C / 2 channels.

  Attributes:
    depth: N, the number of residual blocks of the network. Fix-up initialisation scales the initial weights of a branch
      of m convolutions by N^(-1 / (2m - 2)); the last convolution is zero, so that the block is the identity.
    dtype: dtype of the computation; parameters stay float32.
    form: form of the convolution, one of `convolution.FORMS`.
  """

  depth: int
  dtype: Any = jnp.float32
  form: str = 'auto'

  @nn.compact
  def __call__(self, x: Array) -> Array:
    features, init = x.shape[-1], fan_in_init(LEAKY_GAIN * self.depth**-0.25)
    narrow = (features + 1) // 2
    y = leaky_relu(nn.Dense(narrow, kernel_init=init, dtype=self.dtype)(x))
    y = leaky_relu(Conv3x3(narrow, kernel_init=init, dtype=self.dtype, form=self.form)(y))
    return x + nn.Dense(features, use_bias=False, kernel_init=nn.initializers.zeros, dtype=self.dtype)(y)


class Generator(nn.Module):
  """Generator: z [B, Z] -> images [B, S, S, channels] in [-1, 1].

  A dense layer makes 4x4 features; residual blocks alternate with steps that double the image.

  Attributes:
    image_size: S in pixels: 16, 32 or 64.
    channels: 1 or 3.
    width: channels at full resolution; doubled at each halving of the image, up to 8 times as many.
    blocks: number of residual blocks at each resolution.
    dtype: dtype of the computation; parameters stay float32.
    convolution: form of the convolutions, one of `convolution.FORMS`.
  """

  image_size: int
  channels: int
  width: int = 64
  blocks: int = 1
  dtype: Any = jnp.float32
  convolution: str = 'auto'

  @nn.compact
  def __call__(self, z: Array, *, train: bool) -> Array:
    del train  # Nothing here differs between training and evaluation.
    halvings = _num_halvings(self.image_size)
    features = _channels(self.width, halvings)
    x = nn.Dense(16 * features, use_bias=False, kernel_init=dense_init, dtype=self.dtype)(z)
    x = x.reshape(-1, 4, 4, features)
    for left in reversed(range(halvings + 1)):
      if left < halvings:
        x = double(_convolve(x, _channels(self.width, left), self.dtype))
      for _ in range(self.blocks):
        x = ResidualBlock(self.blocks * (halvings + 1), self.dtype, self.convolution)(x)
    x = nn.Dense(self.channels, use_bias=False, kernel_init=dense_init, dtype=self.dtype)(x)
    return jnp.tanh(x.astype(jnp.float32))


class Discriminator(nn.Module):
  """Discriminator: images [B, S, S, C] -> logits [B], or `Judged` where its head says more.

  Residual blocks alternate with steps that halve the image down to 4x4; a dense layer makes the logit. Samples are
  judged one by one.

  Attributes:
    image_size: S in pixels: 16, 32 or 64.
    width: channels at full resolution; doubled at each halving of the image, up to 8 times as many.
    blocks: number of residual blocks at each resolution.
    head: what it says besides the logit; the projection reads `labels` [B].
    dtype: dtype of the computation; parameters stay float32.
    convolution: form of the convolutions, one of `convolution.FORMS`.
  """

  image_size: int
  width: int = 64
  blocks: int = 1
  head: Head = NO_HEAD
  dtype: Any = jnp.float32
  convolution: str = 'auto'

  @nn.compact
  def __call__(self, images: Array, labels: Array | None = None, *, train: bool) -> Array | Judged:
    del train
    halvings = _num_halvings(self.image_size)
    x = nn.Dense(self.width, use_bias=False, kernel_init=dense_init, dtype=self.dtype)(images)
    for done in range(halvings + 1):
      if done > 0:
        x = _convolve(halve(x), _channels(self.width, done), self.dtype)
      for _ in range(self.blocks):
        x = ResidualBlock(self.blocks * (halvings + 1), self.dtype, self.convolution)(x)
    x = x.reshape(x.shape[0], -1)
    logits = nn.Dense(1, use_bias=False, kernel_init=dense_init, dtype=self.dtype)(x)
    return judge(self.head, x, logits[:, 0].astype(jnp.float32), labels, dense_init, self.dtype)


def _convolve(x: Array, features: int, dtype: Any) -> Array:
  """Apply a 1x1 convolution if the number of channels changes; its parameters belong to the calling module."""
  if x.shape[-1] == features:
    return x
  return nn.Dense(features, use_bias=False, kernel_init=dense_init, dtype=dtype)(x)


def double(x: Array) -> Array:
  """Double the image by bilinear interpolation: [B, H, W, C] -> [B, 2H, 2W, C]."""
  batch, height, width, channels = x.shape
  shape, scale = (batch, 2 * height, 2 * width, channels), jnp.full(2, 2.0, jnp.float32)
  return jax.image.scale_and_translate(x, shape, (1, 2), scale, jnp.zeros_like(scale), 'linear')  # Two matrix products.


def halve(x: Array) -> Array:
  """Halve the image by bilinear interpolation, the mean of each 2x2 block: [B, H, W, C] -> [B, H/2, W/2, C]."""
  batch, height, width, channels = x.shape
  return jnp.mean(x.reshape(batch, height // 2, 2, width // 2, 2, channels), axis=(2, 4))
