"""Drills: runs constructed to fail, each in one way, and healthy runs. They test the thresholds of gan/health.py.

Each run takes seconds on a CPU. The scalars come from the same loop as in gan/run/train.py, which itself is not used.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from configs import dcgan, linear_quadratic, toy, vanilla
from gan import build, randomness
from gan.config.complete import complete
from gan.health import Verdict, judge
from gan.metrics import NonFiniteSamplesError
from gan.sampling import make_stream
from gan.scoring.evaluator import make_evaluator

SMALL = {'model.gen.width': 64, 'model.disc.width': 64, 'train.batch_size': 64, 'train.num_steps': 2_000,
         'train.log_every': 25, 'train.eval_every': 200, 'train.ema_decay': 0.99, 'eval.num_samples': 1_000}
TINY_IMAGES = {'model.gen.width': 16, 'model.disc.width': 16, 'train.batch_size': 32, 'train.num_steps': 400,
               'train.log_every': 5, 'train.eval_every': 80, 'train.ema_decay': 0.95, 'eval.num_samples': 256}
# Name -> the config, and the overrides that make it small.
FILES = {'toy': (toy, SMALL), 'dcgan': (dcgan, TINY_IMAGES), 'vanilla': (vanilla, TINY_IMAGES),
         'linear_quadratic': (linear_quadratic, {})}


def both(**settings: Any) -> dict[str, Any]:
  """Return overrides that give both optimizers the same settings."""
  return {f'optimizer.{player}.{name}': value for player in ('gen', 'disc') for name, value in settings.items()}


class Drill(NamedTuple):
  """A setting with an expected outcome.

  Attributes:
    kind: the expected verdict.
    file: key of FILES.
    argument: argument of its get_config.
    overrides: dotted fields and their values.
  """

  kind: str
  file: str
  argument: str
  overrides: dict[str, Any]

  @property
  def config(self) -> ml_collections.ConfigDict:
    """The complete configuration."""
    file, small = FILES[self.file]
    return complete(file.get_config(self.argument), small | self.overrides)


TOO_FAST = {'optimizer.disc.lr': 2e-3, 'train.disc_steps': 5}  # Ten times the learning rate, five times the updates.
LONGER = {'train.num_steps': 4_000, 'train.log_every': 50, 'train.eval_every': 400}   # For losses that learn slowly.
LONGER_IMAGES = {'train.num_steps': 800, 'train.log_every': 10, 'train.eval_every': 160}
MOMENTUM = {'update.rule': 'simultaneous'}  # Simultaneous updates with momentum (set in each drill) overshoot.
DRILLS = {
    'ring': Drill('healthy', 'toy', 'ring', {}),
    'ring, hinge': Drill('healthy', 'toy', 'ring,loss=hinge', LONGER),
    'ring, least squares': Drill('healthy', 'toy', 'ring,loss=least_squares', {}),
    'ring, R1': Drill('healthy', 'toy', 'ring', {'penalty.r1': 0.1}),
    'ring, WGAN-GP': Drill('healthy', 'toy', 'ring,loss=wasserstein', {'penalty.clip': 0.0, 'penalty.gp': 0.1}),
    'digits': Drill('healthy', 'dcgan', 'digits', LONGER_IMAGES),
    'learning rate 1': Drill('diverged', 'toy', 'ring', both(lr=1.0)),
    'learning rate 1, SGD': Drill('diverged', 'toy', 'ring', both(lr=1.0, name='sgd')),
    'learning rate 1, digits': Drill('diverged', 'vanilla', 'digits', both(lr=1.0)),
    'too fast D': Drill('discriminator saturated', 'vanilla', 'digits,loss=saturating', TOO_FAST),
    'tiny G on grid': Drill('mode collapse', 'toy', 'grid', {'model.gen.width': 1}),
    'too fast G': Drill('mode collapse', 'vanilla', 'digits', {'optimizer.gen.lr': 2e-3, 'update.gen_steps': 5}),
    'WGAN, tight clip': Drill('low quality', 'toy', 'ring,loss=wasserstein', {'penalty.clip': 0.01}),  # Nearly flat D.
    'idle G': Drill('generator stalled', 'toy', 'ring', {'optimizer.gen.lr': 1e-7}),
    'WGAN, momentum': Drill('oscillating', 'toy', 'ring', MOMENTUM | both(b1=0.9, lr=2e-3) | {
        'loss.name': 'wasserstein', 'penalty.clip': 0.1}),
    'SGD, momentum': Drill('oscillating', 'toy', 'ring', MOMENTUM | both(b1=0.9, lr=0.005, name='sgd')),
    'linear-quadratic': Drill('oscillating', 'linear_quadratic', '', {}),
}


def run(config: ml_collections.ConfigDict, seeds: Sequence[int]) -> Iterator[list[dict[str, float]]]:
  """Yield the rows that a run of each seed logs, up to its end or its first step that is not finite.

  The program is compiled once for all seeds.
  """
  data = build.open_data(config)
  built = build.build(config, data.columns, jax.devices()[:1])
  settings = config.train
  evaluator = make_evaluator(config, data)
  stream, num = make_stream(built.game), config.eval.num_samples
  batches = build.make_pipeline(config, data, built.parallel, jax.random.key(0))
  loop = build.make_loop(config, built, batches)
  for seed in seeds:
    state, rows, finite = build.make_initial_state(built, seed), [], True
    for stop in (1, *range(settings.log_every, settings.num_steps + 1, settings.log_every)):
      start = rows[-1]['step'] if rows else 0
      state, scalars, last = loop(state, batches.feed(start, stop - start), built.hparams, np.int32(stop - start))
      row = {'step': int(last[0])} | {name: float(value) for name, value in jax.device_get(scalars).items()}
      rows.append(row)
      finite = bool(last[1])
      if finite and stop % settings.eval_every == 0:
        try:
          scores = evaluator.score(stream(state.ema, randomness.purpose_key(state.rng, 'evaluation'), num), num, '')
          row |= {f'eval/{score.metric}': score.value for score in scores}
        except NonFiniteSamplesError:
          row['eval/scale'] = np.inf
          finite = False
      if not finite:
        break
    yield rows


def verdicts(rows: list[dict[str, float]]) -> list[Verdict]:
  """Judge a run at each evaluation, and at its end."""
  stops = [i for i, row in enumerate(rows, start=1) if i == len(rows) or any(name.startswith('eval/') for name in row)]
  return [judge(rows[:stop]) for stop in stops]
