r"""DCGAN (arXiv:1511.06434) with the non-saturating loss.

  python -m gan.main --config=configs/dcgan.py                     # embedded digits at 16 pixels: the demo
  python -m gan.main --config=configs/dcgan.py:mnist               # MNIST at 32 pixels, 25 epochs
  python -m gan.main --config=configs/dcgan.py:cifar10             # CIFAR-10, 25 epochs
  python -m gan.main --config=configs/dcgan.py:cifar10,loss=hinge
  python -m gan.main --config=configs/dcgan.py:folder --config.data.path=my_images
  python -m gan.main --config=configs/dcgan.py:mnist,condition=projection   # by class; also concat, acgan, infogan
  python -m gan.main --config=configs/dcgan.py:runlocal            # 20 steps: a smoke test

Measured, one seed each, on two CPU cores (AMD EPYC):

  argument   cost                                    result
  (none)     2,000 steps, 95 s, 1,500 images/s        most digits are recognisable; diversity 0.88
  mnist      2 of 25 epochs, 7.6 min, 270 images/s    half are clear digits, the others near misses; diversity 0.95
  cifar10    3.8 of 25 epochs, half an hour on a busy machine  coloured scenes with blurred objects

Diversity is the mean pairwise distance of samples over that of the data. The full 25 epochs, and GPU or TPU, were not
measured.
"""

import ml_collections

from gan.config import RUNLOCAL_IMAGES, WASSERSTEIN, apply_overrides, base_config, parse_arg

EXAMPLES = {'mnist': 60_000, 'fashion_mnist': 60_000, 'cifar10': 50_000, 'stacked_mnist': 128_000}


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Return the configuration.

  Args:
    arg: a data set, `runlocal`, `loss=<name>`, `size=<pixels>`, `condition=<kind>`, comma-separated.
  """
  arg = parse_arg(arg, data='digits', loss='nonsaturating', size=0, condition='none', runlocal=False)
  config = base_config()
  digits = arg.data == 'digits'
  config.data.name = arg.data
  config.data.image_size = arg.size or (16 if digits else 32)
  config.data.flip = arg.data in ('cifar10', 'cifar100', 'celeb_a')
  config.model.gen.name = config.model.disc.name = 'dcgan'
  config.model.condition, config.loss.name = arg.condition, arg.loss
  if arg.condition in ('projection', 'acgan', 'concat'):
    config.model.disc.batch_norm = False   # With batch norm a discriminator that knows classes was slow to start.
    config.penalty.r1, config.penalty.every = 1.0, 4   # Without R1 the samples of a class were almost alike.
  if arg.loss == 'wasserstein':
    apply_overrides(config, WASSERSTEIN)
  config.train.batch_size = 64 if digits else 128
  # 25 epochs of the data sets in EXAMPLES.
  config.train.num_steps = 25 * EXAMPLES.get(arg.data, 60_000) // config.train.batch_size
  if digits:
    config.train.num_steps = 2_000
    config.train.log_every, config.train.sample_every = 50, 50
    config.train.save_every, config.train.eval_every = 500, 250
    config.train.ema_decay = 0.995
  if arg.runlocal:
    apply_overrides(config, RUNLOCAL_IMAGES)
    config.train.batch_size, config.model.gen.width, config.model.disc.width = 16, 8, 8
  return config
