"""The run of a population, and what it writes of a member beside what the run alone does."""

import math
import os
import shutil
import signal

import jax
import pytest

from experiments.sweep import make_run
from gan.population.members import extract
from gan.population.run import is_finished, run
from gan.population.store import Store, member_rows
from gan.run import train
from gan.run.report import MetricsError, read_metrics

EVERY = {'train.num_steps': 4, 'train.log_every': 1, 'train.eval_every': 1, 'train.save_every': 4,
         'train.sample_every': 4, 'train.steps_per_call': 3}
RARELY = {'train.num_steps': 12, 'train.log_every': 12, 'train.eval_every': 4, 'train.save_every': 4,
          'train.sample_every': 12, 'train.steps_per_call': 3, 'train.batch_size': 32}


def together(root, file, members, say=lambda text: None):
  runs = [make_run(member, file) for member in members]
  code = run([one.id for one in runs], [one.config for one in runs], str(root), [], jax.devices()[:1], say=say)
  return runs, code


@pytest.mark.parametrize(('file', 'base', 'members', 'ends'), [
    ('configs/toy.py:runlocal', EVERY, [{'optimizer.gen.lr': 1e13}, {}], 1),  # Its first samples are not finite.
    ('configs/dirac.py', RARELY, [{'penalty.r1': 0.5}, {'penalty.r1': 2.0}], 12)])
def test_a_member_logs_what_the_run_alone_logs(tmp_path, file, base, members, ends):
  """At the same steps the same scalars, slopes at evaluations among them; and the same end."""
  runs, code = together(tmp_path / 'together', file, [base | member for member in members])
  assert code == 0
  try:
    train.run(runs[0].config, tmp_path / 'alone', [])
  except train.NonFiniteError:
    assert ends < base['train.num_steps']
  alone = read_metrics(tmp_path / 'alone' / 'metrics.jsonl')
  rows = Store(str(tmp_path / 'together')).rows()
  own = member_rows(rows, 0)
  assert [row['step'] for row in own] == [row['step'] for row in alone]
  assert own[-1]['step'] == ends
  for ours, theirs in zip(own, alone, strict=True):
    assert set(ours) == set(theirs)
    assert ours.get('health/verdict') == theirs.get('health/verdict')
  assert member_rows(rows, 1)[-1]['step'] == base['train.num_steps']
  if ends == 1:
    assert own[-1]['eval/scale'] == math.inf
    assert own[-1]['health/verdict'] == 'diverged'
    assert rows[-1]['alive'] == [False, True]


def test_a_population_whose_newest_checkpoint_is_damaged_goes_on_from_the_one_before(tmp_path):
  root, said = tmp_path / 'together', []
  settings = RARELY | {'train.log_every': 1}
  runs, _ = together(root, 'configs/dirac.py', [settings])
  logged = [row['step'] for row in Store(root).rows()]
  assert sorted(path.name for path in (root / 'checkpoints').iterdir()) == ['12', '8']
  shutil.rmtree(root / 'checkpoints' / '12' / 'state')
  assert extract(str(root), runs[0].id, tmp_path / 'one') == 8  # With the rows of that checkpoint, not later ones.
  assert [row['step'] for row in read_metrics(tmp_path / 'one' / 'metrics.jsonl')] == logged[:8]
  (root / 'samples.npz').unlink()
  together(root, 'configs/dirac.py', [settings], said.append)
  assert 'checkpoints/12 is damaged' in said[0]
  assert 'Resuming 1 members at step 8 of 12' in said[1]
  assert [row['step'] for row in Store(root).rows()] == logged == list(range(1, 13))

  (root / 'metrics' / '00000004.jsonl').unlink()
  with pytest.raises(MetricsError, match=r'00000004.jsonl is missing, and with it the rows up to step 4'):
    together(root, 'configs/dirac.py', [settings])
  (root / 'members.json').unlink()  # It is not made again from what is asked for now.
  with pytest.raises(MetricsError, match=r'members.json cannot be read'):
    together(root, 'configs/dirac.py', [settings])


def test_a_signal_at_the_very_end_is_heard(tmp_path):
  """The population is finished, and whoever trains several does not begin the next one."""
  def say(text):
    if text.startswith('step 4/4'):
      os.kill(os.getpid(), signal.SIGTERM)

  _, code = together(tmp_path, 'configs/toy.py:runlocal', [EVERY], say)
  assert code == 128 + signal.SIGTERM
  assert is_finished(str(tmp_path))
