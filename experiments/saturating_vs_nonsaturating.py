"""A sweep of the saturating and the non-saturating loss (Goodfellow et al. 2014, arXiv:1406.2661, section 3).

  python -m experiments.run --sweep=experiments/saturating_vs_nonsaturating.py            # small
  python -m experiments.run --sweep=experiments/saturating_vs_nonsaturating.py:full

The discriminator is normal or strong: one or five updates for each update of the generator. The data are mixtures,
whose modes can be counted, and images.
"""

from typing import Any

from experiments.sweep import chain, fix, param, product

CONFIG = 'configs/toy.py:ring'
QUESTION = 'Which form of the generator loss trains better, saturating (minimax) or non-saturating?'
BY = 'loss.name'
METRIC = {'configs/toy.py:ring': 'modes', 'configs/toy.py:grid': 'modes', 'configs/dcgan.py:digits': 'fd_classifier',
          'configs/dcgan.py:mnist': 'fd_classifier'}
LOSSES = ('saturating', 'nonsaturating')
PUBLISHED = [
    {'setting': {'config': 'configs/dcgan.py:mnist'}, 'arm': arm, 'metric': 'FID on MNIST', 'value': value,
     'source': 'Lucic et al. 2018, arXiv:1711.10337: mean +- std over 50 reruns of the best of 100 settings',
     'note': 'collapsed runs are left out, so the failure rate is unknown'}
    for arm, value in {'saturating': '9.8 +- 0.9', 'nonsaturating': '6.8 +- 0.5'}.items()]
DISC_STEPS = param('train.disc_steps', [1, 5])


def sweep(size: str = 'small') -> list[dict[str, Any]]:
  """Return the runs with both losses.

  Small: ring with both discriminators and digits with the normal discriminator, 16 seeds. Full: ring, grid, digits and
  MNIST with both discriminators, 32 seeds.
  """
  if size == 'small':
    seeds = param('seed', range(16))
    ring = product(fix({'train.num_steps': 3_000, 'train.eval_every': 500, 'train.log_every': 100}), DISC_STEPS)
    digits = fix({'config': 'configs/dcgan.py:digits', 'model.gen.width': 16, 'model.disc.width': 16,
                  'train.num_steps': 1_000, 'train.eval_every': 250, 'train.sample_every': 500,
                  'eval.num_samples': 1_000})
  else:
    sizes = {'full': 32}
    seeds = param('seed', range(sizes[size]))
    ring = product(param('config', ['configs/toy.py:ring', 'configs/toy.py:grid']), DISC_STEPS)
    digits = product(param('config', ['configs/dcgan.py:digits', 'configs/dcgan.py:mnist']), DISC_STEPS)
  return product(chain(ring, digits), param('loss.name', LOSSES), seeds)
