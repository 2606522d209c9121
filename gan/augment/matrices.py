"""Homogeneous matrices [B, n, n], one for each image: of the plane (n = 3) and of colours (n = channels + 1).

Matrices of the plane map positions (x, y, 1) in the result to positions in the image that is read, in pixels from the
centre, x to the right and y down. Each function is named after what happens to the content of the image, which is the
inverse of this map.
"""

import math

import jax.numpy as jnp
from jax import Array


def compose(*matrices: Array) -> Array:
  """Return the product of the matrices; the last factor is applied first."""
  product, *others = matrices
  for other in others:
    # Accelerators would round the inputs of a matmul, and 3 digits are too few for a position in an image.
    product = jnp.sum(product[:, :, :, None] * other[:, None, :, :], axis=2)
  return product


def flip(flipped: Array) -> Array:
  """Mirror left to right where `flipped` [B] is 1; leave the image where it is 0."""
  return _stretch(1.0 - 2.0 * flipped, jnp.ones(flipped.shape, jnp.float32))


def rotate(angle: Array) -> Array:
  """Turn counter-clockwise by `angle` [B], in radians."""
  cos, sin, zero, one = jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle), jnp.ones_like(angle)
  return _rows([[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]])


def quarter_turns(turns: Array) -> Array:
  """Turn by `turns` [B] quarters in the direction of `np.rot90`, exactly."""
  return jnp.round(rotate(0.5 * math.pi * turns))


def shift(right: Array, down: Array) -> Array:
  """Move by `right` [B] pixels to the right and `down` [B] pixels down."""
  zero, one = jnp.zeros_like(right), jnp.ones_like(right)
  return _rows([[one, zero, -right], [zero, one, -down], [zero, zero, one]])


def enlarge(wider: Array, higher: Array) -> Array:
  """Enlarge about the centre by the factors `wider` [B] and `higher` [B]."""
  return _stretch(1.0 / wider, 1.0 / higher)


def brighten(amount: Array, channels: int) -> Array:
  """Add `amount` [B] to every channel."""
  move = jnp.zeros((channels + 1, channels + 1), jnp.float32).at[:channels, channels].set(1.0)
  return jnp.eye(channels + 1, dtype=jnp.float32)[None] + move[None] * amount[:, None, None]


def contrast(factor: Array, channels: int) -> Array:
  """Multiply every channel by `factor` [B]; mid grey (0) stays."""
  return _mix(channels, factor, jnp.zeros_like(factor))


def flip_luma(flipped: Array, channels: int) -> Array:
  """Swap light and dark but keep the hue (a reflection along the grey axis), where `flipped` [B] is 1, not 0."""
  return _mix(channels, jnp.ones(flipped.shape, jnp.float32), -2.0 * flipped)


def saturate(factor: Array, channels: int) -> Array:
  """Multiply the distance from the grey axis by `factor` [B]; greyscale stays as it is."""
  return _mix(channels, factor, 1.0 - factor)


def rotate_hue(angle: Array) -> Array:
  """Turn the three channels about the grey axis by `angle` [B], in radians (Rodrigues' formula)."""
  cos, sin = jnp.cos(angle), jnp.sin(angle)
  cross = jnp.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], jnp.float32)
  across = jnp.zeros((4, 4), jnp.float32).at[:3, :3].set(cross)
  return _mix(3, cos, 1.0 - cos) + (sin / math.sqrt(3.0))[:, None, None] * across[None]


def _mix(channels: int, identity: Array, onto_grey: Array) -> Array:
  """Return `identity` times the identity of the channels plus `onto_grey` times the projection onto the grey axis."""
  is_channel = jnp.append(jnp.ones(channels, jnp.float32), jnp.float32(0.0))
  identity, onto_grey = identity[:, None, None], onto_grey[:, None, None]
  offset = jnp.zeros((channels + 1, channels + 1), jnp.float32).at[channels, channels].set(1.0)
  return (identity * jnp.diag(is_channel)[None] + onto_grey * (jnp.outer(is_channel, is_channel) / channels)[None]
          + offset[None])


def _stretch(x: Array, y: Array) -> Array:
  zero, one = jnp.zeros_like(x), jnp.ones_like(x)
  return _rows([[x, zero, zero], [zero, y, zero], [zero, zero, one]])


def _rows(rows: list[list[Array]]) -> Array:
  return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
