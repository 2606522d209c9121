"""The mild augmentation under which a discriminator is asked to stay consistent."""

import jax.numpy as jnp
from jax import Array

from gan.augment import draws, sampling

FLIP_AND_SHIFT_COLUMNS = ('flip', 'down', 'right')
FLIP_AND_SHIFT_UNIFORMS = len(FLIP_AND_SHIFT_COLUMNS)


def flip_and_shift(images: Array, uniforms: Array) -> Array:
  """Mirrors and shifts each image, for consistency regularisation (CR, Zhang et al. 2020, arXiv:1910.12027).

  Mirrored left to right with probability 1/2, then moved by whole pixels, up to an eighth of the side each way. What
  comes in at the border is the image's own reflection, so that no edge tells how far it was moved.

  Args:
    images: [B, H, W, C] in [-1, 1], C 1 or 3.
    uniforms: [B, FLIP_AND_SHIFT_UNIFORMS] in [0, 1), one row for each image.

  Returns:
    [B, H, W, C].

  Raises:
    ValueError: for a wrong shape.
  """
  numbers = draws.named(images, uniforms, FLIP_AND_SHIFT_COLUMNS)
  flipped = draws.happens(numbers['flip'], 0.5)[:, None, None, None]
  images = jnp.where(flipped, images[:, :, ::-1], images)
  height, width = images.shape[1:3]
  down = draws.shift(numbers['down'], sampling.max_shift(height))
  right = draws.shift(numbers['right'], sampling.max_shift(width))
  return sampling.shift(images, down, right, 'reflect')
