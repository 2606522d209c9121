"""Multi-scale structural similarity of pairs of images (MS-SSIM, Wang et al. 2003): low for diverse samples."""

import jax.numpy as jnp
import numpy as np
from jax import Array

WINDOW, SIGMA = 11, 1.5
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)   # One weight for each scale, from the finest.
MIN_PAIRS = 10                                       # A standard error from fewer pairs would itself be a guess.
LUMINANCE, CONTRAST = 0.01**2, 0.03**2               # Stabilising constants, in squared units of the range.


def num_scales(image_size: int) -> int:
  """Return the number of scales at which the window fits into the image; all five need 176 pixels.

  Args:
    image_size: shorter side of the image, in pixels.

  Raises:
    ValueError: if the image is smaller than the window.
  """
  if image_size < WINDOW:
    raise ValueError(f'images of {image_size} pixels are smaller than the window of MS-SSIM, {WINDOW} pixels; use '
                     'larger images, or leave ms_ssim out')
  return min(len(WEIGHTS), int(np.log2(image_size / WINDOW)) + 1)


def ms_ssim(one: Array, other: Array) -> Array:
  """Return the similarity [B] of pairs of images: 1 for equal images, about 0 for unrelated images.

  Small images have fewer scales (`num_scales`), with the paper's weights scaled to sum to 1. Values at different image
  sizes are not comparable.

  Args:
    one: [B, H, W, C] in [0, 255].
    other: [B, H, W, C] in [0, 255].

  Raises:
    ValueError: if the images are smaller than the window.
  """
  scales = num_scales(min(one.shape[1:3]))
  total = sum(WEIGHTS[:scales])
  one, other = (x.astype(jnp.float32) / 255.0 for x in (one, other))
  similarity = jnp.ones((one.shape[0], one.shape[-1]), jnp.float32)
  for scale, weight in enumerate(WEIGHTS[:scales]):
    luminance, structure = _compare(one, other)
    at_scale = jnp.mean(structure if scale < scales - 1 else luminance * structure, axis=(1, 2))
    similarity *= jnp.maximum(at_scale, 0.0) ** (weight / total)  # [B, C].
    one, other = _halved(one), _halved(other)
  return jnp.mean(similarity, axis=1)


def standard_error(similarities: np.ndarray) -> float:
  """Return the standard error of the mean of similarities [P] of disjoint pairs; nan for fewer than MIN_PAIRS pairs."""
  if len(similarities) < MIN_PAIRS:
    return float('nan')
  return float(np.std(similarities, ddof=1) / np.sqrt(len(similarities)))


def _compare(one: Array, other: Array) -> tuple[Array, Array]:
  """Return the luminance term and the contrast-structure term at each position [B, H - 10, W - 10, C]."""
  mean_one, mean_other = _blur(one), _blur(other)
  variance_one = _blur(one * one) - mean_one * mean_one
  variance_other = _blur(other * other) - mean_other * mean_other
  covariance = _blur(one * other) - mean_one * mean_other
  luminance = (2 * mean_one * mean_other + LUMINANCE) / (mean_one**2 + mean_other**2 + LUMINANCE)
  return luminance, (2 * covariance + CONTRAST) / (variance_one + variance_other + CONTRAST)


def _blur(x: Array) -> Array:
  """Apply the Gaussian window, [B, H, W, C] -> [B, H - 10, W - 10, C], as products with two banded matrices."""
  return jnp.einsum('ih,jw,bhwc->bijc', *map(_bands, x.shape[1:3]), x, precision='highest')


def _bands(size: int) -> np.ndarray:
  """Return a banded matrix [size - 10, size]: row i is the window at position i of a line of `size` pixels."""
  taps = np.exp(-0.5 * (np.arange(WINDOW) - WINDOW // 2) ** 2 / SIGMA**2)
  bands = np.zeros((size - WINDOW + 1, size), np.float32)
  for i in range(len(bands)):
    bands[i, i:i + WINDOW] = taps / taps.sum()
  return bands


def _halved(x: Array) -> Array:
  """Return the means of 2x2 blocks [B, H // 2, W // 2, C]; an odd last row or column is left out."""
  batch, height, width, channels = x.shape
  x = x[:, :height // 2 * 2, :width // 2 * 2]
  return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
