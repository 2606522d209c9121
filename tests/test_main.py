"""The command line as a person meets it: what works, and what every mistake is told."""

import html
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys

import filelock
import pytest

from gan.run.report import read_metrics
from tests import runs


def refused(*arguments: str, module: str = 'gan.main', env=None) -> str:
  """Runs a command that must fail as a mistake: exit code not 0, a message, and no traceback."""
  code, _, err = runs.run(module, *arguments, env=env)
  assert code not in (0, -9), err
  assert 'Traceback' not in err
  assert 'Error:' in err
  return err


def test_unknown_field_names_the_nearest(tmp_path):
  err = refused('--config=configs/dcgan.py', '--config.loss.nam=hinge', f'--workdir={tmp_path}')
  assert 'loss.nam: no such field' in err
  assert 'did you mean loss.name?' in err


def test_all_problems_are_listed_at_once(tmp_path):
  err = refused('--config=configs/dcgan.py', '--config.loss.name=hing', '--config.model.gen.name=dcgann',
                '--config.optimizer.gen.lr=nan', '--config.train.batch_size=0', f'--workdir={tmp_path / "run"}')
  for part in ('did you mean hinge?', 'did you mean dcgan?', 'optimizer.gen.lr=nan', 'train.batch_size=0'):
    assert part in err
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(('arguments', 'message'), [
    (['--config=configs/dcgan.py:digits,los=hinge'], 'did you mean loss?'),
    (['--config=configs/nothing.py'], 'configs/nothing.py'),
    ([], '--config=configs/dcgan.py'),
    (['--config=configs/dcgan.py', '--config.seed=abc'], 'seed'),
    (['--config=README.md'], 'is not a Python file'),
    (['--config=configs/dcgan.py', '--config.data.name='], 'not a name of a data set'),
    (['--config=configs/dcgan.py', '--confg.seed=1'], 'confg'),
    (['--config=configs/dcgan.py', 'extra'], 'extra'),
    (['--config=configs/dcgan.py:cifra10'], 'cifar10'),
    (['--config=configs/toy.py:rnig'], 'data.name=rnig (did you mean ring?)'),
    (['--config=configs/dcgan.py:folder'], 'data.path'),
    (['--config=configs/toy.py', '--config.loss.name=wasserstein'], 'penalty.clip=0.01'),
    (['--config=configs/dcgan.py', '--config.train.num_samples[0]=1'], 'did you mean train.num_samples?'),
    (['--config=configs/dcgan.py:folder', '--config.data.path=~nosuch/x'], 'begins with a home'),
    (['--config=configs/dcgan.py:folder', os.fsdecode(b'--config.data.path=\xff')], 'bytes that are not UTF-8'),
    (['--config=configs/dcgan.py', '--config.train.num_steps=2147483648'], 'must be below 2^31'),
    (['--config=configs/dcgan.py', '--config.model.gen.layers=2'], 'layers belongs to vanilla'),
    (['--config=configs/dcgan.py', '--config.seed'], '--config.seed needs a value'),
])
def test_mistakes_are_explained(arguments, message, tmp_path):
  assert message in refused(*arguments, f'--workdir={tmp_path}')


def test_whoever_reads_may_have_seen_enough():
  command = f'set -o pipefail; {sys.executable} -m gan.main --config=configs/toy.py:runlocal --dry_run | true'
  done = subprocess.run(('bash', '-c', command), cwd=runs.ROOT, capture_output=True, text=True, check=False)
  assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, '')


def test_batch_must_divide_by_the_devices(tmp_path):
  code, _, err = runs.run('gan.main', '--config=configs/dcgan.py', '--config.train.batch_size=101',
                          f'--workdir={tmp_path}', devices=2)
  assert code == 2
  assert 'train.batch_size=101 must divide by 2 devices; try 100 or 102' in err


def test_unwritable_workdir_is_said_before_training(tmp_path):
  (tmp_path / 'file').write_text('not a directory')
  err = refused('--config=configs/toy.py:runlocal', f'--workdir={tmp_path / "file" / "run"}')
  assert 'cannot write to ' in err
  assert '--workdir' in err


