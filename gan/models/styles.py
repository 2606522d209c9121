"""Layers of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958): mapping networks and modulated convolutions."""

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from gan.models.convolution import modulated
from gan.models.equalized import EqualizedDense, convolve, kernel_init, normalized, scaled_leaky_relu
from gan.models.layers import one_hot

MAPPING_RATE = 0.01   # Factor of the learning rate of mapping networks.
CLAMP = 256.0         # Bound of activations, which keeps half precision from overflowing.


def bounded(x: Array) -> Array:
  """Clip activations to [-CLAMP, CLAMP]."""
  return jnp.clip(x, -CLAMP, CLAMP)


class Mapper(nn.Module):
  """Mapping network: latents [B, Z], classes or both -> [B, features].

  Attributes:
    features: length of the result and of all layers.
    layers: number of dense layers.
    classes: number of classes; 0: it has no labels.
  """

  features: int
  layers: int
  classes: int = 0

  @nn.compact
  def __call__(self, z: Array | None, labels: Array | None) -> Array:
    inputs = [] if z is None else [normalized(z)]
    if self.classes:
      embedded = EqualizedDense(self.features, name='labels')(one_hot(labels, self.classes))
      inputs.append(normalized(embedded))
    x = jnp.concatenate(inputs, axis=-1)
    for i in range(self.layers):
      x = scaled_leaky_relu(EqualizedDense(self.features, multiplier=MAPPING_RATE, name=f'layer{i}')(x))
    return x


class StyledConv(nn.Module):
  """Modulated convolution, noise, bias and LeakyReLU: [B, H, W, C] -> [B, H', W', features].

  Attributes:
    features: channels of the result.
    kind: '3x3', or 'up', which doubles the image.
    dtype: dtype of the computation; parameters stay float32.
    form: form of the convolution, one of `convolution.FORMS`.
  """

  features: int
  kind: str
  dtype: Any = jnp.float32
  form: str = 'auto'

  @nn.compact
  def __call__(self, x: Array, w: Array, noise: Array) -> Array:
    styles = EqualizedDense(x.shape[-1], bias_start=1.0, name='style')(w)
    kernel = self.param('kernel', kernel_init, (3, 3, x.shape[-1], self.features))
    y = modulated(convolve(self.kind, self.form), x.astype(self.dtype), kernel.astype(self.dtype), styles)
    strength = self.param('noise_strength', nn.initializers.zeros, (), jnp.float32)
    bias = self.param('bias', nn.initializers.zeros, (self.features,), jnp.float32)
    y = y + (strength * noise).astype(self.dtype) + bias.astype(self.dtype).reshape(1, 1, 1, -1)
    return bounded(scaled_leaky_relu(y))


class ToImage(nn.Module):
  """Modulated 1x1 convolution without demodulation and noise: [B, H, W, C] -> float32 [B, H, W, channels]."""

  channels: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array, w: Array) -> Array:
    # Without demodulation the scale of the kernel matters, so the style has the factor of an equalised learning rate.
    styles = EqualizedDense(x.shape[-1], bias_start=1.0, name='style')(w) / math.sqrt(x.shape[-1])
    kernel = self.param('kernel', kernel_init, (1, 1, x.shape[-1], self.channels))
    y = modulated(convolve('1x1', 'auto'), x.astype(self.dtype), kernel.astype(self.dtype), styles, demodulate=False)
    bias = self.param('bias', nn.initializers.zeros, (self.channels,), jnp.float32)
    return bounded(y.astype(jnp.float32) + bias.reshape(1, 1, 1, -1))
