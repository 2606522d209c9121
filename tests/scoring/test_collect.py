"""Streams of samples: nothing depends on how they are cut, and what is no number is counted, not scored."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan.features.simple import pixels, random
from gan.metrics import NonFiniteSamplesError
from gan.metrics.ms_ssim import ms_ssim
from gan.parallel import make_parallel
from gan.scoring.collect import collect, make_extract, to_bytes

IMAGES = np.random.default_rng(0).integers(0, 256, (101, 12, 12, 1), np.uint8)
ALL = frozenset({'moments', 'features', 'pairs'})


def cut(images, size, fill=0):
  """Chunks, each filled up to `size` with what does not count."""
  for start in range(0, len(images), size):
    part = images[start:start + size]
    yield np.concatenate([part, np.full((size - len(part), *part.shape[1:]), fill, part.dtype)]), len(part)


def whole(blocks):
  counts = np.array([block.count for block in blocks])
  return counts, np.average([block.mean for block in blocks], axis=0, weights=counts)


@pytest.mark.parametrize('size', [2, 30, 101, 128])
def test_chunks_do_not_matter(size):
  features = pixels(IMAGES.shape[1:])
  found = collect(cut(IMAGES, size), 101, ALL, make_extract(features))
  flat = IMAGES.reshape(101, -1) / 127.5 - 1
  np.testing.assert_allclose(found.features, flat, atol=1e-6)
  assert found.count == 101
  assert found.dim == 144
  for block, part in zip(found.blocks, np.split(flat, [-(-101 * i // 10) for i in range(1, 10)]), strict=True):
    assert block.count == len(part)
    np.testing.assert_allclose(block.mean, part.mean(0), atol=1e-6)
    np.testing.assert_allclose(block.covariance, np.cov(part, rowvar=False), atol=1e-6)
  np.testing.assert_array_equal(found.images, IMAGES)
  np.testing.assert_allclose(found.similarities[0], ms_ssim(IMAGES[:1], IMAGES[1:2])[0], rtol=1e-5)


def test_floats_become_the_bytes_of_a_saved_image():
  levels = np.linspace(-1.2, 1.2, 500, dtype=np.float32).reshape(1, 10, 50, 1)
  found, finite = to_bytes(levels)
  np.testing.assert_array_equal(found, np.clip(np.rint((levels + 1) * 127.5), 0, 255).astype(np.uint8))
  assert finite.all()
  assert found.dtype == np.uint8


def test_samples_that_are_no_numbers_are_counted():
  samples = np.zeros((20, 12, 12, 1), np.float32)
  samples[[3, 17], 5, 5] = np.nan
  samples[11, 0, 0] = np.inf
  with pytest.raises(NonFiniteSamplesError, match='3 of 20 samples are not finite'):
    collect(cut(samples, 8, fill=np.nan), 20, ALL, make_extract(pixels((12, 12, 1))))


def test_devices_share_a_batch_to_the_same_result():
  features = random(IMAGES.shape[1:])
  one, two = (make_extract(features, make_parallel('jit', jax.devices()[:n]))(IMAGES)['features'] for n in (1, 2))
  np.testing.assert_allclose(one, two, atol=1e-6)
  expected = jnp.asarray(IMAGES.reshape(101, -1) / 127.5 - 1, jnp.float32) @ features.weights
  np.testing.assert_allclose(one, expected, atol=1e-5)


def test_nothing_is_kept_that_no_score_needs():
  found = collect(cut(IMAGES, 30), 101, frozenset({'moments'}), make_extract(pixels((12, 12, 1))))
  assert found.features is None
  assert found.logits is None
  assert found.similarities is None
