"""Two clouds of points that are not paired: a data set of two columns."""

import numpy as np

from gan.data import DATA_SETS, DataSet
from gan.data.source import Column, Unpaired


class Points:
  """A cloud of 50 points [2] around a centre, under one name."""

  class_names, num_examples = (), 50

  def __init__(self, name, centre):
    self.name, self.columns = name, {name: Column((2,), 'float32')}
    self._points = np.random.default_rng(0).normal(centre, 0.3, (50, 2)).astype(np.float32)

  def read(self, indices):
    return {self.name: self._points[np.asarray(indices)]}

  def fingerprint(self):
    return f'{self.name}: {self._points.sum():.6f}'


def load(image_size, split, path):
  return Unpaired('clouds', (Points('a', [-1, 0]), Points('b', [1, 1])))


LINES = [(DATA_SETS, 'clouds', DataSet(load, images=False))]
