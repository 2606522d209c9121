"""Layers with an equalised learning rate (Karras et al. 2018, arXiv:1710.10196, section 4.1).

Stored weights are standard normal; each call multiplies them by 1 / sqrt(fan-in), the factor of He's initialisation.
So an optimizer that divides gradients by their size moves all weights equally fast, relative to their scale.
"""

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from gan.models import convolution
from gan.models.layers import leaky_relu
from gan.randomness import normal

# Kind of a convolution -> (function, side of its kernel).
KINDS = {'1x1': (convolution.conv1x1, 1), '3x3': (convolution.conv3x3, 3), 'up': (convolution.conv_up, 3),
         'down': (convolution.conv_down, 3)}


def convolve(kind: str, form: str) -> convolution.Convolution:
  """Return the convolution (x, kernel) -> y of a kind, key of KINDS, in one of `convolution.FORMS`."""
  function, side = KINDS[kind]
  return function if side == 1 else lambda x, kernel: function(x, kernel, form)


def kernel_init(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
  """Draw stored weights: standard normal."""
  return normal(key, shape).astype(dtype)


def scaled_leaky_relu(x: Array) -> Array:
  """Apply a LeakyReLU 0.2 times sqrt(2), which roughly keeps the second moment of its input."""
  return math.sqrt(2) * leaky_relu(x)


def normalized(x: Array) -> Array:
  """Divide vectors [..., C] by the root of their mean square."""
  return x * (jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-8) ** -0.5


class EqualizedDense(nn.Module):
  """Dense layer [B, C] -> [B, features] with an equalised learning rate.

  Attributes:
    features: length of the result.
    bias_start: initial bias.
    multiplier: factor m of the learning rate. Stored weights have the standard deviation 1 / m, and each call
      multiplies weights and bias by m: at first the layer is the same, and an optimizer moves it m times as fast.
    dtype: dtype of the computation; parameters stay float32.
  """

  features: int
  bias_start: float = 0.0
  multiplier: float = 1.0
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array) -> Array:
    kernel = self.param('kernel', lambda key, shape: kernel_init(key, shape) / self.multiplier,
                        (x.shape[-1], self.features))
    bias = self.param('bias', nn.initializers.constant(self.bias_start), (self.features,), jnp.float32)
    kernel = kernel * (self.multiplier / math.sqrt(x.shape[-1]))
    return x.astype(self.dtype) @ kernel.astype(self.dtype) + (self.multiplier * bias).astype(self.dtype)[None]


class EqualizedConv(nn.Module):
  """Convolution [B, H, W, C] -> [B, H', W', features] with an equalised learning rate.

  Attributes:
    features: channels of the result.
    kind: key of KINDS.
    bias: whether a bias, 0 at first, is added.
    dtype: dtype of the computation; parameters stay float32.
    form: form of the convolution, one of `convolution.FORMS`.
  """

  features: int
  kind: str = '3x3'
  bias: bool = True
  dtype: Any = jnp.float32
  form: str = 'auto'

  @nn.compact
  def __call__(self, x: Array) -> Array:
    side = KINDS[self.kind][1]
    kernel = self.param('kernel', kernel_init, (side, side, x.shape[-1], self.features))
    kernel = kernel / math.sqrt(side * side * x.shape[-1])
    y = convolve(self.kind, self.form)(x.astype(self.dtype), kernel.astype(self.dtype))
    if not self.bias:
      return y
    bias = self.param('bias', nn.initializers.zeros, (self.features,), jnp.float32)
    return y + bias.astype(self.dtype).reshape(1, 1, 1, -1)
