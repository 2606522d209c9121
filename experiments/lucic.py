"""A random search of hyperparameters for each objective, and reruns of its best setting, with failures counted.

  python -m experiments.run --sweep=experiments/lucic.py                     # the search, small
  python -m experiments.run --sweep=experiments/lucic.py:rerun               # reruns of the best settings of runs/lucic
  python -m experiments.run --sweep=experiments/lucic.py:search_full
  python -m experiments.run --sweep=experiments/lucic.py:rerun_full

The protocol follows Lucic et al. 2018 ("Are GANs created equal?", arXiv:1711.10337), who searched learning rate, beta1,
discriminator updates and penalty weights at random, and reran the best setting 50 times. They left out severely
collapsed runs; here these runs count as failures.
"""

from typing import Any

from experiments.sweep import SweepError, chain, fix, param, product, sample, zip_

CONFIG = 'configs/dcgan.py:digits'
QUESTION = 'Tuned with the same budget each, which objective is best, and how often does its best setting fail?'
BY = 'loss.name'
METRIC = 'fd_classifier'
TUNED = ('optimizer.gen.lr', 'optimizer.gen.b1', 'optimizer.disc.lr', 'optimizer.disc.b1', 'train.disc_steps')
REPLICATES = TUNED   # In the search, settings are replicates of an objective; in reruns they are part of its arm.
LOSSES = ('saturating', 'nonsaturating', 'least_squares', 'hinge')
PUBLISHED = [
    {'setting': {'config': 'configs/dcgan.py:mnist'}, 'arm': arm, 'metric': 'FID', 'value': value,
     'source': 'Lucic et al. 2018, arXiv:1711.10337: mean +- std over 50 reruns',
     'note': 'FID of larger networks, collapsed runs left out; not a number to compare with ours'}
    for arm, value in {'saturating': '9.8 +- 0.9', 'nonsaturating': '6.8 +- 0.5',
                       'least_squares': '7.8 +- 0.6'}.items()]
SMALL = {'model.gen.width': 16, 'model.disc.width': 16, 'train.num_steps': 500, 'train.eval_every': 125,
         'train.sample_every': 500, 'train.save_every': 250, 'eval.num_samples': 1_000}


def sweep(size: str = 'search') -> list[dict[str, Any]]:
  """Return the runs.

  `search`: 16 settings for each objective on digits. `rerun`: the best setting of each objective, 16 seeds.
  `search_full`, `rerun_full`: MNIST with 100 settings and 50 seeds.
  """
  full = size.endswith('_full')
  base = fix({'config': 'configs/dcgan.py:mnist'} if full else SMALL)
  if size in ('search', 'search_full'):
    return product(base, param('loss.name', LOSSES), _settings(100 if full else 16))
  if size in ('rerun', 'rerun_full'):
    best = [_best(loss, 'runs/lucic_search_full' if full else 'runs/lucic') for loss in LOSSES]
    seeds = range(100, 150 if full else 116)  # The search used none of these seeds.
    return product(base, chain(*map(fix, best)), param('seed', seeds))
  raise KeyError(size)


def _settings(num: int) -> list[dict[str, Any]]:
  """Draw random settings, the same for each objective; both players share learning rate and beta1, as in the paper."""
  rates, momenta = sample('optimizer.gen.lr', 1e-5, 1e-2, num, log=True), sample('optimizer.gen.b1', 0.0, 0.99, num)
  shared = [setting | {field.replace('.gen.', '.disc.'): value for field, value in setting.items()}
            for setting in zip_(rates, momenta)]
  return [setting | {'train.disc_steps': 1 if i % 2 else 5} for i, setting in enumerate(shared)]


def _best(loss: str, workdir: str) -> dict[str, Any]:
  """Return the setting with the best final score of the search."""
  from experiments.results import read_table
  try:
    rows = [row for row in read_table(workdir) if row['loss.name'] == loss]
  except OSError:
    raise SweepError(f'{workdir} has no results yet; run the search first: experiments/lucic.py') from None
  if unfinished := [row['run'] for row in rows if row['status'] in ('running', 'waiting')]:
    raise SweepError(f'{len(unfinished)} runs of {loss} in {workdir} are not finished; let the search end first')
  rows = [row for row in rows if row.get(f'{METRIC}.last') is not None]
  if not rows:
    raise SweepError(f'every run of {loss} in {workdir} diverged, so there is no best setting to rerun; search more '
                     'settings')
  best = min(rows, key=lambda row: row[f'{METRIC}.last'])
  return {'loss.name': loss} | {field: best[field] for field in TUNED}
