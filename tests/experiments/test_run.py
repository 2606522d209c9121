"""A sweep from start to finish: killed and started again it gives the same table; runs are taken out of it."""

import random
import signal
import time

import filelock
import jax
import numpy as np
import pytest

from experiments import executors, results
from experiments import plan as plans
from experiments.executors import population_dir
from experiments.sweep import SweepError, load_sweep
from gan.config import ConfigError, flatten
from gan.parallel import enough_devices
from gan.population.run import run
from gan.population.store import Store
from gan.run.environment import num_cores
from gan.run.report import read_metrics
from gan.run.workdir import WorkdirError
from tests import runs
from tests.xla_flags import QUICK

STEPS = 120
ALL_CORES = {'XLA_FLAGS': QUICK}  # A device for each, as a person has them.
SWEEP = f'''
from experiments.sweep import *
CONFIG = 'configs/toy.py:runlocal'
def sweep():
  base = fix({{'train.num_steps': {STEPS}, 'train.save_every': 20, 'train.log_every': 10, 'train.eval_every': 60,
              'train.sample_every': 120}})
  ring = product(param('train.disc_steps', [1, 2]), param('loss.name', ['saturating', 'hinge']), param('seed', [0, 1]))
  wild = fix({{'optimizer.disc.lr': 1e30, 'optimizer.gen.lr': 1e30, 'seed': 9}})
  return product(base, chain(ring, wild))
'''


@pytest.fixture(scope='module')
def sweep(tmp_path_factory):
  path = tmp_path_factory.mktemp('sweeps') / 'tiny.py'
  path.write_text(SWEEP)
  return str(path)


@pytest.fixture(scope='module')
def straight(sweep, tmp_path_factory):
  """The sweep, undisturbed."""
  workdir = tmp_path_factory.mktemp('straight')
  code, stdout, stderr = runs.run('experiments.run', f'--sweep={sweep}', f'--workdir={workdir}', '--deterministic',
                                  env=ALL_CORES)
  assert code == 0, stderr
  assert '9 runs in 2 population(s)' in stdout
  assert f'on {enough_devices(5, num_cores())} cpu device(s)' in stdout  # Each core trains members of its own.
  return workdir


def without_clock(workdir):
  return [{name: value for name, value in row.items() if name not in results.CLOCK}
          for row in results.read_table(workdir)]


def parts(workdir):
  return sum(1 for _ in workdir.glob('populations/*/metrics/*.jsonl'))


def start_and(signum, sweep, workdir, num_parts):
  """Starts the sweep and sends it a signal once it has written so many parts more."""
  before = parts(workdir)
  process = runs.Run('experiments.run', f'--sweep={sweep}', f'--workdir={workdir}', env=ALL_CORES)
  deadline = time.monotonic() + 120
  while parts(workdir) < before + num_parts and process.alive() and time.monotonic() < deadline:
    time.sleep(0.002)
  time.sleep(random.random() * 0.02)
  process.send(signum)
  return process.finish()


def test_the_command_is_on_record(sweep, straight):
  for name in ('000', '001'):
    environment = Store(population_dir(straight, name)).read('environment.json')
    assert environment['argv'] == ['-m', 'experiments.run', f'--sweep={sweep}', f'--workdir={straight}',
                                   '--deterministic']
    assert environment['deterministic']


def test_the_table(straight):
  rows = results.read_table(straight)
  assert len(rows) == len({row['run'] for row in rows}) == 9
  assert [row['status'] for row in rows] == ['finished'] * 8 + ['diverged']
  assert rows[-1]['verdict'] == 'diverged'
  assert rows[-1]['modes.last'] is None
  assert rows[-1]['steps'] < 100
  for row in rows[:8]:
    assert row['steps'] == STEPS
    assert 0 <= row['modes.last'] <= row['modes.best'] <= 8
    assert row['reverse_kl.best'] <= row['reverse_kl.tail_mean']
    assert row['device_seconds'] > 0
  assert (straight / 'results.csv').read_text().count('\n') == 10


