"""Fully connected networks: the vanilla GAN for images, and networks for vectors, such as two-dimensional data."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan.models.conditional import NO_HEAD, Head, Judged, judge
from gan.models.layers import dense_init, leaky_relu
from gan.models.minibatch import MinibatchDiscrimination, MinibatchStddev, check_minibatch


class Generator(nn.Module):
  """Generator of dense layers with ReLU: z [B, Z] -> samples [B, *sample_shape] (Goodfellow et al. 2014, 1406.2661).

  Attributes:
    sample_shape: (H, W, C) of images, or (D,) of vectors.
    width: units of each hidden layer.
    layers: number of hidden layers.
    bounded: whether a tanh keeps samples in [-1, 1], the range of images.
  """

  sample_shape: tuple[int, ...]
  width: int = 128
  layers: int = 2
  bounded: bool = False

  @nn.compact
  def __call__(self, z: Array, *, train: bool) -> Array:
    del train  # Nothing here differs between training and evaluation.
    x = z
    for _ in range(self.layers):
      x = jax.nn.relu(nn.Dense(self.width, kernel_init=dense_init)(x))
    x = nn.Dense(math.prod(self.sample_shape), kernel_init=dense_init)(x)
    return (jnp.tanh(x) if self.bounded else x).reshape(-1, *self.sample_shape)


class Discriminator(nn.Module):
  """Discriminator of dense layers with LeakyReLU 0.2: samples [B, ...] -> logits [B], or `Judged` with a head.

  Attributes:
    width: units of each hidden layer.
    layers: number of hidden layers.
    minibatch: layer that compares the samples of the batch by their last hidden layer: 'none', 'stddev' or
      'discrimination'.
    head: what it says besides the logit; the projection reads `labels` [B].
    axis_name: mapped axis of the minibatch layer under `pmap`.
  """

  width: int = 128
  layers: int = 2
  minibatch: str = 'none'
  head: Head = NO_HEAD
  axis_name: str | None = None

  @nn.compact
  def __call__(self, images: Array, labels: Array | None = None, *, train: bool) -> Array | Judged:
    del train
    check_minibatch(self.minibatch)
    x = images.reshape(images.shape[0], -1)
    for _ in range(self.layers):
      x = leaky_relu(nn.Dense(self.width, kernel_init=dense_init)(x))
    if self.minibatch == 'stddev':
      x = MinibatchStddev(axis_name=self.axis_name)(x)
    elif self.minibatch == 'discrimination':
      x = MinibatchDiscrimination(axis_name=self.axis_name)(x)
    return judge(self.head, x, nn.Dense(1, kernel_init=dense_init)(x)[:, 0], labels, dense_init)
