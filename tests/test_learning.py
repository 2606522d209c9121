"""Training reaches what it should: minutes each."""

import pytest

from gan.run.report import read_metrics
from tests import runs


def train(workdir, *arguments: str) -> dict[str, float]:
  """Trains a run to its end; returns its last row."""
  run = runs.Run('gan.main', *arguments, f'--workdir={workdir}', env={'XLA_FLAGS': ''})
  code, _, err = run.finish(timeout=900)
  assert code == 0, err
  return read_metrics(workdir / 'metrics.jsonl')[-1]


@pytest.mark.slow
def test_ring_is_covered(tmp_path):
  last = train(tmp_path, '--config=configs/toy.py:ring', '--config.train.num_steps=5000')
  assert last['eval/modes'] >= 7
  assert last['eval/high_quality'] > 0.7
  assert last['eval/reverse_kl'] < 0.1


@pytest.mark.slow
def test_the_demo_is_as_diverse_as_its_data(tmp_path):
  last = train(tmp_path, '--config=configs/dcgan.py')
  assert 0.75 < last['eval/diversity'] < 1.1
  assert last['disc/real_prob'] > 0.5


@pytest.mark.slow
@pytest.mark.parametrize('loss', ['saturating', 'least_squares', 'hinge', 'wasserstein'])
def test_every_loss_spreads_over_the_ring(tmp_path, loss):
  last = train(tmp_path, f'--config=configs/toy.py:ring,loss={loss}', '--config.train.num_steps=5000')
  assert last['eval/reverse_kl'] < 0.7  # log 8 = 2.08 for one mode.
