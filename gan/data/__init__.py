"""Data sets by name: `get_source` for images, `toy.MIXTURES` for two-dimensional mixtures."""

from gan.data import toy
from gan.data.source import DataError, ImageSource

EMBEDDED = ('digits', *toy.MIXTURES)


def get_source(name: str, image_size: int, split: str = 'train', path: str | None = None) -> ImageSource:
  """Opens a set of images.

  Args:
    name: 'digits', 'folder', 'stacked_mnist', or any TFDS image data set.
    image_size: side in pixels after resizing; 0 keeps a TFDS set's own size.
    split: 'train' or 'test'.
    path: the folder, for 'folder'.

  Raises:
    DataError: if the set cannot be opened; the message names the ways out.
  """
  # Imported late: a run pays only for the data set that it uses.
  if name == 'digits':
    from gan.data import digits
    return digits.load(image_size, split)
  if name == 'folder':
    from gan.data import folder
    if not path:
      raise DataError("data.name='folder' needs --config.data.path=<directory of images>")
    return folder.load(path, image_size, split)
  if name == 'stacked_mnist':
    from gan.data import stacked_mnist
    return stacked_mnist.load(image_size, split)
  from gan.data import tfds
  return tfds.load(name, image_size, split)
