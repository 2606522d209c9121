"""The interface of a data set: named columns, a number of examples, and reads in any order.

The loaders (`digits`, `tfds`, `folder`) make an `ImageSource`. Order, batches and augmentation are not decided here.
"""

import collections
import concurrent.futures
import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import jax
import numpy as np

_NUM_SAMPLED = 64   # Records in the fingerprint: enough to reveal another resize rule or order, and quick to decode.
READER_THREADS = 8
_CHUNK = 1024       # Records fetched at a time, so that reading a whole data set needs no second copy of it.


class DataError(ValueError):
  """A problem with the data that the user can solve; the message says how."""


class Column(NamedTuple):
  """Shape and dtype of one column of a data set.

  Attributes:
    shape: shape of one example.
    dtype: dtype as stored. Networks see uint8 as pixels in float32 in [-1, 1], and all else as it is.
    shares: share of each class among the labels in this column, where a run needs them; else ().
  """

  shape: tuple[int, ...]
  dtype: str
  shares: tuple[float, ...] = ()

  @property
  def is_image(self) -> bool:
    """Return whether the column is stored as bytes of pixels."""
    return self.dtype == 'uint8'

  @property
  def seen(self) -> jax.ShapeDtypeStruct:
    """Return shape and dtype of one example as networks see it."""
    return jax.ShapeDtypeStruct(self.shape, 'float32' if self.is_image else self.dtype)


def columns_of(shape: tuple[int, ...]) -> dict[str, Column]:
  """Return the columns of a data set of images [H, W, C] with labels, or of points [D]."""
  if len(shape) == 3:
    return {'images': Column(shape, 'uint8'), 'labels': Column((), 'int32')}
  return {'images': Column(shape, 'float32')}


class Source(Protocol):
  """A data set with random access, whose columns belong together example by example.

  Attributes:
    name: name of the data set in a configuration.
    class_names: one name per class, () if there are no classes.
    num_examples: number of examples.
    columns: columns that `read` returns, by name.
  """

  name: str
  class_names: tuple[str, ...]
  num_examples: int
  columns: Mapping[str, Column]

  def read(self, indices: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns [N, ...] of the examples with these indices [N]."""
    ...

  def fingerprint(self) -> str:
    """Return a text that differs for other data."""
    ...


def class_shares(source: Source) -> tuple[float, ...]:
  """Return the share of each class in a data set, () if it has no classes.

  This reads all records, except where they have the method `labels() -> [N]`, which reads the labels alone.
  """
  if not source.class_names:
    return ()
  labels = getattr(getattr(source, 'records', None), 'labels', None)
  all_labels = labels() if labels else np.concatenate([
      part['labels'] for part in read_batches(source, np.arange(source.num_examples), _CHUNK)])
  counts = np.bincount(all_labels, minlength=len(source.class_names))
  return tuple(float(share) for share in counts / counts.sum())


class Unpaired(NamedTuple):
  """Sources whose examples do not belong together: each source has its own order, length and columns.

  Attributes:
    name: name of the data set in a configuration.
    parts: the sources; epochs are those of the first source.
  """

  name: str
  parts: tuple[Source, ...]

  @property
  def class_names(self) -> tuple[str, ...]:
    """Return the names of the classes of the first part."""
    return self.parts[0].class_names

  @property
  def num_examples(self) -> int:
    """Return the number of examples of the first part."""
    return self.parts[0].num_examples

  @property
  def columns(self) -> dict[str, Column]:
    """Return the columns of all parts."""
    return {name: column for part in self.parts for name, column in part.columns.items()}

  def fingerprint(self) -> str:
    """Return the fingerprints of all parts, joined by '+'."""
    return '+'.join(part.fingerprint() for part in self.parts)


class Records(Protocol):
  """Images with random access, which several threads may read at once.

  Two methods are optional. `__getitems__(indices) -> list` reads many records at once, if this is cheaper;
  `ImageSource.read` uses it. `contents() -> str` is for records that can change under the same name, such as the user's
  files: it returns hexadecimal digits that differ if any record differs, and do not depend on where the files lie.
  """

  def __len__(self) -> int:
    """Return the number of records."""
    ...

  def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
    """Return the image [H, W, C] in uint8 and its class, 0 if there are no classes."""
    ...


@dataclasses.dataclass(frozen=True)
class ImageSource:
  """One split of a data set of images.

  Attributes:
    name: name of the data set: a key of DATA_SETS or a name of TFDS.
    split: 'train' or 'test', as in the configuration.
    shape: (H, W, C) in pixels and channels, after resizing; C is 1 or 3.
    class_names: one name per class, () if the data set has no classes.
    records: the images and labels.
  """

  name: str
  split: str
  shape: tuple[int, int, int]
  class_names: tuple[str, ...]
  records: Records

  @property
  def num_examples(self) -> int:
    """Return the number of images."""
    return len(self.records)

  @property
  def num_classes(self) -> int:
    """Return the number of classes, 0 if the data set has no classes."""
    return len(self.class_names)

  @property
  def columns(self) -> dict[str, Column]:
    """Return the columns that `read` returns, by name."""
    return columns_of(self.shape)

  def read(self, indices: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
    """Read many records, in the order of `indices`.

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
      records = bulk(chunk) if bulk else map(self.records.__getitem__, chunk)
      for n, (image, label) in enumerate(records, start):
        images[n], labels[n] = image, label
    return {'images': images, 'labels': labels}

  def fingerprint(self) -> str:
    """Return a text that is equal for equal data.

    The text differs if name, split, shape, number of records, or the pixels or labels of sampled records differ. For
    the user's files it differs if any file differs; their place and dates do not matter.

    Returns:
      16 hexadecimal digits of a SHA-256 over name, split, shape, number, and up to 64 evenly spaced records; if the
      records have `contents`, then '/' and these.
    """
    digest = hashlib.sha256(repr((self.name, self.split, tuple(self.shape), self.num_examples)).encode())
    count = min(_NUM_SAMPLED, self.num_examples)
    sampled = self.read(np.linspace(0, self.num_examples - 1, count).astype(int))
    digest.update(sampled['images'].tobytes())
    digest.update(sampled['labels'].astype('<i4').tobytes())
    contents = getattr(self.records, 'contents', None)
    return digest.hexdigest()[:16] + (f'/{contents()}' if contents else '')


def fingerprint_difference(before: str, now: str) -> str:
  """Return in words how two fingerprints of equally many images differ; '' if they do not.

  Old fingerprints of folders have no `contents`; if one of the two is old, `contents` are not compared.
  """
  (pixels, _, contents), (pixels_now, _, contents_now) = before.partition('/'), now.partition('/')
  if contents and contents_now and contents != contents_now:
    return 'files of the folder were changed or renamed'
  if pixels == pixels_now:
    return ''
  if contents and contents == contents_now:
    return 'the same files are decoded to other pixels, for instance by another version of Pillow'
  return f'fingerprint: {before} there, {now} here'


def read_batches(source: Source, indices: np.ndarray, size: int) -> Iterator[dict[str, np.ndarray]]:
  """Yield the columns of `indices`, `size` examples at a time; threads read a few batches ahead."""
  parts = [indices[start:start + size] for start in range(0, len(indices), size)]
  with concurrent.futures.ThreadPoolExecutor(READER_THREADS) as pool:
    waiting = collections.deque(pool.submit(source.read, part) for part in parts[:2 * READER_THREADS])
    for part in [*parts[2 * READER_THREADS:], *[None] * len(waiting)]:
      yield waiting.popleft().result()
      if part is not None:
        waiting.append(pool.submit(source.read, part))
