"""Small ResNets without normalisation, after R3GAN (Huang et al. 2024, arXiv:2501.05441), at 16, 32 or 64 pixels.

The paper's ablation of losses on stacked MNIST has small networks of this kind, of which neither code nor sizes were
published. These follow the published large ones (github.com/brownvc/R3GAN): nothing but residual branches of three
convolutions bends the path from z to the image or from the image to the logit; branches begin at zero (fix-up
initialisation, Zhang et al. 2019, arXiv:1901.09321); resampling is bilinear, away from the branches. They differ in

* channels: doubled at each halving of the image, as in DCGAN, where R3GAN has nearly as many at all resolutions;
* branches, which narrow to half of the channels, where R3GAN doubles them and convolves in groups: four times cheaper;
* ends: dense layers between z and the 4x4 features and between these and the logit, where R3GAN scales one learnt 4x4
  pattern for each channel; and tanh, as our images are in [-1, 1].
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan.models.layers import Conv3x3, dense_init, fan_in_init, leaky_relu

IMAGE_SIZES = (16, 32, 64)
MAX_DOUBLINGS = 3                     # Of the channels: 64 pixels have no more of them at 4x4 than 32 pixels.
LEAKY_GAIN = (2 / (1 + 0.2**2))**0.5  # Keeps the second moment through a LeakyReLU 0.2.


def _num_halvings(image_size: int) -> int:
  """How often the image halves on the way to 4x4."""
  if image_size not in IMAGE_SIZES:
    raise ValueError(f'image_size={image_size}: the ResNet is built for {", ".join(map(str, IMAGE_SIZES))} pixels')
  return image_size.bit_length() - 3


def _channels(width: int, halvings: int) -> int:
  return width * 2 ** min(halvings, MAX_DOUBLINGS)


class ResidualBlock(nn.Module):
  """[B, H, W, C] -> the same shape: adds 1x1, 3x3 and 1x1 convolutions through C / 2 channels.

  Attributes:
    depth: residual blocks of the network: N of them, each with m convolutions, begin N^(-1 / (2m - 2)) times as large
      as one would (fix-up), and the last convolution begins at zero, so that the block is the identity.
    dtype: computation only; parameters stay float32.
  """

  depth: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array) -> Array:
    features, init = x.shape[-1], fan_in_init(LEAKY_GAIN * self.depth**-0.25)
    narrow = (features + 1) // 2
    y = leaky_relu(nn.Dense(narrow, kernel_init=init, dtype=self.dtype)(x))
    y = leaky_relu(Conv3x3(narrow, kernel_init=init, dtype=self.dtype)(y))
    return x + nn.Dense(features, use_bias=False, kernel_init=nn.initializers.zeros, dtype=self.dtype)(y)


class Generator(nn.Module):
  """z [B, Z] -> images [B, S, S, channels] in [-1, 1]: a dense layer to 4x4, then blocks and doublings in turn.

  Attributes:
    image_size: S, in pixels: 16, 32 or 64.
    channels: 1 or 3.
    width: channels at full resolution; doubled at each halving of the image, up to 8 times as many.
    blocks: residual blocks at each resolution.
    dtype: computation only; parameters stay float32.
  """

  image_size: int
  channels: int
  width: int = 64
  blocks: int = 1
  dtype: Any = jnp.float32

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
        x = ResidualBlock(self.blocks * (halvings + 1), self.dtype)(x)
    x = nn.Dense(self.channels, use_bias=False, kernel_init=dense_init, dtype=self.dtype)(x)
    return jnp.tanh(x.astype(jnp.float32))


class Discriminator(nn.Module):
  """images [B, S, S, C] -> logits [B], each sample on its own: blocks and halvings in turn, then a dense layer.

  Attributes:
    image_size: S, in pixels: 16, 32 or 64.
    width: channels at full resolution; doubled at each halving of the image, up to 8 times as many.
    blocks: residual blocks at each resolution.
    dtype: computation only; parameters stay float32.
  """

  image_size: int
  width: int = 64
  blocks: int = 1
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, images: Array, *, train: bool) -> Array:
    del train
    halvings = _num_halvings(self.image_size)
    x = nn.Dense(self.width, use_bias=False, kernel_init=dense_init, dtype=self.dtype)(images)
    for done in range(halvings + 1):
      if done > 0:
        x = _convolve(halve(x), _channels(self.width, done), self.dtype)
      for _ in range(self.blocks):
        x = ResidualBlock(self.blocks * (halvings + 1), self.dtype)(x)
    logits = nn.Dense(1, use_bias=False, kernel_init=dense_init, dtype=self.dtype)(x.reshape(x.shape[0], -1))
    return logits[:, 0].astype(jnp.float32)


def _convolve(x: Array, features: int, dtype: Any) -> Array:
  """A 1x1 convolution where the number of channels changes, as part of the module that calls it."""
  if x.shape[-1] == features:
    return x
  return nn.Dense(features, use_bias=False, kernel_init=dense_init, dtype=dtype)(x)


def double(x: Array) -> Array:
  """Bilinear interpolation [B, H, W, C] -> [B, 2H, 2W, C]."""
  batch, height, width, channels = x.shape
  shape, scale = (batch, 2 * height, 2 * width, channels), jnp.full(2, 2.0, jnp.float32)
  return jax.image.scale_and_translate(x, shape, (1, 2), scale, jnp.zeros_like(scale), 'linear')  # Two products.


def halve(x: Array) -> Array:
  """Bilinear interpolation [B, H, W, C] -> [B, H/2, W/2, C]: the mean of each 2x2 block."""
  batch, height, width, channels = x.shape
  return jnp.mean(x.reshape(batch, height // 2, 2, width // 2, 2, channels), axis=(2, 4))