def test_missing_data_set_fails_in_seconds_and_names_the_ways_out(tmp_path):
  env = {'TFDS_DATA_DIR': str(tmp_path)}
  err = refused('--config=configs/dcgan.py:mnist', f'--workdir={tmp_path / "run"}', env=env)
  for part in ('python -m gan.data.prepare mnist', 'TFDS_DATA_DIR', 'digits'):
    assert part in err


def test_dry_run_shows_what_would_be_trained(tmp_path):
  code, out, err = runs.run('gan.main', '--config=configs/dcgan.py:loss=hinge,size=32', '--dry_run',
                            f'--workdir={tmp_path}')
  assert code == 0, err
  for part in ('* loss.name = hinge ', '  loss.margin = 1.0 ', 'Logit beyond which a sample costs nothing.',
               'fakes [64, 32, 32, 1]', 'Generator: 1,066,880 parameters',
               'Discriminator: 661,248 parameters', 'separate batches'):
    assert part in out
  assert list(tmp_path.iterdir()) == []


def test_a_run_from_start_to_finish(tmp_path):
  command = ('--config=configs/vanilla.py:runlocal', f'--workdir={tmp_path}', '--deterministic')
  code, out, err = runs.run('gan.main', *command)
  assert code == 0, err
  rows = read_metrics(tmp_path / 'metrics.jsonl')
  assert [row['step'] for row in rows] == [1, 5, 10, 15, 20]
  for name in ('disc/loss', 'gen/loss', 'disc/real_prob', 'disc/fake_prob', 'disc/accuracy', 'disc/grad_norm',
               'gen/grad_norm', 'disc/update_norm', 'gen/update_norm', 'time/images_per_sec'):
    assert name in rows[-1]
  assert 'eval/diversity' in rows[2]
  assert (tmp_path / 'report.html').stat().st_size > 10_000
  assert (tmp_path / 'training.gif').read_bytes()[:6] == b'GIF89a'
  assert sorted(path.name for path in (tmp_path / 'samples').iterdir()) == [
      f'step_{step:08d}.png' for step in (0, 10, 20)]
  environment = json.loads((tmp_path / 'environment.json').read_text())
  assert environment['device_count'] == 1
  assert environment['argv'] == ['-m', 'gan.main', *command]
  assert html.escape(shlex.join(['python', '-m', 'gan.main', *command])) in (tmp_path / 'report.html').read_text()
  assert 'version.jax' in environment
  assert environment['deterministic']

  # Started again: finished. Of another configuration: refused. Longer: goes on.
  code, out, err = runs.run('gan.main', *command)
  assert (code, 'is finished' in out) == (0, True), err
  err = refused(*command, '--config.loss.name=hinge')
  assert 'loss.name: nonsaturating there, hinge here' in err
  assert '--workdir' in err
  code, out, err = runs.run('gan.main', *command, '--config.train.num_steps=25', '--config.train.log_every=25')
  assert code == 0, err
  assert 'at step 20 of 25' in out
  assert [row['step'] for row in read_metrics(tmp_path / 'metrics.jsonl')] == [1, 5, 10, 15, 20, 25]

  # Another device count: allowed, and said.
  code, out, err = runs.run('gan.main', *command, '--config.train.num_steps=26', devices=2)
  assert code == 0, err
  assert 'device_count: 1 then, 2 now' in out

  # Sampled: pictures, arrays, walks.
  for arguments, name in (((), 'grid.png'), (('--raw', '--seed=3'), 'raw.png'),
                          (('--interpolate', '--num=3'), 'walk.png'),
                          (('--npz', '--num=70', '--step=20'), 'samples.npz')):
    code, _, err = runs.run('gan.sample', f'--workdir={tmp_path}', *arguments, f'--out={tmp_path / name}')
    assert code == 0, err
    assert (tmp_path / name).exists()
  assert 'has checkpoints of steps' in refused(f'--workdir={tmp_path}', '--step=3', module='gan.sample')
  for option, name in (('--nonpz', 'x.png'), ('--npz', 'x.npz')):
    (tmp_path / name).mkdir()
    command = (f'--workdir={tmp_path}', option, f'--out={tmp_path / name}')
    assert 'is a directory; name a file' in refused(*command, module='gan.sample')
  assert 'name another with --out' in refused(f'--workdir={tmp_path}', '--out=/proc/x.png', module='gan.sample')
  assert 'no run in' in refused(f'--workdir={tmp_path / "none"}', module='gan.sample')


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_checkpoint(tmp_path):
  code, _, err = runs.run('gan.main', '--config=configs/toy.py:runlocal', '--config.optimizer.gen.lr=1e30',
                          '--config.optimizer.gen.name=sgd', '--config.train.num_steps=200', f'--workdir={tmp_path}',
                          '--config.train.save_every=1')
  assert code == 1
  assert 'Traceback' not in err
  assert 'not finite' in err
  rows = read_metrics(tmp_path / 'metrics.jsonl')
  bad = rows[-1]['step']
  assert f'step {bad:.0f}:' in err
  saved = sorted(int(path.name) for path in (tmp_path / 'checkpoints').iterdir())
  assert saved[-1] == bad - 1 if saved else bad == 1
  assert 'on-finite' in (tmp_path / 'report.html').read_text()


