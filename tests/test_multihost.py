"""Two processes, joined by the loopback, compute what one process with two devices does."""

import socket

import pytest

from tests import runs
from tests.two_hosts import SGD


def run_two(workdir, resident_bytes: int):
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
  hosts = [runs.Run('tests.two_hosts', *map(str, (port, index, workdir, resident_bytes))) for index in range(2)]
  return [host.finish() for host in hosts]


@pytest.mark.parametrize('resident_bytes', [pytest.param(2**31, id='resident', marks=pytest.mark.slow),
                                            pytest.param(0, id='streamed')])
def test_two_processes_equal_two_devices(tmp_path, resident_bytes):
  for code, _, err in run_two(tmp_path / 'two', resident_bytes):
    assert code == 0, err
  code, _, err = runs.run('gan.main', '--config=configs/dcgan.py:runlocal', f'--workdir={tmp_path / "one"}',
                          *(f'--config.{name}={value}' for name, value in SGD.items()), devices=2)
  assert code == 0, err
  two, one = (runs.rows_without_clock(tmp_path / name) for name in ('two', 'one'))
  assert [row['step'] for row in two] == [row['step'] for row in one]
  for ours, theirs in zip(two, one, strict=True):
    verdicts = [{key: row.pop(key) for key in list(row) if key.startswith('health/')} for row in (ours, theirs)]
    assert verdicts[0] == verdicts[1]
    assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)
