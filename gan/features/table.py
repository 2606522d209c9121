"""Feature networks by name, ready to look at the images of one data set."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan.data.source import ImageSource
from gan.features import Features, simple


class Network(NamedTuple):
  """Features, and what is known of them for this data set.

  Attributes:
    features: the network.
    shares: share of each class in the training data [K]; None where no classifier was trained.
    confusion: its counts on test images [K, K], rows true classes; None where there are none.
  """

  features: Features
  shares: np.ndarray | None = None
  confusion: np.ndarray | None = None


def get_network(name: str, open_split: Callable[[str], ImageSource], cache: Path, inception_weights: str | None = None,
                inception_sha256: str | None = None, resizing: str = 'tensorflow') -> Network:
  """Builds a feature network.

  Args:
    name: 'classifier', 'inception', 'pixels', 'random', or 'module:function'.
    open_split: 'train' or 'test' -> that split of the data.
    cache: directory of classifiers and downloads.
    inception_weights: file of Inception's weights; None is the published one, downloaded once.
    inception_sha256: what that file must hash to; None is the published hash.
    resizing: of images for Inception, key of RESIZINGS.

  Raises:
    DataError: if the data do not fit the features.
    WeightsError: if there are no weights, or not the right ones.
  """
  if name == 'classifier':
    from gan.features.cached import get_classifier
    found = get_classifier(open_split, cache)
    return Network(found.features, found.shares, found.confusion)
  if name == 'inception':
    from gan.features import inception
    return Network(inception.load(inception_weights, resizing, cache, inception_sha256))
  if name in ('pixels', 'random'):
    return Network(getattr(simple, name)(open_split('train').shape))
  return Network(simple.callable_features(name))
