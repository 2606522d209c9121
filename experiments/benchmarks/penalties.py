r"""Cost of regularisers: steps per second of a norm-free DCGAN-32 with each regulariser and without.

  python -m experiments.benchmarks.penalties

All variants are warmed up, then take turns. The speed of a machine drifts, so the ratio within a turn counts. R1 + R2
is one fused pass that computes the logits of both batches and their slopes.
"""

import argparse
import sys
import time

import jax
import numpy as np

from configs import dcgan
from experiments.benchmarks.timing import Run, describe, describe_machine, drive, foreign_seconds, rate
from gan.build import build, make_initial_state, make_loop, make_pipeline
from gan.config.validate import validate
from gan.data import digits
from gan.run.environment import num_cores

PLAIN = 'plain'
VARIANTS = {
    PLAIN: {},
    'R1': {'penalty.r1': 1.0},
    'R1 + R2': {'penalty.r1': 1.0, 'penalty.r2': 1.0},
    'R1 + R2 by differences': {'penalty.r1': 1.0, 'penalty.r2': 1.0, 'penalty.difference_std': 0.01},
    'R1 + R2 every 16': {'penalty.r1': 1.0, 'penalty.r2': 1.0, 'penalty.every': 16},
    'WGAN-GP': {'penalty.gp': 10.0},
    'spectral norm': {'model.disc.spectral_norm': True},
    'DiffAugment': {'augment.policy': 'color+translation+cutout'},
    'ADA': {'augment.policy': 'ada'},
    'extragradient': {'update.rule': 'extragradient'},
    'consensus': {'update.rule': 'consensus'},
}


def make_variant(overrides: dict, batch_size: int, width: int) -> Run:
  """Make a `Run` of configs/dcgan.py at 32 pixels without batch norm in the discriminator."""
  config = dcgan.get_config('digits,size=32')
  config.model.gen.width = config.model.disc.width = width
  config.model.disc.batch_norm = False
  config.train.batch_size, config.train.steps_per_call = batch_size, 16
  config = validate(config, jax.device_count(), overrides)
  source = digits.load(32, 'train')
  built = build(config, source.columns)
  state = make_initial_state(built, config.seed)
  batches = make_pipeline(config, source, built.parallel, state.rng)
  hparams = built.parallel.place(built.hparams)
  return drive(make_loop(config, built, batches), state, batches, hparams, config.train.steps_per_call)


def main() -> None:
  """Measure, and print a table."""
  parser = argparse.ArgumentParser(description='Cost of regularisers: a norm-free DCGAN-32 with each.')
  for name, default, text in (('repetitions', 5, 'number of turns'),
                              ('steps', 16, 'training steps of each variant in a turn'),
                              ('batch_size', 64, 'number of images'), ('width', 64, 'channels before the last layer')):
    parser.add_argument(f'--{name}', type=int, default=default, help=text)
  parser.add_argument('--only', default='', help='names of variants, comma-separated; the plain step always takes part')
  args = parser.parse_args()
  names = [PLAIN, *filter(None, args.only.split(','))] if args.only else list(VARIANTS)
  if unknown := [name for name in names if name not in VARIANTS]:
    sys.exit(f'--only={args.only}: {unknown[0]!r} is unknown; choose from {", ".join(VARIANTS)}')

  print(f'python -m experiments.benchmarks.penalties {" ".join(sys.argv[1:])}'.strip())
  print(describe_machine())
  runs = {name: make_variant(VARIANTS[name], args.batch_size, args.width) for name in names}
  for run in runs.values():
    run(2)  # Compile, and fill the caches.
  start, foreign = time.perf_counter(), foreign_seconds()
  rates: dict[str, list[float]] = {name: [] for name in runs}
  for _ in range(args.repetitions):
    for name, run in runs.items():
      rates[name].append(rate(run, args.steps))
  plain = np.array(rates[PLAIN])
  foreign = (foreign_seconds() - foreign) / (time.perf_counter() - start)
  print(f'\n{"steps per second":24}{"median":>8} {"min":>8} {"max":>8}   time / plain:  median      min      max')
  for name, values in rates.items():
    print(f'{name:24}{describe(np.array(values))}   {"":13} {describe(plain / values)}')
  print(f'other programs used {foreign:.2f} of {num_cores()} cores meanwhile')


if __name__ == '__main__':
  main()
