"""The embedded digits, what every `ImageSource` promises, and the resize rule."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from gan.data import digits, resize
from gan.data.source import DataError


@pytest.mark.parametrize('image_size', digits.SIZES)
def test_enlarging_keeps_each_digit_where_its_ink_was(image_size):
  """Averaged back over cells of the padded 10 x 10 grid, an image correlates with the counts it came from."""
  from sklearn.datasets import load_digits
  counts = load_digits().images
  images = digits.load(image_size, 'train').read(range(1500))['images']
  assert images.shape == (1500, image_size, image_size, 1)
  assert images.dtype == np.uint8
  assert (images.min(), images.max()) == (0, 255)
  for i in (0, 700, 1499):
    small = Image.fromarray(images[i, ..., 0]).resize((10, 10), Image.Resampling.BOX)
    shrunk = np.asarray(small, np.float64)[1:-1, 1:-1].ravel()
    similarity = [np.corrcoef(shrunk, count.ravel())[0, 1] for count in counts]
    assert max(similarity) > 0.97


def test_split_is_balanced_disjoint_and_complete():
  train, train_labels = digits.load(16, 'train').read(range(1500)).values()
  test, test_labels = digits.load(16, 'test').read(range(297)).values()
  np.testing.assert_array_equal(np.bincount(test_labels), [30] * 7 + [29] * 3)
  np.testing.assert_array_equal(np.bincount(train_labels) + np.bincount(test_labels),
                                [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
  assert not {image.tobytes() for image in train} & {image.tobytes() for image in test}


def test_fingerprint_names_the_data():
  source = digits.load(16, 'train')
  assert source.fingerprint() == digits.load(16, 'train').fingerprint()
  images, labels = source.read(range(source.num_examples)).values()
  changed = images.copy()
  changed[0, 0, 0, 0] ^= 1
  others = [digits.load(32, 'train'), digits.load(16, 'test'), dataclasses.replace(source, name='other'),
            dataclasses.replace(source, records=digits.ArrayRecords(changed, labels)),
            dataclasses.replace(source, records=digits.ArrayRecords(images[::-1], labels[::-1])),
            dataclasses.replace(source, records=digits.ArrayRecords(images, labels + 1))]
  assert len({source.fingerprint(), *(other.fingerprint() for other in others)}) == 7


def test_read_equals_the_records_and_refuses_other_indices():
  source = digits.load(16, 'test')
  images, labels = source.read([5, 0, 5]).values()
  for n, i in enumerate((5, 0, 5)):
    np.testing.assert_array_equal(images[n], source.records[i][0])
    assert labels[n] == source.records[i][1]
  assert source.num_classes == 10
  for i in (-1, 297):
    with pytest.raises(IndexError, match=str(i)):
      source.read([i])


def test_errors_name_the_choices():
  with pytest.raises(DataError, match=r'image_size=28.*16 or 32'):
    digits.load(28, 'train')
  with pytest.raises(DataError, match=r"'valid'.*'train' and 'test'"):
    digits.load(16, 'valid')


def test_resize_crops_the_centre_bit_for_bit():
  pixels = np.random.default_rng(0).integers(0, 256, (8, 13, 3), np.uint8)
  np.testing.assert_array_equal(resize.resize(pixels, 8), pixels[:, 2:10])
  np.testing.assert_array_equal(resize.resize(pixels.swapaxes(0, 1), 8), pixels.swapaxes(0, 1)[2:10])
  np.testing.assert_array_equal(resize.resize(pixels, 0), pixels)


@pytest.mark.parametrize('image_size', [7, 16, 33])
@pytest.mark.parametrize('channels', [1, 3])
def test_resize_keeps_constants_mirrors_and_channels(image_size, channels):
  constant = np.full((20, 24, channels), 77, np.uint8)
  np.testing.assert_array_equal(resize.resize(constant, image_size), np.full((image_size,) * 2 + (channels,), 77))
  pixels = np.random.default_rng(1).integers(0, 256, (20, 24, channels), np.uint8)
  mirrored = resize.resize(pixels[:, ::-1], image_size).astype(int)
  np.testing.assert_allclose(mirrored[:, ::-1], resize.resize(pixels, image_size), atol=1)


def test_shrinking_does_not_alias():
  """Stripes one pixel wide become grey; without a filter they would stay black or white."""
  stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))[..., None]
  assert abs(resize.resize(stripes, 16)[2:-2, 2:-2].astype(int) - 127.5).max() < 12


@pytest.mark.parametrize('pixels', [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)])
def test_resize_refuses_other_arrays(pixels):
  with pytest.raises(ValueError, match='must be uint8'):
    resize.resize(pixels, 8)
