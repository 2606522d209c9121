"""Table 1 of PacGAN (Lin et al. 2018, arXiv:1712.04086): how packing helps to cover the modes of ring and grid.

  python -m experiments.run --sweep=experiments/pacgan_table1.py         # small: ring, pac 1 and 2, 5% of the updates
  python -m experiments.run --sweep=experiments/pacgan_table1.py:ring    # the same, all updates; for a GPU
  python -m experiments.run --sweep=experiments/pacgan_table1.py:full    # ring and grid, pac 1 to 4, both losses
  python -m experiments.run --sweep=experiments/pacgan_table1.py:adam    # ring, the other meaning of their beta1
  python -m experiments.run --sweep=experiments/pacgan_table1.py:data    # ring, nearer to their batch norm and data
  python -m experiments.run --sweep=experiments/pacgan_table1.py:adam_small      # 5% of the updates; data_small, too
  python -m experiments.run --sweep=experiments/pacgan_table1.py:decay      # GAN, 8,000 updates: steps that fall to 0

The protocol is that of configs/pacgan.py: maxout discriminator, 400,000 simultaneous updates of 100 packs (that a batch
of 100 counts packs, not samples, is how their code has it: the place is cited there), ten trials, 2,500 samples. Five
per cent of the updates are not comparable with the paper.

Their reverse KL counts good samples only, which is `high_quality_reverse_kl` here; `reverse_kl` counts all samples, and
is the only one of the two that older runs have.

Left open is the library below their code: `beta1=0.8` of Adam is the weight of the newest gradient in what Blocks had
released by then (0.2, 2016; b1=0.2 here), and that of the old ones in its development version since January 2017
(github.com/mila-iqia/blocks/pull/1176); which one they had, nothing says. And two things are simpler in
configs/pacgan.py than there: batch norm sees each place of a pack by itself in their code, and data are 100,000 packs,
put together once for each run out of 100,000 points. `data` has the former, and 100,000 points that all runs share,
packed anew in each epoch. `decay` asks how many samples miss their modes for the length of the steps alone.
"""

from typing import Any

from experiments.sweep import fix, param, product

CONFIG = 'configs/pacgan.py:ring'
QUESTION = 'How much does packing help to cover the modes of ring and grid?'
BY = 'model.disc.pack'
METRIC = 'modes'
SOURCE = 'PacGAN, Table 1, arXiv:1712.04086: 10 trials, +- standard error'
TABLE = {  # Data and samples in a pack: modes, share of good samples, reverse KL of good samples.
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
# Where a step takes less than a millisecond, angles and slopes would take a quarter of it, and dispatches, pictures and
# checkpoints have to be rarer.
ON_GPU = {'train.dynamics': False, 'train.steps_per_call': 500, 'train.sample_every': 100_000,
          'train.save_every': 50_000}


def sweep(size: str = 'small') -> list[dict[str, Any]]:
  """Small: 20 runs of 20,000 updates, over an hour on two CPU cores. Ring: of 400,000, minutes on a GPU. Full: 160.

  Adam and data: 20 like ring; adam_small and data_small like small. Decay: 20, 71 minutes on two busy CPU cores.
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
  data = {'full': ('ring', 'grid'), 'ring': ('ring',)}[size]  # ring: what the paper's first columns need.
  losses = param('loss.name', ['nonsaturating', 'saturating'] if size == 'full' else ['nonsaturating'])
  base = product(param('config', [f'configs/pacgan.py:{name}' for name in data]), fix(ON_GPU))
  return product(base, losses, _packs([1, 2, 3, 4] if size == 'full' else [1, 2]), seeds)


def _packs(packs: list[int]) -> list[dict[str, Any]]:
  """A batch is 100 packs."""
  return [{'model.disc.pack': pack, 'train.batch_size': 100 * pack} for pack in packs]
