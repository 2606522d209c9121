"""Resampling of images: shifts by whole pixels, and affine maps with bilinear interpolation."""

import jax
import jax.numpy as jnp
from jax import Array


def max_shift(side: int) -> int:
  """Return an eighth of the side, in pixels, rounded half up as in the code of Zhao et al. 2020 (DiffAugment)."""
  return (side + 4) // 8


def shift(images: Array, down: Array, right: Array, mode: str) -> Array:
  """Move each image by whole pixels.

  Args:
    images: [B, H, W, C].
    down: int32 [B], pixels, at most `max_shift(H)` in each direction.
    right: int32 [B], pixels, at most `max_shift(W)` in each direction.
    mode: filling of the border, as in `jnp.pad`: 'constant' (zeros) or 'reflect' (the edge is not repeated).
  """
  shape = images.shape[1:]
  rows, columns = max_shift(shape[0]), max_shift(shape[1])
  padded = jnp.pad(images, ((0, 0), (rows, rows), (columns, columns), (0, 0)), mode)

  def window(image: Array, top: Array, left: Array) -> Array:
    return jax.lax.dynamic_slice(image, (top, left, jnp.int32(0)), shape)

  return jax.vmap(window)(padded, rows - down, columns - right)


def affine(images: Array, matrices: Array) -> Array:
  """Transform each image by an affine map, with bilinear interpolation.

  Outside of its borders, an image is continued by its reflection, which does not repeat the edge.

  Args:
    images: [B, H, W, C], H and W >= 2.
    matrices: [B, 3, 3] from (x, y, 1) in the result to (x, y, 1) in the image that is read, in pixels from the centre,
      x to the right and y down.

  Returns:
    [B, H, W, C]. The identity returns exactly the same numbers.
  """
  height, width = images.shape[1:3]
  # Coordinates are integers or halves, so under the identity all numbers below are exact in float32.
  x = (jnp.arange(width, dtype=jnp.float32) - 0.5 * (width - 1))[None, None, :]
  y = (jnp.arange(height, dtype=jnp.float32) - 0.5 * (height - 1))[None, :, None]
  a = matrices[:, :, :, None, None]
  left, right_share = _corner(a[:, 0, 0] * x + a[:, 0, 1] * y + a[:, 0, 2], width)
  top, bottom_share = _corner(a[:, 1, 0] * x + a[:, 1, 1] * y + a[:, 1, 2], height)

  def corners(image: Array, top: Array, left: Array) -> Array:
    return jax.lax.dynamic_slice(image, (top, left, jnp.int32(0)), (2, 2, image.shape[-1]))

  over_pixels = jax.vmap(jax.vmap(corners, (None, 0, 0)), (None, 0, 0))
  squares = jax.vmap(over_pixels)(images, top, left)  # [B, H, W, 2, 2, C]
  right_share, bottom_share = right_share[..., None, None], bottom_share[..., None]
  lines = squares[..., 0, :] * (1.0 - right_share) + squares[..., 1, :] * right_share
  return lines[..., 0, :] * (1.0 - bottom_share) + lines[..., 1, :] * bottom_share


def _corner(from_centre: Array, side: int) -> tuple[Array, Array]:
  """Return the first of the two pixels between which a coordinate lies, and the weight of the second, in [0, 1]."""
  last = side - 1
  # A triangle wave of period 2 * last: the image is mirrored without end.
  position = last - jnp.abs(jnp.mod(from_centre + 0.5 * last, 2.0 * last) - last)
  first = jnp.clip(jnp.floor(position), 0, last - 1)
  return first.astype(jnp.int32), position - first
