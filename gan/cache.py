"""A cache of files that are computed or downloaded once: classifiers, reference statistics, published weights.

A computed file begins with a hash, so that a damaged file is noticed and computed anew.
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
  """Return $GAN_CACHE_DIR, or else gan/ in $XDG_CACHE_HOME or ~/.cache. The folder may be deleted at any time."""
  if 'GAN_CACHE_DIR' in os.environ:
    return Path(os.environ['GAN_CACHE_DIR'])
  return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'gan'


def write_checked(path: Path, write: Callable[[BinaryIO], object]) -> None:
  """Write a file whole or not at all: a line with the hash of its name and contents, then the contents.

  An undamaged file of this name stays: another process has computed the same contents.

  Args:
    path: the name must identify the contents, for example by a digest of everything that they depend on.
    write: writes the contents to an open file, from its present position on.

  Raises:
    OSError: if the file cannot be written.
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
  """Read a file of `write_checked`; return None if there is none, and None with a warning if it is damaged.

  Args:
    path: the file under the name that it was written with; a renamed file counts as damaged.
    read: reads the contents from an open file, from its present position on.
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
  """Compute the first line of a file from its name and from the contents after that line."""
  file.seek(_LENGTH)
  digest = hashlib.file_digest(file, lambda: hashlib.sha256(name.encode()))
  return _HEADER.format(digest.hexdigest()).encode()
