"""Classifiers are trained once for each data set and kept: where, under which name, and what is believed of a file."""

import contextlib
import hashlib
import importlib.metadata
import io
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from flax import traverse_util

from gan.data.source import DataError, ImageSource
from gan.data.stacked_mnist import StackedRecords
from gan.features import classifier, training
from gan.features.classifier import ClassifierFeatures
from gan.state import PyTree

WEIGHTS, RECORD = 'weights.npz', 'record.json'
# Below, something is wrong with the data or the machine, and scores in these features are not to be trusted.
ACCURACY_FLOORS = {'digits': 0.97, 'mnist': 0.99, 'fashion_mnist': 0.90, 'cifar10': 0.75}
PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'numpy')


def get_classifier(open_source: Callable[[str], ImageSource], cache: Path, progress: bool = True) -> ClassifierFeatures:
  """The classifier of a data set, trained now if it is not in the cache.

  Entry `classifiers/<key>` of the cache holds weights.npz, a flat dict of arrays, and record.json, which says what they
  were trained on, how good they are, and their hash. Stacked MNIST uses the classifier of MNIST.

  Args:
    open_source: opens split 'train' or 'test'; a DataError for 'test' means that there is none.
    cache: directory; created if absent.
    progress: whether to show a bar while training.

  Raises:
    DataError: if the data have no classes, or images of a size that the network is not built for; if the entry in the
      cache is damaged, or cannot be written.
  """
  source = open_source('train')
  if isinstance(source.records, StackedRecords):
    return classifier.stacked(get_classifier(lambda split: open_source(split).records.digits, cache, progress))
  folder = cache / 'classifiers' / cache_key(source)
  if not folder.exists():
    _train_into(folder, source, open_source, progress)
  found = _load(folder)
  floor = ACCURACY_FLOORS.get(source.name, 0.0)
  if found.accuracy < floor:
    logging.error('The classifier of %s is right on %.1f%% of the test images only, not %.0f%% as it should be: do not '
                  'trust scores in its features. Is %s damaged?', source.name, 100 * found.accuracy, 100 * floor,
                  source.name)
  return found


def cache_key(source: ImageSource) -> str:
  """Name of an entry: differs if the data, their size, or the code that the weights come from differ."""
  constants = training.VERSION, classifier.WIDTH, classifier.NUM_FEATURES  # What else there is, VERSION stands for.
  parts = source.fingerprint(), tuple(source.shape), source.class_names, constants
  return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _train_into(folder: Path, source: ImageSource, open_source: Callable[[str], ImageSource], progress: bool) -> None:
  """Writes a whole entry or none of it; of two processes at once, the first one's stays."""
  training.check(source)
  try:
    test = open_source('test')
  except DataError:
    test = None
  temporary = folder.with_name(f'.{folder.name}.{uuid.uuid4().hex}')
  with _writing(folder):
    temporary.mkdir(parents=True)  # Before minutes of training: if it cannot be, they are saved.
  try:
    files = _train(source, test, folder, progress)
    with _writing(folder):
      for name, data in files.items():
        (temporary / name).write_bytes(data)
      temporary.rename(folder)
  finally:
    shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
  """Explains what cannot be written, unless another process has written the entry."""
  try:
    yield
  except OSError as error:
    if not (folder / RECORD).exists():
      raise DataError(f'{folder} cannot be written ({error}); name another cache, GAN_CACHE_DIR=<directory>') from error


def _train(source: ImageSource, test: ImageSource | None, folder: Path, progress: bool) -> dict[str, bytes]:
  print(f'Training the classifier of {source.name} for scores, once; it is kept in {folder}.', flush=True)
  start = time.perf_counter()
  trained = training.train(source, test, f'classifier of {source.name}' if progress else '')
  seconds = time.perf_counter() - start
  print(f'The classifier of {source.name} is right on {trained.accuracy:.1%} of {trained.num_test} '
        f'{"held-out" if trained.held_out else "test"} images ({seconds:.0f} s).', flush=True)
  weights = _to_bytes(trained.weights)
  record = {
      'data': source.name, 'fingerprint': source.fingerprint(), 'image_shape': list(source.shape),
      'class_names': list(source.class_names), 'accuracy': trained.accuracy, 'num_test': trained.num_test,
      'held_out': trained.held_out, 'accuracy_floor': ACCURACY_FLOORS.get(source.name),
      'weights_sha256': hashlib.sha256(weights).hexdigest(), 'seconds': round(seconds, 1),
      'version': training.VERSION, 'device': jax.devices()[0].device_kind, 'cpu_cores': os.cpu_count(),
      'packages': {package: importlib.metadata.version(package) for package in PACKAGES},
      'shares': trained.shares.tolist(), 'confusion': trained.confusion.tolist()}
  return {WEIGHTS: weights, RECORD: json.dumps(record).encode()}


def _to_bytes(weights: PyTree) -> bytes:
  buffer = io.BytesIO()
  np.savez(buffer, **traverse_util.flatten_dict(weights, sep='/'))
  return buffer.getvalue()


def _load(folder: Path) -> ClassifierFeatures:
  record = _read_record(folder / RECORD)
  file = folder / WEIGHTS
  data = file.read_bytes() if file.exists() else b''
  digest = hashlib.sha256(data).hexdigest()
  if digest != record['weights_sha256']:
    raise DataError(f'{file} is not the file that was written: its SHA-256 is {digest}, {RECORD} says '
                    f'{record["weights_sha256"]}; delete {folder}, and the classifier is trained again')
  with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
    weights = traverse_util.unflatten_dict(dict(arrays), sep='/')
  names = tuple(record['class_names'])
  features = classifier.make_features(weights, digest[:16])
  return ClassifierFeatures(features, record['accuracy'], record['num_test'], np.array(record['confusion'], np.int64),
                            np.array(record['shares']), names)


def _read_record(file: Path) -> dict[str, Any]:
  needed = {'class_names', 'accuracy', 'num_test', 'confusion', 'shares', 'weights_sha256'}
  try:
    record = json.loads(file.read_bytes())
    if missing := needed - set(record):
      raise KeyError(', '.join(sorted(missing)))
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise DataError(f'{file} cannot be read ({type(error).__name__}: {error}); delete {file.parent}, and the '
                    'classifier is trained again') from None
  return record
