"""Reference statistics: computed once, never shared between settings, the whole split whatever its order."""

import dataclasses
import shutil
import time

import numpy as np
import pytest
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
  images, _ = TRAIN.read(range(1500))
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
  images, labels = zip(*read_batches(source, indices, size), strict=True)
  np.testing.assert_array_equal(np.concatenate(labels), indices)
  np.testing.assert_array_equal(np.concatenate(images).ravel(), indices % 256)
  assert {len(part) for part in labels[:-1]} <= {size}
