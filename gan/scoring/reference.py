"""What samples are compared with: statistics of a split of the data in some features, computed once and cached.

The key of an entry names the pixels that went in and the network that looked at them, so no two settings share one.
"""

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan.data.source import ImageSource, read_batches
from gan.features import Features
from gan.metrics.frechet import root
from gan.metrics.moments import Moments, merged
from gan.scoring.collect import collect

VERSION = 1   # Raise it when what is stored under a key changes.
ORDER_SEED = 0


class Reference(NamedTuple):
  """A split of the data in some features.

  Attributes:
    split: 'train' or 'test'.
    count: images.
    moments: of all features; `root` is that of their covariance.
    root: float64 [D, D].
    features: float32 [N, D] in a fixed random order, or None where no score needs them.
  """

  split: str
  count: int
  moments: Moments
  root: np.ndarray
  features: np.ndarray | None


def get_reference(source: ImageSource, features: Features, extract: Callable, with_features: bool, cache: Path,
                  title: str = '') -> Reference:
  """Statistics of all images of `source`, from the cache if they are there.

  Args:
    source: a split of the data.
    features: what `extract` computes.
    extract: made by `gan.scoring.collect.make_extract`.
    with_features: whether the features themselves are wanted too.
    cache: directory.
    title: of the progress bar, if they have to be computed; '' shows none.
  """
  folder = cache / 'references'
  path = folder / f'{reference_key(source, features)}.npz'
  features_path = path.with_suffix('.npy')
  if not path.exists() or (with_features and not features_path.exists()):
    order = reference_order(source)
    needs = frozenset({'moments', 'features'} if with_features else {'moments'})
    batches = ((images, len(images)) for images, _ in read_batches(source, order, features.batch))
    collected = collect(batches, source.num_examples, needs, extract, title)
    whole = functools.reduce(merged, collected.blocks)
    folder.mkdir(parents=True, exist_ok=True)
    if with_features:
      _save(features_path, lambda file: np.save(file, collected.features))
    _save(path, lambda file: np.savez(file, **whole._asdict(), root=root(whole.covariance)))
  with np.load(path) as stored:
    moments = Moments(int(stored['count']), stored['mean'], stored['scatter'])
    return Reference(source.split, moments.count, moments, stored['root'],
                     np.load(features_path) if with_features else None)


def reference_order(source: ImageSource) -> np.ndarray:
  """Index [N] in `source` of each row of a reference's features: random, because a folder is sorted by class."""
  return np.random.default_rng(ORDER_SEED).permutation(source.num_examples)


def reference_key(source: ImageSource, features: Features) -> str:
  """Name of a cache entry: a digest of the data, of the network's weights and of how it resizes."""
  parts = VERSION, source.fingerprint(), source.shape, features.name, features.digest, features.resizing
  return f'{features.name.replace(":", "-")}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}'


def _save(path: Path, write: Callable) -> None:
  """Writes a file whole or not at all; of two processes at once either may win, with the same contents."""
  descriptor, name = tempfile.mkstemp(dir=path.parent, suffix='.tmp')
  try:
    with os.fdopen(descriptor, 'wb') as file:
      write(file)
    os.replace(name, path)
  finally:
    Path(name).unlink(missing_ok=True)
