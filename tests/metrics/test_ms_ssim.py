"""MS-SSIM: its extremes, symmetry, number of scales, and one scale against the formula."""

import numpy as np
import pytest
from scipy.ndimage import correlate1d

from gan.metrics.ms_ssim import ms_ssim, num_scales, standard_error


def images(seed, size=32, channels=1):
  return np.random.default_rng(seed).uniform(0, 255, (3, size, size, channels)).astype(np.float32)


def test_equal_images_are_wholly_alike_and_order_does_not_matter():
  np.testing.assert_allclose(ms_ssim(images(0), images(0)), 1.0, atol=1e-5)
  np.testing.assert_allclose(ms_ssim(images(0), images(1)), ms_ssim(images(1), images(0)), rtol=1e-5)
  assert (np.asarray(ms_ssim(images(0), images(1))) < 0.3).all()


def test_fewer_scales_for_small_images():
  assert [num_scales(size) for size in (11, 16, 22, 32, 64, 128, 176, 256)] == [1, 1, 2, 2, 3, 4, 5, 5]
  with pytest.raises(ValueError, match='images of 8 pixels are smaller than the window of MS-SSIM, 11 pixels'):
    num_scales(8)


@pytest.mark.parametrize('width', [16, 13, 30])
def test_one_scale_is_ssim(width):
  """Wang et al. 2004, with the Gaussian window where it fits, in float64."""
  one, other = (images(seed, max(16, width), 3)[:, :16, :width] / 255.0 for seed in (2, 3))
  taps = np.exp(-0.5 * (np.arange(11) - 5) ** 2 / 1.5**2)

  def blur(x):
    for axis in (1, 2):
      x = correlate1d(x.astype(np.float64), taps / taps.sum(), axis=axis)
    return x[:, 5:-5, 5:-5]

  a, b = blur(one), blur(other)
  var_a, var_b, cov = blur(one * one) - a * a, blur(other * other) - b * b, blur(one * other) - a * b
  ssim = ((2 * a * b + 1e-4) * (2 * cov + 9e-4)) / ((a * a + b * b + 1e-4) * (var_a + var_b + 9e-4))
  expected = np.maximum(ssim.mean(axis=(1, 2)), 0).mean(axis=1)
  np.testing.assert_allclose(ms_ssim(255 * one, 255 * other), expected, rtol=1e-4, atol=1e-6)


def test_error_of_a_mean_over_pairs():
  similarities = np.random.default_rng(5).random(10)
  np.testing.assert_allclose(standard_error(similarities), similarities.std(ddof=1) / np.sqrt(10))
  assert all(np.isnan(standard_error(similarities[:num])) for num in range(1, 10))
