"""A person's own images: a folder of PNG, JPEG and WebP files, with one subfolder per class if there are classes."""

import concurrent.futures
import hashlib
import os
import pathlib

import numpy as np
from absl import logging
from PIL import ExifTags, ImageOps

from gan.data import decode, resize
from gan.data.source import DataError, ImageSource

SUFFIXES = ('.png', '.jpg', '.jpeg', '.webp')
_CHECK_SIZE = 64    # Pixels: JPEGs may be decoded at a fraction of their size while they are only checked.


class FolderRecords:
  """Files decoded and resized when asked for; each read opens its own file, so threads may share it."""

  def __init__(self, paths: list[pathlib.Path], labels: list[int], image_size: int, channels: int):
    """Keep the checked `paths` and their classes."""
    self._paths, self._labels = paths, labels
    self._image_size, self._channels = image_size, channels

  def __len__(self) -> int:
    """Number of images."""
    return len(self._paths)

  def stamp(self) -> str:
    """Hexadecimal digits that differ if a file was added, taken away, renamed or written to."""
    files = [(path.as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in self._paths]
    return hashlib.sha256(repr(files).encode()).hexdigest()[:16]

  def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
    """Image [H, W, C] in uint8 and its class, 0 where there are no classes."""
    with open(self._paths[i], 'rb') as file, decode.open_image(file) as image:
      square = resize.fit(resize.flatten(ImageOps.exif_transpose(image)), self._image_size)
      return resize.to_array(square, self._channels), self._labels[i]


def load(path: str, image_size: int, split: str) -> ImageSource:
  """Open a folder of images, and check every file by decoding it once.

  Files ending in .png, .jpg, .jpeg or .webp (any case) are found at any depth and sorted by relative path; names that
  begin with a dot are passed over. If every image lies in a subfolder and there are several first-level subfolders,
  these are the classes. Files that do not decode are named in a warning and skipped. Animations give their first frame.

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
    raise DataError(f'data path {str(path)!r} {problem} (working directory {os.getcwd()}); give a folder of images')
  found = _find(root)
  if not found:
    raise DataError(f'{root} holds no images: none of its files end in {", ".join(SUFFIXES)}')
  with concurrent.futures.ThreadPoolExecutor() as pool:   # Pillow decodes outside of the interpreter's lock.
    checks = list(pool.map(_check, found))
  for file, check in zip(found, checks, strict=True):
    if isinstance(check, str):
      logging.warning('Skipping %s: %s', file, check)
  good = {file: check for file, check in zip(found, checks, strict=True) if not isinstance(check, str)}
  if len(good) < 2:
    broken = [file for file in found if file not in good]
    way_out = f'replace the broken files, the first is {broken[0]}' if broken else 'add images'
    raise DataError(f'{root} holds {len(good)} usable image(s) of {len(found)}, a GAN needs 2 or more: {way_out}')
  channels = 1 if all(mode == 'L' for mode, _ in good.values()) else 3
  size = (image_size, image_size) if image_size else _common_size(root, good)
  class_names, labels = _classes(root, list(good))
  return ImageSource('folder', split, (*size, channels), class_names,
                     FolderRecords(list(good), labels, image_size, channels))


def _find(root: pathlib.Path) -> list[pathlib.Path]:
  found = []
  for folder, subfolders, names in os.walk(root, followlinks=True):
    subfolders[:] = [name for name in subfolders if not name.startswith('.')]
    found += [pathlib.Path(folder, name) for name in names
              if name.lower().endswith(SUFFIXES) and not name.startswith('.')]
  return sorted(found, key=lambda file: file.relative_to(root).as_posix())


def _check(file: pathlib.Path) -> tuple[str, tuple[int, int]] | str:
  """Mode after flattening ('L' or 'RGB') and (height, width), or what is wrong with the file."""
  try:
    with open(file, 'rb') as data, decode.open_image(data) as image:
      width, height = image.size
      if image.getexif().get(ExifTags.Base.Orientation, 1) >= 5:   # Lies on its side.
        width, height = height, width
      if image.format == 'JPEG':
        image.draft(None, (_CHECK_SIZE, _CHECK_SIZE))
      image.load()
      return resize.flatten(image).mode, (height, width)
  except Exception as e:   # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...
    return f'{type(e).__name__}: {e}'


def _common_size(root: pathlib.Path, good: dict[pathlib.Path, tuple[str, tuple[int, int]]]) -> tuple[int, int]:
  sizes = {size for _, size in good.values()}
  if len(sizes) > 1:
    raise DataError(f'image_size=0: the images of {root} differ in size; set image_size, for instance to 64')
  return sizes.pop()


def _classes(root: pathlib.Path, files: list[pathlib.Path]) -> tuple[tuple[str, ...], list[int]]:
  parts = [file.relative_to(root).parts for file in files]
  names = tuple(sorted({part[0] for part in parts}))
  if any(len(part) == 1 for part in parts) or len(names) < 2:
    return (), [0] * len(files)
  return names, [names.index(part[0]) for part in parts]
