"""Feature networks by name, built for the images of one data set."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan.data.source import ImageSource
from gan.features import Features, simple


class Network(NamedTuple):
  """Features, and the statistics of their classifier on this data set.

  Attributes:
    features: the feature network.
    shares: share of each class in the training data [K]; None unless a classifier was trained.
    confusion: the classifier's counts on test images [K, K]; rows are true classes; None without a classifier.
  """

  features: Features
  shares: np.ndarray | None = None
  confusion: np.ndarray | None = None


def get_network(name: str, open_split: Callable[[str], ImageSource], cache: Path, inception_weights: str | None = None,
                inception_sha256: str | None = None, resizing: str = 'tensorflow') -> Network:
  """Build a feature network.

  Args:
    name: 'classifier', 'inception', 'pixels', 'random', or 'module:function'.
    open_split: 'train' or 'test' -> this split of the data.
    cache: directory of classifiers and downloads.
    inception_weights: file of Inception's weights; None means the published file, downloaded once.
    inception_sha256: expected SHA-256 of this file; None means that of the published file.
    resizing: rule that resizes images for Inception, key of RESIZINGS.

  Raises:
    DataError: if the features cannot be computed for these data.
    WeightsError: if the weights of Inception are missing, damaged or not the expected ones.
  """
  if name == 'classifier':
    from gan.features.cached import get_classifier
    trained = get_classifier(open_split, cache)
    return Network(trained.features, trained.shares, trained.confusion)
  if name == 'inception':
    from gan.features import inception
    return Network(inception.load(inception_weights, resizing, cache, inception_sha256))
  if name in ('pixels', 'random'):
    return Network(getattr(simple, name)(open_split('train').shape))
  return Network(simple.callable_features(name))
