"""A sweep to copy, minutes on a laptop: should the discriminator learn faster than the generator (on the ring)?

  python -m experiments.run --sweep=experiments/first_sweep.py            # 8 seeds, to see how much seeds differ
  python -m experiments.run --sweep=experiments/first_sweep.py:confirm    # 24 seeds that the first has not seen

docs/sweeps.md goes through it.
"""

from typing import Any

from experiments.sweep import fix, param, product

CONFIG = 'configs/toy.py:ring'
QUESTION = 'Does a discriminator that learns twice as fast bring more samples near the modes of the ring?'
BY = 'optimizer.disc.lr'
METRIC = 'high_quality'


def sweep(size: str = 'pilot') -> list[dict[str, Any]]:
  """Two learning rates, 8 seeds or 24 others, 2,000 steps each."""
  seeds = {'pilot': range(8), 'confirm': range(100, 124)}[size]
  short = fix({'train.num_steps': 2_000, 'train.eval_every': 250, 'train.save_every': 1_000})
  return product(short, param('optimizer.disc.lr', [1e-3, 2e-3]), param('seed', seeds))
