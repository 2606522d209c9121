"""The classifier that scores look through: what it learns, what is kept of it, and what is refused."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import types

import hypothesis
import jax
import numpy as np
import pytest
from absl import logging
from hypothesis import strategies as st
from PIL import Image
from scipy.special import log_softmax

from gan.data import digits, folder, get_source, stacked_mnist
from gan.data.source import DataError, ImageSource
from gan.features import cached, classifier, training
from gan.features.cached import cache_key, get_classifier
from gan.metrics.class_score import confusion_rates
from tests.xla_flags import optimised


def open_digits(split):
  return digits.load(16, split)


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
  return tmp_path_factory.mktemp('cache')


@pytest.fixture(scope='module')
def trained(cache):
  with optimised():
    return get_classifier(open_digits, cache, progress=False)


@pytest.fixture(scope='module')
def test_set():
  return tuple(open_digits('test').read(range(digits.NUM_TEST)).values())


@pytest.fixture
def entry(cache, trained, tmp_path):
  """A copy of the entry, to be damaged: (cache, file of the entry)."""
  del trained
  shutil.copytree(cache, tmp_path / 'cache')
  return tmp_path / 'cache', tmp_path / 'cache' / 'classifiers' / f'{cache_key(open_digits("train"))}.classifier'


@pytest.fixture
def briefly(monkeypatch):
  """Five steps of training at most."""
  monkeypatch.setattr(training, 'num_steps', lambda num_images, channels: 5)


@pytest.fixture
def shortly(monkeypatch):
  """Many small steps: enough for a few images of classes that one look tells apart."""
  monkeypatch.setattr(training, 'BATCH', 32)
  monkeypatch.setattr(training, 'num_steps', lambda num_images, channels: 120)


def refuse_to_train(*_):
  raise AssertionError('trained again')


def in_memory(name, images, labels, num_classes=2):
  return ImageSource(name, 'train', images.shape[1:], tuple(f'c{i}' for i in range(num_classes)),
                     digits.ArrayRecords(images, labels))


def test_learns_the_digits(trained, test_set):
  """What is recorded is what the features say of the test images."""
  images, labels = test_set
  assert trained.accuracy >= 0.97
  assert trained.num_test == len(labels) == 297
  predicted = np.argmax(trained.features.extract(trained.features.weights, images)['logits'], axis=1)
  assert trained.accuracy == np.mean(predicted == labels)
  np.testing.assert_array_equal(trained.confusion.sum(axis=1), np.bincount(labels))
  np.testing.assert_array_equal(trained.confusion.sum(axis=0), np.bincount(predicted, minlength=10))
  assert np.trace(trained.confusion) == np.sum(predicted == labels)
  counted = trained.confusion / trained.confusion.sum(axis=1, keepdims=True)
  np.testing.assert_array_equal(confusion_rates(trained.confusion), counted)  # 29 or 30 of each class are enough.
  train_labels = open_digits('train').read(range(digits.NUM_TRAIN))['labels']
  np.testing.assert_allclose(trained.shares, np.bincount(train_labels) / 1500)
  assert trained.class_names == tuple('0123456789')


def test_extraction_compiles_and_equals_the_network(trained, test_set):
  images = test_set[0][:6]
  features = trained.features
  found = jax.jit(features.extract)(features.weights, images)
  assert {key: (value.shape, value.dtype.name) for key, value in found.items()} == {
      'features': ((6, 128), 'float32'), 'logits': ((6, 10), 'float32')}
  units = (2 * images.astype(np.float64) / 255 - 1).astype(np.float32)
  vectors, logits = classifier.Classifier(10, training.WIDTH_SMALL).apply(features.weights, units, train=False)
  np.testing.assert_allclose(found['features'], vectors, rtol=1e-4, atol=1e-4)
  np.testing.assert_allclose(found['logits'], logits, rtol=1e-4, atol=1e-4)
  assert np.all(vectors >= 0)
  assert np.asarray(vectors).std(axis=0).max() > 0.1
  assert (features.name, features.resizing) == ('classifier', 'none')


def test_second_call_loads(cache, trained, monkeypatch, capsys):
  monkeypatch.setattr(training, 'train', refuse_to_train)
  again = get_classifier(open_digits, cache)
  jax.tree.map(np.testing.assert_array_equal, again.features.weights, trained.features.weights)
  assert again.features.digest == trained.features.digest
  assert again[1:3] == trained[1:3]
  for field in ('confusion', 'shares'):
    np.testing.assert_array_equal(getattr(again, field), getattr(trained, field))
  assert capsys.readouterr() == ('', '')
  [file] = (cache / 'classifiers').iterdir()
  record = json.loads(file.read_bytes().splitlines()[1])
  assert (record['data'], record['fingerprint']) == ('digits', open_digits('train').fingerprint())
  assert record['weights_sha256'].startswith(again.features.digest)
  assert len(again.features.digest) == 16


@pytest.mark.usefixtures('briefly')
def test_same_data_same_bits(tmp_path, capsys):
  found = [get_classifier(open_digits, tmp_path / name, progress=False) for name in ('a', 'b')]
  assert found[0].features.digest == found[1].features.digest
  out = capsys.readouterr().out
  assert out.count('Training the classifier of digits for the scores, only once') == 2
  images, labels = open_digits('train').read(range(digits.NUM_TRAIN)).values()
  changed = in_memory('digits', 255 - images, labels, 10)
  other = get_classifier(lambda split: changed, tmp_path / 'c', progress=False)
  assert other.features.digest != found[0].features.digest


def test_key_tells_data_size_and_classes(monkeypatch):
  source = open_digits('train')
  images, labels = source.read(range(source.num_examples)).values()
  copies = [dataclasses.replace(source, records=digits.ArrayRecords(*columns))
            for columns in ((images, labels), (images[::-1], labels[::-1]))]
  key = cache_key(source)
  assert key == cache_key(copies[0])
  others = [digits.load(32, 'train'), dataclasses.replace(source, class_names=tuple('abcdefghij')),
            dataclasses.replace(source, name='other'), copies[1]]
  keys = [cache_key(other) for other in others]
  monkeypatch.setattr(training, 'VERSION', training.VERSION + 1)
  assert len({key, *keys, cache_key(source)}) == 6


def damaged(data, damage):
  """The bytes of an entry after an accident."""
  record = data.index(b'"num_test": 297')
  return {'weights': data[:-5000] + bytes([data[-5000] ^ 1]) + data[-4999:], 'cut': data[:-100], 'empty': b'',
          'record': data.replace(b'"num_test": 297', b'"num_test": 296'), 'cut in the record': data[:record],
          'zeros': bytes(len(data)), 'no record': data[:data.index(b'\n') + 1] + b'{}' + data[-5000:]}[damage]


@pytest.mark.parametrize('damage', ['weights', 'record', 'cut', 'cut in the record', 'empty', 'zeros', 'no record'])
def test_a_damaged_entry_is_trained_again(entry, trained, monkeypatch, damage):
  """The weights or what is believed of them: never another number."""
  cache, file = entry
  data = file.read_bytes()
  file.write_bytes(damaged(data, damage))
  said = []
  monkeypatch.setattr(logging, 'warning', lambda text, *values: said.append(text % values))
  monkeypatch.setattr(training, 'train', lambda *_: training.Trained(
      trained.features.weights, trained.accuracy, trained.num_test, False, trained.confusion, trained.shares))
  found = get_classifier(open_digits, cache, progress=False)
  assert len(said) == 1
  assert f'{file} is damaged' in said[0]
  jax.tree.map(np.testing.assert_array_equal, found.features.weights, trained.features.weights)
  assert found.features.digest == trained.features.digest
  assert (found.accuracy, found.num_test, found.class_names) == (trained.accuracy, 297, trained.class_names)
  np.testing.assert_array_equal(found.confusion, trained.confusion)
  np.testing.assert_array_equal(found.shares, trained.shares)
  monkeypatch.setattr(training, 'train', refuse_to_train)
  assert get_classifier(open_digits, cache).num_test == 297, 'the entry is sound again'


def test_of_two_processes_the_first_one_stays(entry, tmp_path, monkeypatch):
  """Another process puts its entry there while this one trains."""
  _, file = entry
  cache = tmp_path / 'empty'

  def train(source, test, title):
    shutil.copy(file, cache / 'classifiers' / file.name)
    return training.Trained({'params': {'a': np.zeros(1)}}, 0.5, 2, False, np.eye(10), np.ones(10))

  monkeypatch.setattr(training, 'train', train)
  assert get_classifier(open_digits, cache, progress=False).accuracy >= 0.97
  assert [path.name for path in (cache / 'classifiers').iterdir()] == [file.name]


def test_nothing_stays_of_a_training_that_stopped(tmp_path, monkeypatch):
  def train(source, test, title):
    raise KeyboardInterrupt

  monkeypatch.setattr(training, 'train', train)
  with pytest.raises(KeyboardInterrupt):
    get_classifier(open_digits, tmp_path, progress=False)
  assert not list((tmp_path / 'classifiers').iterdir())


def test_unwritable_cache_is_found_before_training(tmp_path, monkeypatch):
  monkeypatch.setattr(training, 'train', refuse_to_train)
  (tmp_path / 'file').write_text('')
  with pytest.raises(DataError, match=r'cannot be written.*GAN_CACHE_DIR'):
    get_classifier(open_digits, tmp_path / 'file')


def test_low_accuracy_is_an_error_on_the_console(cache, trained, monkeypatch):
  del trained
  said = []
  monkeypatch.setattr(cached.logging, 'error', lambda text, *values: said.append(text % values))
  get_classifier(open_digits, cache)
  assert not said
  monkeypatch.setitem(cached.ACCURACY_FLOORS, 'digits', 1.1)
  get_classifier(open_digits, cache)
  assert 'classifier of digits is right on ' in said[0]


@pytest.mark.parametrize(('changes', 'message'), [
    ({'class_names': ()}, 'needs classes, which digits lacks; use features=random or features=pixels'),
    ({'shape': (65, 65, 1)}, 'square images of at most 64 pixels, .*have 65x65; set --config.data.image_size=64'),
    ({'shape': (32, 16, 1)}, '32x16'),
])
def test_data_that_do_not_fit_are_refused(tmp_path, changes, message):
  """Before anything is written or said."""
  source = open_digits('train')
  odd = types.SimpleNamespace(**{name: getattr(source, name) for name in (
      'name', 'shape', 'records', 'class_names', 'num_classes', 'fingerprint')} | changes)
  odd.num_classes = len(odd.class_names)
  with pytest.raises(DataError, match=message):
    get_classifier(lambda split: odd, tmp_path)
  assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures('briefly')
def test_folder_holds_a_tenth_of_each_class_out(tmp_path, capsys):
  images, labels = open_digits('train').read(range(203)).values()
  for i, (image, label) in enumerate(zip(images, labels, strict=True)):
    path = tmp_path / 'images' / f'class{label}' / f'{i:03d}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image[..., 0]).save(path)

  found = get_classifier(lambda split: folder.load(str(tmp_path / 'images'), 16, split), tmp_path / 'cache',
                         progress=False)
  held_out = np.ceil(np.bincount(labels) / 10)
  np.testing.assert_array_equal(found.confusion.sum(axis=1), held_out)
  assert found.num_test == held_out.sum()
  np.testing.assert_allclose(found.shares, np.bincount(labels) / 203)
  assert f'of {found.num_test} held-out images' in capsys.readouterr().out


@hypothesis.settings(derandomize=True, max_examples=50, deadline=None)
@hypothesis.given(sizes=st.lists(st.integers(0, 45), min_size=1, max_size=12), order=st.integers(0, 2))
def test_each_class_is_held_out_in_its_share(sizes, order):
  """Whether the set is sorted by class, has the classes in turns or is mixed."""
  labels = np.repeat(np.arange(len(sizes)), sizes)
  turns = np.argsort(np.concatenate([np.arange(size) for size in sizes]), kind='stable')
  labels = labels[[np.arange(len(labels)), turns, np.random.default_rng(0).permutation(len(labels))][order]]
  is_test = training._held_out(labels)
  for label, size in enumerate(sizes):
    assert is_test[labels == label].sum() == (0 if size < 2 else -(-size // 10))
  np.testing.assert_array_equal(is_test, training._held_out(labels))


@pytest.mark.usefixtures('shortly')
@pytest.mark.parametrize('held_out', [True, False])
def test_held_out_images_are_not_learnt(held_out):
  """A tenth of the images have a bright corner and the wrong class: all wrong if they were held out, else all right."""
  rng = np.random.default_rng(0)
  labels = rng.integers(0, 2, 100)
  marked = training._held_out(labels)
  bright = np.where(marked, 1 - labels, labels)
  images = rng.integers(0, 60, (100, 16, 16, 1), np.uint8) + (150 * bright[:, None, None, None]).astype(np.uint8)
  images[marked, 1:6, 1:6] = 255 - images[marked, 1:6, 1:6]
  source = in_memory('marked', images, labels)
  test = None if held_out else in_memory('marked', images[marked], labels[marked])
  trained = training.train(source, test)
  assert (trained.held_out, trained.num_test) == (held_out, marked.sum())
  assert trained.accuracy == (0.0 if held_out else 1.0)


@pytest.mark.usefixtures('briefly')
def test_classes_of_one_image_are_learnt_and_not_tested(tmp_path, capsys):
  images, labels = open_digits('train').read(range(10)).values()
  source = in_memory('few', images, labels, 10)
  only = dataclasses.replace(source, records=digits.ArrayRecords(*source.read([*range(10), 0]).values()))

  def one_split(sources):
    def open_source(split):
      if split == 'test':
        raise DataError('there is none')
      return sources
    return open_source

  for some, tested in ((only, 1), (source, 0)):
    for _ in range(2):  # Trained, and from the cache.
      found = get_classifier(one_split(some), tmp_path, progress=False)
      assert (found.num_test, np.isnan(found.accuracy)) == (tested, not tested)
  assert 'is not tested: no class has two images' in capsys.readouterr().out


@pytest.mark.usefixtures('briefly')
def test_of_too_many_images_some_of_each_class_are_read(monkeypatch):
  """Classes come in turns, so that every tenth image is of one class."""
  labels = np.arange(991) % 10
  monkeypatch.setattr(training, 'MAX_IMAGES', 100)
  trained = training.train(in_memory('turns', np.zeros((991, 8, 8, 1), np.uint8), labels, 10), None)
  assert trained.shares.min() > 0.02


@pytest.mark.usefixtures('briefly')
def test_unknown_classes_are_left_out(monkeypatch):
  """As in published test splits; one without any class is none."""
  images, labels = np.zeros((100, 8, 8, 1), np.uint8), np.arange(100) % 4
  some, none = (in_memory('some', images, unknown) for unknown in (np.where(labels < 2, labels, -1), labels * 0 - 1))
  trained = training.train(some, some)
  assert (trained.num_test, trained.held_out, trained.shares.tolist()) == (50, False, [0.5, 0.5])
  trained = training.train(some, none)
  assert (trained.num_test, trained.held_out) == (6, True)
  monkeypatch.setattr(training, 'MAX_IMAGES', 34)
  assert training.train(some, in_memory('many', images, labels % 2)).num_test == 34


@pytest.mark.usefixtures('shortly')
@pytest.mark.parametrize(('name', 'mirrored'), [('mnist', False), ('emnist/letters', False), ('folder', False),
                                                ('cifar10', True), ('cifar10:3.0.2', True)])
def test_mirrored_only_where_classes_stay(name, mirrored):
  """Class 0 points left, class 1 right: what is mirrored cannot be told apart."""
  rng = np.random.default_rng(0)
  labels = np.arange(200) % 2
  ramp = np.linspace(20, 220, 8).astype(np.uint8)[None, None, :, None]
  images = np.where(labels[:, None, None, None] == 1, ramp, ramp[:, :, ::-1]) + rng.integers(0, 20, (200, 8, 8, 1))
  accuracy = training.train(in_memory(name, images.astype(np.uint8), labels), None).accuracy
  assert accuracy < 0.8 if mirrored else accuracy == 1.0


@pytest.mark.parametrize('size', classifier.IMAGE_SIZES)
@pytest.mark.parametrize('channels', [1, 3])
def test_every_size_and_colour(size, channels):
  net = classifier.Classifier(7, 4)
  images = jax.ShapeDtypeStruct((2, size, size, channels), np.float32)
  weights = jax.eval_shape(lambda key, x: net.init(key, x, train=False), jax.random.key(0), images)
  features, logits = jax.eval_shape(lambda weights, x: net.apply(weights, x, train=False), weights, images)
  assert (features.shape, logits.shape) == ((2, 128), (2, 7))
  assert weights['params']['Dense_0']['kernel'].shape[0] == {8: 4 * 8, 16: 16 * 8, 32: 16 * 16, 64: 16 * 32}[size]


def test_sizes_in_between_get_a_black_frame():
  """28 pixels, which configs/vanilla.py:mnist has, are 32 with a frame of two."""
  images = np.random.default_rng(0).uniform(-1, 1, (3, 28, 28, 1)).astype(np.float32)
  net = classifier.Classifier(10, width=4)
  weights = net.init(jax.random.key(0), images, train=False)
  framed = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=-1.0)
  found, expected = (net.apply(weights, x, train=False) for x in (images, framed))
  jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize(('num_images', 'channels', 'seen'), [
    (2, 1, 20_000), (1500, 1, 22_500), (60_000, 1, 180_000), (50_000, 3, 500_000), (1_000_000, 3, 1_000_000)])
def test_how_much_is_seen(num_images, channels, seen):
  assert 0 <= seen - training.num_steps(num_images, channels) * training.BATCH < training.BATCH


def test_stacked_is_the_product_of_three(trained, test_set):
  images, labels = test_set
  three = np.stack([images[:50], images[50:100], images[100:150]], axis=-1)[..., 0, :]
  stacked = classifier.stacked(trained)
  found = jax.jit(stacked.features.extract)(stacked.features.weights, three)
  assert (found['features'].shape, found['logits'].shape) == ((50, 384), (50, 1000))
  alone = trained.features.extract(trained.features.weights, images[:150])
  of_channel = np.asarray(alone['features']).reshape(3, 50, 128)
  np.testing.assert_allclose(found['features'], np.concatenate(of_channel, axis=1), rtol=1e-4, atol=1e-4)
  a, b, c = log_softmax(np.asarray(alone['logits'], np.float64), axis=1).reshape(3, 50, 10)
  for number in (0, 7, 70, 700, 314, 999):
    expected = a[:, number // 100] + b[:, number // 10 % 10] + c[:, number % 10]
    np.testing.assert_allclose(found['logits'][:, number], expected, rtol=1e-4, atol=1e-3)
  np.testing.assert_allclose(np.exp(found['logits']).sum(axis=1), 1.0, rtol=1e-4)
  numbers = labels[:50] * 100 + labels[50:100] * 10 + labels[100:150]
  assert np.mean(np.argmax(found['logits'], axis=1) == numbers) >= 0.9


def test_stacked_knows_its_mistakes(trained):
  trained = trained._replace(confusion=np.random.default_rng(0).integers(1, 50, (10, 10)))
  stacked = classifier.stacked(trained)
  rates = trained.confusion / trained.confusion.sum(axis=1, keepdims=True)
  of_stacked = stacked.confusion / stacked.confusion.sum(axis=1, keepdims=True)
  assert of_stacked.shape == (1000, 1000)
  for true, predicted in ((314, 314), (889, 819), (123, 321)):
    digits_of = [(true // base % 10, predicted // base % 10) for base in (100, 10, 1)]
    np.testing.assert_allclose(of_stacked[true, predicted], np.prod([rates[pair] for pair in digits_of]))
  np.testing.assert_allclose(stacked.shares[314], trained.shares[3] * trained.shares[1] * trained.shares[4])
  np.testing.assert_allclose(stacked.shares.sum(), 1.0)
  assert (stacked.class_names[314], stacked.accuracy) == ('314', trained.accuracy**3)


@pytest.mark.usefixtures('briefly')
def test_stacked_mnist_uses_the_classifier_of_mnist(tmp_path, monkeypatch):
  monkeypatch.setattr(stacked_mnist.tfds, 'load', lambda name, size, split: dataclasses.replace(
      digits.load(size, split), name=name))
  found = get_classifier(lambda split: get_source('stacked_mnist', 16, split), tmp_path, progress=False)
  source = get_source('stacked_mnist', 16, 'test')
  assert found.class_names == source.class_names
  assert found.num_test == 297
  images = source.read(range(2))['images']
  assert found.features.extract(found.features.weights, images)['logits'].shape == (2, 1000)
  [file] = (tmp_path / 'classifiers').iterdir()
  assert json.loads(file.read_bytes().splitlines()[1])['data'] == 'mnist'


@pytest.mark.slow
@pytest.mark.parametrize(('name', 'floor', 'num_test'), [('mnist', 0.99, 10_000), ('cifar10', 0.75, 10_000)])
def test_accuracy_on_real_sets(tmp_path, name, floor, num_test):
  """In a process of its own: there, programs are optimized."""
  data_dir = os.environ.get('TFDS_DATA_DIR')
  if not data_dir or not os.path.isdir(os.path.join(data_dir, name)):
    pytest.skip(f'TFDS_DATA_DIR holds no {name}')
  code = ('import json, pathlib, sys; from gan.data import get_source; from gan.features.cached import get_classifier; '
          f'found = get_classifier(lambda split: get_source("{name}", 32, split), pathlib.Path({str(tmp_path)!r})); '
          'print(json.dumps([found.accuracy, found.num_test, found.confusion.sum(axis=1).tolist()]))')
  done = subprocess.run([sys.executable, '-c', code], check=True, stdout=subprocess.PIPE, text=True,
                        env=os.environ | {'XLA_FLAGS': ''})
  accuracy, tested, of_class = json.loads(done.stdout.splitlines()[-1])
  assert accuracy >= floor
  assert tested == sum(of_class) == num_test
