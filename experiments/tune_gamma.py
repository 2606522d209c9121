"""A sweep of the weight of R1 over five decades in one population.

  python -m experiments.run --sweep=experiments/tune_gamma.py                # small: ring and digits
  python -m experiments.run --sweep=experiments/tune_gamma.py:full           # more seeds, MNIST; for a GPU
"""

from typing import Any

import numpy as np

from experiments.sweep import chain, fix, param, product

CONFIG = 'configs/toy.py:ring'
QUESTION = 'Which weight of R1 (gamma in gamma/2 E|grad D|^2) trains best, and which ones fail?'
BY = CURVE = 'penalty.r1'
METRIC = {'configs/toy.py:ring': 'high_quality', 'configs/dcgan.py:digits': 'fd_classifier',
          'configs/dcgan.py:mnist': 'fd_classifier'}
GAMMAS = [float(f'{gamma:.3g}') for gamma in np.geomspace(1e-3, 1e2, 32)]


def sweep(size: str = 'small') -> list[dict[str, Any]]:
  """Return the runs, all with 32 gammas.

  Small: ring with 4 seeds and 2,000 steps, digits with 3 seeds and 600 steps. Full: ring, digits and MNIST, 16 seeds.
  """
  gammas, norm_free = param('penalty.r1', GAMMAS), {'model.disc.batch_norm': False}
  if size == 'small':
    ring = product(fix({'train.num_steps': 2_000, 'train.eval_every': 500}), gammas, param('seed', range(4)))
    digits = fix({'config': 'configs/dcgan.py:digits', 'model.gen.width': 16, 'model.disc.width': 16,
                  'train.num_steps': 600, 'train.eval_every': 150, 'train.sample_every': 600, 'train.save_every': 300,
                  'eval.num_samples': 1_000} | norm_free)
    return chain(ring, product(digits, gammas, param('seed', range(3))))
  sizes = {'full': 16}
  seeds = param('seed', range(sizes[size]))
  images = product(param('config', ['configs/dcgan.py:digits', 'configs/dcgan.py:mnist']), fix(norm_free))
  return product(chain(fix({}), images), gammas, seeds)
