"""Directories that may lie on this machine or in a bucket (gs://...): the path library that Orbax itself uses."""

import fnmatch
import os
import re

from etils import epath

from gan.show.images import write_atomic

_AWKWARD = re.compile(r'[/\\\[\]*?\x00-\x1f\x7f\ufffd]')   # Separators, patterns, control characters.


def open_path(path: str | os.PathLike) -> epath.Path:
  """A path that works wherever it lies; local ones are made absolute, as Orbax wants them."""
  return epath.Path(path) if '://' in os.fspath(path) else epath.Path(os.path.abspath(path))


def write(path: epath.Path, data: bytes) -> None:
  """Writes a whole file or none of it, making its folder; buckets have no half-written files anyway."""
  if '://' in os.fspath(path):
    path.write_bytes(data)
  else:
    write_atomic(path, data)


def safe_name(text: str) -> str:
  """`text` as the name of one directory in which checkpoints can be saved; awkward characters become '_'."""
  return _AWKWARD.sub('_', text.encode('utf-8', 'surrogateescape').decode('utf-8', 'replace')).replace('gs:', 'gs_')


def unreadable_part(path: str | os.PathLike) -> str | None:
  """What in a path keeps Orbax and TensorStore from reading a checkpoint there, quoted; None if nothing does.

  TensorStore takes a backslash for a separator and wants UTF-8, Orbax takes `gs:/` for the start of a bucket, and etils
  refuses `**`, which would mean all folders below.
  """
  text = os.fspath(open_path(path))
  try:
    text.encode('utf-8')
  except UnicodeEncodeError as error:
    return ascii(text[error.start:error.end])
  names = (text.partition('://')[2] if '://' in text else text) + '/'
  return next((repr(part) for part in ('\\', '**', 'gs:/') if part in names), None)


def unwritable_part(path: str | os.PathLike) -> str | None:
  """What in a path keeps Orbax from saving a checkpoint that can be read again, quoted; None if nothing does.

  At the end of a save Orbax lists the files of its processes with `glob`, and does not escape the path before the star.
  A name such as `run[1]` then stands for `run1`: nothing is found, and what was saved is lost without an error.
  """
  names = os.fspath(open_path(path)).split('/')
  lost = (f"'[' in {name!r}" for name in names if not fnmatch.fnmatchcase(name, name))
  return unreadable_part(path) or next(lost, None)
