"""The user's images: a folder of image files, with one subfolder per class if there are classes."""

import concurrent.futures
import hashlib
import io
import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from absl import logging
from PIL import UnidentifiedImageError

from gan.data import decode, resize
from gan.data.find import FolderContents, find, listed
from gan.data.source import DataError, ImageSource

_CHECK_SIZE = 64    # Pixels; to check a JPEG it may be decoded at a fraction of its size, but not below this.
_DARK = 64          # In 0 to 255: pixels with 14 bits in files of 16 bits stay below this.


class FolderRecords:
  """Records that are decoded and resized when they are read; each read opens the file anew, so threads may share it."""

  def __init__(self, root: pathlib.Path, files: dict[str, str], labels: list[int], image_size: int, channels: int):
    """Keep the checked `files` (path relative to `root` -> digest of its bytes) and their classes."""
    self._root, self._names, self._labels = root, list(files), labels
    self._image_size, self._channels = image_size, channels
    listing = ''.join(f'{digest} {name}\n' for name, digest in files.items())
    self._contents = hashlib.sha256(listing.encode(errors='surrogateescape')).hexdigest()[:16]

  def __len__(self) -> int:
    """Return the number of images."""
    return len(self._names)

  def contents(self) -> str:
    """Return a hash of the names and bytes of all files at the time of the check, in hexadecimal digits."""
    return self._contents

  def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
    """Return the image [H, W, C] in uint8 and its class, 0 if there are no classes."""
    with open(self._root / self._names[i], 'rb') as file, decode.open_image(file) as image:
      square = resize.fit(resize.flatten(decode.upright(image)), self._image_size)
      return resize.to_array(square, self._channels), self._labels[i]


def load(path: str, image_size: int, split: str) -> ImageSource:
  """Open a folder of images, and check every file by decoding it once.

  Files with a suffix of `decode.SUFFIXES` (in any case) are searched at any depth and sorted by relative path. Links
  are followed, each file counts once, and files that systems leave behind are left out (see `find`). If every image
  lies in a subfolder and there are several first-level subfolders, these are the classes. A warning names files that
  do not decode, and they are skipped; another warning counts all other files by their kind. Animations and files of
  several pages give their first image.

  A folder has no test split: nothing is held out, and `split='test'` is an error. Evaluate on the split 'train', or
  give another folder.

  Args:
    path: the folder; `~` is the home directory.
    image_size: side of the square images in pixels (see `resize.fit`); 0 keeps the size of the images, if all have the
      same size.
    split: 'train'.

  Returns:
    Images with one channel if every file is stored as greyscale, otherwise with three channels.

  Raises:
    DataError: if the folder is missing, is not a folder or holds fewer than two usable images, or for another split.
  """
  if split != 'train':
    raise DataError(f"split={split!r}: a folder has only the split 'train'; to test on other images, name their folder")
  root = pathlib.Path(path).expanduser()
  if not root.is_dir():
    problem = 'is not a folder' if root.exists() else 'does not exist'
    raise DataError(f'data path {str(path)!r} {problem} (working directory {os.getcwd()}); name a folder of images. '
                    'If the folder has moved, name its new place with --config.data.path=<folder>, together with '
                    '--workdir=<directory> to continue a run; or leave a link in its old place')
  contents = find(root, decode.SUFFIXES)
  if not contents.images:
    unread = [_kinds(contents)] if contents.others else []
    unread += [f'not read: {listed(contents.lost)}'] if contents.lost else []
    raise DataError(f'{root} holds no images: none of its files end in {", ".join(decode.SUFFIXES)}'
                    + ''.join(f'; {part}' for part in unread))
  with concurrent.futures.ThreadPoolExecutor() as pool:   # Threads help: Pillow decodes without the interpreter's lock.
    checks = list(pool.map(_check, [root / name for name in contents.images]))
  good = {name: check for name, check in zip(contents.images, checks, strict=True) if not isinstance(check, str)}
  for name, check in zip(contents.images, checks, strict=True):
    if name not in good:
      logging.warning('Skipping %s: %s', root / name, check)
  if problems := list(_problems(contents, good)):
    logging.warning('%s', '\n  * '.join([f'{root} holds more than is read:', *problems]))
  if len(good) < 2:
    broken = [name for name in contents.images if name not in good]
    way_out = f'replace the broken files, the first is {root / broken[0]}' if broken else 'add images'
    raise DataError(f'{root} holds {len(good)} usable image(s) of {len(contents.images)}; a GAN needs 2 or more: '
                    f'{way_out}')
  channels = 1 if all(check.mode == 'L' for check in good.values()) else 3
  size = (image_size, image_size) if image_size else _common_size(root, good)
  class_names, labels = _classes(list(good))
  return ImageSource('folder', split, (*size, channels), class_names,
                     FolderRecords(root, {name: check.digest for name, check in good.items()}, labels, image_size,
                                   channels))


