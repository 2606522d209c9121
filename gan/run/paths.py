"""Paths of directories on this machine or in a bucket (gs://...), made with the path library of Orbax."""

import fnmatch
import os
import re

from etils import epath

from gan.show.images import write_atomic

_AWKWARD = re.compile(r'[/\\\[\]*?\x00-\x1f\x7f\ufffd]')   # Separators, patterns, control characters.


def open_path(path: str | os.PathLike) -> epath.Path:
  """Return a path that works locally and in a bucket; a local path is made absolute, as Orbax requires."""
  return epath.Path(path) if '://' in os.fspath(path) else epath.Path(os.path.abspath(path))


def write(path: epath.Path, data: bytes) -> None:
  """Write a file whole or not at all, and make its folder if needed; a bucket never has half-written files."""
  if '://' in os.fspath(path):
    path.write_bytes(data)
  else:
    write_atomic(path, data)


def safe_name(text: str) -> str:
  """Turn `text` into the name of one directory in which checkpoints can be saved; unusable characters become '_'."""
  return _AWKWARD.sub('_', text.encode('utf-8', 'surrogateescape').decode('utf-8', 'replace')).replace('gs:', 'gs_')


def unreadable_part(path: str | os.PathLike) -> str | None:
  """Quote the part of a path that keeps Orbax and TensorStore from reading a checkpoint there; None if there is none.

  TensorStore requires UTF-8 and treats a backslash as a separator, Orbax treats `gs:/` as the start of a bucket, and
  etils refuses `**`, a pattern for all folders below.
  """
  text = os.fspath(open_path(path))
  try:
    text.encode('utf-8')
  except UnicodeEncodeError as error:
    return ascii(text[error.start:error.end])
  names = (text.partition('://')[2] if '://' in text else text) + '/'
  return next((repr(part) for part in ('\\', '**', 'gs:/') if part in names), None)


def unwritable_part(path: str | os.PathLike) -> str | None:
  """Quote the part of a path that keeps Orbax from saving a readable checkpoint there; None if there is none.

  At the end of a save Orbax lists the files of its processes with `glob` and does not escape the path before the star.
  A name such as `run[1]` then matches `run1`: no file is found, and the checkpoint is lost without an error.
  """
  names = os.fspath(open_path(path)).split('/')
  lost = (f"'[' in {name!r}" for name in names if not fnmatch.fnmatchcase(name, name))
  return unreadable_part(path) or next(lost, None)
