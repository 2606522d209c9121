r"""Prepare a TFDS data set for reading without TensorFlow: once, in a process of its own.

  python -m gan.data.prepare mnist [--data_dir=/somewhere]   # also fashion_mnist and cifar10; downloads 11 to 170 MB
  python -m gan.data.prepare mnist --files=/original/files   # no network: files that were brought here by hand
  pip install -e '.[prepare]'                                # TensorFlow, for all other data sets of TFDS
  python -m gan.data.prepare cifar100

Writes array_record files to `--data_dir`, else TFDS_DATA_DIR, else ~/tensorflow_datasets. MNIST, Fashion-MNIST and
CIFAR-10 are made from their authors' files, with the records and in the order of TFDS: the fingerprint is the same,
whoever prepared them. All others are made by TFDS. A set that lies there as tfrecord gets array_record files beside it;
that needs neither TensorFlow nor a network.
"""

import importlib.util
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from gan import cli
from gan.cache import cache_dir
from gan.data import original, tfds_writer
from gan.data import tfds as gan_tfds
from gan.data.source import DataError

if TYPE_CHECKING:
  import tensorflow_datasets as tfds

_DATA_DIR = flags.DEFINE_string('data_dir', None, 'Where TFDS keeps prepared sets; default TFDS_DATA_DIR.')
_FILES = flags.DEFINE_string('files', None, f'Folder with the original files of {", ".join(original.ORIGINALS)}; '
                             'by default they are downloaded.')
_UNCHECKED = flags.DEFINE_bool('unchecked', False, 'Take the files in --files whatever their hashes are.')
_TIMEOUT = 5.0   # Seconds to connect; TFDS itself would retry for minutes.


def prepare(builder: 'tfds.core.DatasetBuilder', files: str | None = None, unchecked: bool = False) -> str:
  """Bring a data set to disk as array_record, whatever is there already.

  Args:
    builder: any TFDS builder; its `data_path` says where.
    files: folder with the original files, for a key of `original.ORIGINALS`; None downloads them.
    unchecked: take these files whatever their hashes are.

  Returns:
    What was done, for a person.

  Raises:
    DataError: if the network, the disk or a file fails; for other sets than ORIGINALS, if TensorFlow is missing or
      TFDS fails.
  """
  where = str(builder.data_path)
  if unchecked and not files:
    raise DataError('--unchecked is for the files in --files; what is downloaded is always checked')
  if files and builder.name not in original.ORIGINALS:
    raise DataError(f'--files={files}: only {", ".join(original.ORIGINALS)} are made from original files; for '
                    f'{builder.name} see `manual_dir` in the documentation of TFDS')
  if gan_tfds.is_prepared(builder):
    formats = gan_tfds.formats(builder)
    if 'array_record' in formats:
      return f'{builder.name} is already prepared in {where}.' + (
          ' To prepare it from other files, delete that folder first.' if files else '')
    if 'tfrecord' in formats:
      return f'Converted {_convert(builder)} examples of {builder.name} to array_record in {where}.'
    raise DataError(f'{where} holds {", ".join(sorted(formats))}: only tfrecord can be converted; move it away')
  if builder.name in original.ORIGINALS:
    return _prepare_original(builder, files, unchecked)
  return _prepare_by_tfds(builder)


def _prepare_original(builder: 'tfds.core.DatasetBuilder', files: str | None, unchecked: bool) -> str:
  name, published = builder.name, original.ORIGINALS[builder.name]
  folder = original.find(name, Path(files).expanduser() if files else None, cache_dir() / 'originals' / name, unchecked)
  splits = published.read(folder)
  tfds_writer.write(builder, splits, published.class_names, published.ids)
  counts = ' and '.join(f'{len(split.labels)} {split_name}' for split_name, split in splits.items())
  return (f'Prepared {name} in {builder.data_path} from the {"unchecked" if unchecked else "original"} files in '
          f'{folder}: {counts} images, in the order of TFDS.')


def _prepare_by_tfds(builder: 'tfds.core.DatasetBuilder') -> str:
  where = str(builder.data_path)
  for module in ('tensorflow', 'importlib_resources'):
    if importlib.util.find_spec(module) is None:
      raise DataError(f'Preparing {builder.name} needs {module}: {gan_tfds.INSTALL}. Training does not need it; '
                      f'{", ".join(original.ORIGINALS)} and the embedded data set digits need neither')
  _check_network(builder)
  import tensorflow_datasets as tfds
  config = tfds.download.DownloadConfig(try_download_gcs=False)   # The bucket has tfrecord only.
  try:
    builder.download_and_prepare(download_config=config, file_format='array_record')
  except Exception as e:   # Of every kind: checksums, manual downloads, packages a set needs, full disks.
    raise DataError(f'TFDS could not prepare {builder.name} in {where}: {type(e).__name__}: {e}') from e
  return f'Prepared {builder.name} in {where}.'


def _check_network(builder: 'tfds.core.DatasetBuilder') -> None:
  import requests  # TFDS downloads with it: same proxies and certificates.
  hosts = {url.split('/')[2]: url for url in builder.url_infos or () if url.startswith('http')}
  for host, url in hosts.items():
    try:
      requests.head(url, timeout=_TIMEOUT)   # Any answer will do.
    except requests.RequestException as e:
      raise DataError(
          f'{host} does not answer, so {builder.name} cannot be downloaded ({type(e).__name__}). Ways out: check the '
          'network and HTTPS_PROXY; run this command where there is a network and copy '
          f'{builder.data_path} here; or use the embedded data set digits') from e


def _convert(builder: 'tfds.core.DatasetBuilder') -> int:
  from array_record.python import array_record_module
  total = 0
  for split in builder.info.splits.values():
    shards = split.filename_template.replace(filetype_suffix='array_record').sharded_filepaths(split.num_shards)
    for source, target, length in zip(split.filepaths, shards, split.shard_lengths, strict=True):
      writer = array_record_module.ArrayRecordWriter(f'{target}.part', 'group_size:1')   # Random access to each record.
      count = sum(1 for record in _read_tfrecord(source) if writer.write(record) is None)
      writer.close()
      if count != length:
        raise DataError(f'{source} holds {count} examples, not {length}: delete {builder.data_path} and prepare again')
      os.replace(f'{target}.part', target)
      total += count
  builder.info.add_alternative_file_format('array_record')
  builder.info.write_to_directory(builder.data_path)   # Last: an interrupted conversion is not taken for a whole one.
  return total


def _read_tfrecord(path: os.PathLike) -> Iterator[bytes]:
  with open(path, 'rb') as file:
    while header := file.read(12):   # Length in 8 bytes, its checksum in 4; the record; its checksum in 4.
      length = struct.unpack('<Q', header[:8])[0] if len(header) == 12 else -1
      body = file.read(length + 4) if length >= 0 else b''
      if len(body) != length + 4:
        raise DataError(f'{path} is truncated: delete its folder and prepare again')
      yield body[:-4]


def main(argv: list[str]) -> int:
  """Prepare the set named on the command line; return the exit code."""
  if len(argv) != 2:
    raise DataError('name one data set: python -m gan.data.prepare mnist')
  if argv[1] in gan_tfds.EMBEDDED:
    print(f'{argv[1]} needs no preparation.')
    return 0
  try:
    print(prepare(gan_tfds.find_builder(argv[1], _DATA_DIR.value), _FILES.value, _UNCHECKED.value))
  except OSError as error:
    raise DataError(f'{argv[1]} cannot be written ({error}); name another place with --data_dir') from error
  return 0


if __name__ == '__main__':
  cli.run(main, positional=True)