class _Checked(NamedTuple):
  """A file that decodes without errors."""

  mode: str                 # Mode after flattening: 'L' or 'RGB'.
  size: tuple[int, int]     # (height, width) as shown.
  brightest: int | None     # Largest pixel after flattening, if the file has 16 bits of grey.
  digest: str               # SHA-256 of all its bytes; it takes at most a tenth of the time to decode them.


def _kinds(contents: FolderContents) -> str:
  kinds = [f'{count} {suffix or "without a suffix"}' for suffix, count in contents.others.most_common()]
  return f'files that cannot be read as images: {listed(kinds)} (convert pictures to PNG)'


def _problems(contents: FolderContents, good: dict[str, _Checked]) -> Iterator[str]:
  """Yield what is in the folder but not in the data, and images that are almost black; for a warning."""
  if contents.others:
    yield _kinds(contents)
  deep = [check.brightest for check in good.values() if check.brightest is not None]
  if deep and max(deep) < _DARK:
    yield f'{len(deep)} images have 16 bits of grey and are almost black: 65535 is white, and none of their pixels ' \
          f'exceeds {max(deep)} of 255; multiply them, or save them with 8 bits'
  tops = {_top(name) for name in good}
  missing = [name for name in contents.folders if name not in tops and name not in contents.linked_folders]
  if missing and '' not in tops:
    owners = {_top(link): _top(image) for link, image in contents.linked_images.items()}
    yield 'folders that are not a class: ' + listed([
        f'{name} ({"its images are links to those of " + owners[name] if name in owners else "no image can be read"})'
        for name in missing])
  if contents.linked_folders:
    yield 'links to folders that are read under another name: ' + listed(
        [f'{link} -> {target}' for link, target in contents.linked_folders.items()])
  if contents.linked_images:
    yield 'links to images that are read under another name: ' + listed(
        [f'{link} -> {image}' for link, image in contents.linked_images.items()])
  if contents.lost:
    yield f'not read: {listed(contents.lost)}'


def _check(file: pathlib.Path) -> _Checked | str:
  """Return what is read of a file, or a text that says what is wrong with it."""
  try:
    data = file.read_bytes()
    with decode.open_image(io.BytesIO(data)) as image:
      full = image.size
      if image.format in ('JPEG', 'MPO'):
        image.draft(None, (_CHECK_SIZE, _CHECK_SIZE))
      drafted = image.size != full
      upright = decode.upright(image)
      flat = resize.flatten(upright)
      width, height = upright.size
      if drafted:
        width, height = full[::-1] if decode.orientation(image) >= 5 else full
      deep = upright.mode in resize.DEEP_MODES
      return _Checked(flat.mode, (height, width), flat.getextrema()[1] if deep else None,
                      hashlib.sha256(data).hexdigest())
  except DataError as e:
    return str(e)
  except UnidentifiedImageError:
    return f'its contents are none of {", ".join(decode.FORMATS)}'
  except Exception as e:   # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...
    return f'{type(e).__name__}: {e}'


def _common_size(root: pathlib.Path, good: dict[str, _Checked]) -> tuple[int, int]:
  sizes = {check.size for check in good.values()}
  if len(sizes) > 1:
    raise DataError(f'image_size=0: the images of {root} differ in size; set image_size, for instance to 64')
  return sizes.pop()


def _classes(files: list[str]) -> tuple[tuple[str, ...], list[int]]:
  tops = [_top(file) for file in files]
  names = tuple(sorted(set(tops)))
  if '' in tops or len(names) < 2:
    return (), [0] * len(files)
  number = {name: i for i, name in enumerate(names)}
  return names, [number[top] for top in tops]


def _top(file: str) -> str:
  """Return the first-level subfolder that a file lies in; '' for none."""
  return file.partition('/')[0] if '/' in file else ''
