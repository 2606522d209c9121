"""Data sets by name: `get_source` for what is stored, `toy.MIXTURES` for what is drawn.

To add one: a file with a `load`, a line in `DATA_SETS`.
"""

import functools
import importlib
from collections.abc import Callable
from typing import NamedTuple

from gan.data import toy
from gan.data.source import DataError, ImageSource, Source, Unpaired


def _late(module: str, image_size: int, split: str, path: str | None) -> ImageSource:
  """Imports the module of a data set when it is opened: a run pays for its own only."""
  del path
  return importlib.import_module(f'gan.data.{module}').load(image_size, split)


def _folder(image_size: int, split: str, path: str | None) -> ImageSource:
  from gan.data import folder
  if not path:
    raise DataError("data.name='folder' needs --config.data.path=<directory of images>")
  return folder.load(path, image_size, split)


class DataSet(NamedTuple):
  """How to open a data set: `open(side in pixels or 0, 'train' or 'test', path)`; and whether it has images."""

  open: Callable[[int, str, str | None], Source | Unpaired]
  images: bool = True


DATA_SETS = {   # Whatever has another name is looked for among those of TFDS.
    'digits': DataSet(functools.partial(_late, 'digits')),
    'folder': DataSet(_folder),
    'stacked_mnist': DataSet(functools.partial(_late, 'stacked_mnist')),
}
EMBEDDED = ('digits', *toy.MIXTURES)


def has_images(name: str) -> bool:
  """Whether the examples of a data set are images [H, W, C]."""
  return DATA_SETS[name].images if name in DATA_SETS else name not in toy.MIXTURES


def get_source(name: str, image_size: int, split: str = 'train', path: str | None = None) -> Source | Unpaired:
  """Opens a data set.

  Args:
    name: key of DATA_SETS, or any TFDS image data set.
    image_size: side in pixels after resizing; 0 keeps a TFDS set's own size.
    split: 'train' or 'test'.
    path: the folder, for 'folder'.

  Raises:
    DataError: if the set cannot be opened; the message names the ways out.
  """
  if name in DATA_SETS:
    return DATA_SETS[name].open(image_size, split, path)
  from gan.data import tfds
  return tfds.load(name, image_size, split)
