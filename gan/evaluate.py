r"""Score a trained run, the data of a run, or a file of samples.

  python -m gan.evaluate --workdir=runs/dcgan                                   # the usual scores, newest checkpoint
  python -m gan.evaluate --workdir=runs/dcgan --metrics=fid,kid,prdc --step=all
  python -m gan.evaluate --workdir=runs/dcgan --samples=train --data_split=test # real images: the best possible scores
  python -m gan.evaluate --workdir=runs/dcgan --samples=theirs.npz              # samples of another code base

Every score is added to <workdir>/evaluation.jsonl, one line each.
"""

from pathlib import Path

import jax
import numpy as np
from absl import flags

from gan import cli
from gan.build import describe_data, is_conditional, open_data, show_of
from gan.config.validate import validate
from gan.data import toy
from gan.parallel import make_parallel
from gan.run import workdir
from gan.run.restore import checkpoint_steps, restore
from gan.scoring import records, samples
from gan.scoring.evaluator import Evaluator, make_evaluator
from gan.scoring.plan import FEATURES
from gan.show import images, page

WORKDIR = flags.DEFINE_string('workdir', None, 'Directory of the run.', required=True)
METRICS = flags.DEFINE_string('metrics', None, 'Scores, comma-separated: fid, kid, is, fid_infinity (Inception '
                              'features); fd, kd, cs, fd_infinity, prdc, copying, classes, ms_ssim, diversity; by '
                              'default the usual ones.')
FEATURES_ = flags.DEFINE_string('features', None, f'Features: {", ".join(FEATURES)}, or module:function; by default '
                                'those of a classifier of the data.')
NUM_SAMPLES = flags.DEFINE_integer('num_samples', 50_000, 'Number of generated samples.', lower_bound=2)
STEP = flags.DEFINE_string('step', None, 'Step of the checkpoint, or all; the newest by default.')
SPLIT = flags.DEFINE_enum('data_split', None, ('train', 'test'), 'Split that samples are compared with.')
SAMPLES = flags.DEFINE_string('samples', 'ema', 'What is scored: ema (averaged generator), raw (latest generator), '
                              'train or test (real data), or a file .npz with an array `samples`.')
SEED = flags.DEFINE_integer('seed', None, 'Seed of the latents; by default that of the run.', lower_bound=0,
                            upper_bound=2**32 - 1)
DATA_PATH = flags.DEFINE_string('config.data.path', None, 'New place of the images, if their folder has moved.')
NEIGHBOURS = flags.DEFINE_string('neighbours', None, 'PNG to write: samples, each beside its nearest training images.')
ROWS, NEAREST = 10, 7   # Samples in that picture, and training images beside each.
NEAREST_K = flags.DEFINE_integer('nearest_k', None, 'Number of neighbours in precision, recall, density and coverage; '
                                 '5 by default.', lower_bound=1)
OTHERS = {'nearest_k': NEAREST_K} | {name: flags.DEFINE_string(name, None, text) for name, text in {
    'resizing': 'How images are resized to the 299 pixels of Inception: tensorflow (as FID was published) or clean.',
    'inception_weights': 'Weight file of Inception; by default the published one, downloaded once.',
    'inception_sha256': 'SHA-256 of a weight file that is not the published one.'}.items()}


def main(argv: list[str]) -> int:
  """Score the samples, print a table, and add lines to evaluation.jsonl; return the exit code."""
  del argv
  run_dir = Path(WORKDIR.value)
  config = workdir.load_config(run_dir)
  flag_values = {'metrics': METRICS.value, 'features': FEATURES_.value, 'data_split': SPLIT.value,
                 'num_samples': NUM_SAMPLES.value} | {name: flag.value for name, flag in OTHERS.items()}
  config.eval.metrics = config.eval.features = ''  # The scores during training are not the default here.
  for name, value in flag_values.items():
    if value is not None:
      config.eval[name] = value
  if DATA_PATH.value is not None:
    config.data.path = DATA_PATH.value
  config = validate(config)
  if not show_of(config).scored:
    return cli.fail(f'game.name={config.game.name} has no scores: its samples are not compared with data')
  workdir.check_writable(run_dir)
  if NEIGHBOURS.value:
    if not NEIGHBOURS.value.endswith('.png') or config.data.name in toy.MIXTURES:
      return cli.fail(f'--neighbours={NEIGHBOURS.value} needs a run on images, and a file name that ends in .png')
    if Path(NEIGHBOURS.value).is_dir():
      return cli.fail(f'--neighbours={NEIGHBOURS.value} is a directory; name a file')
    workdir.check_writable(Path(NEIGHBOURS.value).parent, flag='--neighbours')
  data = open_data(config)
  workdir.check_data(run_dir, describe_data(data, is_conditional(config)), config.data.path)
  evaluator = make_evaluator(config, data, make_parallel('jit', jax.local_devices()), training=False,
                             title='Reference')
  if NEIGHBOURS.value and evaluator.neighbours is None:
    return cli.fail(f'--neighbours={NEIGHBOURS.value} needs features, and no score of --metrics={METRICS.value} '
                    'computes any; add fd')
  lines = []
  generated = SAMPLES.value in samples.GENERATORS
  for step in checkpoint_steps(run_dir, STEP.value) if generated else [None]:
    restored = restore(run_dir, step, jax.local_devices()) if generated else None
    drawn = samples.open_samples(SAMPLES.value, config, data, restored, SEED.value)
    scores = evaluator.score(drawn.batches, drawn.num, f'Samples ({drawn.name})', drawn.classes)
    lines += records.lines_of(scores, evaluator.provenance | samples.provenance(drawn))
    records.add(run_dir, lines)
  if NEIGHBOURS.value:
    drawn = samples.open_samples(SAMPLES.value, config, data, restored, SEED.value)  # The same samples, drawn again.
    _draw_neighbours(evaluator, drawn, Path(NEIGHBOURS.value))
  print(records.table(lines))
  if len({line['step'] for line in lines}) > 1:
    print(f'\n{records.summary_table(records.summarise(lines))}')
  page.write_page(run_dir)
  print(f'Added to {run_dir / records.FILE} and {run_dir / "report.html"}.')
  return 0


def _draw_neighbours(evaluator: Evaluator, drawn: samples.Drawn, out: Path) -> None:
  batch, count = next(iter(drawn.batches))
  rows = evaluator.neighbours(np.asarray(batch)[:min(count, ROWS)], NEAREST)
  images.save_png(out, images.grid(rows.reshape(-1, *rows.shape[2:]), columns=rows.shape[1]))
  print(f'{len(rows)} samples (left), each beside the {rows.shape[1] - 1} nearest training images: {out}')


if __name__ == '__main__':
  cli.run(main)
