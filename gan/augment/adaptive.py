"""ADA, adaptive discriminator augmentation (Karras et al. 2020, arXiv:2006.06676), and the control of its probability.

The augmentations are the paper's set "bgc": pixel blitting, general geometry, colour.
"""

import math

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from gan.augment import draws, matrices, sampling
from gan.declare import POSITIVE, SIGN, Setting

ADA_SETTINGS = {
    'ada_target': Setting(0.6, "ADA's target of E[sign(D(real))].", SIGN),
    'ada_interval': Setting(4, 'The probability moves after every k-th update of D.', POSITIVE),
    'ada_images': Setting(500_000, 'Number of real images in which the probability goes from 0 to 1.', POSITIVE),
}

_TRANSFORMS = ('flip', 'quarter_turns', 'shift', 'size', 'rotation_before', 'stretch', 'rotation_after', 'offset',
               'brightness', 'contrast', 'luma', 'hue', 'saturation')
_IN_TWO_DIRECTIONS = ('shift', 'offset')
# '<name>_on' decides whether an image is transformed, '<name>' (or '<name>_x' and '<name>_y') how strongly.
ADA_COLUMNS = tuple(
    column for name in _TRANSFORMS
    for column in (f'{name}_on', *((f'{name}_x', f'{name}_y') if name in _IN_TWO_DIRECTIONS else (name,))))
ADA_UNIFORMS = len(ADA_COLUMNS)


def ada_augment(images: Array, uniforms: Array, p: ArrayLike) -> Array:
  """Apply each transformation to each image with probability `p` (Karras et al. 2020, arXiv:2006.06676).

  Apply it to all samples that the discriminator sees, real or generated, in the updates of both players. Each
  transformation leaves a share of the images unchanged, so the generator can match the distribution only with images
  that look untransformed: the augmentations do not leak into its samples while p is below about 0.8 (section 2.2).
  As in the paper, flips and quarter turns are drawn from all possible ones, the identity included, so that even p = 1
  mirrors only one half of the images.

  The geometric transformations of an image are one affine map, computed by one bilinear interpolation with reflection
  at the borders. The paper samples up, filters with wavelets (sym6) and samples down. So images that are shrunk here
  alias a little, and images that are turned or enlarged are a little softer.

  Args:
    images: [B, H, W, C] in [-1, 1], C 1 or 3.
    uniforms: [B, ADA_UNIFORMS] in [0, 1), one row for each image.
    p: [] in [0, 1]; may be traced.

  Returns:
    [B, H, W, C], exactly the same images if p is 0; colours may leave [-1, 1], as in the paper.

  Raises:
    ValueError: if a shape is wrong.
  """
  numbers = draws.named(images, uniforms, ADA_COLUMNS)
  height, width, channels = images.shape[1:]
  images = sampling.affine(images, geometry(numbers, p, height, width))
  matrix = color(numbers, p, channels)[:, None, None]  # [B, 1, 1, C + 1, C + 1]
  mixed = jnp.sum(matrix[..., :channels, :channels] * images[..., None, :], axis=-1)
  return mixed + matrix[..., :channels, channels]


