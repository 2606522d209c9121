r"""Draw samples from a trained run: a picture, or an array.

  python -m gan.sample --workdir=runs/dcgan --num=64 --out=grid.png
  python -m gan.sample --workdir=runs/dcgan --interpolate --out=walk.png
  python -m gan.sample --workdir=runs/dcgan --num=1000 --npz --out=samples.npz
  python -m gan.sample --workdir=runs/by_class --label=7                  # one class, or several: --label=3,5
  python -m gan.sample --workdir=runs/by_class --label=all                # a row for each class
  python -m gan.sample --workdir=runs/by_class --label=3,5 --interpolate  # from class to class, latents fixed
  python -m gan.sample --workdir=runs/infogan --codes                     # one code swept in each row
  python -m gan.sample --workdir=runs/stylegan2 --truncation=0.7          # nearer to the mean style: less varied
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags

from gan import cli, randomness
from gan.build import open_data
from gan.config import ConfigError, nearest
from gan.data import toy
from gan.data.pipeline import make_conditions
from gan.games import Game, GameError
from gan.games.condition import LABELLED
from gan.run import workdir
from gan.run.restore import restore
from gan.sampling import CHUNK, class_rows, code_rows, given, interpolate, make_sampler, make_stream
from gan.show import images

WORKDIR = flags.DEFINE_string('workdir', None, 'Directory of the run.', required=True)
NUM = flags.DEFINE_integer('num', 64, 'Number of samples, or of rows of an interpolation.', lower_bound=1)
OUT = flags.DEFINE_string('out', None, 'File to write; by default samples.png, or samples.npz with --npz.')
SEED = flags.DEFINE_integer('seed', 0, 'Seed of the latents.', lower_bound=0, upper_bound=2**32 - 1)
STEP = flags.DEFINE_integer('step', None, 'Step of the checkpoint; the newest by default.')
RAW = flags.DEFINE_bool('raw', False, 'Use the latest generator, not the averaged one.')
INTERPOLATE = flags.DEFINE_bool('interpolate', False, 'Draw rows that interpolate between two latents.')
LABEL = flags.DEFINE_string('label', None, 'Class of the samples: a name or number, several with commas, or all; each '
                            'gets a row. With --interpolate two classes, between which each row goes.')
TRUNCATION = flags.DEFINE_float('truncation', None, 'How much of the distance from the mean style is kept, in [0, 1]; '
                                'for networks with styles.')
CODES = flags.DEFINE_bool('codes', False, 'Sweep one code of an InfoGAN in each row.')
DATA_PATH = flags.DEFINE_string('config.data.path', None, 'New place of the images, if their folder has moved; only a '
                                'game whose samples are made of data reads them.')
NPZ = flags.DEFINE_bool('npz', False, 'Write the samples as an array: uint8 images, or float32 points.')
WALK = 8  # Pictures in a row of an interpolation.


def main(argv: list[str]) -> int:
  """Write the picture or array that the flags describe; return the exit code."""
  del argv
  run_dir = Path(WORKDIR.value)
  info = workdir.load_data_info(run_dir)
  if DATA_PATH.value and info.name != 'folder':
    return cli.fail(f'--config.data.path={DATA_PATH.value} does nothing for data.name={info.name}; leave it out')
  two_dimensional = len(info.sample_shape) == 1
  if INTERPOLATE.value and two_dimensional:
    return cli.fail(f'--interpolate shows images; {run_dir} was trained on the points of {info.name}')
  if info.sample_shape == (1,) and not NPZ.value:
    return cli.fail(f'{run_dir} was trained on {info.name}, whose samples are single numbers and make no picture; '
                    'use --npz')
  out = Path(OUT.value or ('samples.npz' if NPZ.value else 'samples.png'))
  if out.suffix != (expected := '.npz' if NPZ.value else '.png'):
    return cli.fail(f'--out={out} must end in {expected}')
  if out.is_dir():
    return cli.fail(f'--out={out} is a directory; name a file')
  if two_dimensional and not NPZ.value and info.name not in toy.MIXTURES:
    return cli.fail(f'{run_dir / workdir.DATA}: name={info.name!r} is unknown{nearest(info.name, toy.MIXTURES)}')
  workdir.check_writable(out.parent, flag='--out')

  config, _, built, step, state = restore(run_dir, STEP.value)
  gen = {'params': state.gen.params, 'stats': state.gen.stats} if RAW.value else state.ema
  rng = randomness.purpose_key(randomness.root_key(np.uint32(SEED.value)), 'samples')
  if INTERPOLATE.value and not built.game.walks:
    return cli.fail(f'--interpolate needs latents, and game.name={config.game.name} has none; leave it out')
  game = _game(built.game)
  labels = _labels(config.model.condition, info.class_names)
  columns = WALK if INTERPOLATE.value else None
  if INTERPOLATE.value:
    samples = interpolate(game, gen, rng, NUM.value, WALK, tuple(labels) or None)
  else:
    num, conditions = NUM.value, None
    if CODES.value or labels:
      inputs, columns = code_rows(game, rng, num) if CODES.value else class_rows(game, num, labels)
      num, conditions = len(next(iter(inputs.values()))), given(inputs)
    elif built.game.conditions:
      config.data.path = DATA_PATH.value or config.data.path
      conditions = make_conditions(open_data(config), built.game.conditions, CHUNK)
    samples = make_sampler(make_stream(game, conditions=conditions))(gen, rng, num)

  if NPZ.value:
    np.savez_compressed(out, samples=samples if two_dimensional else images.to_uint8(samples))
  elif two_dimensional:
    mixture = toy.MIXTURES[info.name]()
    images.save_png(out, images.scatter(samples, mixture.modes, mixture.sigma, f'step {step}'))
  else:
    images.save_png(out, images.grid(samples, columns=columns))
  print(f'{len(samples)} samples of {"the generator" if RAW.value else "the averaged generator"} at step {step}: {out}')
  return 0


def _game(game: Game) -> Game:
  """Return the game that is sampled, with --truncation if that is set.

  Raises:
    ConfigError: if --truncation is not in [0, 1], or the generator has no styles.
  """
  if TRUNCATION.value is None:
    return game
  if not 0 <= TRUNCATION.value <= 1:
    raise ConfigError(f'--truncation={TRUNCATION.value:g} must be in [0, 1]: 0 is the mean style, 1 the whole style')
  try:
    return game.truncated(TRUNCATION.value)
  except GameError as error:
    raise ConfigError(f'--truncation={TRUNCATION.value:g} {error}') from None


def _labels(condition: str, names: Sequence[str]) -> list[int]:
  """Return the classes of --label, [] without this flag.

  Raises:
    ConfigError: if --label or --codes does not suit the run.
  """
  if CODES.value and condition != 'infogan':
    raise ConfigError(f'--codes needs a run with model.condition=infogan, and this one has {condition}')
  if CODES.value and (INTERPOLATE.value or LABEL.value):
    raise ConfigError('--codes goes with neither --label nor --interpolate; leave one of them out')
  if LABEL.value is None:
    return []
  if condition not in LABELLED:
    way_out = 'use --codes' if condition == 'infogan' else 'train one with --config.model.condition=projection'
    raise ConfigError(f'--label={LABEL.value} needs a run with classes, and this one has model.condition={condition}; '
                      f'{way_out}')
  if LABEL.value == 'all':
    labels = list(range(len(names)))
  else:
    labels = [_class_number(word.strip(), names) for word in LABEL.value.split(',')]
  if INTERPOLATE.value and len(labels) != 2:
    raise ConfigError(f'--label={LABEL.value} with --interpolate must be two classes, such as --label=3,5')
  return labels


def _class_number(word: str, names: Sequence[str]) -> int:
  if word in names:
    return names.index(word)
  if word.isdecimal() and int(word) < len(names):
    return int(word)
  shown = ', '.join(names[:10]) + (', ...' if len(names) > 10 else '')
  raise ConfigError(f'--label={word} is no class: classes are 0 to {len(names) - 1}, or by name {shown}')


if __name__ == '__main__':
  cli.run(main)
