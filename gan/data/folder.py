"""A person's own images: a folder of image files, with one subfolder per class if there are classes."""

import concurrent.futures
import hashlib
import io
import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from absl import logging
from PIL import ExifTags, ImageOps, UnidentifiedImageError

from gan.data import decode, resize
from gan.data.find import Found, find, listed
from gan.data.source import DataError, ImageSource

_CHECK_SIZE = 64    # Pixels: JPEGs may be decoded at a fraction of their size while they are only checked.
_DARK = 64          # Of 255: 14 bits of 16 reach no further.


class FolderRecords:
  """Files decoded and resized when asked for; each read opens its own file, so threads may share it."""

  def __init__(self, root: pathlib.Path, files: dict[str, str], labels: list[int], image_size: int, channels: int):
    """Keep the checked `files` (path relative to `root` -> digest of its bytes) and their classes."""
    self._root, self._names, self._labels = root, list(files), labels
    self._image_size, self._channels = image_size, channels
    listing = ''.join(f'{digest} {name}\n' for name, digest in files.items())
    self._contents = hashlib.sha256(listing.encode(errors='surrogateescape')).hexdigest()[:16]

  def __len__(self) -> int:
    """Number of images."""
    return len(self._names)

  def contents(self) -> str:
    """Hexadecimal digits of the names and bytes of all files, as they were when they were checked."""
    return self._contents

  def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
    """Image [H, W, C] in uint8 and its class, 0 where there are no classes."""
    with open(self._root / self._names[i], 'rb') as file, decode.open_image(file) as image:
      square = resize.fit(resize.flatten(ImageOps.exif_transpose(image)), self._image_size)
      return resize.to_array(square, self._channels), self._labels[i]


def load(path: str, image_size: int, split: str) -> ImageSource:
  """Open a folder of images, and check every file by decoding it once.

  Files with a suffix of `decode.SUFFIXES` (any case) are found at any depth and sorted by relative path. Links are
  followed, each file counts once, and what systems leave behind is left out (see `find`). If every image lies in a
  subfolder and there are several first-level subfolders, these are the classes. Files that do not decode are named in
  a warning and skipped; other files are counted by kind in one more. Animations and files of several pages give their
  first image.

  A folder has no test split: nothing is held out, and `split='test'` is an error. Evaluate on split 'train', or give
  another folder.

  Args:
    path: the folder; `~` is the home directory.
    image_size: side of the square images in pixels (see `resize.fit`); 0 keeps the images' own size, if they share one.
    split: 'train'.

  Returns:
    Images of one channel if every file is stored as greyscale, else three.

  Raises:
    DataError: if the folder is missing or not a folder or holds fewer than two usable images; for another split.
  """
  if split != 'train':
    raise DataError(f"split={split!r}: a folder has only the split 'train'; to test on other images, give their folder")
  root = pathlib.Path(path).expanduser()
  if not root.is_dir():
    problem = 'is not a folder' if root.exists() else 'does not exist'
    raise DataError(f'data path {str(path)!r} {problem} (working directory {os.getcwd()}); give a folder of images. '
                    'If it has moved, name its new place with --config.data.path=<folder>, and a run that is to go on '
                    'with --workdir=<directory>; or leave a link in its old place')
  found = find(root, decode.SUFFIXES)
  if not found.images:
    held = [_kinds(found)] if found.others else []
    held += [f'not read: {listed(found.lost)}'] if found.lost else []
    raise DataError(f'{root} holds no images: none of its files end in {", ".join(decode.SUFFIXES)}'
                    + ''.join(f'; {part}' for part in held))
  with concurrent.futures.ThreadPoolExecutor() as pool:   # Pillow decodes outside of the interpreter's lock.
    checks = list(pool.map(_check, [root / name for name in found.images]))
  good = {name: check for name, check in zip(found.images, checks, strict=True) if not isinstance(check, str)}
  for name, check in zip(found.images, checks, strict=True):
    if name not in good:
      logging.warning('Skipping %s: %s', root / name, check)
  if problems := list(_problems(found, good)):
    logging.warning('%s', '\n  * '.join([f'{root} holds more than is read:', *problems]))
  if len(good) < 2:
    broken = [name for name in found.images if name not in good]
    way_out = f'replace the broken files, the first is {root / broken[0]}' if broken else 'add images'
    raise DataError(f'{root} holds {len(good)} usable image(s) of {len(found.images)}, a GAN needs 2 or more: '
                    f'{way_out}')
  channels = 1 if all(check.mode == 'L' for check in good.values()) else 3
  size = (image_size, image_size) if image_size else _common_size(root, good)
  class_names, labels = _classes(list(good))
  return ImageSource('folder', split, (*size, channels), class_names,
                     FolderRecords(root, {name: check.digest for name, check in good.items()}, labels, image_size,
                                   channels))


