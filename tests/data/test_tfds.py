"""TFDS sets from disk: written here without TensorFlow, so that these tests run where training runs."""

import io
import os
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

from gan.data import digits
from gan.data import tfds as gan_tfds
from gan.data.source import DataError

FEATURES = {'id': tfds.features.Text(), 'picture': tfds.features.Image(shape=(16, 16, 1)),
            'kind': tfds.features.ClassLabel(names=[f'<{n}>' for n in range(10)])}


def example(image, label):
  """Serialize one tf.train.Example as TFDS does."""
  png = io.BytesIO()
  Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(png, 'PNG')
  record = tf_example_pb2.Example()
  record.features.feature['id'].bytes_list.value.append(b'some text')
  record.features.feature['picture'].bytes_list.value.append(png.getvalue())
  record.features.feature['kind'].int64_list.value.append(int(label))
  return record.SerializeToString()


def write_set(folder, file_format, splits, features=None):
  """Write a TFDS set of two shards per split; `splits` maps names to (images, labels)."""
  folder.mkdir(parents=True)
  infos = []
  template = tfds.core.ShardedFileTemplate(folder, dataset_name='own_digits', filetype_suffix=file_format)
  for split, (images, labels) in splits.items():
    records = [example(*pair) for pair in zip(images, labels, strict=True)]
    shards = [records[:len(records) // 3], records[len(records) // 3:]]
    named = template.replace(split=split)
    for path, shard in zip(named.sharded_filepaths(2), shards, strict=True):
      if file_format == 'array_record':
        writer = array_record_module.ArrayRecordWriter(str(path), 'group_size:1')
        for record in shard:
          writer.write(record)
        writer.close()
      else:   # Checksums left at zero: the converter does not look at them.
        path.write_bytes(b''.join(struct.pack('<QI', len(r), 0) + r + bytes(4) for r in shard))
    infos.append(tfds.core.SplitInfo(name=split, shard_lengths=[len(s) for s in shards], num_bytes=0,
                                     filename_template=named))
  tfds.folder_dataset.write_metadata(
      data_dir=folder, features=tfds.features.FeaturesDict(features or FEATURES), split_infos=infos,
      filename_template=template, check_data=False)


@pytest.fixture(scope='module')
def drawn():
  return {split: tuple(digits.load(16, split).read(range(60)).values()) for split in ('train', 'test')}


@pytest.fixture(scope='module')
def prepared(tmp_path_factory, drawn):
  root = tmp_path_factory.mktemp('tfds')
  write_set(root / 'own_digits' / '1.0.0', 'array_record', drawn)
  return str(root)


@pytest.mark.parametrize('split', ['train', 'test'])
@pytest.mark.parametrize('image_size', [0, 16])
def test_prepared_set_comes_back_bit_for_bit(prepared, drawn, split, image_size):
  source = gan_tfds.load('own_digits', image_size, split, prepared)
  images, labels = source.read(range(source.num_examples)).values()
  np.testing.assert_array_equal(images, drawn[split][0])
  np.testing.assert_array_equal(labels, drawn[split][1])
  assert source.shape == (16, 16, 1)
  assert source.class_names == tuple(f'<{n}>' for n in range(10))


def test_one_by_one_in_bulk_and_from_threads_agree(prepared, drawn):
  source = gan_tfds.load('own_digits', 24, 'train', prepared)
  order = np.random.default_rng(0).permutation(60)
  bulk, labels = source.read(order).values()
  with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(source.records.__getitem__, order.tolist()))
  np.testing.assert_array_equal(bulk, [image for image, _ in found])
  np.testing.assert_array_equal(labels, [label for _, label in found])
  np.testing.assert_array_equal(labels, drawn['train'][1][order])
  assert bulk.shape == (60, 24, 24, 1)


def test_reading_never_imports_tensorflow(prepared):
  code = ('import sys; from gan.data import tfds; '
          f's = tfds.load("own_digits", 16, "train", {prepared!r}); s.read([0, 1]); s.records[3]; '
          'assert "tensorflow" not in sys.modules, "tensorflow was imported"')
  subprocess.run([sys.executable, '-c', code], check=True)


def test_sets_without_a_test_split(tmp_path, drawn):
  write_set(tmp_path / 'own_digits' / '1.0.0', 'array_record', {'train': drawn['train'], 'validation': drawn['test']})
  source = gan_tfds.load('own_digits', 16, 'test', str(tmp_path))
  np.testing.assert_array_equal(source.read(range(60))['images'], drawn['test'][0])
  write_set(tmp_path / 'own_digits' / '1.1.0', 'array_record', {'train': drawn['train']})
  with pytest.raises(DataError, match='own_digits has only train; use split=train'):
    gan_tfds.load('own_digits', 16, 'test', str(tmp_path))
  with pytest.raises(DataError, match="must be 'train' or 'test'"):
    gan_tfds.load('own_digits', 16, 'valid', str(tmp_path))


def test_keys_are_found_by_type(tmp_path, drawn):
  images, labels = drawn['train']
  write_set(tmp_path / 'plain' / '1.0.0', 'array_record', {'train': (np.repeat(images, 3, -1), labels)},
            {'id': tfds.features.Text(), 'picture': tfds.features.Image(shape=(None, None, 3))})
  source = gan_tfds.load('own_digits', 16, 'train', _renamed(tmp_path, 'plain'))
  assert (source.class_names, source.shape, source.records[0][1]) == ((), (16, 16, 3), 0)
  with pytest.raises(DataError, match='image_size=0: the images of own_digits differ in size'):
    gan_tfds.load('own_digits', 0, 'train', str(tmp_path))


def _renamed(root, name):
  (root / name).rename(root / 'own_digits')
  return str(root)


def test_sets_without_images_are_refused(tmp_path, drawn):
  write_set(tmp_path / 'own_digits' / '1.0.0', 'array_record', drawn, {'id': tfds.features.Text()})
  with pytest.raises(DataError, match='no 8-bit images: its features are id'):
    gan_tfds.load('own_digits', 16, 'train', str(tmp_path))


def test_tfrecord_is_recognised_and_the_way_out_named(tmp_path, drawn):
  write_set(tmp_path / 'own_digits' / '1.0.0', 'tfrecord', drawn)
  with pytest.raises(DataError, match=r'as tfrecord, .*python -m gan\.data\.prepare own_digits'):
    gan_tfds.load('own_digits', 16, 'train', str(tmp_path))


def test_missing_files_are_named(tmp_path, drawn):
  write_set(tmp_path / 'own_digits' / '1.0.0', 'array_record', drawn)
  shard = tmp_path / 'own_digits' / '1.0.0' / 'own_digits-train.array_record-00001-of-00002'
  shard.unlink()
  with pytest.raises(DataError, match=f'{shard.name} is missing'):
    gan_tfds.load('own_digits', 16, 'train', str(tmp_path))


@pytest.mark.parametrize(('name', 'message'), [
    ('mnist', r'not prepared in .*python -m gan\.data\.prepare mnist`.*TFDS_DATA_DIR.*digits'),
    ('mnistt', 'digits, .*folder.*nearest: mnist'),
    ('no_such_set_at_all', 'is unknown. The embedded data sets are digits'),
    ('mnist/no_config', 'cannot build it here.*no_config'),
    ('mnist:9.9.9', 'cannot build it here.*9.9.9'),
    ('not a name!', 'not a name of a data set'),
])
def test_absent_and_unknown_sets_fail_with_the_ways_out(tmp_path, monkeypatch, name, message):
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path))
  with pytest.raises(DataError, match=message):
    gan_tfds.load(name, 32, 'train')


