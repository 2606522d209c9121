"""Files that are published under an address and known by their hash: each is downloaded once, whole or not at all."""

from pathlib import Path

import pooch
from absl import logging

TIMEOUT = 5.0      # Seconds for each answer of the network.
_CHUNK = 1 << 20   # Bytes.


def download(url: str, sha256: str, target: Path) -> None:
  """Bring a published file to `target`, unless it is there and sound; several processes may do so at once.

  Args:
    url: address of the file.
    sha256: its hash, 64 hexadecimal digits in lower case.
    target: where it belongs; its folder is made where it is missing.

  Raises:
    OSError: if the network or the disk fails.
    ValueError: if the file that arrives has another hash.
  """
  http = pooch.HTTPDownloader(progressbar=True, chunk_size=_CHUNK, timeout=TIMEOUT)

  def fetch(url: str, part: str, _: None) -> None:
    if target.is_file():
      logging.warning('%s is damaged (its SHA-256 is %s, not that of the published file): it is downloaded anew.',
                      target, pooch.file_hash(str(target)))
    http(url, part, None)
    Path(part).chmod(0o644)   # A cache may be shared; pooch's files are for their owner alone.

  pooch.retrieve(url, sha256, target.name, target.parent, downloader=fetch)
