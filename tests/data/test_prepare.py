"""First-time preparation: conversion without TensorFlow, and the real thing where TensorFlow is installed."""

import importlib.util
import struct
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds

from gan.data import digits, prepare
from gan.data import tfds as gan_tfds
from gan.data.source import DataError
from tests import runs
from tests.data.test_tfds import write_set


@pytest.fixture(scope='module')
def drawn():
  return {split: tuple(digits.load(16, split).read(range(40)).values()) for split in ('train', 'test')}


class EmbeddedDigits(tfds.core.GeneratorBasedBuilder):
  """A TFDS set that needs no download."""

  VERSION = tfds.core.Version('1.0.0')

  def _info(self):
    features = {'image': tfds.features.Image(shape=(16, 16, 1)), 'label': tfds.features.ClassLabel(num_classes=10)}
    return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

  def _split_generators(self, dl_manager):
    del dl_manager
    return {split: self._generate_examples(split) for split in ('train', 'test')}

  def _generate_examples(self, split):
    images, labels = digits.load(16, split).read(range(40)).values()
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
      yield i, {'image': image, 'label': int(label)}


def test_tfrecord_is_converted_in_place_bit_for_bit(tmp_path, drawn):
  write_set(tmp_path / 'own_digits' / '1.0.0', 'tfrecord', drawn)
  assert 'Converted 80' in prepare.prepare(gan_tfds.find_builder('own_digits', str(tmp_path)))
  for split in ('train', 'test'):
    images, labels = gan_tfds.load('own_digits', 16, split, str(tmp_path)).read(range(40)).values()
    np.testing.assert_array_equal(images, drawn[split][0])
    np.testing.assert_array_equal(labels, drawn[split][1])
  assert 'already prepared' in prepare.prepare(gan_tfds.find_builder('own_digits', str(tmp_path)))


@pytest.mark.parametrize('damage', ['end', 'record'])
def test_damaged_tfrecord_is_not_passed_off_as_prepared(tmp_path, drawn, damage):
  write_set(tmp_path / 'own_digits' / '1.0.0', 'tfrecord', drawn)
  shard = tmp_path / 'own_digits' / '1.0.0' / 'own_digits-train.tfrecord-00001-of-00002'
  content = shard.read_bytes()
  first = 16 + struct.unpack('<Q', content[:8])[0]
  shard.write_bytes(content[:-1] if damage == 'end' else content[first:])
  with pytest.raises(DataError, match=f'{shard.name} (is truncated|holds)'):
    prepare.prepare(gan_tfds.find_builder('own_digits', str(tmp_path)))
  with pytest.raises(DataError, match='as tfrecord'):
    gan_tfds.load('own_digits', 16, 'train', str(tmp_path))


def test_without_tensorflow_the_pip_command_is_named(tmp_path, monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(DataError, match=r"needs tensorflow: `pip install -e '\.\[prepare\]'`"):
    prepare.prepare(EmbeddedDigits(data_dir=str(tmp_path)))


def test_without_a_network_it_fails_in_seconds(tmp_path, monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: object())
  monkeypatch.setattr(EmbeddedDigits, 'url_infos', {'https://nowhere.invalid/digits.zip': None})
  start = time.monotonic()
  with pytest.raises(DataError, match=r'nowhere\.invalid does not answer.*HTTPS_PROXY.*digits'):
    prepare.prepare(EmbeddedDigits(data_dir=str(tmp_path)))
  assert time.monotonic() - start < 30


@pytest.mark.parametrize(('arguments', 'message'), [((), 'name one data set'), (('mnistt',), 'nearest: mnist')])
def test_the_command_fails_without_a_traceback(tmp_path, arguments, message):
  code, _, stderr = runs.run('gan.data.prepare', *arguments, f'--data_dir={tmp_path}')
  assert code != 0
  assert message in stderr
  assert 'Traceback' not in stderr


def test_the_command_is_content_with_a_prepared_set(tmp_path, drawn):
  write_set(tmp_path / 'own_digits' / '1.0.0', 'array_record', drawn)
  code, stdout, stderr = runs.run('gan.data.prepare', 'own_digits', f'--data_dir={tmp_path}')
  assert code == 0, stderr
  assert 'own_digits is already prepared' in stdout


@pytest.mark.parametrize('first', ['array_record', 'tfrecord'])
def test_a_set_prepared_by_tfds_reads_back_bit_for_bit(tmp_path, drawn, first):
  """Through TFDS's own writer, into array_record at once or by way of tfrecord."""
  pytest.importorskip('tensorflow', reason='TFDS writes with TensorFlow')
  builder = EmbeddedDigits(data_dir=str(tmp_path))
  if first == 'tfrecord':
    builder.download_and_prepare(file_format='tfrecord')
    with pytest.raises(DataError, match='as tfrecord'):
      gan_tfds.load('embedded_digits', 16, 'train', str(tmp_path))
    builder = gan_tfds.find_builder('embedded_digits', str(tmp_path))
  prepare.prepare(builder)
  for split in ('train', 'test'):
    images, labels = gan_tfds.load('embedded_digits', 16, split, str(tmp_path)).read(range(40)).values()
    # TFDS shuffles by key when it writes: compare as sets of (pixels, label).
    found = sorted((image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True))
    assert found == sorted((image.tobytes(), int(label)) for image, label in zip(*drawn[split], strict=True))
  assert 'already prepared' in prepare.prepare(gan_tfds.find_builder('embedded_digits', str(tmp_path)))
