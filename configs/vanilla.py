r"""The fully connected GAN of Goodfellow et al. 2014 (arXiv:1406.2661).

  python -m gan.main --config=configs/vanilla.py                   # embedded digits at 16 pixels
  python -m gan.main --config=configs/vanilla.py:mnist             # MNIST at its original 28 pixels, 200 epochs
  python -m gan.main --config=configs/vanilla.py:mnist,loss=saturating
  python -m gan.main --config=configs/vanilla.py:runlocal          # 20 steps: a smoke test

Measured on two busy CPU cores (AMD EPYC): `:mnist`, 120,000 steps, 28 minutes (six to eight thousand images/s). The
samples are clean digits of all classes, and their mean distance is 94% of that of the data; some strokes stay speckled,
as is usual without convolutions. The embedded digits were not measured.
"""

import ml_collections

from gan.config import RUNLOCAL_IMAGES, WASSERSTEIN, apply_overrides, base_config, parse_arg


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Return the configuration; `arg`: a data set, `runlocal`, `loss=<name>`, `size=<pixels>`, comma-separated."""
  arg = parse_arg(arg, data='digits', loss='nonsaturating', size=0, runlocal=False)
  config = base_config()
  digits = arg.data == 'digits'
  config.data.name = arg.data
  config.data.image_size = arg.size or (16 if digits else 28)
  config.model.gen.name = config.model.disc.name = 'vanilla'
  config.model.z_dim = 64
  config.loss.name = arg.loss
  if arg.loss == 'wasserstein':
    apply_overrides(config, WASSERSTEIN)
  config.train.batch_size = 100
  config.train.num_steps = 6_000 if digits else 200 * 60_000 // config.train.batch_size  # 200 epochs of MNIST.
  config.train.log_every, config.train.save_every = 200, 2_000
  config.train.sample_every = config.train.eval_every = 500 if digits else 2_000
  config.train.steps_per_call = 50
  if arg.runlocal:
    apply_overrides(config, RUNLOCAL_IMAGES)
    config.train.batch_size, config.model.gen.width, config.model.disc.width = 16, 16, 16
  return config