def geometry(numbers: dict[str, Array], p: ArrayLike, height: int, width: int) -> Array:
  """Compose the pixel blitting and the general geometry of each image.

  Args:
    numbers: ADA_COLUMNS -> [B] in [0, 1).
    p: [] in [0, 1].
    height: height of the images in pixels.
    width: width of the images in pixels.

  Returns:
    [B, 3, 3] matrices from positions in the result to positions in the image, for `sampling.affine`.
  """
  # Each rotation has probability q, so that at least one happens with probability p: (1 - q)^2 = 1 - p.
  q = 1.0 - jnp.sqrt(jnp.maximum(1.0 - p, 0.0))

  def pick(name: str, drawn: Array, unchanged: float, probability: ArrayLike = p) -> Array:
    return jnp.where(draws.happens(numbers[f'{name}_on'], probability), drawn.astype(jnp.float32), unchanged)

  def pixels(name: str, side: int) -> Array:
    return jnp.round(side * draws.between(numbers[name], -0.125, 0.125))

  size = pick('size', jnp.exp2(draws.normal(numbers['size'], 0.2)), 1.0)
  stretch = pick('stretch', jnp.exp2(draws.normal(numbers['stretch'], 0.2)), 1.0)
  before, after = (pick(name, draws.between(numbers[name], -math.pi, math.pi), 0.0, q)
                   for name in ('rotation_before', 'rotation_after'))
  return matrices.compose(
      # The first transformation is applied first, because these matrices lead from the result to the image.
      matrices.flip(pick('flip', draws.integer(numbers['flip'], 2), 0.0)),
      matrices.quarter_turns(pick('quarter_turns', draws.integer(numbers['quarter_turns'], 4), 0.0)),
      matrices.shift(pick('shift', pixels('shift_x', width), 0.0), pick('shift', pixels('shift_y', height), 0.0)),
      matrices.enlarge(size, size),
      matrices.rotate(before),
      matrices.enlarge(stretch, 1.0 / stretch),
      matrices.rotate(after),
      matrices.shift(pick('offset', draws.normal(numbers['offset_x'], 0.125 * width), 0.0),
                     pick('offset', draws.normal(numbers['offset_y'], 0.125 * height), 0.0)))


def color(numbers: dict[str, Array], p: ArrayLike, channels: int) -> Array:
  """Compose the colour transformations of each image; greyscale has neither hue nor saturation.

  Args:
    numbers: ADA_COLUMNS -> [B] in [0, 1).
    p: [] in [0, 1].
    channels: 1 or 3.

  Returns:
    [B, C + 1, C + 1] matrices from (channels, 1) to (new channels, 1).
  """

  def pick(name: str, drawn: Array, unchanged: float) -> Array:
    return jnp.where(draws.happens(numbers[f'{name}_on'], p), drawn.astype(jnp.float32), unchanged)

  product = matrices.compose(
      # The last transformation is applied first.
      matrices.flip_luma(pick('luma', draws.integer(numbers['luma'], 2), 0.0), channels),
      matrices.contrast(pick('contrast', jnp.exp2(draws.normal(numbers['contrast'], 0.5)), 1.0), channels),
      matrices.brighten(pick('brightness', draws.normal(numbers['brightness'], 0.2), 0.0), channels))
  if channels == 1:
    return product
  return matrices.compose(
      matrices.saturate(pick('saturation', jnp.exp2(draws.normal(numbers['saturation'], 1.0)), 1.0), channels),
      matrices.rotate_hue(pick('hue', draws.between(numbers['hue'], -math.pi, math.pi), 0.0)),
      product)


def ada_step(p: ArrayLike, overfitting: ArrayLike, target: ArrayLike, batch_size: ArrayLike,
             num_images: ArrayLike) -> Array:
  """Move the probability of augmentation against overfitting (Karras et al. 2020, arXiv:2006.06676, section 3).

  Args:
    p: [] in [0, 1], the probability.
    overfitting: [] in [-1, 1], the paper's r_t: the mean sign of the discriminator's logits on the real images since
      the last call. 1 means that the discriminator recognises all of them, 0 that it guesses. The mean over few images
      is often on the wrong side of the target: if the true r is 0.7, in 16% of all cases for 64 images, in 1% for 256.
    target: [] in [-1, 1]; p stays where it is if `overfitting` equals the target. The paper's target is 0.6.
    batch_size: [] number of real images since the last call.
    num_images: [] > 0, number of images in which p goes from 0 to 1. The paper has 500,000.

  Returns:
    The new p, [] in [0, 1]; the authors' code lets p rise above 1.
  """
  return jnp.clip(p + jnp.sign(overfitting - target) * (batch_size / num_images), 0.0, 1.0)
