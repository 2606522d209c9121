"""Image data sets of TensorFlow Datasets, read from disk without TensorFlow and without a network.

`gan.data.prepare` prepares a data set once, in another process.
"""

import difflib
import io
import os
import pathlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from absl import logging

from gan.data import decode, resize, toy
from gan.data.original import ORIGINALS
from gan.data.source import DataError, ImageSource

if TYPE_CHECKING:
  import tensorflow_datasets as tfds  # Functions import it themselves, because the import takes a second or two.

# How to get TensorFlow, which only the preparation of most sets needs.
INSTALL = "`pip install -e '.[prepare]'` in a checkout, else `pip install 'gan-jax-research[prepare]'`"
EMBEDDED = ('digits', *toy.MIXTURES, 'folder')   # Data sets that need no download.


class TfdsRecords:
  """Records that are decoded and resized when they are read.

  Threads may share this object: the reader has a lock, and decoding keeps no state.
  """

  def __init__(self, records: Sequence[bytes], image_key: str, label_key: str | None, image_size: int, channels: int):
    """Keep `records`, serialized tf.train.Examples with random access; nothing is read yet."""
    from tensorflow_datasets.proto import tf_example_pb2  # It takes 2 us a record; TFDS's parser takes 90 us.
    self._parse = tf_example_pb2.Example.FromString
    self._records = records
    self._image_key, self._label_key = image_key, label_key
    self._image_size, self._channels = image_size, channels

  def __len__(self) -> int:
    """Return the number of records."""
    return len(self._records)

  def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
    """Return the image [H, W, C] in uint8 and its class, 0 if the data set has no classes."""
    return self._decode(self._records[i])

  def __getitems__(self, indices: Sequence[int]) -> list[tuple[np.ndarray, int]]:
    """Return many records, several times faster than one by one."""
    return [self._decode(record) for record in self._records.__getitems__(indices)]

  def _decode(self, record: bytes) -> tuple[np.ndarray, int]:
    feature = self._parse(record).features.feature
    label = feature[self._label_key].int64_list.value[0] if self._label_key else 0
    with decode.open_image(io.BytesIO(feature[self._image_key].bytes_list.value[0])) as image:
      square = resize.fit(resize.flatten(image), self._image_size)
      return resize.to_array(square, self._channels), label


def load(name: str, image_size: int, split: str, data_dir: str | None = None) -> ImageSource:
  """Open a prepared TFDS image data set; only metadata are read now, and images are decoded when they are read.

  Args:
    name: name in TFDS, such as 'mnist', 'celeb_a_hq/256' or 'lsun/church_outdoor:3.1.0'.
    image_size: side of the square images in pixels (see `resize.fit`); 0 keeps the size of the images, if all have the
      same size.
    split: 'train' or 'test'. For a data set without a test split, 'test' is its validation split.
    data_dir: folder of prepared data sets; None: TFDS_DATA_DIR, or ~/tensorflow_datasets if this is not set.

  Returns:
    Images in greyscale or colour, as stored; with classes if the data set has a ClassLabel feature.

  Raises:
    DataError: if the data set is unknown, not prepared, prepared only as tfrecord, incomplete, or has no images or no
      such split.
  """
  builder = find_builder(name, data_dir)
  if not is_prepared(builder):
    needs = '' if builder.name in ORIGINALS else f', and needs TensorFlow: {INSTALL}'
    raise DataError(
        f'{name} is not prepared in {builder.data_path}. Ways out: run `python -m gan.data.prepare {name}` once (it '
        f'downloads{needs}); or set TFDS_DATA_DIR to the folder that holds '
        f'{_relative(builder)}; or use the embedded data set digits, which needs no download')
  if 'array_record' not in formats(builder):
    raise DataError(
        f'{name} is prepared in {builder.data_path} as {", ".join(sorted(formats(builder)))}, which has no random '
        f'access. Run `python -m gan.data.prepare {name}` once: it adds array_record files there, without network')
  stored_split = _find_split(builder, split)
  image_key, label_key = _find_keys(builder)
  feature = builder.info.features[image_key]
  import tensorflow_datasets as tfds
  raw_bytes = tfds.decode.DeserializeMethod.RAW_BYTES
  records = builder.as_data_source(split=stored_split, deserialize_method=raw_bytes)
  for path in builder.info.splits[stored_split].filepaths:   # Checked after as_data_source, which picks the format.
    if not path.exists():
      raise DataError(f'{path} is missing: delete {builder.data_path} and run `python -m gan.data.prepare {name}`')
  height, width, channels = feature.shape
  if image_size == 0 and None in (height, width):
    raise DataError(f'image_size=0: the images of {name} differ in size; set image_size, for instance to 64')
  size = (image_size, image_size) if image_size else (height, width)
  channels = 1 if channels == 1 else 3
  names = tuple(builder.info.features[label_key].names) if label_key else ()
  return ImageSource(name, split, (*size, channels), names,
                     TfdsRecords(records.data_source, image_key, label_key, image_size, channels))


