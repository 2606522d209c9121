"""Which files of a folder are its images: each of them once, whatever links lead to it.

Names are decided here; no file is opened.
"""

import collections
import os
import pathlib
from collections.abc import Collection
from typing import NamedTuple

_SHOWN = 5   # Names in one message.
# What systems and programs leave behind, in lower case; so is all whose name begins with a dot (AppleDouble, too).
_JUNK_FOLDERS = {'@eadir', '@recycle', '@recently-snapshot', '#recycle', '#snapshot', '__macosx', '__pycache__',
                 '$recycle.bin', 'lost+found', 'system volume information', 'network trash folder', 'temporary items'}
_JUNK_FILES = {'thumbs.db', 'ehthumbs.db', 'ehthumbs_vista.db', 'desktop.ini', 'icon\r'}


class Found(NamedTuple):
  """What a folder holds; paths are relative to it, with '/'.

  Attributes:
    images: sorted.
    folders: the folders directly in it, and the links to folders.
    linked_folders: link -> folder that it leads to, which is read under that name ('.': the folder itself).
    linked_images: link -> image that it leads to, which is read under that name.
    others: suffix in lower case ('' for none) -> number of files that are no images.
    lost: what could not be followed or opened, with the reason.
  """

  images: list[str]
  folders: list[str]
  linked_folders: dict[str, str]
  linked_images: dict[str, str]
  others: collections.Counter[str]
  lost: list[str]


def find(root: pathlib.Path, suffixes: Collection[str]) -> Found:
  """Look for images at any depth.

  What lies in the folder has its own name there. Then links are followed, in the order of their names: one that leads
  to something already read adds nothing, nor does one to a folder in which it lies (a loop), or in which `root` lies.
  So the search ends, and no image counts twice. Hard links are files of their own.

  Files and folders whose name begins with a dot, and what systems leave behind (thumbnails, recycle bins), are left out
  wherever they lie; a link to such a folder under another name is followed.

  Args:
    root: a folder, or a link to one.
    suffixes: of images, in lower case, with the dot.
  """
  return _Search(os.path.realpath(root), tuple(suffixes)).run()


def listed(names: Collection[str]) -> str:
  """The first of some names, and how many more there are."""
  more = [f'{len(names) - _SHOWN} more'] if len(names) > _SHOWN else []
  return ', '.join([*list(names)[:_SHOWN], *more])


class _Search:
  """Real paths are the keys of what has been read; the values are names, relative to `root`."""

  def __init__(self, root: str, suffixes: tuple[str, ...]):
    self._root, self._suffixes = root, suffixes
    self._images, self._folders = {}, {}
    self._found = Found([], [], {}, {}, collections.Counter(), [])

  def run(self) -> Found:
    links = collections.deque(self._read(self._root, ''))
    while links:
      name, path = links.popleft()
      links += self._follow(name, path)
    folders = [name for name in self._found.folders if '/' not in name]
    return self._found._replace(images=sorted(self._images.values()), folders=sorted(folders))

  def _read(self, folder: str, name: str) -> list[tuple[str, str]]:
    """Reads a folder and those below it; returns the links in them, as (name, path), sorted."""
    links, waiting = [], [(folder, name)]
    while waiting:
      folder, name = waiting.pop()
      if folder in self._folders:
        continue
      self._folders[folder] = name or '.'
      try:
        entries = list(os.scandir(folder))
      except OSError as error:
        self._found.lost.append(f'{name or "."} ({error.strerror})')
        continue
      for entry in entries:
        inside = f'{name}/{entry.name}'.lstrip('/')
        if entry.name.startswith('.') or entry.name.lower() in _JUNK_FOLDERS | _JUNK_FILES:
          continue
        if entry.is_symlink():
          links.append((inside, entry.path))
        elif entry.is_dir(follow_symlinks=False):
          self._found.folders.append(inside)
          waiting.append((entry.path, inside))
        elif entry.is_file(follow_symlinks=False):
          self._add(inside, entry.path)
    return sorted(links)

  def _follow(self, name: str, path: str) -> list[tuple[str, str]]:
    target = os.path.realpath(path)
    if os.path.isdir(target):
      self._found.folders.append(name)
      if target in self._folders:
        self._found.linked_folders[name] = self._folders[target]
      elif any(_contains(target, folder) for folder in (self._root, os.path.dirname(path))):
        self._found.lost.append(f'{name} (a link to a folder that it lies in)')
      else:
        return self._read(target, name)
    elif os.path.isfile(target):
      self._add(name, target)
    else:
      self._found.lost.append(f'{name} (a link that leads nowhere)')
    return []

  def _add(self, name: str, path: str) -> None:
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in self._suffixes:
      self._found.others[suffix] += 1
    elif path in self._images:
      self._found.linked_images[name] = self._images[path]
    else:
      self._images[path] = name


def _contains(folder: str, path: str) -> bool:
  return os.path.commonpath([folder, path]) == folder
