"""DiffAugment (Zhao et al. 2020, arXiv:2006.10738): random colour, translation and cutout of all images that D sees."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array

from gan.augment import draws, sampling

DIFF_AUGMENT_COLUMNS = ('brightness', 'saturation', 'contrast', 'down', 'right', 'hole_y', 'hole_x')
DIFF_AUGMENT_UNIFORMS = len(DIFF_AUGMENT_COLUMNS)


def color(images: Array, numbers: dict[str, Array]) -> Array:
  """Change the brightness, then the saturation about each pixel's mean, then the contrast about the image's mean."""
  per_image = {name: number[:, None, None, None] for name, number in numbers.items()}
  images = images + draws.between(per_image['brightness'], -0.5, 0.5)
  grey = jnp.mean(images, axis=-1, keepdims=True)
  images = grey + (images - grey) * draws.between(per_image['saturation'], 0.0, 2.0)
  mean = jnp.mean(images, axis=(1, 2, 3), keepdims=True)
  return mean + (images - mean) * draws.between(per_image['contrast'], 0.5, 1.5)


def translation(images: Array, numbers: dict[str, Array]) -> Array:
  """Shift each image by whole pixels, up to an eighth of the side in each direction; fill with 0 (mid grey)."""
  height, width = images.shape[1:3]
  down = draws.shift(numbers['down'], sampling.max_shift(height))
  right = draws.shift(numbers['right'], sampling.max_shift(width))
  return sampling.shift(images, down, right, 'constant')


def cutout(images: Array, numbers: dict[str, Array]) -> Array:
  """Cut a hole of half the height and half the width into each image; fill it with 0 (mid grey).

  The centre of the hole is uniform over the whole image, so the hole may lie partly outside. A hole of even size is
  centred on one of the side + 1 lines between and around the pixels, a hole of odd size on a pixel.
  """
  height, width = images.shape[1:3]
  inside = (_covered(numbers['hole_y'], height)[:, :, None] & _covered(numbers['hole_x'], width)[:, None, :])
  return jnp.where(inside[..., None], 0.0, images)


def _covered(uniform: Array, side: int) -> Array:
  """Return bool [B, side]: the pixels of a line that the hole covers."""
  size = (side + 1) // 2
  centre = draws.integer(uniform, side + 1 - size % 2)
  first = (centre - size // 2)[:, None]
  pixels = jnp.arange(side, dtype=jnp.int32)[None, :]
  return (pixels >= first) & (pixels < first + size)


DIFF_AUGMENT = {'color': color, 'translation': translation, 'cutout': cutout}


def diff_augment(images: Array, uniforms: Array, policy: Sequence[str]) -> Array:
  """Augment each image by every transformation of the policy (Zhao et al. 2020, arXiv:2006.10738).

  Apply it to all samples that the discriminator sees, real or generated, in the updates of both players. It is
  differentiable, so that the generator's gradient passes through it.

  Args:
    images: [B, H, W, C] in [-1, 1], C 1 or 3.
    uniforms: [B, DIFF_AUGMENT_UNIFORMS] in [0, 1), one row for each image, with all columns for every policy.
    policy: keys of DIFF_AUGMENT; they are applied in the order of this table.

  Returns:
    [B, H, W, C]; colours may leave [-1, 1], as in the paper.

  Raises:
    ValueError: if a name in the policy is unknown, or a shape is wrong.
  """
  unknown = [name for name in policy if name not in DIFF_AUGMENT]
  if unknown:
    raise ValueError(f'policy has unknown {unknown}; known are {", ".join(DIFF_AUGMENT)}')
  numbers = draws.named(images, uniforms, DIFF_AUGMENT_COLUMNS)
  for name, transform in DIFF_AUGMENT.items():
    if name in policy:
      images = transform(images, numbers)
  return images
