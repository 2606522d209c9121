"""The reference that samples are compared with: statistics of a split of the data in some features, cached.

The key of a cache entry names the pixels and the feature network, so two settings never share an entry. A damaged entry
is computed again.
"""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from gan.cache import read_checked, write_checked
from gan.data.source import ImageSource, read_batches
from gan.features import Features
from gan.metrics.frechet import root
from gan.metrics.moments import Moments, merged
from gan.run import settings
from gan.scoring.collect import collect

VERSION = 2   # Raise this number when the content of an entry changes.
ORDER_SEED = 0


class Reference(NamedTuple):
  """A split of the data in some features.

  Attributes:
    split: 'train' or 'test'.
    count: number of images N.
    moments: moments of all features.
    root: float64 [D, D], the root of their covariance (`gan.metrics.frechet.root`).
    features: float32 [N, D] in the order of `reference_order`, or None if no score needs them.
  """

  split: str
  count: int
  moments: Moments
  root: np.ndarray
  features: np.ndarray | None


def get_reference(source: ImageSource, features: Features, extract: Callable, with_features: bool, cache: Path,
                  title: str = '') -> Reference:
  """Return the statistics of all images of `source`, from the cache if it has an undamaged entry.

  Args:
    source: a split of the data.
    features: the feature network of `extract`.
    extract: made by `gan.scoring.collect.make_extract`.
    with_features: whether to return the features themselves, too.
    cache: directory of the cache.
    title: title of the progress bar while the statistics are computed; '' shows no bar.
  """
  path = cache / 'references' / f'{reference_key(source, features)}.npz'
  features_path = path.with_suffix('.npy')
  stored = read_checked(path, _read_arrays)
  vectors = read_checked(features_path, np.load) if with_features and stored else None
  if not stored or (with_features and vectors is None):
    order = reference_order(source)
    needs = frozenset({'moments', 'features'} if with_features else {'moments'})
    batches = ((part['images'], len(part['images'])) for part in read_batches(source, order, features.batch))
    collected = collect(batches, source.num_examples, needs, extract, title)
    whole, vectors = functools.reduce(merged, collected.blocks), collected.features
    stored = whole._asdict() | {'root': root(whole.covariance)}
    if with_features:
      write_checked(features_path, lambda file: np.save(file, vectors))
    write_checked(path, lambda file: np.savez(file, **stored))
  moments = Moments(int(stored['count']), stored['mean'], stored['scatter'])
  return Reference(source.split, moments.count, moments, stored['root'], vectors)


def reference_order(source: ImageSource) -> np.ndarray:
  """Return the index [N] in `source` of each row of a reference's features: random, as folders are sorted by class."""
  return np.random.default_rng(ORDER_SEED).permutation(source.num_examples)


def reference_key(source: ImageSource, features: Features) -> str:
  """Return the name of a cache entry: a digest of the data, the network's weights, its resizing, and JAX settings."""
  parts = VERSION, source.fingerprint(), source.shape, features.name, features.digest, features.resizing
  if changed := settings.describe():  # Default settings are not a part, so that keys of earlier versions stay valid.
    parts += changed,
  return f'{features.name.replace(":", "-")}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}'


def _read_arrays(file: BinaryIO) -> dict[str, np.ndarray]:
  with np.load(file) as arrays:
    return dict(arrays)
