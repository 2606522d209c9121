"""Rows that are lost between a checkpoint and the resume are missed, whatever the settings were; nothing else is."""

import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import dirac
from gan.config.complete import complete
from gan.run import ledger, train
from gan.run.checkpoint import Checkpoints
from gan.run.report import FILE, read_metrics
from gan.scoring import records
from gan.show import images

SETTINGS = {'train.num_steps': 30, 'train.save_every': 15, 'train.log_every': 4, 'train.eval_every': 10,
            'train.sample_every': 30, 'eval.num_samples': 64}


def config(**overrides):
  made = complete(dirac.get_config(), SETTINGS | {f'train.{name}': value for name, value in overrides.items()})
  return made


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """A run of 30 steps, logged at 1, 4, 8, ..., 28, 30 and at the evaluations 10, 20, 30; saved at 15 and 30."""
  workdir = tmp_path_factory.mktemp('finished')
  assert train.run(config(), workdir, []) == 0
  return workdir


@pytest.fixture
def copy(finished, tmp_path):
  return shutil.copytree(finished, tmp_path / 'run')


def keep(path, kept):
  lines = path.read_text().splitlines(keepends=True)
  path.write_text(''.join(line for line in lines if kept(json.loads(line)['step'])))


def warnings(workdir, step=30):
  return ledger.lost(workdir, step, Checkpoints(workdir, read_only=True).note(step))


@pytest.mark.parametrize(('damage', 'file', 'text'), [
    (lambda path: path.unlink(), FILE, 'all its rows of steps 1 to 30'),
    (lambda path: path.write_text(''), FILE, 'all its rows of steps 1 to 30'),
    (lambda path: keep(path, lambda step: step <= 16), FILE, '4 row(s), of steps 17 to 30'),
    (lambda path: keep(path, lambda step: step > 8), FILE, '3 row(s), of steps 1 to 9'),
    (lambda path: keep(path, lambda step: 4 < step < 30), FILE, '3 row(s), of steps 1 to 7 and 29 to 30'),
    (lambda path: keep(path, lambda step: step not in (16, 20)), FILE,
     '2 row(s), the largest gap being between steps 12 and 24'),
    (lambda path: path.unlink(), records.FILE, 'all its rows of steps 10 to 30'),
    (lambda path: keep(path, lambda step: step < 30), records.FILE, '1 row(s), of steps 21 to 30')])
def test_lost_rows_are_told_with_their_steps(copy, damage, file, text):
  assert warnings(copy) == []
  damage(copy / file)
  assert warnings(copy) == [
      f'{copy / file} has lost {text}; verdicts, curves and summaries use only the remaining rows']


def test_what_was_lost_after_the_checkpoint_is_trained_again(copy):
  for file in (FILE, records.FILE):
    keep(copy / file, lambda step: step <= 15)
  assert warnings(copy, step=15) == []


def test_the_resume_tells_and_goes_on(copy, capsys):
  keep(copy / FILE, lambda step: step <= 16)
  (copy / records.FILE).unlink()
  assert train.run(config(num_steps=31, log_every=7), copy, []) == 0
  told = [line for line in capsys.readouterr().out.splitlines() if line.startswith('Warning: ')]
  assert [line.partition(' has lost ')[2].partition(';')[0] for line in told] == [
      '4 row(s), of steps 17 to 30', 'all its rows of steps 10 to 30']
  assert [row['step'] for row in read_metrics(copy / FILE)] == [1, 4, 8, 10, 12, 16, 31]
  assert train.run(config(num_steps=32), copy, []) == 0  # Told once: the next checkpoint knows of what is left.
  assert 'has lost' not in capsys.readouterr().out


def test_a_finished_run_without_its_rows_says_so(copy, capsys):
  (copy / FILE).unlink()
  assert train.run(config(), copy, []) == 0
  assert 'has lost all its rows of steps 1 to 30' in capsys.readouterr().out


def test_other_periods_are_no_loss(copy, capsys):
  assert train.run(config(num_steps=31, log_every=1000, eval_every=1000, save_every=1), copy, []) == 0
  assert train.run(config(num_steps=32, log_every=1, eval_every=1), copy, []) == 0
  assert 'has lost' not in capsys.readouterr().out


@settings(max_examples=100, deadline=None, derandomize=True)
@given(steps=st.sets(st.integers(1, 60), min_size=1), gone=st.sets(st.integers(1, 60)))
def test_any_loss_is_noticed_and_nothing_else(steps, gone):
  noted = ledger.note(steps, ())[FILE]
  text = ledger._missing(sorted(steps - gone), noted)
  assert bool(text) == bool(steps & gone)
  assert ledger.note((), ()) == {}


def test_a_checkpoint_without_a_note_knows_of_step_1(tmp_path):
  """One that was written before there were notes: a file with rows is taken as it is."""
  assert 'all its rows' in ledger.lost(tmp_path, 15, None)[0]
  (tmp_path / FILE).write_text('{"step": 1}\n')
  assert ledger.lost(tmp_path, 15, None) == []
  assert ledger.lost(tmp_path / 'new', 0, None) == []


def test_rows_are_on_the_disk_before_a_checkpoint_knows_of_them(tmp_path, monkeypatch):
  """The size of the file at its last fsync covers every row that the note counts."""
  synced, sync, save = {}, images.sync, Checkpoints.save
  monkeypatch.setattr(images, 'sync', lambda path: (sync(path), synced.update({path: path.stat().st_size})))
  counts = []

  def checked_save(self, step, state, note=None):
    for file in (FILE, records.FILE):
      path = tmp_path / file
      assert synced[path] == path.stat().st_size
    counts.append((step, note[FILE]['count'], note[FILE]['last']))
    save(self, step, state, note)

  monkeypatch.setattr(Checkpoints, 'save', checked_save)
  assert train.run(config(), tmp_path, []) == 0
  assert counts == [(15, 5, 12), (30, 10, 30)]
