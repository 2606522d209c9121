"""Resizing by hand, against the definition in NumPy, and against Pillow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan.features.resizing import RESIZINGS, clean_bicubic, tensorflow_bilinear

SIZES = [(32, 32), (28, 45), (13, 60), (40, 40), (64, 47), (100, 33)]
SIZE = 39   # 13 divides it, so that positions fall on pixels; of the lengths above some are larger, some smaller.


def images(height, width, channels=3):
  return np.random.default_rng(0).integers(0, 256, (2, height, width, channels)).astype(np.float32)


def numpy_bilinear(x, size):
  """TensorFlow 1's kernel, pixel by pixel: position i * length / size, lower and upper neighbour."""
  _, height, width, _ = x.shape
  y = np.empty((x.shape[0], size, size, x.shape[3]))
  for i in range(size):
    for j in range(size):
      row, column = i * height / size, j * width / size
      top, left = int(row), int(column)
      bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
      a, b = row - top, column - left
      y[:, i, j] = ((1 - a) * ((1 - b) * x[:, top, left] + b * x[:, top, right])
                    + a * ((1 - b) * x[:, bottom, left] + b * x[:, bottom, right]))
  return y


def test_tensorflow_bilinear_by_hand():
  """Two pixels to four: positions 0, 1/2, 1, 3/2; the last is beyond the border. Four to two: pixels are skipped."""
  x = jnp.array([[0.0, 100.0], [200.0, 40.0]])[None, :, :, None]
  np.testing.assert_allclose(tensorflow_bilinear(x, 4)[0, ..., 0], [
      [0, 50, 100, 100], [100, 85, 70, 70], [200, 120, 40, 40], [200, 120, 40, 40]], atol=1e-4)
  x = jnp.arange(16.0).reshape(1, 4, 4, 1)
  np.testing.assert_allclose(tensorflow_bilinear(x, 2)[0, ..., 0], [[0, 2], [8, 10]], atol=1e-5)


@pytest.mark.parametrize('shape', SIZES)
def test_tensorflow_bilinear_equals_its_definition(shape):
  x = images(*shape)
  y = jax.jit(tensorflow_bilinear, static_argnums=1)(x, SIZE)
  assert y.dtype == jnp.float32
  np.testing.assert_allclose(y, numpy_bilinear(x, SIZE), atol=5e-3)   # TensorFlow's positions are float32.


@pytest.mark.parametrize('shape', SIZES)
def test_clean_bicubic_equals_pillow(shape):
  x = images(*shape)
  expected = [[np.asarray(Image.fromarray(image[..., c]).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
               for c in range(3)] for image in x]
  expected = np.moveaxis(expected, 1, -1)
  assert expected.min() < 0 or shape[0] > SIZE, 'the kernel overshoots, so clipping is tested'
  y = jax.jit(clean_bicubic, static_argnums=1)(x, SIZE)
  assert y.dtype == jnp.float32
  np.testing.assert_allclose(y, np.clip(expected, 0, 255), atol=1e-3)


@pytest.mark.parametrize('name', RESIZINGS)
@pytest.mark.parametrize('channels', [1, 3])
def test_same_size_is_left_alone_and_constants_stay(name, channels):
  resize = RESIZINGS[name].resize
  x = images(20, 20, channels)
  np.testing.assert_allclose(resize(x, 20), x, atol=1e-4)
  np.testing.assert_allclose(resize(np.full((1, 7, 50, channels), 255, np.float32), 20), 255, atol=1e-4)
