"""MNIST, Fashion-MNIST and CIFAR-10 as their authors publish them: where the files are, and what is in them.

`tfds_writer` brings the images into the form that training reads.
"""

import gzip
import math
import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pooch

from gan.data.source import DataError
from gan.download import download

_IDX_UINT8 = b'\x00\x00\x08'   # Begins an idx file of bytes; the number of its axes follows.
_CIFAR_IMAGE = (3, 32, 32)


class Split(NamedTuple):
  """One split, in the order of the files.

  Attributes:
    images: [N, H, W, C] in uint8.
    labels: [N] in uint8.
  """

  images: np.ndarray
  labels: np.ndarray


class Original(NamedTuple):
  """A data set as it was published.

  Attributes:
    url: of the folder that holds the files.
    files: name -> SHA-256.
    read: folder -> the splits 'train' and 'test'.
    class_names: in the order of the labels.
    ids: whether TFDS gives each example an id, 'train_00000'.
  """

  url: str
  files: Mapping[str, str]
  read: Callable[[Path], dict[str, Split]]
  class_names: tuple[str, ...]
  ids: bool = False


def find(name: str, files: Path | None, cache: Path, unchecked: bool = False) -> Path:
  """Make sure that the original files of a data set are here.

  Args:
    name: key of ORIGINALS.
    files: folder that holds them; None downloads those that are missing in `cache`.
    cache: folder of downloaded files; made where it is missing.
    unchecked: take the files in `files` whatever their hashes are.

  Returns:
    The folder.

  Raises:
    DataError: if a file is missing or another one than was published, or cannot be downloaded.
  """
  original = ORIGINALS[name]
  for file, sha256 in original.files.items():
    url = f'{original.url}{file}'
    if files is None:
      try:
        download(url, sha256, cache / file)
      except (OSError, ValueError) as error:
        raise DataError(
            f'{url} cannot be downloaded to {cache} ({error}). Ways out: try again; check the network and HTTPS_PROXY; '
            f'bring {", ".join(original.files)} here by hand and name their folder with --files=<folder>; or use the '
            'embedded data set digits, which needs no download') from error
    elif not (files / file).is_file():
      raise DataError(f'{files / file} is missing: --files must name a folder with {", ".join(original.files)}, as in '
                      f'{original.url}')
    elif not unchecked and (found := _sha256(files / file)) != sha256:
      raise DataError(
          f'{files / file} has SHA-256 {found}; the published file has {sha256}. Ways out: bring it anew from {url}; '
          'leave --files away to download it; or, if this file is meant (packed anew, or of data of your own), add '
          '--unchecked')
  return cache if files is None else files


def read_idx(path: Path) -> np.ndarray:
  """Read an idx file of bytes, the format of MNIST (LeCun, Cortes & Burges 1998), packed by gzip.

  Returns:
    uint8 of the shape that the file states.

  Raises:
    DataError: if it is no such file, or holds fewer or more bytes than it says.
  """
  try:
    content = gzip.decompress(path.read_bytes())
  except (OSError, EOFError, zlib.error) as error:
    raise DataError(f'{path} cannot be unpacked ({error}): bring it anew') from error
  axes = content[3] if len(content) > 3 else 0
  if content[:3] != _IDX_UINT8 or not axes or len(content) < 4 + 4 * axes:
    raise DataError(f'{path} is no idx file of bytes: it begins with {content[:4].hex(" ") or "nothing"}, and must '
                    'begin with 00 00 08')
  shape = [int(size) for size in np.frombuffer(content, '>u4', axes, 4)]
  body = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
  if len(body) != math.prod(shape):
    raise DataError(f'{path} holds {len(body)} bytes, and its header says {" x ".join(map(str, shape))}: bring it anew')
  return body.reshape(shape)


def _read_mnist(folder: Path) -> dict[str, Split]:
  return {split: _read_mnist_split(folder, prefix) for split, prefix in (('train', 'train'), ('test', 't10k'))}


def _read_mnist_split(folder: Path, prefix: str) -> Split:
  paths = folder / f'{prefix}-images-idx3-ubyte.gz', folder / f'{prefix}-labels-idx1-ubyte.gz'
  images, labels = map(read_idx, paths)
  if images.shape[1:] != (28, 28) or labels.shape != (len(images),):
    raise DataError(f'{paths[0]} holds bytes of shape {images.shape}, {paths[1]} of shape {labels.shape}; they must be '
                    '(N, 28, 28) and (N,)')
  return _checked(Split(images[..., None], labels), paths[1])


def _read_cifar10(folder: Path) -> dict[str, Split]:
  """Six files of records: one byte for the class, then the red, green and blue plane of the image."""
  path = folder / 'cifar-10-binary.tar.gz'
  names = {'train': [f'data_batch_{i}.bin' for i in range(1, 6)], 'test': ['test_batch.bin']}
  content = {}
  try:
    with tarfile.open(path) as archive:   # Packed by gzip, so in one pass from the front.
      for member in archive:
        if (file := archive.extractfile(member)) is not None:
          content[Path(member.name).name] = file.read()
  except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
    raise DataError(f'{path} cannot be unpacked ({error}): bring it anew') from error
  size, splits = 1 + math.prod(_CIFAR_IMAGE), {}
  for split, files in names.items():
    for file in files:
      if len(content.get(file, b'')) % size or not content.get(file):
        raise DataError(f'{path} must hold {file} of one or more records of {size} bytes; it holds '
                        f'{len(content[file])} bytes of it' if file in content else f'{path} does not hold {file}')
    records = np.frombuffer(b''.join(content[file] for file in files), np.uint8).reshape(-1, size)
    images = records[:, 1:].reshape(-1, *_CIFAR_IMAGE).transpose(0, 2, 3, 1)
    splits[split] = _checked(Split(images, records[:, 0]), path)
  return splits


def _checked(split: Split, path: Path) -> Split:
  if not len(split.labels) or split.labels.max() > 9:
    worst = split.labels.max(initial=0)
    raise DataError(f'{path} must hold one or more classes from 0 to 9; it holds {len(split.labels)}, up to {worst}')
  return split


def _sha256(path: Path) -> str:
  try:
    return pooch.file_hash(str(path))
  except OSError as error:
    raise DataError(f'{path} cannot be read ({error})') from error


_DIGITS = tuple('0123456789')
# The hashes are those that TFDS and torchvision check.
ORIGINALS = {
    'mnist': Original('https://ossci-datasets.s3.amazonaws.com/mnist/', {
        'train-images-idx3-ubyte.gz': '440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609',
        'train-labels-idx1-ubyte.gz': '3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c',
        't10k-images-idx3-ubyte.gz': '8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6',
        't10k-labels-idx1-ubyte.gz': 'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6',
    }, _read_mnist, _DIGITS),
    'fashion_mnist': Original('http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/', {
        'train-images-idx3-ubyte.gz': '3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84',
        'train-labels-idx1-ubyte.gz': 'a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845',
        't10k-images-idx3-ubyte.gz': '346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073',
        't10k-labels-idx1-ubyte.gz': '67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5',
    }, _read_mnist, ('T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag',
                     'Ankle boot')),
    'cifar10': Original('https://www.cs.toronto.edu/~kriz/', {
        'cifar-10-binary.tar.gz': 'c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd',
    }, _read_cifar10, ('airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'),
    ids=True),
}
