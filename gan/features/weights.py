"""The weight file of Inception: a file named by the user, or the published file, downloaded once.

Scores of different papers are comparable only because all use the same weights. So a file must have the expected hash.
The content of a file is read by `torch_files`.
"""

import re
from pathlib import Path

import pooch

from gan.download import download

# TensorFlow's graph of 2015-12-05, converted by the authors of torch-fidelity; pytorch-fid publishes the same bytes.
URL = ('https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/'
       'weights-inception-2015-12-05-6726825d.pth')
SHA256 = '6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2'

_WAYS_OUT = ('give --inception_weights=<file>, the published file brought here by hand; or use --features=classifier, '
             'which needs no download')


class WeightsError(ValueError):
  """A problem with weights that the user can solve: the message says how."""


def find(path: str | None, cache: Path, sha256: str | None = None) -> tuple[Path, str]:
  """Find a weight file and check its hash.

  Args:
    path: the file; None means the published file, which is downloaded to `cache` unless an undamaged copy is there.
    cache: directory of downloaded files; created if absent.
    sha256: expected SHA-256 of the file at `path`, 64 hexadecimal digits; None means that of the published file.

  Returns:
    The file, and its hash in lower case.

  Raises:
    WeightsError: if there is no such file, if it has another hash, or if the download fails.
  """
  expected = (sha256 or SHA256).lower()
  if not re.fullmatch('[0-9a-f]{64}', expected):
    raise WeightsError(f'--inception_sha256={sha256!r} must be 64 hexadecimal digits, as `sha256sum <file>` prints')
  if path is None and expected != SHA256:
    raise WeightsError(f'--inception_sha256={sha256} is not the hash of the published weights, and no other file is '
                       'named: give --inception_weights=<file> too, or leave --inception_sha256 out')
  if path is None:
    _download(file := cache / URL.rpartition('/')[2])
    return file, SHA256
  file = Path(path).expanduser()
  if not file.is_file():
    raise WeightsError(f'--inception_weights={path}: there is no such file. Leave the flag out to download the '
                       'published weights, or use --features=classifier, which needs no download')
  try:
    digest = pooch.file_hash(str(file))
  except OSError as error:
    raise WeightsError(f'{file} cannot be read ({error}); {_WAYS_OUT}') from error
  if digest != expected:
    name = 'the published weights have' if expected == SHA256 else 'the file must have'
    raise WeightsError(f'{file} has SHA-256 {digest}; {name} {expected}. Ways out: leave --inception_weights out to '
                       f'download {URL}; or, if you mean this file, give --inception_sha256={digest}: its scores '
                       'are not comparable with published scores')
  return file, digest


def _download(target: Path) -> None:
  """Bring the published file to `target`."""
  try:
    download(URL, SHA256, target)
  except (OSError, ValueError) as error:
    raise WeightsError(f'{URL} cannot be downloaded to {target.parent} ({error}). Ways out: try again; or '
                       f'{_WAYS_OUT}') from error
