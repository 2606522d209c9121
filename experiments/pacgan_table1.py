"""Table 1 of PacGAN (Lin et al. 2018, arXiv:1712.04086): how packing helps to cover the modes of ring and grid.

  python -m experiments.run --sweep=experiments/pacgan_table1.py         # small: ring, pac 1 and 2, 5% of the updates
  python -m experiments.run --sweep=experiments/pacgan_table1.py:ring    # the same, all updates; for a GPU
  python -m experiments.run --sweep=experiments/pacgan_table1.py:full    # ring and grid, pac 1 to 4, both losses
  python -m experiments.run --sweep=experiments/pacgan_table1.py:adam    # ring, the other reading of their beta1
  python -m experiments.run --sweep=experiments/pacgan_table1.py:data    # ring, nearer to their batch norm and data
  python -m experiments.run --sweep=experiments/pacgan_table1.py:adam_small     # 5% of the updates; also data_small
  python -m experiments.run --sweep=experiments/pacgan_table1.py:decay   # ring, 8,000 updates, rates that fall to 0

The protocol is that of configs/pacgan.py: maxout discriminator, 400,000 simultaneous updates of 100 packs, ten trials,
2,500 samples. A batch of 100 counts packs, not samples, as in the authors' code (configs/pacgan.py cites the file).
Results after 5% of the updates are not comparable with the paper.

Their reverse KL counts high-quality samples only: `high_quality_reverse_kl` here. `reverse_kl` counts all samples, and
older runs have only this score.

The meaning of their Adam setting `beta1=0.8` depends on their version of the library Blocks, which is not recorded. In
the release of that time (0.2, 2016), 0.8 is the weight of the newest gradient, which is b1=0.2 here; `adam` uses this
reading. In the development version since January 2017 (github.com/mila-iqia/blocks/pull/1176), 0.8 is the weight of the
old gradients.

configs/pacgan.py simplifies two things. In their code, batch norm normalises each place of a pack separately; and the
data are 100,000 packs, which are formed once for each run from 100,000 points. `data` has this batch norm, and 100,000
points that all runs share and that are packed anew in each epoch.

`decay` compares constant rates with rates that fall to 0: how many samples miss their modes only because of the step
size?
"""

from typing import Any

from experiments.sweep import fix, param, product

CONFIG = 'configs/pacgan.py:ring'
QUESTION = 'How much does packing help to cover the modes of ring and grid?'
BY = 'model.disc.pack'
METRIC = 'modes'
SOURCE = 'PacGAN, Table 1, arXiv:1712.04086: 10 trials, +- standard error'
TABLE = {  # (data, size of a pack) -> modes, share of high-quality samples, reverse KL of high-quality samples.
    ('ring', 1): ('6.3 +- 0.5', '0.982 +- 0.002', '0.45 +- 0.09'),
    ('ring', 2): ('7.9 +- 0.1', '0.956 +- 0.020', '0.07 +- 0.03'),
    ('ring', 3): ('7.8 +- 0.1', '0.977 +- 0.003', '0.10 +- 0.02'),
    ('ring', 4): ('7.8 +- 0.1', '0.959 +- 0.014', '0.07 +- 0.02'),
    ('grid', 1): ('17.3 +- 0.8', '0.948 +- 0.007', '0.70 +- 0.07'),
    ('grid', 2): ('23.8 +- 0.7', '0.913 +- 0.008', '0.13 +- 0.04'),
    ('grid', 3): ('24.6 +- 0.4', '0.942 +- 0.006', '0.06 +- 0.02'),
    ('grid', 4): ('24.8 +- 0.2', '0.936 +- 0.006', '0.04 +- 0.01')}
PUBLISHED = [
    {'setting': {'config': f'configs/pacgan.py:{data}', 'loss.name': 'nonsaturating'}, 'arm': pack, 'metric': metric,
     'value': value, 'source': SOURCE, 'note': 'after 400,000 updates; not comparable with fewer'}
    for (data, pack), values in TABLE.items()
    for metric, value in zip(('modes', 'high_quality', 'high_quality_reverse_kl'), values, strict=True)]
SEEDS = 10
FIVE_PERCENT = {'train.num_steps': 20_000, 'train.eval_every': 1_000, 'train.save_every': 2_000}
# On a GPU a step takes less than a millisecond. Angles and slopes would add a quarter to this time, and dispatches,
# pictures and checkpoints must be rarer.
ON_GPU = {'train.dynamics': False, 'train.steps_per_call': 500, 'train.sample_every': 100_000,
          'train.save_every': 50_000}


def sweep(size: str = 'small') -> list[dict[str, Any]]:
  """Return the runs.

  * `small`: 20 runs of 20,000 updates, more than an hour on two CPU cores.
  * `ring`: 20 runs of 400,000 updates, minutes on a GPU.
  * `full`: 160 runs of 400,000 updates.
  * `adam`, `data`: 20 runs each, like `ring`; `adam_small`, `data_small`: 20 runs each, like `small`.
  * `decay`: 20 runs of 8,000 updates, 71 minutes on two busy CPU cores.
  """
  seeds, packs = param('seed', range(SEEDS)), _packs([1, 2])
  if size == 'decay':
    steps = 8_000
    schedules = [{f'schedule.optimizer.{player}.lr': text for player in ('gen', 'disc')}
                 for text in ('', f'linear,over={steps}')]
    return product(fix(FIVE_PERCENT | {'train.num_steps': steps}), _packs([1]), schedules, seeds)
  if size == 'small':
    return product(fix(FIVE_PERCENT), packs, seeds)
  variants = {'adam': product(packs, fix({'optimizer.gen.b1': 0.2, 'optimizer.disc.b1': 0.2})),
              'data': [pack | {'model.gen.places': pack['model.disc.pack'], 'data.num_points': 100_000}
                       for pack in packs]}
  if (variant := size.removesuffix('_small')) in variants:
    return product(fix(ON_GPU if size == variant else FIVE_PERCENT), variants[variant], seeds)
  data = {'full': ('ring', 'grid'), 'ring': ('ring',)}[size]
  losses = param('loss.name', ['nonsaturating', 'saturating'] if size == 'full' else ['nonsaturating'])
  base = product(param('config', [f'configs/pacgan.py:{name}' for name in data]), fix(ON_GPU))
  return product(base, losses, _packs([1, 2, 3, 4] if size == 'full' else [1, 2]), seeds)


def _packs(packs: list[int]) -> list[dict[str, Any]]:
  """Return a setting for each size of a pack; a batch is 100 packs."""
  return [{'model.disc.pack': pack, 'train.batch_size': 100 * pack} for pack in packs]
