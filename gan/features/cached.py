"""The cache of classifiers: each is trained once for each data set, then stored with a record of its training."""

import contextlib
import hashlib
import importlib.metadata
import io
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import jax
import numpy as np
from absl import logging
from flax import traverse_util

from gan.cache import read_checked, write_checked
from gan.data.source import DataError, ImageSource
from gan.data.stacked_mnist import StackedRecords
from gan.features import classifier, training
from gan.features.classifier import ClassifierFeatures
from gan.run import settings
from gan.state import PyTree

# An accuracy below this floor means damaged data or a faulty machine; scores in these features cannot be trusted.
ACCURACY_FLOORS = {'digits': 0.97, 'mnist': 0.99, 'fashion_mnist': 0.90, 'cifar10': 0.75}
PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'numpy')


def get_classifier(open_source: Callable[[str], ImageSource], cache: Path, progress: bool = True) -> ClassifierFeatures:
  """Return the classifier of a data set; train it if it is not in the cache.

  The cache entry `classifiers/<key>.classifier` has three parts: a line with the hash of the other parts; a line of
  JSON with the training data, the accuracy and the hash of the weights; and an .npz with the weights, a flat dict of
  arrays. If the entry is damaged, the classifier is trained again. Stacked MNIST uses the classifier of MNIST.

  Args:
    open_source: opens split 'train' or 'test'; a DataError for 'test' means that there is no test split.
    cache: directory of the cache; created if absent.
    progress: whether to show a progress bar during training.

  Raises:
    DataError: if the data have no classes, if the network does not support the image size, or if the cache entry cannot
      be written.
  """
  source = open_source('train')
  if isinstance(source.records, StackedRecords):
    return classifier.stacked(get_classifier(lambda split: open_source(split).records.digits, cache, progress))
  path = cache / 'classifiers' / f'{cache_key(source)}.classifier'
  trained = read_checked(path, _parse)
  if trained is None:
    trained = _train_and_keep(path, source, open_source, progress)
  floor = ACCURACY_FLOORS.get(source.name, 0.0)
  if trained.accuracy < floor:
    logging.error('The classifier of %s is right on only %.1f%% of the test images; at least %.0f%% are expected: do '
                  'not trust scores in its features. Is %s damaged?', source.name, 100 * trained.accuracy, 100 * floor,
                  source.name)
  return trained


def cache_key(source: ImageSource) -> str:
  """Return the key of a cache entry, which depends on the data, the image size and the code of the training."""
  constants = training.VERSION, classifier.WIDTH, classifier.NUM_FEATURES  # VERSION stands for all other constants.
  parts = source.fingerprint(), tuple(source.shape), source.class_names, constants
  return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _train_and_keep(path: Path, source: ImageSource, open_source: Callable[[str], ImageSource],
                    progress: bool) -> ClassifierFeatures:
  """Train, and write the entry completely or not at all; of two processes at once, the first writes the entry."""
  training.check(source)
  try:
    test = open_source('test')
  except DataError:
    test = None
  with _writing(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent):
      pass  # An unwritable directory fails here, before minutes of training.
  contents = _train(source, test, path, progress)
  with _writing(path):
    write_checked(path, lambda file: file.write(contents))
  return read_checked(path, _parse) or _parse(io.BytesIO(contents))


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
  """Turn an OSError into a DataError that names the entry, unless another process has written the entry."""
  try:
    yield
  except OSError as error:
    if read_checked(path, _parse) is None:
      raise DataError(f'{path} cannot be written ({error}); name another cache, GAN_CACHE_DIR=<directory>') from error


def _train(source: ImageSource, test: ImageSource | None, path: Path, progress: bool) -> bytes:
  print(f'Training the classifier of {source.name} for the scores, only once; it is stored as {path}.', flush=True)
  start = time.perf_counter()
  trained = training.train(source, test, f'classifier of {source.name}' if progress else '')
  seconds = time.perf_counter() - start
  kind = 'held-out' if trained.held_out else 'test'
  result = (f'is right on {trained.accuracy:.1%} of {trained.num_test} {kind} images' if trained.num_test else
            'is not tested: no class has two images')
  print(f'The classifier of {source.name} {result} ({seconds:.0f} s).', flush=True)
  weights = _to_bytes(trained.weights)
  record = {
      'data': source.name, 'fingerprint': source.fingerprint(), 'image_shape': list(source.shape),
      'class_names': list(source.class_names), 'num_test': trained.num_test,
      'accuracy': trained.accuracy if trained.num_test else None,  # JSON has no nan.
      'held_out': trained.held_out, 'accuracy_floor': ACCURACY_FLOORS.get(source.name),
      'weights_sha256': hashlib.sha256(weights).hexdigest(), 'seconds': round(seconds, 1),
      'version': training.VERSION, 'device': jax.devices()[0].device_kind, 'cpu_cores': os.cpu_count(),
      'settings': settings.describe(),
      'packages': {package: importlib.metadata.version(package) for package in PACKAGES},
      'shares': trained.shares.tolist(), 'confusion': trained.confusion.tolist()}
  return json.dumps(record).encode() + b'\n' + weights


def _to_bytes(weights: PyTree) -> bytes:
  buffer = io.BytesIO()
  np.savez(buffer, **traverse_util.flatten_dict(weights, sep='/'))
  return buffer.getvalue()


def _parse(file: BinaryIO) -> ClassifierFeatures:
  record = json.loads(file.readline())
  with np.load(io.BytesIO(file.read()), allow_pickle=False) as arrays:
    weights = traverse_util.unflatten_dict(dict(arrays), sep='/')
  features = classifier.make_features(weights, record['weights_sha256'][:16])
  accuracy = math.nan if record['accuracy'] is None else record['accuracy']
  return ClassifierFeatures(features, accuracy, record['num_test'], np.array(record['confusion'], np.int64),
                            np.array(record['shares']), tuple(record['class_names']))