def test_another_version_than_the_newest_is_read(tmp_path, drawn):
  """The name is TFDS's own: its code knows another version than the one on disk."""
  write_set(tmp_path / 'mnist' / '0.1.0', 'array_record', drawn)
  assert str(gan_tfds.find_builder('mnist', str(tmp_path)).version) == '0.1.0'
  assert str(gan_tfds.find_builder('mnist:0.1.0', str(tmp_path)).version) == '0.1.0'
  with pytest.raises(DataError, match=r'0\.2\.0'):
    gan_tfds.find_builder('mnist:0.2.0', str(tmp_path))


@pytest.mark.parametrize(('name', 'number', 'shape'), [('mnist', 60000, (28, 28, 1)), ('cifar10', 50000, (32, 32, 3))])
def test_real_sets_decode_as_tfds_decodes_them(name, number, shape):
  data_dir = os.environ.get('TFDS_DATA_DIR')
  if not data_dir or not os.path.isdir(os.path.join(data_dir, name)):
    pytest.skip(f'TFDS_DATA_DIR holds no {name}')
  source = gan_tfds.load(name, 0, 'train')
  assert (source.num_examples, source.shape, source.num_classes) == (number, shape, 10)
  theirs = tfds.data_source(name, split='train', data_dir=data_dir, download=False)
  for i in (0, 7, number - 1):
    image, label = source.records[i]
    np.testing.assert_array_equal(image, theirs[i]['image'])
    assert label == theirs[i]['label']
  assert gan_tfds.load(name, 32, 'test').read([0, 9999])['images'].shape == (2, 32, 32, shape[-1])
