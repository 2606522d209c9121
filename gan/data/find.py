"""The search for the images in a folder: each image counts once, however many links lead to it.

The search decides by the names of files; it opens none.
"""

import collections
import os
import pathlib
from collections.abc import Collection
from typing import NamedTuple

_SHOWN = 5   # Names in one message.
# Names, in lower case, that systems and programs leave behind. A name that begins with a dot counts as one, too.
_JUNK_FOLDERS = {'@eadir', '@recycle', '@recently-snapshot', '#recycle', '#snapshot', '__macosx', '__pycache__',
                 '$recycle.bin', 'lost+found', 'system volume information', 'network trash folder', 'temporary items'}
_JUNK_FILES = {'thumbs.db', 'ehthumbs.db', 'ehthumbs_vista.db', 'desktop.ini', 'icon\r'}


class FolderContents(NamedTuple):
  """The contents of a folder; paths are relative to it, with '/'.

  Attributes:
    images: paths of the images, sorted.
    folders: names of the folders, and of the links to folders, that lie directly in it.
    linked_folders: link -> path under which the folder that it leads to is read ('.': the searched folder itself).
    linked_images: link -> path under which the image that it leads to is read.
    others: suffix in lower case ('' for none) -> number of files that are no images.
    lost: links that could not be followed and folders that could not be opened, each with the reason.
  """

  images: list[str]
  folders: list[str]
  linked_folders: dict[str, str]
  linked_images: dict[str, str]
  others: collections.Counter[str]
  lost: list[str]


def find(root: pathlib.Path, suffixes: Collection[str]) -> FolderContents:
  """Look for images at any depth.

  The files in the folder come first, under their names. Then links are followed, in the order of their names. A link to
  something that has been read already adds nothing; neither does a link to a folder that contains the link (a loop) or
  `root`. So the search ends, and no image counts twice. A hard link counts as a file.

  Left out at any depth are files and folders whose name begins with a dot, and those that systems leave behind
  (thumbnails, recycle bins). A link to such a folder under another name is followed.

  Args:
    root: a folder, or a link to a folder.
    suffixes: suffixes of images, in lower case, with the dot.
  """
  return _Search(os.path.realpath(root), tuple(suffixes)).run()


def listed(names: Collection[str]) -> str:
  """Return the first names of a collection as text, and how many more there are."""
  more = [f'{len(names) - _SHOWN} more'] if len(names) > _SHOWN else []
  return ', '.join([*list(names)[:_SHOWN], *more])


class _Search:
  """One search. `_images` and `_folders` map real paths to names relative to `root`."""

  def __init__(self, root: str, suffixes: tuple[str, ...]):
    self._root, self._suffixes = root, suffixes
    self._images, self._folders = {}, {}
    self._contents = FolderContents([], [], {}, {}, collections.Counter(), [])

  def run(self) -> FolderContents:
    links = collections.deque(self._read(self._root, ''))
    while links:
      name, path = links.popleft()
      links += self._follow(name, path)
    folders = [name for name in self._contents.folders if '/' not in name]
    return self._contents._replace(images=sorted(self._images.values()), folders=sorted(folders))

  def _read(self, folder: str, name: str) -> list[tuple[str, str]]:
    """Read a folder and all folders below it; return the links in them, as (name, path), sorted."""
    links, waiting = [], [(folder, name)]
    while waiting:
      folder, name = waiting.pop()
      if folder in self._folders:
        continue
      self._folders[folder] = name or '.'
      try:
        entries = list(os.scandir(folder))
      except OSError as error:
        self._contents.lost.append(f'{name or "."} ({error.strerror})')
        continue
      for entry in entries:
        inside = f'{name}/{entry.name}'.lstrip('/')
        if entry.name.startswith('.') or entry.name.lower() in _JUNK_FOLDERS | _JUNK_FILES:
          continue
        if entry.is_symlink():
          links.append((inside, entry.path))
        elif entry.is_dir(follow_symlinks=False):
          self._contents.folders.append(inside)
          waiting.append((entry.path, inside))
        elif entry.is_file(follow_symlinks=False):
          self._add(inside, entry.path)
    return sorted(links)

  def _follow(self, name: str, path: str) -> list[tuple[str, str]]:
    target = os.path.realpath(path)
    if os.path.isdir(target):
      self._contents.folders.append(name)
      if target in self._folders:
        self._contents.linked_folders[name] = self._folders[target]
      elif any(_contains(target, folder) for folder in (self._root, os.path.dirname(path))):
        self._contents.lost.append(f'{name} (a link to a folder that contains it)')
      else:
        return self._read(target, name)
    elif os.path.isfile(target):
      self._add(name, target)
    else:
      self._contents.lost.append(f'{name} (a link that leads nowhere)')
    return []

  def _add(self, name: str, path: str) -> None:
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in self._suffixes:
      self._contents.others[suffix] += 1
    elif path in self._images:
      self._contents.linked_images[name] = self._images[path]
    else:
      self._images[path] = name


def _contains(folder: str, path: str) -> bool:
  return os.path.commonpath([folder, path]) == folder
