"""Where weights come from: files by their hash, one download, and no network."""

import hashlib
import http.client
import io
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from absl import logging

from gan.features import weights
from gan.features.weights import SHA256, URL, WeightsError, find

BODY = b'weights' * 1000
HASH = hashlib.sha256(BODY).hexdigest()
FILE = URL.rpartition('/')[2]


class Network:
  """Stands for urlopen: answers with `body`, or raises it; remembers what was asked."""

  def __init__(self, body):
    self.body, self.asked = body, []

  def __call__(self, url, timeout):
    assert timeout <= 10, 'seconds'
    self.asked.append(url)
    if isinstance(self.body, Exception):
      raise self.body
    return self.body if isinstance(self.body, io.BytesIO) else io.BytesIO(self.body)


@pytest.fixture
def network(monkeypatch):
  def answer(body):
    network = Network(body)
    monkeypatch.setattr(urllib.request, 'urlopen', network)
    return network
  return answer


@pytest.fixture
def file(tmp_path):
  path = tmp_path / 'own.pth'
  path.write_bytes(BODY)
  return path


def test_what_is_published():
  """The hash is in the name of the file, and is a SHA-256."""
  assert len(SHA256) == 64
  assert SHA256[:8] in FILE
  assert URL.startswith('https://')


def test_named_file_with_its_hash(file, tmp_path):
  assert find(str(file), tmp_path / 'cache', HASH.upper()) == (file, HASH)
  assert not (tmp_path / 'cache').exists()


def test_file_of_another_hash_is_refused_with_both_hashes_and_the_way_out(file, tmp_path):
  with pytest.raises(WeightsError, match=f'(?s){HASH}.*{SHA256}.*--inception_sha256={HASH}'):
    find(str(file), tmp_path)
  other = 'ab' * 32
  with pytest.raises(WeightsError, match=f'(?s){HASH}.*{other}'):
    find(str(file), tmp_path, other)


@pytest.mark.parametrize('sha256', ['abc', 'x' * 64, HASH + '0'])
def test_what_is_no_hash_is_refused(file, tmp_path, sha256):
  with pytest.raises(WeightsError, match=f'--inception_sha256={sha256!r} must be 64'):
    find(str(file), tmp_path, sha256)


def test_another_hash_needs_a_file(tmp_path):
  with pytest.raises(WeightsError, match='give --inception_weights=<file> too'):
    find(None, tmp_path, HASH)


def test_file_that_is_not_there(tmp_path):
  with pytest.raises(WeightsError, match=r'there is no such file.*--features=classifier'):
    find(str(tmp_path / 'nowhere.pth'), tmp_path)


def test_download_once(monkeypatch, network, tmp_path):
  monkeypatch.setattr(weights, 'SHA256', HASH)
  asked = network(BODY).asked
  cache = tmp_path / 'made' / 'cache'
  for _ in range(2):
    assert find(None, cache) == (cache / FILE, HASH)
  assert asked == [URL]
  assert (cache / FILE).read_bytes() == BODY
  assert [path.name for path in cache.iterdir()] == [FILE]


@pytest.mark.parametrize('damage', [BODY[:5000], b'', bytes(len(BODY)), BODY[:-1] + b'x'])
def test_a_damaged_file_in_the_cache_is_downloaded_anew(monkeypatch, network, tmp_path, damage):
  said = []
  monkeypatch.setattr(logging, 'warning', lambda text, *values: said.append(text % values))
  monkeypatch.setattr(weights, 'SHA256', HASH)
  (tmp_path / FILE).write_bytes(damage)
  network(BODY)
  assert find(None, tmp_path) == (tmp_path / FILE, HASH)
  assert (tmp_path / FILE).read_bytes() == BODY
  assert len(said) == 1
  assert f'{tmp_path / FILE} is damaged' in said[0]


def test_a_damaged_file_in_the_cache_is_not_used_without_a_network(monkeypatch, network, tmp_path):
  monkeypatch.setattr(weights, 'SHA256', HASH)
  (tmp_path / FILE).write_bytes(BODY[:5000])
  network(TimeoutError('timed out'))
  with pytest.raises(WeightsError, match=f'(?s){URL} cannot be downloaded.*timed out'):
    find(None, tmp_path)


class Breaks(io.BytesIO):
  """A connection that dies after the first chunk."""

  def read(self, size=-1):
    if self.tell():
      raise http.client.IncompleteRead(b'')
    return super().read(1000)


@pytest.mark.parametrize(('body', 'message'), [
    (urllib.error.URLError('Name or service not known'), 'Name or service not known'),
    (TimeoutError('timed out'), 'timed out'),
    (urllib.error.HTTPError(URL, 404, 'Not Found', None, None), '404'),
    (Breaks(BODY), 'IncompleteRead'),
    (BODY[:5000], 'sent 5000 bytes'),
    (b'<html>Log in first</html>', 'sent 25 bytes')], ids=lambda value: value if isinstance(value, str) else '')
def test_without_network_it_fails_at_once_and_names_the_ways_out(monkeypatch, network, tmp_path, body, message):
  monkeypatch.setattr(weights, 'SHA256', HASH)
  network(body)
  start = time.monotonic()
  with pytest.raises(WeightsError, match=f'(?s){URL}.*{message}.*--inception_weights=<file>.*--features=classifier'):
    find(None, tmp_path)
  assert time.monotonic() - start < 5
  assert not list(tmp_path.iterdir()), 'neither the file nor a part of it is left'


def test_cache_that_cannot_be_made(network, file):
  network(BODY)
  with pytest.raises(WeightsError, match=r'cannot be downloaded to .*own\.pth'):
    find(None, Path(file))
