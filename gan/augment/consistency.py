"""The mild augmentation of consistency regularisation: a flip and a shift."""

import jax.numpy as jnp
from jax import Array

from gan.augment import draws, sampling

FLIP_AND_SHIFT_COLUMNS = ('flip', 'down', 'right')
FLIP_AND_SHIFT_UNIFORMS = len(FLIP_AND_SHIFT_COLUMNS)


def flip_and_shift(images: Array, uniforms: Array) -> Array:
  """Mirror and shift each image, for consistency regularisation (CR, Zhang et al. 2020, arXiv:1910.12027).

  An image is mirrored left to right with probability 1/2, then moved by whole pixels, up to an eighth of the side in
  each direction. The border is filled with the reflection of the image, so that no edge shows how far it was moved.

  Args:
    images: [B, H, W, C] in [-1, 1], C 1 or 3.
    uniforms: [B, FLIP_AND_SHIFT_UNIFORMS] in [0, 1), one row for each image.

  Returns:
    [B, H, W, C].

  Raises:
    ValueError: if a shape is wrong.
  """
  numbers = draws.named(images, uniforms, FLIP_AND_SHIFT_COLUMNS)
  flipped = draws.happens(numbers['flip'], 0.5)[:, None, None, None]
  images = jnp.where(flipped, images[:, :, ::-1], images)
  height, width = images.shape[1:3]
  down = draws.shift(numbers['down'], sampling.max_shift(height))
  right = draws.shift(numbers['right'], sampling.max_shift(width))
  return sampling.shift(images, down, right, 'reflect')
