r"""Draw samples from a trained run: a picture, or an array.

  python -m gan.sample --workdir=runs/dcgan --num=64 --out=grid.png
  python -m gan.sample --workdir=runs/dcgan --interpolate --out=walk.png
  python -m gan.sample --workdir=runs/dcgan --num=1000 --npz --out=samples.npz
"""

from pathlib import Path

import numpy as np
from absl import flags

from gan import cli, randomness
from gan.build import open_data
from gan.config import nearest
from gan.data import toy
from gan.data.pipeline import make_conditions
from gan.run import workdir
from gan.run.restore import restore
from gan.sampling import CHUNK, interpolate, make_sampler, make_stream
from gan.show import images

WORKDIR = flags.DEFINE_string('workdir', None, 'Directory of the run.', required=True)
NUM = flags.DEFINE_integer('num', 64, 'Number of samples, or of rows of an interpolation.', lower_bound=1)
OUT = flags.DEFINE_string('out', None, 'File to write; by default samples.png, or samples.npz with --npz.')
SEED = flags.DEFINE_integer('seed', 0, 'Seed of the latents.', lower_bound=0, upper_bound=2**32 - 1)
STEP = flags.DEFINE_integer('step', None, 'Step of the checkpoint; the newest by default.')
RAW = flags.DEFINE_bool('raw', False, 'Use the latest generator, not the averaged one.')
INTERPOLATE = flags.DEFINE_bool('interpolate', False, 'Draw rows that interpolate between two latents.')
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
  if INTERPOLATE.value:
    samples = interpolate(built.game, gen, rng, NUM.value, WALK)
  else:
    config.data.path = DATA_PATH.value or config.data.path
    conditions = make_conditions(open_data(config), built.game.conditions, CHUNK) if built.game.conditions else None
    samples = make_sampler(make_stream(built.game, conditions=conditions))(gen, rng, NUM.value)

  if NPZ.value:
    np.savez_compressed(out, samples=samples if two_dimensional else images.to_uint8(samples))
  elif two_dimensional:
    mixture = toy.MIXTURES[info.name]()
    images.save_png(out, images.scatter(samples, mixture.modes, mixture.sigma, f'step {step}'))
  else:
    images.save_png(out, images.grid(samples, columns=WALK if INTERPOLATE.value else None))
  print(f'{len(samples)} samples of {"the generator" if RAW.value else "the averaged generator"} at step {step}: {out}')
  return 0


if __name__ == '__main__':
  cli.run(main)
