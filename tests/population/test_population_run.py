"""The run of a population, and what it writes of a member beside what the run alone does."""

import math
import os
import signal

import jax
import pytest

from experiments.sweep import make_run
from gan import train
from gan.population.run import is_finished, run
from gan.population.store import Store, member_rows
from gan.report import read_metrics

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


def test_a_signal_at_the_very_end_is_heard(tmp_path):
  """The population is finished, and whoever trains several does not begin the next one."""
  def say(text):
    if text.startswith('step 4/4'):
      os.kill(os.getpid(), signal.SIGTERM)

  _, code = together(tmp_path, 'configs/toy.py:runlocal', [EVERY], say)
  assert code == 128 + signal.SIGTERM
  assert is_finished(str(tmp_path))
