"""Directories that may lie on this machine or in a bucket (gs://...): the path library that Orbax itself uses."""

import os

from etils import epath

from gan.images import write_atomic


def open_path(path: str | os.PathLike) -> epath.Path:
  """A path that works wherever it lies; local ones are made absolute, as Orbax wants them."""
  return epath.Path(path) if '://' in os.fspath(path) else epath.Path(os.path.abspath(path))


def write(path: epath.Path, data: bytes) -> None:
  """Writes a whole file or none of it, making its folder; buckets have no half-written files anyway."""
  if '://' in os.fspath(path):
    path.write_bytes(data)
  else:
    write_atomic(path, data)
