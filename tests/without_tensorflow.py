"""`python -m tests.without_tensorflow <module> <arguments>`: runs a module as where TensorFlow is not installed.

TFDS does not bear `sys.modules['tensorflow'] = None`, so TensorFlow is hidden from whoever looks for it on the disk.
"""

import importlib.machinery
import os
import resource
import runpy
import sys

LIMIT = 'FILE_SIZE_LIMIT'   # Bytes; longer files fail as on a full disk.


class Finder(importlib.machinery.PathFinder):
  """Finds what is on the path but for TensorFlow."""

  @classmethod
  def find_spec(cls, fullname, path=None, target=None):
    if fullname.partition('.')[0] == 'tensorflow':
      return None
    return importlib.machinery.PathFinder.find_spec(fullname, path, target)


if __name__ == '__main__':
  sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Finder
  if LIMIT in os.environ:
    resource.setrlimit(resource.RLIMIT_FSIZE, 2 * (int(os.environ[LIMIT]),))
  del sys.argv[0]
  runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)
