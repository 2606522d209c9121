"""Structural similarity at several scales (MS-SSIM, Wang et al. 2003), and with it the diversity of samples."""

import jax.numpy as jnp
import numpy as np
from jax import Array

WINDOW, SIGMA = 11, 1.5
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)   # Of the scales, from the finest.
MIN_PAIRS = 10                                       # For a standard error: with fewer it would itself be a guess.
LUMINANCE, CONTRAST = 0.01**2, 0.03**2               # Stabilisers, in squared units of the range.


def num_scales(image_size: int) -> int:
  """Scales at which an image whose shorter side that is, is no smaller than the window: five need 176 pixels.

  Raises:
    ValueError: if there are none.
  """
  if image_size < WINDOW:
    raise ValueError(f'images of {image_size} pixels are smaller than the {WINDOW} pixels that MS-SSIM looks at')
  return min(len(WEIGHTS), int(np.log2(image_size / WINDOW)) + 1)


def ms_ssim(one: Array, other: Array) -> Array:
  """Similarity [B] of pairs of images: 1 for equal ones, about 0 for unrelated ones.

  Small images have fewer scales (`num_scales`), with the paper's weights scaled to sum to 1; values at different image
  sizes do not compare.

  Args:
    one: [B, H, W, C] in [0, 255].
    other: [B, H, W, C] in [0, 255].
  """
  scales = num_scales(min(one.shape[1:3]))
  total = sum(WEIGHTS[:scales])
  one, other = (x.astype(jnp.float32) / 255.0 for x in (one, other))
  similarity = jnp.ones((one.shape[0], one.shape[-1]), jnp.float32)
  for scale, weight in enumerate(WEIGHTS[:scales]):
    luminance, structure = _compare(one, other)
    at_scale = jnp.mean(structure if scale < scales - 1 else luminance * structure, axis=(1, 2))
    similarity *= jnp.maximum(at_scale, 0.0) ** (weight / total)  # Per channel.
    one, other = _halved(one), _halved(other)
  return jnp.mean(similarity, axis=1)


def standard_error(similarities: np.ndarray) -> float:
  """Standard error of the mean of similarities [P] of disjoint pairs; nan for fewer than MIN_PAIRS."""
  if len(similarities) < MIN_PAIRS:
    return float('nan')
  return float(np.std(similarities, ddof=1) / np.sqrt(len(similarities)))


def _compare(one: Array, other: Array) -> tuple[Array, Array]:
  """Luminance and structure terms at each place [B, H', W', C]."""
  mean_one, mean_other = _blur(one), _blur(other)
  variance_one = _blur(one * one) - mean_one * mean_one
  variance_other = _blur(other * other) - mean_other * mean_other
  covariance = _blur(one * other) - mean_one * mean_other
  luminance = (2 * mean_one * mean_other + LUMINANCE) / (mean_one**2 + mean_other**2 + LUMINANCE)
  return luminance, (2 * covariance + CONTRAST) / (variance_one + variance_other + CONTRAST)


def _blur(x: Array) -> Array:
  """Gaussian window, where it fits: [B, H, W, C] -> [B, H - 10, W - 10, C], as two products with banded matrices."""
  return jnp.einsum('ih,jw,bhwc->bijc', *map(_bands, x.shape[1:3]), x, precision='highest')


def _bands(size: int) -> np.ndarray:
  """The window at each place of a line where it fits [size - 10, size]."""
  taps = np.exp(-0.5 * (np.arange(WINDOW) - WINDOW // 2) ** 2 / SIGMA**2)
  bands = np.zeros((size - WINDOW + 1, size), np.float32)
  for i in range(len(bands)):
    bands[i, i:i + WINDOW] = taps / taps.sum()
  return bands


def _halved(x: Array) -> Array:
  """Means of 2x2 blocks [B, H / 2, W / 2, C]; an odd row or column is left out."""
  batch, height, width, channels = x.shape
  x = x[:, :height // 2 * 2, :width // 2 * 2]
  return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
