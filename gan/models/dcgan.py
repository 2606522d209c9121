"""The deep convolutional GAN, DCGAN (Radford et al. 2015, arXiv:1511.06434), at 16, 32 or 64 pixels."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan.models.layers import BatchNorm, StridedConv, TransposedConv, dcgan_init, leaky_relu
from gan.models.minibatch import MinibatchDiscrimination, MinibatchStddev, check_minibatch

IMAGE_SIZES = (16, 32, 64)


def _num_halvings(image_size: int) -> int:
  """Return the number of stride-2 layers between the image and the 4x4 features."""
  if image_size not in IMAGE_SIZES:
    raise ValueError(f'image_size={image_size}: DCGAN is built for {", ".join(map(str, IMAGE_SIZES))} pixels')
  return image_size.bit_length() - 3


class Generator(nn.Module):
  """Generator: z [B, Z] -> images [B, S, S, channels] in [-1, 1].

  A dense layer makes 4x4 features; transposed convolutions double the image until it has its size.

  Attributes:
    image_size: S in pixels: 16, 32 or 64.
    channels: 1 or 3.
    width: channels before the last layer; doubled at each halving of the image.
    axis_name: mapped axis of batch norm under `pmap`.
    dtype: dtype of the computation; parameters stay float32.
  """

  image_size: int
  channels: int
  width: int = 64
  axis_name: str | None = None
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, z: Array, *, train: bool) -> Array:
    halvings = _num_halvings(self.image_size)
    features = self.width * 2 ** (halvings - 1)
    x = nn.Dense(16 * features, use_bias=False, kernel_init=dcgan_init, dtype=self.dtype)(z)
    x = x.reshape(-1, 4, 4, features)
    for i in range(1, halvings + 1):
      x = jax.nn.relu(BatchNorm(self.axis_name, self.dtype)(x, train=train))
      x = TransposedConv(features // 2**i if i < halvings else self.channels, self.dtype)(x)
    return jnp.tanh(x.astype(jnp.float32))


class Discriminator(nn.Module):
  """Discriminator: images [B, S, S, C] -> logits [B].

  Convolutions halve the image down to 4x4; a dense layer makes the logit.

  Attributes:
    image_size: S in pixels: 16, 32 or 64.
    width: channels after the first layer; doubled at each halving of the image.
    batch_norm: whether every convolution but the first is followed by batch norm. Without batch norm, and with
      minibatch='none', samples are judged one by one.
    minibatch: layer that compares the samples of the batch: 'none'; 'stddev', on the 4x4 features; or 'discrimination',
      on the flattened features.
    axis_name: mapped axis of batch norm and of the minibatch layer under `pmap`.
    dtype: dtype of the computation; parameters stay float32.
  """

  image_size: int
  width: int = 64
  batch_norm: bool = True
  minibatch: str = 'none'
  axis_name: str | None = None
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, images: Array, *, train: bool) -> Array:
    check_minibatch(self.minibatch)
    x = images
    for i in range(_num_halvings(self.image_size)):
      x = StridedConv(self.width * 2**i, self.dtype)(x)
      if self.batch_norm and i > 0:
        x = BatchNorm(self.axis_name, self.dtype)(x, train=train)
      x = leaky_relu(x)
    if self.minibatch == 'stddev':
      x = MinibatchStddev(axis_name=self.axis_name)(x)
    x = x.reshape(x.shape[0], -1)
    if self.minibatch == 'discrimination':
      x = MinibatchDiscrimination(axis_name=self.axis_name, dtype=self.dtype)(x)
    logits = nn.Dense(1, use_bias=False, kernel_init=dcgan_init, dtype=self.dtype)(x)
    return logits[:, 0].astype(jnp.float32)
