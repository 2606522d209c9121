"""The embedded data set: 1,797 real handwritten digits, which scikit-learn ships; no download, no TensorFlow.

The digits are 8 x 8 counts of 0 to 16 inked pixels (UCI "Optical Recognition of Handwritten Digits", test part). They
are enlarged here so that networks for 16 and 32 pixels can be tried in a minute. They are no substitute for MNIST in a
result.
"""

import numpy as np
from PIL import Image

from gan.data.source import DataError, ImageSource

SIZES = (16, 32)
NUM_TRAIN, NUM_TEST = 1500, 297
_MAX_COUNT = 16.0
_BLACK, _WHITE = 0.125, 0.875   # Shares of full ink that become 0 and 255; this sharpens the edges of strokes.


class ArrayRecords:
  """Records in memory."""

  def __init__(self, images: np.ndarray, labels: np.ndarray):
    """Keep images [N, H, W, C] in uint8 and labels [N]."""
    self._images, self._labels = images, labels

  def __len__(self) -> int:
    """Return the number of records."""
    return len(self._images)

  def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
    """Return the image [H, W, C] in uint8 and its class."""
    return self._images[i], int(self._labels[i])

  def labels(self) -> np.ndarray:
    """Return the classes [N] of all images."""
    return self._labels


def load(image_size: int, split: str) -> ImageSource:
  """Load the digits, smoothly enlarged, white on black.

  An empty pixel is added on every side, because the digits touch their frame and MNIST's do not. The 10 x 10 counts are
  interpolated bicubically, and the contrast is stretched.

  The split is fixed: 'test' takes evenly spaced digits of each class, in scikit-learn's order (30 each of the classes 0
  to 6, 29 each of 7 to 9), and 'train' takes the others. So both splits hold every class and all writers, and they
  share no image.

  Args:
    image_size: 16 or 32, pixels.
    split: 'train' (1,500 images) or 'test' (297).

  Returns:
    Images [image_size, image_size, 1] with ten classes.

  Raises:
    DataError: if the size or the split is another one.
  """
  if image_size not in SIZES:
    raise DataError(f'image_size={image_size}: the embedded digits come in 16 or 32 pixels; set image_size to 16 or 32')
  if split not in ('train', 'test'):
    raise DataError(f"split={split!r}: the embedded digits have the splits 'train' and 'test'")
  from sklearn.datasets import load_digits  # The import takes a second, so only runs on digits pay for it.
  counts, labels = load_digits(return_X_y=True)
  is_test = _test_mask(labels)
  keep = is_test if split == 'test' else ~is_test
  images = np.stack([_enlarge(count.reshape(8, 8), image_size) for count in counts[keep]])
  return ImageSource('digits', split, (image_size, image_size, 1), tuple('0123456789'),
                     ArrayRecords(images, labels[keep]))


def _test_mask(labels: np.ndarray) -> np.ndarray:
  mask = np.zeros(len(labels), bool)
  for label in range(10):
    of_class = np.flatnonzero(labels == label)
    num_test = NUM_TEST // 10 + (label < NUM_TEST % 10)
    mask[of_class[((np.arange(num_test) + 0.5) * len(of_class) / num_test).astype(int)]] = True
  return mask


def _enlarge(counts: np.ndarray, image_size: int) -> np.ndarray:
  ink = Image.fromarray(np.pad(counts / _MAX_COUNT, 1).astype(np.float32))
  ink = np.asarray(ink.resize((image_size, image_size), Image.Resampling.BICUBIC))
  ink = np.clip((ink - _BLACK) / (_WHITE - _BLACK), 0.0, 1.0)
  return np.rint(255 * ink).astype(np.uint8)[..., None]