def find_builder(name: str, data_dir: str | None = None) -> 'tfds.core.DatasetBuilder':
  """Look a data set up by name, on disk and in TFDS's code, without network and TensorFlow.

  Args:
    name: name in TFDS; see `load`.
    data_dir: folder of prepared data sets; see `load`.

  Returns:
    TFDS's builder, prepared or not. If another version than TFDS's newest is on disk, the builder of this version.

  Raises:
    DataError: if TFDS does not know the name, configuration or version.
  """
  import tensorflow_datasets as tfds
  data_dir = os.path.expanduser(data_dir or os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets')
  if not re.fullmatch(r'[A-Za-z]\w*([/:][\w.+-]+)*', name):
    raise DataError(f'data={name!r} is not a name of a data set; try {", ".join(EMBEDDED)}, mnist or cifar10')
  try:
    builder, error = tfds.builder(name, data_dir=data_dir), None
  except tfds.core.DatasetNotFoundError as e:
    close = difflib.get_close_matches(name.lower(), tfds.list_builders(with_community_datasets=False), 3, 0.5)
    raise DataError(
        f'data={name!r} is unknown. The embedded data sets are {", ".join(EMBEDDED)}; the image data sets of TFDS work '
        f'too{", nearest: " + ", ".join(close) if close else ""}') from e
  except Exception as e:   # ValueError: configuration; AssertionError: version; any error: the set imports TensorFlow.
    builder, error = None, e
  if builder is not None and is_prepared(builder):
    return tfds.builder_from_directory(builder.data_path)   # The metadata on disk count, not those in TFDS's code.
  folder, _, version = name.partition(':')
  prepared = [path.parent for path in pathlib.Path(data_dir, folder).glob('*.*.*/dataset_info.json')]
  versions = [path for path in prepared if path.name.replace('.', '').isdigit() and version in ('', path.name)]
  if versions:
    newest = max(versions, key=lambda path: tuple(map(int, path.name.split('.'))))
    logging.info('Reading %s.', newest)
    return tfds.builder_from_directory(newest)
  if error is not None:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise DataError(f'data={name!r} is not in {data_dir}, and TFDS cannot build it here: {reason}') from error
  return builder


def is_prepared(builder: 'tfds.core.DatasetBuilder') -> bool:
  """Return whether the data set is on disk, in any format."""
  return builder.data_path.exists() and builder.is_prepared()


def formats(builder: 'tfds.core.DatasetBuilder') -> set[str]:
  """Return the file formats in which a prepared data set is on disk: 'array_record', 'tfrecord', ..."""
  import tensorflow_datasets as tfds
  on_disk = tfds.builder_from_directory(builder.data_path)   # A builder made from code does not list added formats.
  return {file_format.value for file_format in on_disk.info.available_file_formats()}


def _relative(builder: 'tfds.core.DatasetBuilder') -> str:
  config = [builder.builder_config.name] if builder.builder_config else []
  return '/'.join([builder.name, *config, str(builder.version)])


def _find_split(builder: 'tfds.core.DatasetBuilder', split: str) -> str:
  if split not in ('train', 'test'):
    raise DataError(f"split={split!r} must be 'train' or 'test'")
  names = [name for name, info in builder.info.splits.items() if info.num_examples]
  for name in ('train',) if split == 'train' else ('test', 'validation'):
    if name in names:
      if name != split:
        logging.info('%s has no test split: reading %r instead.', builder.name, name)
      return name
  raise DataError(f'split={split!r}: {builder.name} has only {", ".join(names)}; use split=train, or another data set')


def _find_keys(builder: 'tfds.core.DatasetBuilder') -> tuple[str, str | None]:
  """Find the image and its class by the types of the features, because their names differ between data sets."""
  import tensorflow_datasets as tfds
  features = builder.info.features
  items = features.items() if isinstance(features, tfds.features.FeaturesDict) else ()
  images = [k for k, f in items if isinstance(f, tfds.features.Image) and f.np_dtype == np.uint8]
  labels = [k for k, f in items if isinstance(f, tfds.features.ClassLabel)]
  preferred = [key for key in builder.info.supervised_keys or () if isinstance(key, str)]
  image = [key for key in preferred if key in images] or [k for k in images if type(features[k]) is tfds.features.Image]
  label = [key for key in preferred if key in labels] or labels
  if not image:
    raise DataError(f'{builder.name} has no 8-bit images: its features are {", ".join(features or ())}')
  if len(image) > 1 or len(label) > 1:
    logging.warning('%s has several images or classes: using %s of %s, and the first of %s.',
                    builder.name, image[0], image, label)
  return image[0], label[0] if label else None