class _Checked(NamedTuple):
  """A file that decodes."""

  mode: str                 # After flattening: 'L' or 'RGB'.
  size: tuple[int, int]     # (height, width) as shown.
  brightest: int | None     # Largest pixel after flattening, where the file has 16 bits of grey.
  digest: str               # Of all its bytes, SHA-256; this takes a tenth of the time to decode them, or less.


def _kinds(found: Found) -> str:
  kinds = [f'{count} {suffix or "without a suffix"}' for suffix, count in found.others.most_common()]
  return f'files that cannot be read as images: {listed(kinds)} (convert pictures to PNG)'


def _problems(found: Found, good: dict[str, _Checked]) -> Iterator[str]:
  """What a person should know who expects all that they see in the folder to be data."""
  if found.others:
    yield _kinds(found)
  deep = [check.brightest for check in good.values() if check.brightest is not None]
  if deep and max(deep) < _DARK:
    yield f'{len(deep)} images have 16 bits of grey and are almost black: 65535 is white, and none of their pixels ' \
          f'exceeds {max(deep)} of 255; multiply them, or save them with 8 bits'
  tops = {_top(name) for name in good}
  missing = [name for name in found.folders if name not in tops and name not in found.linked_folders]
  if missing and '' not in tops:
    owners = {_top(link): _top(image) for link, image in found.linked_images.items()}
    yield 'folders that are no class: ' + listed([
        f'{name} ({"its images are links to those of " + owners[name] if name in owners else "no image can be read"})'
        for name in missing])
  if found.linked_folders:
    yield 'links to folders that are read under another name: ' + listed(
        [f'{link} -> {target}' for link, target in found.linked_folders.items()])
  if found.linked_images:
    yield 'links to images that are read under another name: ' + listed(
        [f'{link} -> {image}' for link, image in found.linked_images.items()])
  if found.lost:
    yield f'not read: {listed(found.lost)}'


def _check(file: pathlib.Path) -> _Checked | str:
  """What a file is, or what is wrong with it."""
  try:
    data = file.read_bytes()
    with decode.open_image(io.BytesIO(data)) as image:
      full = image.size
      if image.format in ('JPEG', 'MPO'):
        image.draft(None, (_CHECK_SIZE, _CHECK_SIZE))
      drafted = image.size != full
      upright = ImageOps.exif_transpose(image)
      flat = resize.flatten(upright)
      width, height = upright.size
      if drafted:
        width, height = full[::-1] if image.getexif().get(ExifTags.Base.Orientation, 1) >= 5 else full
      deep = upright.mode in resize.DEEP_MODES
      return _Checked(flat.mode, (height, width), flat.getextrema()[1] if deep else None,
                      hashlib.sha256(data).hexdigest())
  except DataError as e:
    return str(e)
  except UnidentifiedImageError:
    return f'what it holds is none of {", ".join(decode.FORMATS)}'
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
  """The first-level subfolder that a file lies in; '' for none."""
  return file.partition('/')[0] if '/' in file else ''
