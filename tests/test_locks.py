"""One process trains in a directory, however the one before it has ended, and also where there is no `fcntl`."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from gan.run.workdir import LOCK, WorkdirError, held

ROOT = Path(__file__).parents[1]
WITHOUT_FCNTL = "import sys; sys.modules['fcntl'] = None\n"
HOLD = '''
import os, sys, time
from pathlib import Path
from gan.run.workdir import held
with held(Path(sys.argv[1])):
  child = os.fork() if sys.argv[2:] else 1
  if not child:
    time.sleep(600)
  print(child, flush=True)
  time.sleep(600)
'''
TAKE = '''
import gan.cli, gan.main
from gan.run.workdir import WorkdirError, held
from pathlib import Path
try:
  with held(Path(sys.argv[1])):
    print('held')
except WorkdirError as error:
  print(error)
'''


def python(code, *arguments):
  done = subprocess.run([sys.executable, '-W', 'ignore:only soft', '-c', code, *map(str, arguments)], cwd=ROOT,
                        capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  return done.stdout


@contextlib.contextmanager
def holder(code, *arguments):
  """A process that holds the lock, and is killed in the end; gives the number that it printed."""
  with subprocess.Popen([sys.executable, '-c', code, *map(str, arguments)], cwd=ROOT, text=True,
                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
    try:
      yield int(process.stdout.readline())
    finally:
      process.kill()


def test_a_second_is_refused_and_the_file_is_no_obstacle_afterwards(tmp_path):
  (tmp_path / LOCK).write_text('left by a process that was killed')
  for _ in range(2):
    with (held(tmp_path), pytest.raises(WorkdirError, match=f'another process trains in {tmp_path}; wait .*<path>$'),
          held(tmp_path)):
      pass
    assert os.listdir(tmp_path) == [LOCK]


def test_the_lock_ends_with_its_process_even_if_a_child_of_it_lives(tmp_path):
  with (holder(HOLD, tmp_path, 'fork') as child,
        pytest.raises(WorkdirError, match='another process trains'), held(tmp_path)):
    pass
  try:
    with held(tmp_path):
      os.kill(child, 0)   # It lives.
  finally:
    os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize('error', [OSError(37, 'No locks available'), NotImplementedError])
def test_a_disk_without_locks_stops_no_run(tmp_path, monkeypatch, error):
  monkeypatch.setattr(filelock.FileLock, 'acquire', lambda self, **_: (_ for _ in ()).throw(error))
  with held(tmp_path):
    pass


def test_a_lock_of_somebody_else_is_said(tmp_path, monkeypatch):
  error = PermissionError(13, 'Permission denied')
  monkeypatch.setattr(filelock.FileLock, 'acquire', lambda self, **_: (_ for _ in ()).throw(error))
  with pytest.raises(WorkdirError, match=r'cannot lock .*/\.lock \(Permission denied\); name another'), held(tmp_path):
    pass


def test_locks_without_fcntl(tmp_path):
  """Then the file is the lock. That of a killed process of this machine is taken over; any other is explained."""
  take = WITHOUT_FCNTL + TAKE
  with holder(WITHOUT_FCNTL + HOLD, tmp_path):
    assert f'another process trains in {tmp_path}; ' in python(take, tmp_path)
  assert os.listdir(tmp_path) == [LOCK]
  assert python(take, tmp_path) == 'held\n'
  assert os.listdir(tmp_path) == []
  (tmp_path / LOCK).touch()   # As a process leaves it that had fcntl.
  assert python(take, tmp_path).endswith(f'; if no process does, delete {tmp_path / LOCK}\n')


def test_a_run_without_fcntl(tmp_path):
  code = WITHOUT_FCNTL + "import runpy; runpy.run_module('gan.main', run_name='__main__', alter_sys=True)"
  python(code, '--config=configs/dirac.py:runlocal', f'--workdir={tmp_path / "run"}')
  assert (tmp_path / 'run' / 'report.html').exists()