@pytest.mark.parametrize('num_kills', [1, pytest.param(3, marks=pytest.mark.slow)])
def test_killed_at_random_it_ends_in_the_same_table(sweep, straight, tmp_path, num_kills):
  """Some times without a word, and once politely."""
  for _ in range(num_kills):
    num_parts = random.randint(1, 9 // num_kills)  # Of twelve.
    code, _, _ = start_and(signal.SIGKILL, sweep, tmp_path, num_parts)
    assert code == -signal.SIGKILL
  code, stdout, stderr = start_and(signal.SIGTERM, sweep, tmp_path, 2)
  assert code in (0, 128 + signal.SIGTERM), stderr
  code, stdout, stderr = runs.run('experiments.run', f'--sweep={sweep}', f'--workdir={tmp_path}', env=ALL_CORES)
  assert code == 0, stderr
  assert 'Warning' not in stdout
  assert without_clock(tmp_path) == without_clock(straight)
  for name in ('000', '001'):
    ours, theirs = (Store(population_dir(workdir, name)) for workdir in (tmp_path, straight))
    assert [{k: v for k, v in row.items() if not k.startswith('time/')} for row in ours.rows()] == [
        {k: v for k, v in row.items() if not k.startswith('time/')} for row in theirs.rows()]
    a, b = (runs.saved_arrays(store.root, STEPS) for store in (ours, theirs))
    assert a.keys() == b.keys()
    for path in a:
      np.testing.assert_array_equal(a[path], b[path], err_msg=path)


def test_a_finished_sweep_is_not_run_again(sweep, straight):
  before = {path: path.stat().st_mtime_ns for path in straight.glob('populations/*/samples.npz')}
  code, stdout, _ = runs.run('experiments.run', f'--sweep={sweep}', f'--workdir={straight}', env=ALL_CORES)
  assert code == 0
  assert 'Training' not in stdout
  assert {path: path.stat().st_mtime_ns for path in straight.glob('populations/*/samples.npz')} == before


def test_a_run_taken_out_is_an_ordinary_run(straight, tmp_path):
  row = results.read_table(straight)[3]
  one = tmp_path / 'one'
  code, stdout, stderr = runs.run('experiments.extract', f'--workdir={straight}', f'--run={row["run"]}', f'--out={one}')
  assert code == 0, stderr
  assert 'python -m gan.main --config=configs/toy.py:runlocal' in stdout
  rows = read_metrics(one / 'metrics.jsonl')
  assert rows[-1]['eval/modes'] == row['modes.last']
  assert (one / 'report.html').exists()
  code, _, stderr = runs.run('gan.sample', f'--workdir={one}', f'--out={tmp_path / "s.png"}')
  assert code == 0, stderr
  code, _, stderr = runs.run('gan.evaluate', f'--workdir={one}', '--num_samples=256')
  assert code == 0, stderr
  again = runs.run('experiments.extract', f'--workdir={straight}', f'--run={row["run"]}', f'--out={one}')
  assert again[0] == 2
  assert 'holds a run already' in again[2]
  said = refused('experiments.extract', f'--workdir={straight}', f'--run={row["run"]}', f'--out={straight}')
  assert f'--out={straight} holds a sweep' in said
  said = refused('experiments.extract', f'--workdir={straight}', f'--run={row["run"]}', '--out=README.md')
  assert 'cannot write to README.md' in said
  assert 'name another with --out' in said
  unknown = runs.run('experiments.extract', f'--workdir={straight}', '--run=nothing', f'--out={tmp_path / "two"}')
  assert unknown[0] == 2
  assert 'is not in' in unknown[2]


def test_another_sweep_is_refused(straight, tmp_path):
  (tmp_path / 'other.py').write_text(SWEEP.replace('[0, 1]', '[0, 1, 2]'))
  code, _, stderr = runs.run('experiments.run', f'--sweep={tmp_path / "other.py"}', f'--workdir={straight}')
  assert code == 2
  assert 'holds another sweep' in stderr
  assert '4 of the 13 runs here are new' in stderr
  assert 'Traceback' not in stderr


def test_a_population_that_fails_as_a_whole_has_ended(tmp_path):
  """Between two logged steps, so that without a row of its own nobody would know."""
  path = tmp_path / 'wild.py'
  path.write_text(SWEEP.replace('return product(base, chain(ring, wild))', 'return product(base, wild)'))
  opened, workdir = load_sweep(str(path)), str(tmp_path / 'wild')
  plan = plans.make_plan(str(path), opened, jax.devices()[:1], lambda text: None)
  plans.save_plan(plan, workdir)
  assert executors.run_local(plan, workdir, []) == 0
  [row] = results.rows_of(plan, workdir)
  assert row['status'] == row['verdict'] == 'diverged'
  assert row['steps'] % 10 != 0
  assert row['evidence']


def test_devices_that_do_not_divide_are_refused(straight):
  plan = plans.load_plan(str(straight))
  group = plan.groups[0]
  with pytest.raises(ConfigError, match='--devices_per_member=2 must divide the 1 devices'):
    run(group.ids, plan.configs(group), str(straight / 'elsewhere'), [], jax.devices()[:1], devices_per_member=2)


def refused(module, *arguments):
  """What a program says to a mistake."""
  code, _, stderr = runs.run(module, *arguments)
  assert code == 2, stderr
  assert 'Traceback' not in stderr
  return stderr


def test_two_processes_do_not_train_one_sweep(sweep, straight):
  with filelock.FileLock(straight / '.lock'):
    said = refused('experiments.run', f'--sweep={sweep}', f'--workdir={straight}')
  assert f'another process trains in {straight}' in said


def test_the_directory_of_an_ordinary_run_is_refused(sweep, tmp_path):
  (tmp_path / 'config.json').write_text('{}')
  assert f'{tmp_path} holds an ordinary run (config.json)' in refused(
      'experiments.run', f'--sweep={sweep}', f'--workdir={tmp_path}')
  assert sorted(path.name for path in tmp_path.iterdir()) == ['config.json']


@pytest.mark.parametrize('workdir', ['README.md', '/proc/x'])
def test_a_plan_that_cannot_be_written_names_the_flag(workdir):
  with pytest.raises(WorkdirError, match=f'cannot write to .*{workdir}.*name another with --workdir'):
    plans.save_plan(plans.Plan('s.py', {}, []), workdir)


@pytest.mark.parametrize('flag', ['--cpus=nan', '--gpus=inf', '--tpus=-1'])
def test_shares_of_a_cluster_are_numbers(sweep, flag):
  assert f'{flag.partition("=")[0]}' in (said := refused('experiments.run', f'--sweep={sweep}', flag))
  assert 'must be a finite number, 0 or more' in said


def test_a_run_that_is_not_there_yet_is_not_taken_out(sweep, tmp_path):
  opened = load_sweep(sweep)
  flat = {run.id: {'file': run.file, 'overrides': {}, 'config': flatten(run.config), 'command': run.command}
          for run in opened.runs}
  plans.save_plan(plans.Plan(sweep, flat, [plans.Group('000', list(flat), 1, 1.0)]), str(tmp_path))
  run = next(iter(flat))
  said = refused('experiments.extract', f'--workdir={tmp_path}', f'--run={run}', f'--out={tmp_path}/out')
  assert f'--run={run} is not trained yet' in said
  assert '--out=: must name a directory' in refused('experiments.extract', f'--workdir={tmp_path}', f'--run={run}',
                                                    '--out=')
  (tmp_path / 'plan.json').write_text('[]')
  assert 'plan.json cannot be read' in refused('experiments.extract', f'--workdir={tmp_path}', f'--run={run}',
                                               f'--out={tmp_path}/out')


@pytest.mark.parametrize('flag', ['--seeds=0', '--seeds=-1', '--first=-5', '--first=99999999999'])
def test_health_refuses_seeds_that_are_none(flag):
  assert f'{flag} must be at least 1' in (error := refused('experiments.health', flag)) or 'seeds must lie in' in error


def test_a_plan_splits_what_does_not_fit_and_says_what_never_will(sweep, monkeypatch):
  opened = load_sweep(sweep)
  monkeypatch.setattr(plans, 'measure', lambda config: (100, 50, 1e6))
  monkeypatch.setattr(plans, 'free_bytes', lambda device: 550)
  device = jax.devices()[:1]
  plan = plans.make_plan(sweep, opened, device, lambda text: None)
  assert [len(group.ids) for group in plan.groups] == [2, 2, 1, 2, 2]  # Room for two of 5 and of 4 members.
  assert sorted(run for group in plan.groups for run in group.ids) == sorted(plan.runs)
  cores = plans.make_plan(sweep, opened, jax.devices()[:2], lambda text: None)  # They share the memory of one machine.
  assert max(len(group.ids) * 100 + 2 * 50 for group in cores.groups) <= plans.SHARE * 550
  monkeypatch.setattr(plans, 'free_bytes', lambda device: 200)
  with pytest.raises(SweepError, match='one member needs about 0 MiB beside 0 MiB of data'):
    plans.make_plan(sweep, opened, device, lambda text: None)
