"""Two rules that resize images to the input size of a feature network.

The choice of the rule changes FID by more than most models differ (Parmar et al. 2022, arXiv:2104.11222). So each rule
here equals its original to rounding: TensorFlow 1's rule, with which FID was defined, and Pillow's rule, which
clean-fid uses. Both rules are linear and separable: one matrix for the rows and one for the columns, computed in NumPy
from the sizes alone.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from gan.declare import Setting, one_of


def tensorflow_bilinear(images: Array, size: int) -> Array:
  """Resize as TensorFlow 1's resize_bilinear(align_corners=False), the rule of the original FID.

  Output i is interpolated at position i * H / size between two adjacent pixels. These positions ignore the centres of
  pixels, so the picture moves up and left by up to half a pixel; and without a wider kernel, shrinking aliases. Both
  flaws are part of the published scores.

  Args:
    images: float32 [B, H, W, C], in any range.
    size: side of the result, in pixels.

  Returns:
    float32 [B, size, size, C], in the same range.
  """
  return _resize(images, size, _bilinear_weights)


def clean_bicubic(images: Array, size: int) -> Array:
  """Resize as clean-fid does (Parmar et al. 2022, arXiv:2104.11222): Pillow's bicubic in float32, not rounded.

  The kernel widens when an image shrinks, so shrinking does not alias. `jax.image.resize(method='cubic')` is the same
  rule, but computes its weights in float32: from 600 to 299 pixels its error against Pillow is up to 0.007 (of 255),
  and ours is below 0.0001.

  Args:
    images: float32 [B, H, W, C] in [0, 255].
    size: side of the result, in pixels.

  Returns:
    float32 [B, size, size, C], clipped to [0, 255]: a bicubic kernel overshoots at edges.
  """
  return jnp.clip(_resize(images, size, _bicubic_weights), 0.0, 255.0)


class Resizing(NamedTuple):
  """A rule of resizing and its name in reports.

  Attributes:
    resize: (float32 [B, H, W, C] in [0, 255], size) -> float32 [B, size, size, C].
    title: name in reports, a short phrase.
  """

  resize: Callable[[Array, int], Array]
  title: str


RESIZINGS = {
    'tensorflow': Resizing(tensorflow_bilinear, 'TensorFlow bilinear'),
    'clean': Resizing(clean_bicubic, 'clean bicubic'),
}
SETTING = Setting('tensorflow', 'inception: how images get to 299 pixels.', one_of(RESIZINGS))


def _resize(images: Array, size: int, weights: Callable[[int, int], np.ndarray]) -> Array:
  rows, columns = (jnp.asarray(weights(length, size), jnp.float32) for length in images.shape[1:3])
  # Full float32: an accelerator's default precision (bfloat16 passes or TF32) would cost a grey level.
  images = jnp.einsum('pw,bhwc->bhpc', columns, images, precision='highest')
  return jnp.einsum('oh,bhpc->bopc', rows, images, precision='highest')


def _bilinear_weights(length: int, size: int) -> np.ndarray:
  """Return the matrix [size, length] of `tensorflow_bilinear`; positions are rounded to float32, as in TensorFlow."""
  position = np.arange(size, dtype=np.float32) * np.float32(length / size)
  low = position.astype(int)
  share = position - low
  weights, outputs = np.zeros((size, length)), np.arange(size)
  weights[outputs, low] = 1 - share
  weights[outputs, np.minimum(low + 1, length - 1)] += share  # Beyond the border, the last pixel repeats.
  return weights


def _bicubic_weights(length: int, size: int) -> np.ndarray:
  """Return the matrix [size, length] of `clean_bicubic`.

  The kernel is that of Keys with a = -0.5, widened if images shrink, cut at the border and normalised to sum to 1.
  """
  scale = length / size
  centre = (np.arange(size) + 0.5) * scale
  distance = np.abs(np.arange(length) + 0.5 - centre[:, None]) / max(scale, 1.0)
  near = (1.5 * distance - 2.5) * distance**2 + 1
  far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
  weights = np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
  return weights / weights.sum(axis=1, keepdims=True)
