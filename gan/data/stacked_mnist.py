"""Stacked MNIST: three digits of MNIST as the channels of one image, a thousand classes of known shares.

The usual test of how many modes a generator forgets (Metz et al. 2017, arXiv:1611.02163), in the form and size of
PacGAN (Lin et al. 2018, arXiv:1712.04086).
"""

from collections.abc import Sequence

import numpy as np

from gan.data import tfds
from gan.data.pipeline import load_all
from gan.data.source import ImageSource

NUM_IMAGES = {'train': 128_000, 'test': 26_000}
_KEYS = {'train': 1, 'test': 2}   # Never change them: they say which digits make up an image.


class StackedRecords:
  """Images put together when asked for; the digits are held in memory.

  Attributes:
    digits: the split of MNIST that they come from.
  """

  def __init__(self, digits: ImageSource, draws: np.ndarray):
    """Decode `digits`; record i has its images number draws[i] [3] as channels."""
    self.digits, self._draws = digits, draws
    loaded = load_all(digits)
    self._images, self._labels = loaded['images'][..., 0], loaded['labels']

  def __len__(self) -> int:
    """Number of images."""
    return len(self._draws)

  def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
    """Image [H, W, 3] in uint8 and its class 100a + 10b + c."""
    return self.__getitems__([i])[0]

  def __getitems__(self, indices: Sequence[int]) -> list[tuple[np.ndarray, int]]:
    """Many records, several times faster than one by one."""
    draws = self._draws[np.asarray(indices)]
    images = np.moveaxis(self._images[draws], 1, -1)
    return list(zip(images, (self._labels[draws] @ (100, 10, 1)).tolist(), strict=True))


def load(image_size: int, split: str) -> ImageSource:
  """Open stacked MNIST: reads and decodes MNIST, some seconds.

  Each channel is drawn uniformly and independently, with replacement, from the images of MNIST's split of the same
  name; record i is the same on every machine.

  Args:
    image_size: side in pixels; 0 keeps MNIST's 28.
    split: 'train' (128,000 images, as in PacGAN) or 'test' (26,000).

  Returns:
    Images [image_size, image_size, 3] with the classes '000' to '999'.

  Raises:
    DataError: as `gan.data.tfds.load` for MNIST: if it is not there, or for another split.
  """
  digits = tfds.load('mnist', image_size, split)
  records = StackedRecords(digits, _draw(split, digits.num_examples))
  names = tuple(f'{i:03d}' for i in range(1000))
  return ImageSource('stacked_mnist', split, (*digits.shape[:2], 3), names, records)


def _draw(split: str, num_digits: int) -> np.ndarray:
  """[NUM_IMAGES[split], 3] in [0, num_digits), from raw words of a generator that NumPy never changes (NEP 19)."""
  words = np.random.Philox(key=_KEYS[split]).random_raw(3 * NUM_IMAGES[split])
  return (words % np.uint64(num_digits)).astype(np.int64).reshape(-1, 3)
