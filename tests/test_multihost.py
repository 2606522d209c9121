"""Two processes, joined by the loopback, compute what one process with two devices does."""

import os
import socket
import subprocess
import sys
import textwrap

import pytest

from tests import runs
from tests.xla_flags import QUICK

PROGRAM = textwrap.dedent('''
    import sys
    import jax
    from pathlib import Path
    port, index, workdir, *extra = sys.argv[1:]
    jax.distributed.initialize(f'127.0.0.1:{port}', 2, int(index))
    from configs import dcgan
    from gan import train
    from gan.config import apply_overrides
    config = dcgan.get_config('runlocal')
    apply_overrides(config, {'data.resident_bytes': int(extra[0])} | {
        f'optimizer.{player}.{field}': value for player in ('gen', 'disc')
        for field, value in (('name', 'sgd'), ('lr', 0.01), ('b1', 0.0))})
    sys.exit(train.run(config, Path(workdir), ['test']))
''')


def run_two(workdir, resident_bytes: int):
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
  commands = [[sys.executable, '-c', PROGRAM, *map(str, (port, index, workdir, resident_bytes))] for index in range(2)]
  env = os.environ | {'XLA_FLAGS': f'{QUICK} --xla_force_host_platform_device_count=1'}
  processes = [subprocess.Popen(command, cwd=runs.ROOT, env=env, text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE) for command in commands]
  return [(*process.communicate(timeout=240), process.returncode) for process in processes]


@pytest.mark.parametrize('resident_bytes', [pytest.param(2**31, id='resident', marks=pytest.mark.slow),
                                            pytest.param(0, id='streamed')])
def test_two_processes_equal_two_devices(tmp_path, resident_bytes):
  for _, err, code in run_two(tmp_path / 'two', resident_bytes):
    assert code == 0, err
  sgd = [f'--config.optimizer.{player}.{setting}' for player in ('gen', 'disc')
         for setting in ('name=sgd', 'lr=0.01', 'b1=0.0')]
  code, _, err = runs.run('gan.main', '--config=configs/dcgan.py:runlocal', f'--workdir={tmp_path / "one"}', *sgd,
                          devices=2)
  assert code == 0, err
  two, one = (runs.rows_without_clock(tmp_path / name) for name in ('two', 'one'))
  assert [row['step'] for row in two] == [row['step'] for row in one]
  for ours, theirs in zip(two, one, strict=True):
    verdicts = [{key: row.pop(key) for key in list(row) if key.startswith('health/')} for row in (ours, theirs)]
    assert verdicts[0] == verdicts[1]
    assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)  # SGD: Adam's first step magnifies rounding.
