"""MNIST, Fashion-MNIST and CIFAR-10 from files in their original formats: small ones, made here, without TensorFlow."""

import gzip
import hashlib
import http.server
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core import shuffle

from gan.data import original, prepare, tfds_writer
from gan.data import tfds as gan_tfds
from gan.data.original import ORIGINALS, Split
from gan.data.source import DataError
from gan.run.report import read_metrics
from tests import runs
from tests.data import original_files
from tests.data.original_files import idx, zipped

NAMES = tuple(ORIGINALS)


def without_tensorflow(*arguments, **environment):
  """`python -m <arguments>` where TensorFlow cannot be imported; returns exit code, stdout, stderr."""
  found = subprocess.run([sys.executable, '-m', 'tests.without_tensorflow', *arguments], cwd=runs.ROOT, text=True,
                         capture_output=True, check=False, env=os.environ | environment)
  return found.returncode, found.stdout, found.stderr


def published(monkeypatch, name, folder, url=None):
  """Let the files in `folder` be those that are published."""
  hashes = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in ORIGINALS[name].files}
  monkeypatch.setitem(ORIGINALS, name, ORIGINALS[name]._replace(files=hashes, url=url or ORIGINALS[name].url))


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  """{name: folder of its original files}."""
  root = tmp_path_factory.mktemp('files')
  return {name: original_files.write(root / name, name, original_files.draw(name)) for name in NAMES}


@pytest.fixture(scope='module')
def prepared(tmp_path_factory, files):
  """TFDS_DATA_DIR with all three, prepared by the command, and what it said."""
  root = tmp_path_factory.mktemp('prepared')
  said = {}
  for name in NAMES:
    code, said[name], stderr = without_tensorflow('gan.data.prepare', name, f'--files={files[name]}', '--unchecked',
                                                  f'--data_dir={root}')
    assert code == 0, stderr
  return str(root), said


@pytest.mark.parametrize('name', NAMES)
def test_what_is_published(name):
  """The hashes are those that TFDS checks, the class names those that it has (of CIFAR-10 only after preparation)."""
  builder = tfds.builder(name)
  assert {url.rpartition('/')[2]: info.checksum for url, info in builder.url_infos.items()} == ORIGINALS[name].files
  assert ORIGINALS[name].url.endswith('/')
  if name != 'cifar10':
    assert tuple(builder.info.features['label'].names) == ORIGINALS[name].class_names


@pytest.mark.parametrize('split', ['train', 'test'])
def test_order_is_that_of_tfds(tmp_path, split):
  """TFDS sorts by the MD5 of split and key, and the keys of these sets are the numbers of their examples."""
  theirs = shuffle.Shuffler(tmp_path, split)
  for i in range(1_000):
    theirs.add(i, str(i).encode())
  assert tfds_writer.order(split, 1_000) == [int(data) for _, data in theirs]


@pytest.mark.parametrize('name', NAMES)
def test_prepared_without_tensorflow_and_read_back(prepared, name):
  root, said = prepared
  assert f'Prepared {name} in {root}/{name}' in said[name]
  assert '150 train and 40 test images, in the order of TFDS' in said[name]
  for split, (images, labels) in original_files.draw(name).items():
    source = gan_tfds.load(name, 0, split, root)
    order = tfds_writer.order(split, len(labels))
    found = source.read(range(len(labels)))
    np.testing.assert_array_equal(found['images'], images[order])
    np.testing.assert_array_equal(found['labels'], labels[order])
    assert source.class_names == ORIGINALS[name].class_names
    theirs = tfds.data_source(name, split=split, data_dir=root, download=False)   # By TFDS itself.
    np.testing.assert_array_equal(theirs[3]['image'], images[order[3]])
    if name == 'cifar10':
      assert theirs[3]['id'].decode() == f'{split}_{order[3]:05d}'
  folder, = os.listdir(os.path.join(root, name))
  assert folder == str(tfds.builder(name).version), 'nothing half-written is left'


