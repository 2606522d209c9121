"""A sweep of every objective without regulariser, with R1, with a gradient penalty and with spectral norm.

  python -m experiments.run --sweep=experiments/loss_zoo.py                  # small: ring; too few seeds for claims
  python -m experiments.run --sweep=experiments/loss_zoo.py:full             # grid, digits and MNIST too; for a GPU

Wasserstein without any regulariser is left out: its loss has no minimum. All objectives share one learning rate, which
favours some of them: this sweep shows how objectives perform untuned, `lucic` what each can reach with tuning.
"""

from typing import Any

from experiments.sweep import chain, fix, param, product
from gan.losses import LOSSES

CONFIG = 'configs/toy.py:ring'
QUESTION = 'What do 26 objectives do out of the box, and what does each regulariser change?'
BY = 'loss.name'
METRIC = {'configs/toy.py:ring': 'modes', 'configs/toy.py:grid': 'modes', 'configs/dcgan.py:digits': 'fd_classifier',
          'configs/dcgan.py:mnist': 'fd_classifier'}
BASELINE = 'nonsaturating'
REGULARISERS = chain(fix({}), fix({'penalty.r1': 0.1}), fix({'penalty.gp': 1.0}),
                     fix({'model.disc.spectral_norm': True}))


def sweep(size: str = 'small') -> list[dict[str, Any]]:
  """Return the runs. Small: ring, 3 seeds, 1,000 steps. Full: four data sets, the steps of their configs, 16 seeds.

  With fewer than 14 seeds, not even the clearest outcome would be significant after the correction for 396 comparisons.
  """
  if size == 'small':
    base, seeds = fix({'train.num_steps': 1_000, 'train.eval_every': 250, 'train.save_every': 500}), range(3)
  else:
    seeds = range({'full': 16}[size])
    images = product(param('config', ['configs/dcgan.py:digits', 'configs/dcgan.py:mnist']),
                     fix({'model.disc.batch_norm': False}))
    base = chain(param('config', ['configs/toy.py:ring', 'configs/toy.py:grid']), images)
  runs = product(base, REGULARISERS, param('loss.name', list(LOSSES)), param('seed', seeds))
  bounded = ('penalty.r1', 'penalty.gp', 'model.disc.spectral_norm')
  return [run for run in runs if run['loss.name'] != 'wasserstein' or any(field in run for field in bounded)]