@pytest.fixture(scope='module')
def undamaged(tmp_path_factory):
  """A finished run of 20 steps, saved at 10 and at 20."""
  workdir = tmp_path_factory.mktemp('undamaged')
  code, _, err = runs.run('gan.main', '--config=configs/toy.py:runlocal', f'--workdir={workdir}')
  assert code == 0, err
  return workdir


@pytest.fixture
def copy(undamaged, tmp_path):
  """A copy of it, to be damaged, and the command that goes on with it."""
  shutil.copytree(undamaged, tmp_path, dirs_exist_ok=True)
  return tmp_path, ('--config=configs/toy.py:runlocal', f'--workdir={tmp_path}')


@pytest.mark.parametrize(('name', 'content', 'message'), [
    ('config.json', '[1]', 'config.json cannot be read'),
    ('data.json', '{}', 'must have the fields'),
    ('metrics.jsonl', '{"step": 5}\nnonsense\n{"step": 10}\n', 'line 2 is damaged'),
    ('metrics.jsonl', '{"step": 5, "disc/loss": null}\n{"step": 10}\n', 'line 1 is damaged'),
    ('plan.json', '{}', 'holds a sweep'),
    ('data.json', json.dumps({'name': 'ring', 'num_examples': 0, 'sample_shape': 2, 'class_names': [],
                              'fingerprint': ''}), 'must have the fields'),
])
def test_damaged_files_of_a_run_are_named(copy, name, content, message):
  workdir, command = copy
  (workdir / name).write_text(content)
  assert message in refused(*command, '--config.train.num_steps=30')


def test_checkpoints_of_no_known_run_are_not_claimed(copy):
  workdir, command = copy
  (workdir / 'config.json').unlink()
  assert 'no config.json that says which run' in refused(*command)
  assert len(list((workdir / 'checkpoints').iterdir())) == 2


def test_an_old_page_of_a_finished_run_is_written_anew(copy):
  """The run was gone on with, and killed after its last checkpoint."""
  workdir, command = copy
  os.utime(workdir / 'report.html', (1, 1))
  code, out, err = runs.run('gan.main', *command)
  assert (code, 'is finished' in out) == (0, True), err
  assert (workdir / 'report.html').stat().st_mtime > 1


def test_a_file_instead_of_checkpoints_is_said_at_once(copy):
  workdir, command = copy
  shutil.rmtree(workdir / 'checkpoints')
  (workdir / 'checkpoints').write_text('')
  assert 'checkpoints is a file' in refused(*command)


def test_two_processes_do_not_train_in_one_directory(copy):
  workdir, command = copy
  with filelock.FileLock(workdir / '.lock'):
    assert 'another process trains in' in refused(*command)
  code, _, err = runs.run('gan.main', *command)
  assert code == 0, err


def test_what_no_memory_has_room_for(tmp_path):
  err = refused('--config=configs/toy.py:runlocal', '--config.train.batch_size=2000000000', f'--workdir={tmp_path}')
  assert 'lower train.batch_size' in err


def test_a_damaged_newest_checkpoint_is_said_without_a_traceback(copy):
  workdir, command = copy
  largest = max((workdir / 'checkpoints' / '20').rglob('*'), key=lambda path: path.stat().st_size)
  largest.write_bytes(largest.read_bytes()[:largest.stat().st_size // 2])
  code, out, err = runs.run('gan.main', *command)
  assert code == 0, err
  assert 'checkpoints/20 is damaged' in out
  assert 'at step 10 of 20' in out  # It is not called finished by its name.
  assert 'Traceback' not in err
