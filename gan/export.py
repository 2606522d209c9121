r"""Export the generator of a trained run to a folder that needs nothing of this code: JAX alone runs it.

  python -m gan.export --workdir=runs/dcgan --out=exported
  python -m gan.export --workdir=runs/dcgan --step=1000 --raw --out=exported      # another checkpoint; not averaged
  python -m gan.export --workdir=runs/stylegan2 --truncation=0.7 --out=exported   # nearer to the mean style

The folder has a program (StableHLO), the weights (safetensors), samples to check both with, and a model card.
"""

from pathlib import Path

from absl import flags

from gan import cli
from gan.build import build
from gan.config import ConfigError
from gan.games import Game, GameError
from gan.portable import card, folder, trained
from gan.portable.program import DEFAULT
from gan.run.restore import Restored, restore

WORKDIR = flags.DEFINE_string('workdir', None, 'Directory of the run.', required=True)
OUT = flags.DEFINE_string('out', None, 'Folder to write; it must be new or empty.', required=True)
STEP = flags.DEFINE_integer('step', None, 'Step of the checkpoint; the newest by default.')
RAW = flags.DEFINE_bool('raw', False, 'Export the latest generator, not the averaged one.')
TRUNCATION = flags.DEFINE_float('truncation', None, 'How much of the distance from the mean style is kept, in [0, 1]; '
                                'for networks with styles.', lower_bound=0.0, upper_bound=1.0)
BATCH = flags.DEFINE_integer('batch', None, 'Fixed number of samples of each call; any number by default.',
                             lower_bound=1)


def main(argv: list[str]) -> int:
  """Write the folder; return the exit code."""
  del argv
  run_dir, out = Path(WORKDIR.value), Path(OUT.value)
  folder.check_free(out)
  restored = restore(run_dir, STEP.value)
  _, data, _, step, state = restored
  gen = {'params': state.gen.params, 'stats': state.gen.stats} if RAW.value else state.ema
  about = card.about_run(run_dir, data, step, RAW.value, TRUNCATION.value)
  checked = folder.write(out, trained.portable(_games(restored), gen, data.columns, data.class_names), about,
                         BATCH.value)
  print(f'{"The generator" if RAW.value else "The averaged generator"} at step {step}: {out}\n'
        f'{len(checked.samples)} samples of the program differ by at most {checked.difference:.2g} from its own. '
        f'{out / folder.CARD} says how to load it.')
  return 0


def _games(restored: Restored) -> dict[str, Game]:
  """Return the game in the form of convolutions that suits each platform, unless the run has chosen one form."""
  config = restored.config.copy_and_resolve_references()
  chosen = config.model.convolution
  games = {}
  for platform, form in (('cpu', 'matmul'), (DEFAULT, 'lax')) if chosen == 'auto' else ((DEFAULT, chosen),):
    config.model.convolution = form
    games[platform] = _truncated(build(config, restored.data.columns, parallel=restored.built.parallel).game)
  return games


def _truncated(game: Game) -> Game:
  if TRUNCATION.value is None:
    return game
  try:
    return game.truncated(TRUNCATION.value)
  except GameError as error:
    raise ConfigError(f'--truncation={TRUNCATION.value:g} {error}') from None


if __name__ == '__main__':
  cli.run(main)
