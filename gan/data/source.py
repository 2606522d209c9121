"""What a set of real data is to the rest of the code: named columns, counted, read in any order.

The loaders (`digits`, `tfds`, `folder`) make an `ImageSource`; order, batches and augmentation are not decided here.
"""

import collections
import concurrent.futures
import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import jax
import numpy as np

_NUM_SAMPLED = 64   # Records that enter the fingerprint: they show another resize rule or order, and decode quickly.
READER_THREADS = 8
_CHUNK = 1024       # Records fetched at a time: reading a whole set then needs no second copy of it.


class DataError(ValueError):
  """A data problem that the person at the keyboard can solve: the message says how."""


class Column(NamedTuple):
  """What a data set holds of each example under one name.

  Attributes:
    shape: of one example.
    dtype: as it is stored; images of uint8 reach the networks as float32 in [-1, 1], all else as it is.
  """

  shape: tuple[int, ...]
  dtype: str

  @property
  def is_image(self) -> bool:
    """Whether it is stored as bytes of pixels."""
    return self.dtype == 'uint8'

  @property
  def seen(self) -> jax.ShapeDtypeStruct:
    """One example as networks see it."""
    return jax.ShapeDtypeStruct(self.shape, 'float32' if self.is_image else self.dtype)


def columns_of(shape: tuple[int, ...]) -> dict[str, Column]:
  """Those of images [H, W, C] with labels, or of points [D]."""
  if len(shape) == 3:
    return {'images': Column(shape, 'uint8'), 'labels': Column((), 'int32')}
  return {'images': Column(shape, 'float32')}


class Source(Protocol):
  """A data set in random access, of one order: what its columns hold belongs together, example by example.

  Attributes:
    name: what a configuration calls it.
    class_names: one name per class, () where there are none.
    num_examples: how many there are.
    columns: what `read` returns, by name.
  """

  name: str
  class_names: tuple[str, ...]
  num_examples: int
  columns: Mapping[str, Column]

  def read(self, indices: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
    """The columns [N, ...] of the examples asked for."""
    ...

  def fingerprint(self) -> str:
    """What tells these data from others."""
    ...


class Unpaired(NamedTuple):
  """Sources that do not belong together: each has an order and a length of its own, and other columns.

  Attributes:
    name: what a configuration calls them.
    parts: the sources; the first one counts the epochs.
  """

  name: str
  parts: tuple[Source, ...]

  @property
  def class_names(self) -> tuple[str, ...]:
    """Those of the first part."""
    return self.parts[0].class_names

  @property
  def num_examples(self) -> int:
    """Of the first part."""
    return self.parts[0].num_examples

  @property
  def columns(self) -> dict[str, Column]:
    """Those of all parts."""
    return {name: column for part in self.parts for name, column in part.columns.items()}

  def fingerprint(self) -> str:
    """Those of all parts."""
    return '+'.join(part.fingerprint() for part in self.parts)


class Records(Protocol):
  """Images in random access, safe to read from several threads at once.

  `__getitems__(indices) -> list` is optional: where reading many records at once is cheaper, a set offers it, and
  `ImageSource.read` uses it. So is `contents() -> str`: where records can change under the same name (files of a
  person), hexadecimal digits that differ if any of them did, wherever they lie.
  """

  def __len__(self) -> int:
    """Number of records."""
    ...

  def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
    """Image [H, W, C] in uint8 and its class, 0 where the set has no classes."""
    ...


@dataclasses.dataclass(frozen=True)
class ImageSource:
  """One split of a set of images.

  Attributes:
    name: 'digits', 'folder' or the name of a TFDS data set.
    split: 'train' or 'test', as asked for.
    shape: (H, W, C) in pixels and channels, after resizing; C is 1 or 3.
    class_names: one name per class, () where the set has no labels.
    records: the images and labels.
  """

  name: str
  split: str
  shape: tuple[int, int, int]
  class_names: tuple[str, ...]
  records: Records

  @property
  def num_examples(self) -> int:
    """Number of images."""
    return len(self.records)

  @property
  def num_classes(self) -> int:
    """Number of classes, 0 where the set has no labels."""
    return len(self.class_names)

  @property
  def columns(self) -> dict[str, Column]:
    """What `read` returns of each record."""
    return columns_of(self.shape)

  def read(self, indices: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
    """Read many records, in the order asked for.

    Args:
      indices: [N] integers in [0, num_examples).

    Returns:
      'images' [N, H, W, C] in uint8 and 'labels' [N] in int32.

    Raises:
      IndexError: if an index is out of range.
    """
    indices = [int(i) for i in indices]
    for i in indices:
      if not 0 <= i < self.num_examples:
        raise IndexError(f'index {i} is outside of [0, {self.num_examples}) of {self.name}, split {self.split}')
    images = np.empty((len(indices), *self.shape), np.uint8)
    labels = np.empty(len(indices), np.int32)
    bulk = getattr(self.records, '__getitems__', None)
    for start in range(0, len(indices), _CHUNK):
      chunk = indices[start:start + _CHUNK]
      found = bulk(chunk) if bulk else map(self.records.__getitem__, chunk)
      for n, (image, label) in enumerate(found, start):
        images[n], labels[n] = image, label
    return {'images': images, 'labels': labels}

  def fingerprint(self) -> str:
    """Name the data: equal for equal data, different if split, size, number, or sampled pixels or labels differ.

    Files of a person are all looked at, so that it differs if any one does; their place and dates do not matter.

    Returns:
      16 hexadecimal digits of a SHA-256 over name, split, shape, number, and up to 64 evenly spaced records; for files
      of a person '/' and their `contents` after these.
    """
    digest = hashlib.sha256(repr((self.name, self.split, tuple(self.shape), self.num_examples)).encode())
    count = min(_NUM_SAMPLED, self.num_examples)
    sampled = self.read(np.linspace(0, self.num_examples - 1, count).astype(int))
    digest.update(sampled['images'].tobytes())
    digest.update(sampled['labels'].astype('<i4').tobytes())
    contents = getattr(self.records, 'contents', None)
    return digest.hexdigest()[:16] + (f'/{contents()}' if contents else '')


def fingerprint_difference(before: str, now: str) -> str:
  """How two fingerprints of equally many images differ, in words; '' if they do not.

  One of a folder that was taken before folders had `contents` is compared without.
  """
  (pixels, _, contents), (pixels_now, _, contents_now) = before.partition('/'), now.partition('/')
  if contents and contents_now and contents != contents_now:
    return 'files of the folder were changed or renamed'
  if pixels == pixels_now:
    return ''
  if contents and contents == contents_now:
    return 'the same files are decoded to other pixels, as by another version of Pillow'
  return f'fingerprint: {before} there, {now} here'


def read_batches(source: Source, indices: np.ndarray, size: int) -> Iterator[dict[str, np.ndarray]]:
  """The columns of `indices`, `size` at a time, read in threads a few batches ahead."""
  parts = [indices[start:start + size] for start in range(0, len(indices), size)]
  with concurrent.futures.ThreadPoolExecutor(READER_THREADS) as pool:
    waiting = collections.deque(pool.submit(source.read, part) for part in parts[:2 * READER_THREADS])
    for part in [*parts[2 * READER_THREADS:], *[None] * len(waiting)]:
      yield waiting.popleft().result()
      if part is not None:
        waiting.append(pool.submit(source.read, part))
