"""Images written as TFDS prepares them, without TensorFlow: array_record files, features and information.

Names, order and contents of the records are TFDS's, so that `gan.data.tfds` and TFDS itself read the result, and a run
that was started on TFDS's own preparation goes on with ours.
"""

import hashlib
import io
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from gan.data import tfds as gan_tfds
from gan.data.original import Split
from gan.data.source import DataError

if TYPE_CHECKING:
  import tensorflow_datasets as tfds


def write(builder: 'tfds.core.DatasetBuilder', splits: Mapping[str, Split], class_names: tuple[str, ...],
          ids: bool = False) -> None:
  """Write a data set to the builder's `data_path`, whole or not at all.

  Args:
    builder: TFDS's, not prepared yet; its features are 'image', 'label' and, with `ids`, 'id'.
    splits: 'train', 'test', ...
    class_names: in the order of the labels.
    ids: whether each example has an id, such as 'train_00000'.

  Raises:
    DataError: if it cannot be written.
  """
  target = Path(builder.data_path)
  if '://' in str(builder.data_path):
    raise DataError(f'{builder.data_path} is no folder of this machine: prepare {builder.name} in one with --data_dir, '
                    'and copy it there')
  folder = target.with_name(f'incomplete.{uuid.uuid4().hex}_{target.name}')   # As TFDS names what nobody shall read.
  try:
    folder.mkdir(parents=True)
    _write(builder, folder, splits, class_names, ids)
    for path in folder.iterdir():
      _sync(path)
    try:
      folder.rename(target)   # An empty folder may be there.
    except OSError:
      if not gan_tfds.is_prepared(builder):   # Otherwise another process was quicker, with the same result.
        raise
  except (OSError, RuntimeError) as error:   # Full disks are RuntimeErrors of array_record.
    raise DataError(
        f'{builder.name} cannot be written to {target} ({error}). Ways out: make room there; move away what is there; '
        'or name another place with --data_dir, and set TFDS_DATA_DIR to it for training') from error
  finally:
    shutil.rmtree(folder, ignore_errors=True)


def order(split: str, count: int) -> list[int]:
  """TFDS's order of `count` examples: sorted by the MD5 of the split's name and the number of the example."""
  return sorted(range(count), key=lambda i: hashlib.md5(f'{split}{i}'.encode(), usedforsecurity=False).digest())


def _write(builder: 'tfds.core.DatasetBuilder', folder: Path, splits: Mapping[str, Split],
           class_names: tuple[str, ...], ids: bool) -> None:
  import tensorflow_datasets as tfds
  template = tfds.core.ShardedFileTemplate(folder, dataset_name=builder.name, filetype_suffix='array_record')
  infos = []
  for name, split in splits.items():
    own = template.replace(split=name)
    size = _write_records(Path(own.sharded_filepath(shard_index=0, num_shards=1)), name, split, ids)
    infos.append(tfds.core.SplitInfo(name=name, shard_lengths=[len(split.labels)], num_bytes=size,
                                     filename_template=own))
  info = builder.info
  if tuple(info.features['label'].names) != class_names:   # TFDS takes those of CIFAR-10 from its files.
    info.features['label'].names = list(class_names)
  info.set_file_format('array_record', override=True)
  info.set_splits(tfds.core.splits.SplitDict(infos))
  info.write_to_directory(folder)


def _write_records(path: Path, name: str, split: Split, ids: bool) -> int:
  """Write one shard; return the number of bytes in its records."""
  from array_record.python import array_record_module
  writer = array_record_module.ArrayRecordWriter(str(path), 'group_size:1')   # Random access to each record.
  size = 0
  try:
    for i in order(name, len(split.labels)):
      record = _example(split.images[i], int(split.labels[i]), f'{name}_{i:05d}' if ids else None)
      writer.write(record)
      size += len(record)
  finally:
    writer.close()
  return size


def _example(image: np.ndarray, label: int, id: str | None) -> bytes:
  """Serialize one tf.train.Example, with the image [H, W, 1 or 3] as PNG."""
  from tensorflow_datasets.proto import tf_example_pb2
  png = io.BytesIO()
  Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(png, 'PNG')
  example = tf_example_pb2.Example()
  example.features.feature['image'].bytes_list.value.append(png.getvalue())
  example.features.feature['label'].int64_list.value.append(label)
  if id is not None:
    example.features.feature['id'].bytes_list.value.append(id.encode())
  return example.SerializeToString(deterministic=True)


def _sync(path: Path) -> None:
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)
