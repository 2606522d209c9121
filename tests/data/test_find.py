"""Images of a folder are found once each, whatever links there are."""

import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gan.data.find import find

FOLDERS = ('root', 'root/a', 'root/b', 'root/a/deep', 'root/.hidden', 'disk', 'disk/x', 'disk/x/y')
FILES = st.tuples(st.sampled_from(FOLDERS), st.sampled_from(['1.png', '2.PNG', '3.txt']))
# (folder that the link lies in, its name, what it leads to): folders, files, other links, itself, nothing.
LINKS = st.tuples(st.sampled_from(FOLDERS), st.sampled_from(['k', 'l', 'm.png']),
                  st.sampled_from([*FOLDERS, '.', 'root/k', 'root/a/l', 'disk/k', 'nowhere',
                                   *(f'{folder}/1.png' for folder in FOLDERS), 'root/b/m.png']))


def made(home: Path, files, links) -> Path:
  """Builds the tree; returns its folder of images."""
  for folder in FOLDERS:
    (home / folder).mkdir(parents=True, exist_ok=True)
  for folder, name in files:
    (home / folder / name).write_text('')
  for folder, name, target in links:
    if not (home / folder / name).is_symlink():
      (home / folder / name).symlink_to(os.path.relpath(home / target, home / folder))
  return home / 'root'


def is_shown(path: Path, root: Path) -> bool:
  """Whether no part of a path below `root` is hidden."""
  return not any(part.startswith('.') for part in path.relative_to(root).parts)


def assert_each_link_is_followed_or_named(root, found, real):
  """Each link in a folder that is read leads to images that are read, or is named."""
  lost = {line.partition(' ')[0] for line in found.lost}
  for link in (path for folder in ('', 'a', 'b', 'a/deep') for path in (root / folder).iterdir()):
    name, target = link.relative_to(root).as_posix(), Path(os.path.realpath(link))
    if not link.is_symlink():
      continue
    if link.is_dir():
      inside = {path.resolve() for path in target.iterdir() if path.name.lower().endswith('.png') and path.is_file()}
      assert name in lost or inside <= real
    elif link.is_file():
      assert not name.endswith('.png') or target in real
    else:
      assert name in lost


@settings(max_examples=100, derandomize=True, deadline=None)
@given(files=st.sets(FILES), links=st.lists(LINKS, max_size=8))
def test_each_image_is_found_once_under_its_own_name(files, links):
  with tempfile.TemporaryDirectory() as home:
    root = made(Path(home).resolve(), files, links)
    found = find(root, ('.png',))
    real = [(root / name).resolve(strict=True) for name in found.images]
    assert len(set(real)) == len(real)
    assert found.images == sorted(found.images)
    own = {path.relative_to(root).as_posix() for path in root.rglob('*')
           if path.name.lower().endswith('.png') and path.is_file() and is_shown(path, root) and not path.is_symlink()
           and path.resolve() == path}
    assert own <= set(found.images)
    for name in set(found.images) - own:  # Only links lead there.
      path = root / name
      assert any(part.is_symlink() for part in (path, *path.parents))
      assert not path.resolve().is_relative_to(root) or not is_shown(path.resolve(), root)
    assert_each_link_is_followed_or_named(root, found, set(real))
