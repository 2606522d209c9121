"""Directories of sweeps as training would leave them, with whatever results a test wants; nothing is trained."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.executors import population_dir
from experiments.plan import Group, Plan, save_plan
from experiments.sweep import Run, load_sweep
from gan.config import flatten
from gan.population.store import SAMPLES, Store

ENVIRONMENT = {'argv': ['-m', 'experiments.run'], 'git_commit': 'c0ffee' * 6, 'git_dirty': True, 'python': '3.11.7',
               'platform': 'gpu', 'device_kind': 'abacus', 'device_count': 2, 'cpu_cores': 8, 'version.jax': '9.8.7',
               'version.flax': '9.8.6', 'version.optax': '9.8.5', 'version.numpy': '9.8.4'}
POINTS, PIXELS = (200, 2), (16, 8, 8, 1)


class Life(NamedTuple):
  """What a run went through.

  Attributes:
    scores: metric -> value at each evaluation.
    verdict: the last one.
    ends: share of the steps after which it was stopped.
    also: a failure beside it, if any.
  """

  scores: dict[str, Sequence[float]]
  verdict: str = 'healthy'
  ends: float = 1.0
  also: str | None = None


def make(root: Path, text: str, live: Callable[[Run], Life], steps: int = 400, num_rows: int = 8,
         under_way: Callable[[Run], bool] = lambda run: False) -> str:
  """Writes a sweep file and the directory of the sweep; returns the latter.

  Args:
    root: directory to be used.
    text: of the sweep file, after its imports.
    live: what becomes of a run.
    steps: of every run.
    num_rows: logged; scores are evaluated at every other one.
    under_way: which runs are half way: their population is.
  """
  root.mkdir(exist_ok=True)
  spec, workdir = root / 'sweep.py', root / 'sweep'
  spec.write_text(f'from experiments.sweep import *\n{text}')
  sweep = load_sweep(str(spec))
  groups: dict[tuple, list[Run]] = {}
  for run in sweep.runs:
    groups.setdefault((run.file, run.overrides.get('train.disc_steps'), under_way(run)), []).append(run)
  plan = Plan(str(spec), {run.id: {'file': run.file, 'overrides': run.overrides, 'command': run.command,
                                   'config': _flat(run, steps)} for run in sweep.runs},
              [Group(f'{i:03d}', [run.id for run in runs], 1, 1.0) for i, runs in enumerate(groups.values())])
  save_plan(plan, str(workdir))
  for group, (key, runs) in zip(plan.groups, groups.items(), strict=True):
    store = Store(population_dir(str(workdir), group.name))
    _population(store, runs, plan.configs(group), live, steps, num_rows, key[2])
  return str(workdir)


def _flat(run: Run, steps: int) -> dict:
  return flatten(run.config) | {'train.num_steps': steps}


def _population(store, runs, configs, live, steps, num_rows, half_way):
  is_image = 'dcgan' in runs[0].file
  name = runs[0].config.data.name
  data = {'name': name, 'sample_shape': [8, 8, 1] if is_image else [2]}
  store.claim([run.id for run in runs], configs, data, ENVIRONMENT)
  lives, rng = [live(run) for run in runs], np.random.default_rng(len(runs))
  rows = []
  for i in range(1, (num_rows // 2 if half_way else num_rows) + 1):
    share, step = i / num_rows, round(steps * i / num_rows)
    alive = [life.ends >= share for life in lives]
    row = {'step': step, 'alive': alive, 'stopped_at': [step if a else round(steps * life.ends)
                                                       for a, life in zip(alive, lives, strict=True)],
           'disc/accuracy': (0.5 + 0.3 / i + 0.05 * rng.standard_normal(len(runs))).clip(0, 1).tolist(),
           'time/elapsed_sec': 60.0 * i}
    if i % 2 == 0:
      for metric in lives[0].scores:
        row[f'eval/{metric}'] = [float(life.scores[metric][i // 2 - 1]) if a else None
                                 for a, life in zip(alive, lives, strict=True)]
      row['health/verdict'] = [life.verdict if share >= min(life.ends, 1.0) else 'healthy' for life in lives]
      failed = [verdict != 'healthy' for verdict in row['health/verdict']]
      for key, value in (('metric', 'disc/loss'), ('value', float('nan')), ('threshold', 1000.0)):
        row[f'health/{key}'] = [value if bad else None for bad in failed]
        row[f'health/{key}_2'] = [value if bad and life.also else None for bad, life in zip(failed, lives, strict=True)]
      row['health/verdict_2'] = [life.also if bad else None for bad, life in zip(failed, lives, strict=True)]
    rows.append(row)
  for first in range(0, len(rows), 2):  # A part for each checkpoint, of which training keeps two.
    part = rows[first:first + 2]
    store.write_rows(part[-1]['step'], part)
    if first >= len(rows) - 4:
      (store.root / 'checkpoints' / str(part[-1]['step'])).mkdir(parents=True)
  if not half_way:
    buffer = io.BytesIO()
    if is_image:
      samples = rng.integers(0, 255, (len(runs), *PIXELS), dtype=np.uint8)
    else:
      angles = 2 * np.pi * rng.integers(0, 8, (len(runs), POINTS[0])) / 8
      points = np.stack([np.cos(angles), np.sin(angles)], -1) + 0.02 * rng.standard_normal((len(runs), *POINTS))
      samples = points.astype(np.float32)
    np.savez_compressed(buffer, samples=samples)
    (store.root / SAMPLES).write_bytes(buffer.getvalue())
