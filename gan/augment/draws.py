"""Random draws of augmentations from uniform numbers: each draw is monotone in its number, 0.5 gives the middle."""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

# Normal draws are cut off at 4.9 standard deviations: one number in a million lies beyond, and 0 would give -infinity.
_LARGEST_ERF = 1.0 - 1e-6


def named(images: Array, uniforms: Array, columns: tuple[str, ...]) -> dict[str, Array]:
  """Return {column: its numbers [B]}.

  Args:
    images: [B, H, W, C], C 1 or 3, at least 2 x 2 pixels.
    uniforms: [B, K] in [0, 1).
    columns: names of the K columns.

  Raises:
    ValueError: if a shape is wrong.
  """
  if images.ndim != 4 or images.shape[-1] not in (1, 3) or min(images.shape[1:3]) < 2:
    raise ValueError(f'images have shape {images.shape}; augmentations need [B, H, W, C] with C 1 or 3, H and W >= 2')
  if uniforms.shape != (len(images), len(columns)):
    raise ValueError(f'uniforms have shape {uniforms.shape}; they must have shape {(len(images), len(columns))}: '
                     f'for each image {", ".join(columns)}')
  return dict(zip(columns, uniforms.T, strict=True))


def between(uniform: Array, low: float, high: float) -> Array:
  """Return numbers that are uniform on [low, high)."""
  return low + (high - low) * uniform


def integer(uniform: Array, count: int) -> Array:
  """Return integers that are uniform on 0 .. count - 1, int32."""
  # The result is never `count`: even for the largest float32 below 1, the product does not round up to `count`.
  return jnp.floor(uniform * count).astype(jnp.int32)


def shift(uniform: Array, limit: int) -> Array:
  """Return integers that are uniform on -limit .. limit, int32."""
  return integer(uniform, 2 * limit + 1) - limit


def normal(uniform: Array, std: float) -> Array:
  """Return normal numbers with mean 0, by the inverse distribution function, cut off at 4.9 `std`."""
  erf = jnp.clip(2.0 * uniform - 1.0, -_LARGEST_ERF, _LARGEST_ERF)
  return std * math.sqrt(2.0) * jax.lax.erf_inv(erf)


def happens(uniform: Array, probability: ArrayLike) -> Array:
  """Return bool, true with `probability`: never at 0, always at 1."""
  return uniform < probability
