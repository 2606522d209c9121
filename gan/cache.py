"""Where things are kept that are computed or downloaded once: classifiers, reference statistics, published weights.

What is computed is kept with a hash, so that a damaged file is computed anew and never read as another number.
"""

import hashlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from absl import logging

T = TypeVar('T')

_HEADER = 'sha256 {}\n'
_LENGTH = len(_HEADER.format('0' * 64))   # Bytes before the contents.


def cache_dir() -> Path:
  """$GAN_CACHE_DIR, or else gan/ in $XDG_CACHE_HOME or ~/.cache. May be deleted at any time."""
  if 'GAN_CACHE_DIR' in os.environ:
    return Path(os.environ['GAN_CACHE_DIR'])
  return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'gan'


def write_checked(path: Path, write: Callable[[BinaryIO], object]) -> None:
  """Writes a file whole or not at all: a line with the hash of its name and contents, then the contents.

  A sound file that is there already stays: it is another process's, which computed the same.

  Args:
    path: its name must tell its contents, as a digest of all that they depend on does.
    write: writes the contents to an open file, from where that stands.

  Raises:
    OSError: if it cannot be written.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f'.{path.name}.{uuid.uuid4().hex}')
  try:
    with temporary.open('x+b') as file:
      file.write(bytes(_LENGTH))
      write(file)
      header = _header(file, path.name)
      file.seek(0)
      file.write(header)
    if not _is_sound(path):
      os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def read_checked(path: Path, read: Callable[[BinaryIO], T]) -> T | None:
  """Reads a file of `write_checked`; None, with a warning, if it is damaged, and None if there is none.

  Args:
    path: as it was written: under another name it is another file.
    read: reads the contents from an open file, from where that stands.
  """
  try:
    with path.open('rb') as file:
      if file.read(_LENGTH) == _header(file, path.name):
        file.seek(_LENGTH)
        return read(file)
      problem = 'its contents are not those that were written'
  except FileNotFoundError:
    return None
  except OSError as error:
    problem = str(error)
  logging.warning('%s is damaged (%s): it is computed anew.', path, problem)
  return None


def _is_sound(path: Path) -> bool:
  try:
    with path.open('rb') as file:
      return file.read(_LENGTH) == _header(file, path.name)
  except OSError:
    return False


def _header(file: BinaryIO, name: str) -> bytes:
  """The first line of a file, by its contents behind that line, which are read in parts."""
  file.seek(_LENGTH)
  digest = hashlib.file_digest(file, lambda: hashlib.sha256(name.encode()))
  return _HEADER.format(digest.hexdigest()).encode()
