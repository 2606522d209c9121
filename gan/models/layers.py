"""Layers shared by the architectures: initial weights, convolutions as Flax modules, batch norm."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan.models import convolution
from gan.randomness import normal


def dcgan_init(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
  """N(0, 0.02), the initial weights of DCGAN."""
  return 0.02 * normal(key, shape).astype(dtype)


def dense_init(key: Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> Array:
  """N(0, 1 / inputs) (LeCun et al. 1998), for [inputs, outputs]."""
  return normal(key, shape).astype(dtype) / shape[0]**0.5


leaky_relu = functools.partial(jax.nn.leaky_relu, negative_slope=0.2)


class StridedConv(nn.Module):
  """4x4 convolution with stride 2 and no bias: [B, H, W, C] -> [B, H/2, W/2, features]."""

  features: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array) -> Array:
    kernel = self.param('kernel', dcgan_init, (4, 4, x.shape[-1], self.features))
    return convolution.strided_conv(x.astype(self.dtype), kernel.astype(self.dtype))


class TransposedConv(nn.Module):
  """4x4 transposed convolution with stride 2 and no bias: [B, H, W, C] -> [B, 2H, 2W, features]."""

  features: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array) -> Array:
    kernel = self.param('kernel', dcgan_init, (4, 4, x.shape[-1], self.features))
    return convolution.transposed_conv(x.astype(self.dtype), kernel.astype(self.dtype))


class BatchNorm(nn.Module):
  """Batch norm over the *global* batch (Ioffe & Szegedy 2015, arXiv:1502.03167), scales drawn as in DCGAN.

  Attributes:
    axis_name: mapped axis over which the batch is split (`pmap`), or None where arrays are global (`jit`).
    dtype: of the result; statistics are float32.
  """

  axis_name: str | None = None
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> Array:
    norm = nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, axis_name=self.axis_name,
                        dtype=self.dtype, scale_init=_scale_init, name='norm')
    return norm(x)


def _scale_init(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
  """N(1, 0.02), as the DCGAN authors' code draws the scales."""
  return 1.0 + dcgan_init(key, shape, dtype)
