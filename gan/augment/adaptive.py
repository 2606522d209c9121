"""ADA, adaptive discriminator augmentation (Karras et al. 2020, arXiv:2006.06676), and what adapts it.

The set "bgc" of the paper: pixel blitting, general geometry, colour.
"""

import math

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from gan.augment import draws, matrices, sampling
from gan.declare import POSITIVE, SIGN, Setting

ADA_SETTINGS = {
    'ada_target': Setting(0.6, 'E[sign(D(real))] that the probability steers to.', SIGN),
    'ada_interval': Setting(4, 'Discriminator updates between two moves of the probability.', POSITIVE),
    'ada_images': Setting(500_000, 'Real images in which the probability goes from 0 to 1.', POSITIVE),
}

_TRANSFORMS = ('flip', 'quarter_turns', 'shift', 'size', 'rotation_before', 'stretch', 'rotation_after', 'offset',
               'brightness', 'contrast', 'luma', 'hue', 'saturation')
_IN_TWO_DIRECTIONS = ('shift', 'offset')
# '<name>_on' decides whether, '<name>' (or '<name>_x' and '<name>_y') by how much.
ADA_COLUMNS = tuple(
    column for name in _TRANSFORMS
    for column in (f'{name}_on', *((f'{name}_x', f'{name}_y') if name in _IN_TWO_DIRECTIONS else (name,))))
ADA_UNIFORMS = len(ADA_COLUMNS)


def ada_augment(images: Array, uniforms: Array, p: ArrayLike) -> Array:
  """Augments each image by each transformation with probability `p` (Karras et al. 2020, arXiv:2006.06676).

  To be applied to whatever the discriminator sees, real or generated, in the updates of both players. Because each
  transformation spares a share of the images, the generator can only match the distribution by making images that
  nothing was done to: the augmentations do not leak into its samples while p is below about 0.8 (section 2.2).
  As in the paper, a flip or a quarter turn that takes place is drawn from all of them, "none" included, so that even
  p = 1 mirrors one half of the images only.

  Geometry is one affine map for each image, read by one bilinear interpolation with reflection at the borders. The
  paper samples up, filters with wavelets (sym6) and samples down: images that are shrunk here alias a little, and
  those turned or enlarged are a little softer.

  Args:
    images: [B, H, W, C] in [-1, 1], C 1 or 3.
    uniforms: [B, ADA_UNIFORMS] in [0, 1), one row for each image.
    p: [] in [0, 1]; may be traced.

  Returns:
    [B, H, W, C], the very same images if p is 0; colours may leave [-1, 1], as in the paper.

  Raises:
    ValueError: for a wrong shape.
  """
  numbers = draws.named(images, uniforms, ADA_COLUMNS)
  height, width, channels = images.shape[1:]
  images = sampling.affine(images, geometry(numbers, p, height, width))
  matrix = color(numbers, p, channels)[:, None, None]  # [B, 1, 1, C + 1, C + 1]
  mixed = jnp.sum(matrix[..., :channels, :channels] * images[..., None, :], axis=-1)
  return mixed + matrix[..., :channels, channels]


def geometry(numbers: dict[str, Array], p: ArrayLike, height: int, width: int) -> Array:
  """Composes blitting and general geometry of each image.

  Args:
    numbers: ADA_COLUMNS -> [B] in [0, 1).
    p: [] in [0, 1].
    height: pixels.
    width: pixels.

  Returns:
    [B, 3, 3] from places of the result to places of the image, as `sampling.affine` takes them.
  """
  # Either rotation takes place with probability p: they are independent, and (1 - q)^2 = 1 - p.
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
      # The first is done first: these matrices lead back from the result to the image.
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
  """Composes the changes of colour of each image; one channel has neither hue nor saturation.

  Args:
    numbers: ADA_COLUMNS -> [B] in [0, 1).
    p: [] in [0, 1].
    channels: 1 or 3.

  Returns:
    [B, C + 1, C + 1] from (channels, 1) to (new channels, 1).
  """

  def pick(name: str, drawn: Array, unchanged: float) -> Array:
    return jnp.where(draws.happens(numbers[f'{name}_on'], p), drawn.astype(jnp.float32), unchanged)

  product = matrices.compose(
      # The last is done first.
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
  """Moves the probability of augmentation against overfitting (Karras et al. 2020, arXiv:2006.06676, section 3).

  Args:
    p: [] in [0, 1].
    overfitting: [] in [-1, 1], the paper's r_t: the mean sign of the discriminator's logits on the real images since
      the last call. 1 means that it knows them all, 0 that it guesses. The mean of few images is often on the wrong
      side of the target: with a true r of 0.7, that of 64 in 16% of all cases, that of 256 in 1%.
    target: [] in [-1, 1]; at it p stays. The paper's is 0.6.
    batch_size: [] real images seen since the last call.
    num_images: [] > 0, images in which p goes from 0 to 1. The paper's is 500,000.

  Returns:
    The new p, [] in [0, 1]; the authors' code lets it rise above 1, which is no probability.
  """
  return jnp.clip(p + jnp.sign(overfitting - target) * (batch_size / num_images), 0.0, 1.0)
