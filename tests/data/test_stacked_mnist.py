"""Stacked MNIST, made of a stand-in for MNIST; and of MNIST itself, where it is."""

import os

import numpy as np
import pytest

from gan.data import digits, get_source, stacked_mnist
from gan.data.source import DataError, ImageSource

NUM_DIGITS = {'train': 60_000, 'test': 10_000}


@pytest.fixture
def numbered(monkeypatch):
  """An MNIST whose images are 2 x 2 pixels that spell their own number, of class number % 10."""
  def load(name, image_size, split):
    assert (name, image_size) == ('mnist', 2)
    numbers = np.arange(NUM_DIGITS[split])
    pixels = np.stack([numbers // 256, numbers % 256, numbers % 10, 0 * numbers], axis=1)
    records = digits.ArrayRecords(pixels.reshape(-1, 2, 2, 1).astype(np.uint8), numbers % 10)
    return ImageSource('mnist', split, (2, 2, 1), tuple('0123456789'), records)

  monkeypatch.setattr(stacked_mnist.tfds, 'load', load)


def numbers_in(images):
  """Which digits [N, 3] are in the channels."""
  return 256 * images[:, 0, 0].astype(int) + images[:, 0, 1]


@pytest.mark.parametrize(('split', 'number', 'first'), [
    ('train', 128_000, [[57887, 30255, 14738], [17666, 12844, 26553]]),
    ('test', 26_000, [[2518, 9592, 2785], [989, 7288, 3954]]),
])
@pytest.mark.usefixtures('numbered')
def test_three_digits_and_their_number(split, number, first):
  source = get_source('stacked_mnist', 2, split)
  assert (source.num_examples, source.shape, source.num_classes) == (number, (2, 2, 3), 1000)
  assert (source.name, source.split, source.class_names[7], source.class_names[314]) == (
      'stacked_mnist', split, '007', '314')
  images, labels = source.read(range(number)).values()
  drawn = numbers_in(images)
  np.testing.assert_array_equal(labels, drawn % 10 @ [100, 10, 1])
  np.testing.assert_array_equal(images[:, 1, 0], drawn % 10)
  # Fixed for ever: another drawing would be another data set under the same name.
  np.testing.assert_array_equal(drawn[:2], first)
  assert 0 <= drawn.min() < drawn.max() < NUM_DIGITS[split]


@pytest.mark.usefixtures('numbered')
def test_drawn_uniformly_independently_with_replacement():
  images, labels = get_source('stacked_mnist', 2).read(range(128_000)).values()
  drawn = numbers_in(images)
  for channel in drawn.T:
    counts = np.bincount(channel, minlength=60_000)
    expected = 128_000 / 60_000                       # Poisson: the variance equals the mean.
    assert abs(counts.var() / expected - 1) < 0.05
    assert abs(np.mean(counts == 0) / np.exp(-expected) - 1) < 0.05
    assert abs(channel.mean() / 30_000 - 1) < 0.01
  correlations = np.corrcoef(drawn.T)[np.triu_indices(3, 1)]
  assert np.abs(correlations).max() < 0.01
  assert np.abs(np.corrcoef(drawn[:-1, 0], drawn[1:, 0])[0, 1]) < 0.01
  per_class = np.bincount(labels, minlength=1000)
  assert per_class.min() > 70
  assert abs(per_class.var() / 128 - 1) < 0.2
  test = numbers_in(get_source('stacked_mnist', 2, 'test').read(range(1000))['images'])
  assert not np.array_equal(test, drawn[:1000] % 10_000)


@pytest.mark.usefixtures('numbered')
def test_one_by_one_equals_in_bulk():
  source = get_source('stacked_mnist', 2)
  chosen = [127_999, 0, 5, 5]
  images, labels = source.read(chosen).values()
  for n, i in enumerate(chosen):
    image, label = source.records[i]
    np.testing.assert_array_equal(images[n], image)
    assert labels[n] == label
  assert source.fingerprint() == get_source('stacked_mnist', 2).fingerprint()
  assert source.records.digits.name == 'mnist'


def test_absent_mnist_is_named_with_the_ways_out(tmp_path, monkeypatch):
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path))
  with pytest.raises(DataError, match=r'mnist is not prepared .*python -m gan\.data\.prepare mnist`'):
    get_source('stacked_mnist', 32)


def test_of_real_digits():
  data_dir = os.environ.get('TFDS_DATA_DIR')
  if not data_dir or not os.path.isdir(os.path.join(data_dir, 'mnist')):
    pytest.skip('TFDS_DATA_DIR holds no mnist')
  source = get_source('stacked_mnist', 32, 'test')
  mnist, labels = source.records.digits.read(range(10_000)).values()
  images, numbers = source.read(range(300)).values()
  by_pixels = {image.tobytes(): label for image, label in zip(mnist, labels, strict=True)}
  for image, number in zip(images, numbers, strict=True):
    assert number == sum(base * by_pixels[image[..., c].tobytes()] for c, base in enumerate((100, 10, 1)))
  with pytest.raises(DataError, match="must be 'train' or 'test'"):
    get_source('stacked_mnist', 32, 'valid')
