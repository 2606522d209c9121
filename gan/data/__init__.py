"""Data sets by name: `get_source` opens stored data sets, `toy.MIXTURES` holds distributions to draw from.

To add a data set, write a file with a function `load`, and a line in `DATA_SETS`.
"""

import functools
import importlib
from collections.abc import Callable
from typing import NamedTuple

from gan.data import toy
from gan.data.source import DataError, ImageSource, Source, Unpaired


def _late(module: str, image_size: int, split: str, path: str | None) -> ImageSource:
  """Import the module of a data set only when it is opened, so that other runs do not pay for the import."""
  del path
  return importlib.import_module(f'gan.data.{module}').load(image_size, split)


def _folder(image_size: int, split: str, path: str | None) -> ImageSource:
  from gan.data import folder
  if not path:
    raise DataError("data.name='folder' needs --config.data.path=<directory of images>")
  return folder.load(path, image_size, split)


class DataSet(NamedTuple):
  """A data set: `open(side in pixels or 0, 'train' or 'test', path)` opens it; `images` says whether it has images."""

  open: Callable[[int, str, str | None], Source | Unpaired]
  images: bool = True


DATA_SETS = {   # Any other name is looked up in TFDS.
    'digits': DataSet(functools.partial(_late, 'digits')),
    'folder': DataSet(_folder),
    'stacked_mnist': DataSet(functools.partial(_late, 'stacked_mnist')),
}
EMBEDDED = ('digits', *toy.MIXTURES)


def has_images(name: str) -> bool:
  """Return whether the examples of a data set are images [H, W, C]."""
  return DATA_SETS[name].images if name in DATA_SETS else name not in toy.MIXTURES


def get_source(name: str, image_size: int, split: str = 'train', path: str | None = None) -> Source | Unpaired:
  """Open a data set.

  Args:
    name: key of DATA_SETS, or the name of any TFDS image data set.
    image_size: side in pixels after resizing; 0 keeps the size of the stored images (not for 'digits').
    split: 'train' or 'test'.
    path: directory of the images, for 'folder'; other data sets ignore it.

  Raises:
    DataError: if the data set cannot be opened; the message says what to do.
  """
  if name in DATA_SETS:
    return DATA_SETS[name].open(image_size, split, path)
  from gan.data import tfds
  return tfds.load(name, image_size, split)
