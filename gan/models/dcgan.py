"""The deep convolutional GAN, DCGAN (Radford et al. 2015, arXiv:1511.06434), at 16, 32 or 64 pixels."""

from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan.models.conditional import NO_HEAD, Head, Judged, judge
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
    classes: number of classes of class-conditional batch norm, which reads `labels` [B]; 0: batch norm without classes.
    axis_name: mapped axis of batch norm under `pmap`.
    dtype: dtype of the computation; parameters stay float32.
    convolution: form of the convolutions, one of `convolution.FORMS`.
  """

  takes_labels: ClassVar[tuple[str, ...]] = ('projection',)   # Conditions for which it has batch norm with classes.

  image_size: int
  channels: int
  width: int = 64
  classes: int = 0
  axis_name: str | None = None
  dtype: Any = jnp.float32
  convolution: str = 'auto'

  @nn.compact
  def __call__(self, z: Array, labels: Array | None = None, *, train: bool) -> Array:
    halvings = _num_halvings(self.image_size)
    features = self.width * 2 ** (halvings - 1)
    x = nn.Dense(16 * features, use_bias=False, kernel_init=dcgan_init, dtype=self.dtype)(z)
    x = x.reshape(-1, 4, 4, features)
    for i in range(1, halvings + 1):
      x = jax.nn.relu(BatchNorm(self.axis_name, self.dtype, classes=self.classes)(x, labels, train=train))
      x = TransposedConv(features // 2**i if i < halvings else self.channels, self.dtype, self.convolution)(x)
    return jnp.tanh(x.astype(jnp.float32))


class Discriminator(nn.Module):
  """Discriminator: images [B, S, S, C] -> logits [B], or `Judged` where its head says more.

  Convolutions halve the image down to 4x4; a dense layer makes the logit.

  Attributes:
    image_size: S in pixels: 16, 32 or 64.
    width: channels after the first layer; doubled at each halving of the image.
    batch_norm: whether every convolution but the first is followed by batch norm. Without batch norm every layer has a
      bias (else D(a x) = a D(x) for a > 0, and contrast cannot be judged), and with minibatch='none' samples are judged
      one by one.
    minibatch: layer that compares the samples of the batch: 'none'; 'stddev', on the 4x4 features; or 'discrimination',
      on the flattened features.
    head: what it says besides the logit; the projection reads `labels` [B].
    axis_name: mapped axis of batch norm and of the minibatch layer under `pmap`.
    dtype: dtype of the computation; parameters stay float32.
    convolution: form of the convolutions, one of `convolution.FORMS`.
  """

  image_size: int
  width: int = 64
  batch_norm: bool = True
  minibatch: str = 'none'
  head: Head = NO_HEAD
  axis_name: str | None = None
  dtype: Any = jnp.float32
  convolution: str = 'auto'

  @nn.compact
  def __call__(self, images: Array, labels: Array | None = None, *, train: bool) -> Array | Judged:
    check_minibatch(self.minibatch)
    x = images
    for i in range(_num_halvings(self.image_size)):
      x = StridedConv(self.width * 2**i, self.dtype, bias=not self.batch_norm, form=self.convolution)(x)
      if self.batch_norm and i > 0:
        x = BatchNorm(self.axis_name, self.dtype)(x, train=train)
      x = leaky_relu(x)
    if self.minibatch == 'stddev':
      x = MinibatchStddev(axis_name=self.axis_name)(x)
    x = x.reshape(x.shape[0], -1)
    if self.minibatch == 'discrimination':
      x = MinibatchDiscrimination(axis_name=self.axis_name, dtype=self.dtype)(x)
    logits = nn.Dense(1, use_bias=not self.batch_norm, kernel_init=dcgan_init, dtype=self.dtype)(x)
    return judge(self.head, x, logits[:, 0].astype(jnp.float32), labels, dcgan_init, self.dtype)
