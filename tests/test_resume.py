"""A run that was killed and started again ends as if nothing had happened, bit for bit."""

import functools
import random
import signal
import time

import numpy as np
import pytest

from gan.report import read_metrics
from tests import runs
from tests.xla_flags import QUICK

STEPS = 144
SETTINGS = ('--config=configs/dcgan.py:runlocal', f'--config.train.num_steps={STEPS}', '--config.train.save_every=12',
            '--config.train.log_every=7', '--config.train.eval_every=48', '--config.train.sample_every=72',
            '--config.train.disc_steps=2', '--config.data.flip=True', '--config.penalty.lecam=0.3',
            '--config.schedule.optimizer.gen.lr=cosine,over=120,warmup=50',
            f'--config.schedule.penalty.lecam=linear,over={200 * STEPS},unit=images')


def last_step(workdir) -> int:
  rows = read_metrics(workdir / 'metrics.jsonl') if (workdir / 'metrics.jsonl').exists() else []
  return int(rows[-1]['step']) if rows else 0


def kill_at(workdir, target: int, signum: int, *arguments: str) -> tuple[int, str, str]:
  """Starts the run and sends it a signal once it has logged a step >= target."""
  process = runs.Run('gan.main', *arguments, f'--workdir={workdir}')
  deadline = time.monotonic() + 120
  while last_step(workdir) < target and process.alive() and time.monotonic() < deadline:
    time.sleep(0.002)
  process.send(signum)
  return process.finish()


def assert_equal_runs(one, other):
  assert runs.rows_without_clock(one) == runs.rows_without_clock(other)
  ours, theirs = (runs.saved_arrays(workdir, STEPS) for workdir in (one, other))
  assert ours.keys() == theirs.keys()
  assert any('ema' in path for path in ours)
  assert any('batch_stats' in path for path in ours)
  for path in ours:
    np.testing.assert_array_equal(ours[path], theirs[path], err_msg=path)


RESIDENT, STREAMED = 2**31, 0


@pytest.fixture(scope='module')
def straight(tmp_path_factory):
  """Uninterrupted runs, by `data.resident_bytes` and flags of XLA, made when they are asked for."""
  @functools.cache
  def train(resident_bytes, flags=QUICK):
    workdir = tmp_path_factory.mktemp('straight')
    code, _, err = runs.run('gan.main', *SETTINGS, f'--config.data.resident_bytes={resident_bytes}',
                            f'--workdir={workdir}', env={'XLA_FLAGS': flags})
    assert code == 0, err
    return workdir

  return train


@pytest.mark.parametrize(('resident_bytes', 'num_kills'), [
    pytest.param(RESIDENT, 1, id='once'), pytest.param(RESIDENT, 3, id='resident', marks=pytest.mark.slow),
    pytest.param(STREAMED, 3, id='streamed', marks=pytest.mark.slow)])
def test_killed_equals_uninterrupted(tmp_path, straight, resident_bytes, num_kills):
  command = (*SETTINGS, f'--config.data.resident_bytes={resident_bytes}')
  generator = random.Random(resident_bytes)
  kills = 0
  for target in sorted(generator.sample(range(10, STEPS - 30), num_kills)):
    code, _, err = kill_at(tmp_path, target, signal.SIGKILL, *command)
    assert code in (-signal.SIGKILL, 0), err
    kills += code != 0
  assert kills >= min(num_kills, 2), 'the run ended before it could be killed: the drill has to be made longer'
  code, _, err = runs.run('gan.main', *command, f'--workdir={tmp_path}')
  assert code == 0, err
  assert_equal_runs(straight(resident_bytes), tmp_path)


@pytest.mark.slow
def test_streamed_equals_resident(straight):
  """Compiled as ever: these are two programs, which plain compilation rounds differently."""
  assert_equal_runs(straight(RESIDENT, ''), straight(STREAMED, ''))


def test_sigterm_saves_and_the_same_command_goes_on(tmp_path):
  arguments = ('--config=configs/toy.py:runlocal', '--config.train.num_steps=200000',
               '--config.train.save_every=200000', '--config.train.eval_every=200000',
               '--config.train.sample_every=200000', '--config.train.log_every=5')
  code, out, err = kill_at(tmp_path, 50, signal.SIGTERM, *arguments)
  assert code == 128 + signal.SIGTERM, err
  assert 'SIGTERM: saved step' in out
  saved = int(out.split('saved step ')[1].split('.')[0])
  target = saved + 20
  code, out, err = runs.run('gan.main', *arguments[:1], f'--config.train.num_steps={target}', f'--workdir={tmp_path}')
  assert code == 0, err
  assert f'Resuming {tmp_path} at step {saved} of {target}' in out
  steps = [row['step'] for row in read_metrics(tmp_path / 'metrics.jsonl')]
  assert steps == sorted(set(steps))
  assert steps[-1] == target
