"""Reference statistics: computed once, never shared between settings, the whole split whatever its order."""

import dataclasses
import io
import shutil
import time

import jax
import numpy as np
import pytest
from absl import logging
from PIL import Image

from gan.data import digits, folder
from gan.data.source import ImageSource, read_batches
from gan.features.simple import pixels, random
from gan.metrics.frechet import frechet_distance
from gan.scoring.collect import make_extract
from gan.scoring.reference import get_reference, reference_key, reference_order

TRAIN = digits.load(16, 'train')


def counting(extract):
  """The same, and how often it was called."""
  calls = []

  def counted(images):
    calls.append(len(images))
    return extract(images)

  return counted, calls


def test_computed_once_and_right(tmp_path):
  features = random(TRAIN.shape)
  extract, calls = counting(make_extract(features))
  first = get_reference(TRAIN, features, extract, True, tmp_path)
  assert sum(calls) == 1500
  again = get_reference(TRAIN, features, extract, True, tmp_path)
  without = get_reference(TRAIN, features, extract, False, tmp_path)
  assert sum(calls) == 1500
  images = TRAIN.read(range(1500))['images']
  expected = make_extract(features)(images)['features']
  np.testing.assert_allclose(first.features, expected[reference_order(TRAIN)], atol=1e-6)
  np.testing.assert_allclose(first.moments.covariance, np.cov(expected, rowvar=False), rtol=1e-5, atol=1e-8)
  np.testing.assert_allclose(first.root @ first.root.T, first.moments.covariance, rtol=1e-6, atol=1e-9)
  np.testing.assert_array_equal(first.features, again.features)
  assert without.features is None
  assert frechet_distance(first.moments, without.moments, without.root) < 1e-9


def test_features_are_added_to_an_entry_that_had_none(tmp_path):
  features = random(TRAIN.shape)
  extract, calls = counting(make_extract(features))
  get_reference(TRAIN, features, extract, False, tmp_path)
  get_reference(TRAIN, features, extract, True, tmp_path)
  assert sum(calls) == 3000


def npy(array):
  buffer = io.BytesIO()
  np.save(buffer, array)
  return buffer.getvalue()


def npz(**arrays):
  buffer = io.BytesIO()
  np.savez(buffer, **arrays)
  return buffer.getvalue()


DAMAGES = {
    'cut': lambda data, other: data[:len(data) // 2], 'empty': lambda data, other: b'',
    'flipped': lambda data, other: data[:-40] + bytes([data[-40] ^ 64]) + data[-39:],
    'zeros': lambda data, other: bytes(len(data)), 'longer': lambda data, other: data + b'0',
    'of other data': lambda data, other: other,
    'doubled': lambda data, other: doubled(data)}


def doubled(data):
  """A file of twice the values, as NumPy writes it."""
  contents = io.BytesIO(data[data.index(b'PK' if b'PK' in data else b'\x93NUMPY'):])
  arrays = np.load(contents)
  return npy(2 * arrays) if isinstance(arrays, np.ndarray) else npz(**{name: 2 * arrays[name] for name in arrays})


@pytest.mark.parametrize('suffix', ['.npz', '.npy'])
@pytest.mark.parametrize('damage', DAMAGES)
def test_a_damaged_entry_is_computed_anew(tmp_path, monkeypatch, suffix, damage):
  """Whatever is in a file of the cache, the statistics are the same, or there would be another score."""
  images = np.random.default_rng(0).integers(0, 256, (2, 12, 2, 2, 1), np.uint8)
  source, others = (ImageSource(name, 'train', (2, 2, 1), (), [(image, 0) for image in part])
                    for name, part in zip('ab', images, strict=True))
  features = pixels(source.shape)
  extract, calls = counting(make_extract(features))
  right, wrong = (get_reference(some, features, extract, True, tmp_path) for some in (source, others))
  assert not np.array_equal(right.features, wrong.features)
  path, other = ((tmp_path / 'references' / reference_key(some, features)).with_suffix(suffix)
                 for some in (source, others))
  path.write_bytes(DAMAGES[damage](path.read_bytes(), other.read_bytes()))
  said = []
  monkeypatch.setattr(logging, 'warning', lambda text, *values: said.append(text % values))
  for num in (36, 36):
    found = get_reference(source, features, extract, True, tmp_path)
    jax.tree.map(np.testing.assert_array_equal, found, right)
    assert sum(calls) == num, 'computed anew, and once'
  assert len(said) == 1
  assert f'{path} is damaged' in said[0]


def test_no_two_settings_share_an_entry():
  features = pixels(TRAIN.shape)
  settings = [(TRAIN, features), (digits.load(16, 'test'), features), (digits.load(32, 'train'), features),
              (TRAIN, features._replace(name='random')), (TRAIN, features._replace(digest='other')),
              (TRAIN, features._replace(resizing='clean bicubic to 299')),
              (dataclasses.replace(TRAIN, name='others'), features)]
  assert len({reference_key(*setting) for setting in settings}) == len(settings)
  assert reference_key(TRAIN, features) == reference_key(digits.load(16, 'train'), pixels(TRAIN.shape))


def test_a_changed_file_of_a_folder_is_another_entry_and_a_copy_is_none(tmp_path):
  rng = np.random.default_rng(0)
  (tmp_path / 'here').mkdir()
  for i in range(200):
    Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(tmp_path / 'here' / f'{i:03}.png')
  before = folder.load(tmp_path / 'here', 8, 'train')
  key = reference_key(before, pixels(before.shape))
  shutil.copytree(tmp_path / 'here', tmp_path / 'there', copy_function=shutil.copyfile)
  assert reference_key(folder.load(tmp_path / 'there', 8, 'train'), pixels(before.shape)) == key
  Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(tmp_path / 'here' / '001.png')
  assert reference_key(folder.load(tmp_path / 'here', 8, 'train'), pixels(before.shape)) != key


@pytest.mark.parametrize(('num', 'size'), [(1, 4), (8, 4), (131, 4), (131, 200)])
def test_batches_come_in_order(num, size):
  class Records:
    def __len__(self):
      return 1000

    def __getitem__(self, i):
      time.sleep(0.0001 * (i % 7))  # So that threads do not end in order.
      return np.full((1, 1, 1), i % 256, np.uint8), i

  source = ImageSource('made', 'train', (1, 1, 1), (), Records())
  indices = np.random.default_rng(0).permutation(1000)[:num]
  parts = list(read_batches(source, indices, size))
  images, labels = ([part[name] for part in parts] for name in ('images', 'labels'))
  np.testing.assert_array_equal(np.concatenate(labels), indices)
  np.testing.assert_array_equal(np.concatenate(images).ravel(), indices % 256)
  assert {len(part) for part in labels[:-1]} <= {size}
