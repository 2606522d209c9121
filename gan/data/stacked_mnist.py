"""Stacked MNIST: three digits of MNIST as the channels of one image, with a thousand classes of known shares.

Stacked MNIST is the usual test of how many modes a generator loses (Metz et al. 2017, arXiv:1611.02163). Form and size
are those of PacGAN (Lin et al. 2018, arXiv:1712.04086).
"""

from collections.abc import Sequence

import numpy as np

from gan.data import tfds
from gan.data.pipeline import load_all
from gan.data.source import ImageSource

NUM_IMAGES = {'train': 128_000, 'test': 26_000}
_KEYS = {'train': 1, 'test': 2}   # Never change these keys: they decide which digits make up an image.


class StackedRecords:
  """Images that are stacked when they are read; the digits are in memory.

  Attributes:
    digits: the split of MNIST that the digits come from.
  """

  def __init__(self, digits: ImageSource, draws: np.ndarray):
    """Decode `digits`; the channels of record i are the digits number draws[i], where draws is [N, 3]."""
    self.digits, self._draws = digits, draws
    loaded = load_all(digits)
    self._images, self._labels = loaded['images'][..., 0], loaded['labels']

  def __len__(self) -> int:
    """Return the number of images."""
    return len(self._draws)

  def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
    """Return the image [H, W, 3] in uint8 and its class 100a + 10b + c, for channels with the digits a, b and c."""
    return self.__getitems__([i])[0]

  def __getitems__(self, indices: Sequence[int]) -> list[tuple[np.ndarray, int]]:
    """Return many records, several times faster than one by one."""
    draws = self._draws[np.asarray(indices)]
    images = np.moveaxis(self._images[draws], 1, -1)
    return list(zip(images, (self._labels[draws] @ (100, 10, 1)).tolist(), strict=True))


def load(image_size: int, split: str) -> ImageSource:
  """Open stacked MNIST; this reads and decodes all of MNIST, which takes some seconds.

  Each channel is drawn uniformly and independently, with replacement, from the images of MNIST's split of the same
  name. Record i is the same on every machine.

  Args:
    image_size: side in pixels; 0 keeps MNIST's 28.
    split: 'train' (128,000 images, as in PacGAN) or 'test' (26,000).

  Returns:
    Images [image_size, image_size, 3] with the classes '000' to '999'.

  Raises:
    DataError: if MNIST cannot be opened (see `gan.data.tfds.load`), or for another split.
  """
  digits = tfds.load('mnist', image_size, split)
  records = StackedRecords(digits, _draw(split, digits.num_examples))
  names = tuple(f'{i:03d}' for i in range(1000))
  return ImageSource('stacked_mnist', split, (*digits.shape[:2], 3), names, records)


def _draw(split: str, num_digits: int) -> np.ndarray:
  """Draw indices [NUM_IMAGES[split], 3] in [0, num_digits), from raw words, which NumPy never changes (NEP 19)."""
  words = np.random.Philox(key=_KEYS[split]).random_raw(3 * NUM_IMAGES[split])
  return (words % np.uint64(num_digits)).astype(np.int64).reshape(-1, 3)