@pytest.mark.parametrize('name', ['mnist', 'cifar10'])
def test_dcgan_trains_on_it_without_tensorflow(prepared, tmp_path, name):
  code, stdout, stderr = without_tensorflow(
      'gan.main', f'--config=configs/dcgan.py:{name},runlocal', '--config.model.gen.width=4',
      '--config.model.disc.width=4', '--config.train.batch_size=16', f'--workdir={tmp_path}', JAX_PLATFORMS='cpu',
      TFDS_DATA_DIR=prepared[0], XLA_FLAGS=runs.QUICK)
  assert code == 0, stderr
  assert 'Finished 20 steps' in stdout
  assert np.isfinite(read_metrics(tmp_path / 'metrics.jsonl')[-1]['disc/loss'])


@pytest.mark.parametrize('name', ['mnist', 'cifar10'])
def test_the_fingerprint_is_that_of_tfdss_own_preparation(prepared, files, tmp_path, name):
  """So a run that was started on one goes on with the other: the records are the same, in the same order."""
  pytest.importorskip('tensorflow', reason='TFDS writes with TensorFlow')
  builder = tfds.builder(name, data_dir=str(tmp_path / 'tfds'), file_format='array_record')
  if name == 'mnist':
    for path in files[name].iterdir():
      (tmp_path / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    paths = {split: [tmp_path / f'{prefix}-{kind}-ubyte' for kind in ('images-idx3', 'labels-idx1')]
             for split, prefix in (('train', 'train'), ('test', 't10k'))}
    splits = {split: builder._generate_examples(original_files.COUNTS[split], *paths[split]) for split in paths}
  else:
    subprocess.run(['tar', '-xzf', files[name] / 'cifar-10-binary.tar.gz', '-C', tmp_path], check=True)
    builder.info.features['label'].names = list(ORIGINALS[name].class_names)
    folder = tmp_path / 'cifar-10-batches-bin'
    splits = {'train': builder._generate_examples('train_', [folder / f'data_batch_{i}.bin' for i in range(1, 6)]),
              'test': builder._generate_examples('test_', [folder / 'test_batch.bin'])}
  builder._split_generators = lambda dl_manager: splits
  builder.download_and_prepare()
  for split in ('train', 'test'):
    ours, theirs = (gan_tfds.load(name, 32, split, root) for root in (prepared[0], str(tmp_path / 'tfds')))
    assert ours.fingerprint() == theirs.fingerprint()
    assert ours.class_names == theirs.class_names


class Server(http.server.SimpleHTTPRequestHandler):
  """Sends the files of a folder."""

  def log_message(self, *_):
    pass


@pytest.fixture
def serve(monkeypatch):
  """Publishes the files of a folder at an address of this machine; returns what was asked for."""
  servers = []

  def start(name, folder):
    asked = []

    class Handler(Server):
      def do_GET(self):
        asked.append(self.path)
        super().do_GET()

    server = http.server.ThreadingHTTPServer(
        ('127.0.0.1', 0), lambda *arguments: Handler(*arguments, directory=str(folder)))
    servers.append(server)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    published(monkeypatch, name, folder, f'http://127.0.0.1:{server.server_port}/')
    return asked

  monkeypatch.setenv('NO_PROXY', '*')
  yield start
  for server in servers:
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize('name', NAMES)
def test_files_are_downloaded_once(monkeypatch, serve, files, tmp_path, name):
  monkeypatch.setenv('GAN_CACHE_DIR', str(tmp_path / 'cache'))
  asked = serve(name, files[name])
  for root in ('one', 'two'):
    said = prepare.prepare(gan_tfds.find_builder(name, str(tmp_path / root)))
    assert f'from the original files in {tmp_path / "cache"}' in said
  assert sorted(asked) == sorted(f'/{file}' for file in ORIGINALS[name].files)
  assert gan_tfds.load(name, 0, 'train', str(tmp_path / 'two')).num_examples == 150
  assert 'already prepared' in prepare.prepare(gan_tfds.find_builder(name, str(tmp_path / 'two')))


def test_another_file_at_the_address_is_refused(monkeypatch, serve, files, tmp_path):
  monkeypatch.setenv('GAN_CACHE_DIR', str(tmp_path / 'cache'))
  serve('mnist', files['mnist'])
  hashes = dict.fromkeys(ORIGINALS['mnist'].files, 'ab' * 32)
  monkeypatch.setitem(ORIGINALS, 'mnist', ORIGINALS['mnist']._replace(files=hashes))
  with pytest.raises(DataError, match=r'cannot be downloaded.*abab.*--files=<folder>'):
    prepare.prepare(gan_tfds.find_builder('mnist', str(tmp_path)))
  assert not (tmp_path / 'mnist').exists()


def test_without_a_network_the_ways_out_are_named(monkeypatch, files, tmp_path):
  monkeypatch.setenv('GAN_CACHE_DIR', str(tmp_path / 'cache'))
  published(monkeypatch, 'cifar10', files['cifar10'], 'http://127.0.0.1:9/')
  with pytest.raises(DataError, match=r'127\.0\.0\.1.*refused.*HTTPS_PROXY.*bring cifar-10-binary\.tar\.gz here by '
                                      r'hand and name their folder with --files=.*digits'):
    prepare.prepare(gan_tfds.find_builder('cifar10', str(tmp_path)))


def test_files_of_ones_own_are_checked(monkeypatch, files, tmp_path):
  builder = gan_tfds.find_builder('mnist', str(tmp_path))
  with pytest.raises(DataError, match=r'(?s)train-images-idx3-ubyte\.gz has SHA-256 .* has 440fcabf.*--unchecked'):
    prepare.prepare(builder, str(files['mnist']))
  with pytest.raises(DataError, match=r'images-idx3-ubyte\.gz is missing: --files must name a folder with train-'):
    prepare.prepare(builder, str(tmp_path))
  published(monkeypatch, 'mnist', files['mnist'])
  assert 'from the original files' in prepare.prepare(builder, str(files['mnist']))
  assert 'delete that folder first' in prepare.prepare(builder, str(files['mnist']))


@pytest.mark.parametrize(('arguments', 'message'), [
    (('mnist', '--unchecked'), '--unchecked is for the files in --files'),
    (('cifar100', '--files=.'), 'only mnist, fashion_mnist, cifar10 are made from original files'),
    (('cifar100',), r"needs tensorflow: `pip install -e '.[prepare]'`")])
def test_the_command_refuses_in_a_sentence(tmp_path, arguments, message):
  code, _, stderr = without_tensorflow('gan.data.prepare', *arguments, f'--data_dir={tmp_path}')
  assert code == 2
  assert message in stderr
  assert 'Traceback' not in stderr


IMAGES, LABELS = 'train-images-idx3-ubyte.gz', 'train-labels-idx1-ubyte.gz'
MNIST = original_files.draw('mnist')['train']


@pytest.mark.parametrize(('file', 'content', 'message'), [
    (IMAGES, zipped(idx(MNIST[0]))[:-50], 'cannot be unpacked'),
    (IMAGES, b'<html>Log in first</html>', 'cannot be unpacked'),
    (IMAGES, zipped(b''), 'is no idx file of bytes: it begins with nothing'),
    (IMAGES, zipped(b'\x00\x00\x0d\x03' + bytes(100)), 'begins with 00 00 0d 03, and must begin with 00 00 08'),
    (IMAGES, zipped(idx(MNIST[0][..., 0])[:-9]), '117591 bytes, .* says 150 x 28 x 28'),
    (IMAGES, zipped(idx(MNIST[0][:149, ..., 0])), r'they must be \(N, 28, 28\) and \(N,\)'),
    (IMAGES, zipped(idx(MNIST[0][:, :27, :, 0])), r'shape \(150, 27, 28\)'),
    (LABELS, zipped(idx(MNIST[1] + 1)), 'classes from 0 to 9; it holds 150, up to 10')])
def test_damaged_idx_files_are_refused(files, tmp_path, file, content, message):
  folder = original_files.write(tmp_path / 'files', 'mnist', original_files.draw('mnist'))
  (folder / file).write_bytes(content)
  with pytest.raises(DataError, match=f'{file}.*{message}'):
    prepare.prepare(gan_tfds.find_builder('mnist', str(tmp_path)), str(folder), unchecked=True)
  assert not (tmp_path / 'mnist').exists()


@pytest.mark.parametrize(('damage', 'message'), [
    ({'leave_out': ['data_batch_3.bin']}, 'does not hold data_batch_3.bin'),
    ({'cut': 7}, 'must hold data_batch_1.bin of one or more records of 3073 bytes; it holds 92183 bytes of it'),
    (None, 'cannot be unpacked')])
def test_damaged_archives_are_refused(tmp_path, damage, message):
  original_files.write_cifar10(tmp_path, original_files.draw('cifar10'), **(damage or {}))
  if damage is None:
    path = tmp_path / 'cifar-10-binary.tar.gz'
    path.write_bytes(path.read_bytes()[:100_000])
  with pytest.raises(DataError, match=message):
    original.ORIGINALS['cifar10'].read(tmp_path)


def test_a_full_disk_leaves_nothing_behind(files, tmp_path):
  code, _, stderr = without_tensorflow('gan.data.prepare', 'mnist', f'--files={files["mnist"]}', '--unchecked',
                                       f'--data_dir={tmp_path}', FILE_SIZE_LIMIT='50000')
  assert code == 2
  assert 'cannot be written to' in stderr
  assert 'File too large' in stderr
  assert 'make room there' in stderr
  assert not list((tmp_path / 'mnist').iterdir())
  with pytest.raises(DataError, match=r'not prepared in .*gan\.data\.prepare mnist` once \(it downloads\)'):
    gan_tfds.load('mnist', 0, 'train', str(tmp_path))


def test_what_a_killed_process_leaves_is_not_read(monkeypatch, prepared, tmp_path):
  """A whole preparation under the name that it has while it is written."""
  builder = gan_tfds.find_builder('mnist', str(tmp_path))
  split = Split(*original_files.draw('mnist')['test'])
  monkeypatch.setattr(tfds_writer.Path, 'rename', lambda path, target: None)
  monkeypatch.setattr(tfds_writer.shutil, 'rmtree', lambda *_, **__: None)
  tfds_writer.write(builder, {'train': split, 'test': split}, ORIGINALS['mnist'].class_names)
  left, = (tmp_path / 'mnist').iterdir()
  assert (left / 'dataset_info.json').exists()
  with pytest.raises(DataError, match='not prepared'):
    gan_tfds.load('mnist', 0, 'train', str(tmp_path))


def test_two_processes_prepare_one_set(monkeypatch, tmp_path):
  split = Split(*original_files.draw('mnist')['test'])
  builders = [gan_tfds.find_builder('mnist', str(tmp_path)) for _ in range(2)]
  for builder in builders:   # Both found nothing there; the second one finds it when it has finished.
    tfds_writer.write(builder, {'train': split, 'test': split}, ORIGINALS['mnist'].class_names)
  assert gan_tfds.load('mnist', 0, 'test', str(tmp_path)).num_examples == 40
  assert len(list((tmp_path / 'mnist').iterdir())) == 1


def test_something_else_in_the_place_is_not_overwritten(tmp_path):
  builder = gan_tfds.find_builder('mnist', str(tmp_path))
  (tmp_path / 'mnist' / str(builder.version)).mkdir(parents=True)
  (tmp_path / 'mnist' / str(builder.version) / 'notes.txt').write_text('mine')
  split = Split(*original_files.draw('mnist')['test'])
  with pytest.raises(DataError, match=r'cannot be written to .*move away what is there'):
    tfds_writer.write(builder, {'train': split, 'test': split}, ORIGINALS['mnist'].class_names)
  assert [path.name for path in (tmp_path / 'mnist').rglob('*.*')] == [str(builder.version), 'notes.txt']
