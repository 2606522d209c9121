"""Where weights come from: files by their hash, one download, and no network."""

import concurrent.futures
import hashlib
import http.server
import threading
import time
from pathlib import Path

import pytest
from absl import logging

from gan import download
from gan.features import weights
from gan.features.weights import SHA256, URL, WeightsError, find

BODY = b'weights' * 1000
HASH = hashlib.sha256(BODY).hexdigest()
FILE = URL.rpartition('/')[2]


class Server(http.server.ThreadingHTTPServer):
  """Sends `body` with a status, and says that it has `length` bytes; or is silent. Remembers what was asked."""

  def __init__(self, body, status=200, length=None, silent=False):
    self.body, self.status, self.length, self.silent = body, status, length or len(body), silent
    self.asked, self.done = [], threading.Event()
    super().__init__(('127.0.0.1', 0), Handler)
    self.url = f'http://127.0.0.1:{self.server_port}/{FILE}'


class Handler(http.server.BaseHTTPRequestHandler):
  """Answers as its server says."""

  def do_GET(self):
    self.server.asked.append(self.path)
    if self.server.silent:
      self.server.done.wait(20)
      return
    self.send_response(self.server.status)
    self.send_header('Content-Length', str(self.server.length))
    self.end_headers()
    self.wfile.write(self.server.body)

  def log_message(self, *_):
    pass


@pytest.fixture
def network(monkeypatch):
  """Starts a server in the place of the published address."""
  started = []

  def start(*arguments, **options):
    server = Server(*arguments, **options)
    started.append(server)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr(weights, 'URL', server.url)
    return server

  monkeypatch.setenv('NO_PROXY', '*')
  monkeypatch.setattr(weights, 'SHA256', HASH)
  yield start
  for server in started:
    server.done.set()
    server.shutdown()
    server.server_close()


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


def test_download_once(network, tmp_path, capfd):
  asked = network(BODY).asked
  cache = tmp_path / 'made' / 'cache'
  for _ in range(2):
    assert find(None, cache) == (cache / FILE, HASH)
  assert asked == [f'/{FILE}']
  assert (cache / FILE).read_bytes() == BODY
  assert [path.name for path in cache.iterdir()] == [FILE]
  assert (cache / FILE).stat().st_mode & 0o444 == 0o444, 'others may read it, too'
  assert '100%' in capfd.readouterr().err


def test_several_may_download_at_once(network, tmp_path):
  network(BODY)
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert set(pool.map(lambda _: find(None, tmp_path), range(8))) == {(tmp_path / FILE, HASH)}
  assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize('damage', [BODY[:5000], b'', bytes(len(BODY)), BODY[:-1] + b'x'])
def test_a_damaged_file_in_the_cache_is_downloaded_anew(monkeypatch, network, tmp_path, damage):
  said = []
  monkeypatch.setattr(logging, 'warning', lambda text, *values: said.append(text % values))
  (tmp_path / FILE).write_bytes(damage)
  network(BODY)
  assert find(None, tmp_path) == (tmp_path / FILE, HASH)
  assert (tmp_path / FILE).read_bytes() == BODY
  assert len(said) == 1
  assert f'{tmp_path / FILE} is damaged' in said[0]


def test_a_damaged_file_in_the_cache_is_not_used_without_a_network(network, tmp_path):
  (tmp_path / FILE).write_bytes(BODY[:5000])
  server = network(b'', status=503)
  with pytest.raises(WeightsError, match=f'(?s){server.url} cannot be downloaded.*503'):
    find(None, tmp_path)


@pytest.mark.parametrize(('answer', 'message'), [
    ({'body': b'', 'status': 404}, '404'),
    ({'body': b'', 'silent': True}, 'timed out'),
    ({'body': BODY[:5000], 'length': len(BODY)}, 'IncompleteRead'),
    ({'body': BODY[:5000]}, f'expected {HASH} but got {hashlib.sha256(BODY[:5000]).hexdigest()}'),
    ({'body': b'<html>Log in first</html>'}, f'expected {HASH} but got')], ids=range(5))
def test_without_network_it_fails_at_once_and_names_the_ways_out(monkeypatch, network, tmp_path, answer, message):
  assert download.TIMEOUT <= 10, 'seconds'
  monkeypatch.setattr(download, 'TIMEOUT', 1.0)
  server = network(**answer)
  start = time.monotonic()
  with pytest.raises(WeightsError,
                     match=f'(?s){server.url}.*{message}.*--inception_weights=<file>.*--features=classifier'):
    find(None, tmp_path)
  assert time.monotonic() - start < 5
  assert not list(tmp_path.iterdir()), 'neither the file nor a part of it is left'


@pytest.mark.usefixtures('network')
def test_nobody_answers(monkeypatch, tmp_path):
  monkeypatch.setattr(weights, 'URL', 'http://127.0.0.1:9/weights.pth')
  with pytest.raises(WeightsError, match=r'weights\.pth cannot be downloaded to .*refused.*Ways out: try again'):
    find(None, tmp_path)
  assert not list(tmp_path.iterdir())


def test_cache_that_cannot_be_made(network, file):
  server = network(BODY)
  with pytest.raises(WeightsError, match=r'cannot be downloaded to .*own\.pth'):
    find(None, Path(file))
  assert not server.asked
