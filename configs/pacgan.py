r"""PacGAN's two-dimensional experiments (Lin et al. 2018, arXiv:1712.04086, section 4.1), as in the authors' code.

  python -m gan.main --config=configs/pacgan.py                     # ring: 8 modes
  python -m gan.main --config=configs/pacgan.py:grid,pac=2          # grid: 25 modes, packs of two
  python -m gan.main --config=configs/pacgan.py:grid,loss=hinge
  python -m gan.main --config=configs/pacgan.py:runlocal            # 20 steps: a smoke test

The settings are those of synthetic_data_experiments/2DRing_GAN&PacGAN/config.py in github.com/fjxmlzn/PacGAN (the grid
has the same settings); the update is that of pacgan_task.py in the same folder. There a batch of 100 means 100 *packs*,
so an update sees 100 * pac real and 100 * pac generated samples, and an epoch is 1,000 updates for any size of packs.
`train.batch_size` counts samples, and is therefore 100 * pac.

Two things differ from the authors' code:
* Points are drawn anew for each batch; theirs come from 100,000 fixed points (--config.data.num_points=100000).
* Batch norm sees all 100 * pac samples together; theirs normalises each place of a pack separately
  (--config.model.gen.places=<pac>).

The paper reports, over 10 trials with 2,500 samples each, our scores `modes`, `high_quality` (share of samples within
three standard deviations of a mode) and `high_quality_reverse_kl` (over these samples). `reverse_kl` counts all
samples.

Measured: ten seeds of `ring` as a population (experiments/pacgan_table1.py), 400,000 updates in 6 minutes on an NVIDIA
H200: 6.5 of 8 modes, and 7.4 with pac=2; docs/results/pacgan.md has the table. A single run on two busy CPU cores
(Intel Xeon): 95 steps/s, and 69 with pac=4.
"""

import ml_collections

from gan.config import RUNLOCAL, apply_overrides, base_config, parse_arg


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Return the configuration; `arg`: `ring`, `grid`, `runlocal`, `loss=<name>`, `pac=<size of a pack, 1 to 4>`."""
  arg = parse_arg(arg, data='ring', loss='nonsaturating', pac=1, runlocal=False)
  config = base_config()
  config.data.name = arg.data
  config.model.gen.name = config.model.disc.name = 'pacgan'
  config.model.disc.pack = arg.pac
  config.model.z_dim = 2
  config.loss.name = arg.loss
  if arg.loss == 'wasserstein':
    config.penalty.clip = 0.1              # As in toy.py; the paper has no run with this loss.
  config.update.rule = 'simultaneous'      # Both gradients come from one forward pass.
  for player in (config.optimizer.gen, config.optimizer.disc):
    player.lr, player.b1 = 1e-4, 0.8
  config.train.batch_size = 100 * arg.pac  # Number of samples: 100 packs.
  config.train.num_steps = 400_000         # 400 epochs of 100,000 packs.
  config.train.ema_decay = 0.0             # The last generator is scored, without averaging.
  config.train.steps_per_call = 50
  config.train.log_every, config.train.sample_every = 500, 5_000
  config.train.save_every = config.train.eval_every = 10_000
  if arg.runlocal:
    apply_overrides(config, RUNLOCAL)
    config.train.batch_size, config.model.gen.width, config.model.disc.width = 16 * arg.pac, 16, 8
  return config
