"""Layers that architectures share: initial weights, convolutions as Flax modules, batch norm."""

import functools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan.models import convolution
from gan.randomness import normal


def dcgan_init(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
  """Draw the initial weights of DCGAN: normal with mean 0 and standard deviation 0.02."""
  return 0.02 * normal(key, shape).astype(dtype)


def dense_init(key: Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> Array:
  """Draw initial weights [inputs, outputs]: normal with mean 0 and variance 1 / inputs (LeCun et al. 1998)."""
  return normal(key, shape).astype(dtype) / shape[0]**0.5


def fan_in_init(gain: float) -> Callable[..., Array]:
  """Return a function that draws initial kernels [..., inputs, outputs] (He et al. 2015, arXiv:1502.01852).

  They are normal with mean 0 and variance gain^2 / fan-in.
  """
  def init(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    return gain * normal(key, shape).astype(dtype) / math.prod(shape[:-1])**0.5

  return init


leaky_relu = functools.partial(jax.nn.leaky_relu, negative_slope=0.2)
Init = Callable[..., Array]   # (key, shape [..., inputs, outputs], dtype) -> initial kernel.


def one_hot(labels: Array, classes: int) -> Array:
  """Return soft classes [B, K] of labels [B]; soft classes stay as they are."""
  return jax.nn.one_hot(labels, classes, dtype=jnp.float32) if jnp.issubdtype(labels.dtype, jnp.integer) else labels


class ClassTable(nn.Module):
  """Table with one learnt vector for each class: labels [B], or soft classes [B, K] -> [B, features].

  Attributes:
    classes: K, the number of classes.
    features: length of a vector.
    kernel_init: (key, shape [features, K], dtype) -> initial kernel from features to classes.
  """

  classes: int
  features: int
  kernel_init: Init

  @nn.compact
  def __call__(self, labels: Array) -> Array:
    table = self.param('table', lambda key: self.kernel_init(key, (self.features, self.classes), jnp.float32).T)
    # A product in full precision picks a row exactly, on accelerators too; its gradient is a product as well.
    return jnp.dot(one_hot(labels, self.classes), table, precision='highest')


class StridedConv(nn.Module):
  """4x4 convolution with stride 2: [B, H, W, C] -> [B, H/2, W/2, features].

  Attributes:
    features: channels of the result.
    dtype: dtype of the computation; parameters stay float32.
    bias: whether a bias, 0 at first, is added.
    form: form of the convolution, one of `convolution.FORMS`.
  """

  features: int
  dtype: Any = jnp.float32
  bias: bool = False
  form: str = 'auto'

  @nn.compact
  def __call__(self, x: Array) -> Array:
    kernel = self.param('kernel', dcgan_init, (4, 4, x.shape[-1], self.features))
    y = convolution.strided_conv(x.astype(self.dtype), kernel.astype(self.dtype), self.form)
    if not self.bias:
      return y
    bias = self.param('bias', nn.initializers.zeros, (self.features,), jnp.float32)
    return y + bias.astype(self.dtype).reshape(1, 1, 1, -1)


class TransposedConv(nn.Module):
  """4x4 transposed convolution with stride 2 and no bias: [B, H, W, C] -> [B, 2H, 2W, features].

  Attributes:
    features: channels of the result.
    dtype: dtype of the computation; parameters stay float32.
    form: form of the convolution, one of `convolution.FORMS`.
  """

  features: int
  dtype: Any = jnp.float32
  form: str = 'auto'

  @nn.compact
  def __call__(self, x: Array) -> Array:
    kernel = self.param('kernel', dcgan_init, (4, 4, x.shape[-1], self.features))
    return convolution.transposed_conv(x.astype(self.dtype), kernel.astype(self.dtype), self.form)


class Conv3x3(nn.Module):
  """3x3 convolution with stride 1 and a bias: [B, H, W, C] -> [B, H, W, features].

  Attributes:
    features: channels of the result.
    kernel_init: (key, shape, dtype) -> initial kernel [3, 3, C, features]; the initial bias is zero.
    dtype: dtype of the computation; parameters stay float32.
    form: form of the convolution, one of `convolution.FORMS`.
  """

  features: int
  kernel_init: Callable[..., Array]
  dtype: Any = jnp.float32
  form: str = 'auto'

  @nn.compact
  def __call__(self, x: Array) -> Array:
    kernel = self.param('kernel', self.kernel_init, (3, 3, x.shape[-1], self.features))
    bias = self.param('bias', nn.initializers.zeros, (self.features,), jnp.float32)
    y = convolution.conv3x3(x.astype(self.dtype), kernel.astype(self.dtype), self.form)
    return y + bias.astype(self.dtype).reshape(1, 1, 1, -1)


def _scale_init(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
  """Draw initial scales as in the DCGAN authors' code: normal with mean 1 and standard deviation 0.02."""
  return 1.0 + dcgan_init(key, shape, dtype)


class BatchNorm(nn.Module):
  """Batch norm over the *global* batch (Ioffe & Szegedy 2015, arXiv:1502.03167); defaults are those of DCGAN.

  Attributes:
    axis_name: mapped axis over which the batch is split (`pmap`), or None if arrays are global (`jit`).
    dtype: dtype of the result; statistics are float32.
    momentum: decay of the running statistics, per batch.
    epsilon: number added to the variance.
    scale_init: (key, shape, dtype) -> initial scales [C]; initial offsets are zero.
    classes: number of classes K; each class then has its own scales (initially 1) and offsets (initially 0), as in
      Dumoulin et al. 2017 (arXiv:1610.07629). 0: one scale and offset for all.
  """

  axis_name: str | None = None
  dtype: Any = jnp.float32
  momentum: float = 0.9
  epsilon: float = 1e-5
  scale_init: Callable[..., Array] = _scale_init
  classes: int = 0

  @nn.compact
  def __call__(self, x: Array, labels: Array | None = None, *, train: bool) -> Array:
    conditional, features = self.classes > 0, x.shape[-1]
    norm = nn.BatchNorm(use_running_average=not train, momentum=self.momentum, epsilon=self.epsilon,
                        axis_name=self.axis_name, dtype=self.dtype, scale_init=self.scale_init,
                        use_scale=not conditional, use_bias=not conditional, name='norm')
    x = norm(x)
    if not conditional:
      return x
    spread = (-1, *[1] * (x.ndim - 2), features)
    scale, offset = (ClassTable(self.classes, features, init, name=name)(labels).astype(self.dtype).reshape(spread)
                     for name, init in (('scale', nn.initializers.ones), ('offset', nn.initializers.zeros)))
    return x * scale + offset
