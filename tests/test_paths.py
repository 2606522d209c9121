"""Directories with awkward names: a checkpoint in one comes back equal, or the directory is refused before training."""

import os

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from configs import dirac
from experiments.plan import check_home
from gan.population.members import extract
from gan.run import train, workdir
from gan.run.checkpoint import CheckpointError, Checkpoints
from gan.run.paths import safe_name, unreadable_part, unwritable_part
from gan.run.workdir import WorkdirError
from tests.test_checkpoint import assert_same, make_state

FINE = ['x[', 'x]', '[]', 'a*b', 'a?b', '*', '{x}', '{a,b}', '%', '%20', '=', '"q"', "it's", 'a b', ' a', 'a:', 's3:',
        'ünï', '日本', 'a\nb', 'a\tb', '#', '$HOME', '~', '*[]]', '.a']
LOST = ['[a]', 'run[1]', '[!a]', '[[]', '[lab] gan', '?[a]', 'a\\b', 'a\\', '\\[', '**', 'a**b', 'gs:', 'a\udcffb']
PIECES = st.text(st.sampled_from('ab1[]!-*?\\{}%=:"\' ü\n.~$&g s'), min_size=1, max_size=8)


def round_trip(root):
  """Saves a checkpoint in `root`, and reads it."""
  state = make_state(1)
  checkpoints = Checkpoints(root)
  checkpoints.save(1, state)
  checkpoints.close()
  assert_same(Checkpoints(root, read_only=True).restore(1, state), state)


@pytest.mark.parametrize('name', FINE)
def test_names_in_which_checkpoints_come_back(tmp_path, name):
  workdir.check_path(tmp_path / name / 'run')
  round_trip(tmp_path / name / 'run')


@pytest.mark.parametrize('name', LOST)
def test_names_in_which_they_would_be_lost_are_refused_before_anything_is_made(tmp_path, name):
  """The whole path counts: a folder above the run's is enough."""
  for root in (tmp_path / name, tmp_path / name / 'run'):
    with pytest.raises(WorkdirError, match=r'could not be read again, because of .*with --workdir=<path>'):
      workdir.check_path(root)
    with pytest.raises(CheckpointError, match=r'could not be read, because of .* in its path; rename that directory'):
      Checkpoints(root)
  assert list(tmp_path.iterdir()) == []


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=PIECES.filter(lambda name: name not in ('.', '..')))
def test_any_name_works_or_is_refused(tmp_path, name):
  if unwritable_part(tmp_path / name):
    with pytest.raises(CheckpointError, match='because of'):
      Checkpoints(tmp_path / name)
  else:
    round_trip(tmp_path / name)


def test_a_run_that_was_moved_to_such_a_directory_is_read(tmp_path):
  """Where it can be. Nothing is trained there."""
  round_trip(tmp_path / 'run')
  for name in LOST:
    moved = os.path.join(tmp_path, name)
    os.rename(tmp_path / 'run', moved)
    if unreadable_part(moved):
      with pytest.raises(CheckpointError, match=r'cannot be read, because of .*; rename that directory'):
        Checkpoints(moved, read_only=True)
    else:
      assert_same(Checkpoints(moved, read_only=True).restore(1, make_state()), make_state(1))
    os.rename(moved, tmp_path / 'run')
  assert [name for name in LOST if unreadable_part(name)] == ['a\\b', 'a\\', '\\[', '**', 'a**b', 'gs:', 'a\udcffb']


@pytest.mark.parametrize('name', [*FINE, *LOST, '../faces [v2]', 'a/gs:/b'])
def test_default_names_are_harmless(name):
  made = workdir.default_workdir(f'configs/{name}.py', 'folder', {'data.path': name, 'data.name': 'folder'})
  for part in (made, safe_name(name)):
    assert unwritable_part(part) is None
    assert not set('[]*?\\\n') & set(str(part))
  assert len(made.parts) == 2


def test_the_programs_refuse_before_training(tmp_path):
  with pytest.raises(WorkdirError, match=r"because of '\[' in '\[lab\] gan' in its path; name another with --workdir"):
    train.run(dirac.get_config(), tmp_path / '[lab] gan', [])
  with pytest.raises(WorkdirError, match=r"because of '\[' in 'sw \[a\]' in its path; name another with --workdir"):
    check_home(str(tmp_path / 'sw [a]'))
  with pytest.raises(WorkdirError, match=r"because of '\[' in 'one\[1\]' in its path; name another with --out"):
    extract(str(tmp_path / 'sweep'), 'run', tmp_path / 'one[1]')
  assert list(tmp_path.iterdir()) == []
