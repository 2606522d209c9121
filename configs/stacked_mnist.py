r"""Stacked MNIST, a thousand modes, with small ResNets without normalisation (R3GAN's ablation).

  python -m gan.main --config=configs/stacked_mnist.py                          # RpGAN with R1 and R2
  python -m gan.main --config=configs/stacked_mnist.py:loss=nonsaturating       # GAN with R1 and R2
  python -m gan.main --config=configs/stacked_mnist.py:r2=0                     # RpGAN with R1 alone
  python -m gan.main --config=configs/stacked_mnist.py:mnist                    # or cifar10, or digits: no download
  python -m gan.main --config=configs/stacked_mnist.py:runlocal                 # 20 steps on digits: a smoke test

The experiment is that of Huang et al. 2024 (arXiv:2501.05441), who have published neither its code nor its settings.
Data, batch size, latents, epochs and number of samples go back to PacGAN (Lin et al. 2018, arXiv:1712.04086; config.py
in the folder VEEGAN_experiment of stacked_MNIST_experiments, github.com/fjxmlzn/PacGAN). The other settings are those
of R3GAN's large networks (train.py, github.com/brownvc/R3GAN), or ours. A comment on each line names its source.

Cost and result: not measured. The speed on two busy CPU cores (Intel Xeon) with cifar10, whose images have the same
size, is 1.9 steps/s; 100,000 steps would take more than half a day.
"""

import ml_collections

from gan.config import RUNLOCAL_IMAGES, apply_overrides, base_config, parse_arg

EXAMPLES = {'stacked_mnist': 128_000, 'mnist': 60_000, 'cifar10': 50_000, 'digits': 1_797}


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Return the configuration; `arg`: a data set, `runlocal`, `loss=<name>`, `r1=`, `r2=<gamma>`, with commas."""
  arg = parse_arg(arg, data='', loss='rpgan_logistic', r1=0.1, r2=0.1, runlocal=False)
  config = base_config()
  config.data.name = arg.data or ('digits' if arg.runlocal else 'stacked_mnist')
  digits = config.data.name == 'digits'
  config.data.image_size = 16 if digits else 32      # Ours; PacGAN: 28.
  config.data.flip = config.data.name == 'cifar10'   # R3GAN: --mirror=1.
  # Latents are 100 normal numbers, our default; PacGAN: 100 uniform numbers; R3GAN: 64 normal numbers.
  config.model.gen.name = config.model.disc.name = 'resnet'
  config.model.gen.width = config.model.disc.width = 32   # Ours: two cores can train this width.
  # One residual block at each resolution is our default; R3GAN: 2.
  config.loss.name = arg.loss
  # R3GAN's gamma falls from 0.05 to 0.005 on CIFAR-10 and from 0.5 to 0.05 on ImageNet at 32 pixels; ours is constant.
  config.penalty.r1, config.penalty.r2 = arg.r1, arg.r2
  if arg.loss == 'wasserstein':
    config.penalty.gp, config.train.disc_steps = 10.0, 5  # Gulrajani et al. 2017 (arXiv:1704.00028).
  for player in (config.optimizer.gen, config.optimizer.disc):
    player.lr = 2e-4                                 # PacGAN and R3GAN, whose rate falls to 5e-5.
    player.b1, player.b2 = 0.0, 0.99                 # R3GAN, whose b2 rises from 0.9; PacGAN: 0.5 and 0.999.
  config.train.batch_size = 64                       # PacGAN.
  config.train.num_steps = 50 * EXAMPLES.get(config.data.name, 60_000) // config.train.batch_size  # PacGAN: 50 epochs.
  config.train.ema_decay = 0.999                     # Ours; R3GAN averages over up to 5 million images.
  config.train.log_every, config.train.sample_every = 100, 1_000
  config.train.save_every = config.train.eval_every = 5_000
  config.eval.num_samples = 26_000                   # PacGAN.
  if digits:
    config.train.num_steps, config.train.ema_decay, config.eval.num_samples = 2_000, 0.995, 2_500  # As in dcgan.py.
    config.train.sample_every, config.train.save_every, config.train.eval_every = 100, 500, 500
  if arg.runlocal:
    apply_overrides(config, RUNLOCAL_IMAGES)
    config.train.batch_size, config.model.gen.width, config.model.disc.width = 16, 8, 8
  return config
