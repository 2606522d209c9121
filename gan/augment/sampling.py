"""Reading images at other places: windows at whole pixels, and bilinear interpolation under an affine map."""

import jax
import jax.numpy as jnp
from jax import Array


def max_shift(side: int) -> int:
  """An eighth of the side, in pixels, rounded half up as in the code of Zhao et al. 2020."""
  return (side + 4) // 8


def shift(images: Array, down: Array, right: Array, mode: str) -> Array:
  """Moves each image by whole pixels.

  Args:
    images: [B, H, W, C].
    down: int32 [B], pixels, at most `max_shift(H)` either way.
    right: int32 [B], pixels, at most `max_shift(W)` either way.
    mode: what comes in at the border, as in `jnp.pad`: 'constant' (zeros) or 'reflect' (the edge is not repeated).
  """
  shape = images.shape[1:]
  rows, columns = max_shift(shape[0]), max_shift(shape[1])
  padded = jnp.pad(images, ((0, 0), (rows, rows), (columns, columns), (0, 0)), mode)

  def window(image: Array, top: Array, left: Array) -> Array:
    return jax.lax.dynamic_slice(image, (top, left, jnp.int32(0)), shape)

  return jax.vmap(window)(padded, rows - down, columns - right)


def affine(images: Array, matrices: Array) -> Array:
  """Reads each image at affinely mapped places, bilinearly, mirrored at its borders without repeating the edge.

  Args:
    images: [B, H, W, C], H and W >= 2.
    matrices: [B, 3, 3] from (x, y, 1) of the result to (x, y, 1) of the image read, in pixels from the centre, x to
      the right and y down.

  Returns:
    [B, H, W, C]. The identity returns the very same numbers.
  """
  height, width = images.shape[1:3]
  # Halves and integers, exact in float32 like all that the identity makes of them.
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
  """Coordinate -> the first of the two pixels between which it lies, and the share of the second, in [0, 1]."""
  last = side - 1
  # Mirrored without end: a triangle wave of period 2 * last.
  position = last - jnp.abs(jnp.mod(from_centre + 0.5 * last, 2.0 * last) - last)
  first = jnp.clip(jnp.floor(position), 0, last - 1)
  return first.astype(jnp.int32), position - first
