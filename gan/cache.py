"""Where things are kept that are computed or downloaded once: classifiers, reference statistics, published weights."""

import os
from pathlib import Path


def cache_dir() -> Path:
  """$GAN_CACHE_DIR, or else gan/ in $XDG_CACHE_HOME or ~/.cache. May be deleted at any time."""
  if 'GAN_CACHE_DIR' in os.environ:
    return Path(os.environ['GAN_CACHE_DIR'])
  return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'gan'
