r"""StyleGAN2 (arXiv:1912.04958) with adaptive augmentation (StyleGAN2-ADA, arXiv:2006.06676).

  python -m gan.main --config=configs/stylegan2.py                                # digits at 16 pixels, a small network
  python -m gan.main --config=configs/stylegan2.py:cifar                          # the published settings for CIFAR-10
  python -m gan.main --config=configs/stylegan2.py:cifar,condition=projection     # by class
  python -m gan.main --config=configs/stylegan2.py:auto,size=64,data=folder --config.data.path=my_images
  python -m gan.main --config=configs/stylegan2.py:paper256 --config.data.path=my_images      # also stylegan2, 1,024 px
  python -m gan.main --config=configs/stylegan2.py:runlocal                       # 20 steps: a smoke test

Settings are those of the authors' code (github.com/NVlabs/stylegan2-ada-pytorch, train.py). Numbers of images there
are thousands; here they are steps of a batch. `auto` is for one device: its batch and group follow the size alone.
These differ: the group of `stddev` counts over all devices, where the code has a group on each; classes of generated
samples are those of the batch; and see docs/networks.md.

Cost and result: not measured.
"""

import ml_collections

from gan.config import RUNLOCAL_IMAGES, ConfigError, apply_overrides, base_config, parse_arg

# Pixels, channels at 32768 / pixels times this number, mapping layers, batch, group, learning rate, gamma of R1,
# half-life of the average in thousands of images, its ramp-up, length in thousands of images.
SETTINGS = {
    'cifar': (32, 1.0, 2, 64, 32, 0.0025, 0.01, 500, 0.05, 100_000),
    'paper256': (256, 0.5, 8, 64, 8, 0.0025, 1.0, 20, 0.0, 25_000),
    'stylegan2': (1024, 1.0, 8, 32, 4, 0.002, 10.0, 10, 0.0, 25_000)}
AUTO = 'auto'


def auto(size: int) -> tuple:
  """Return the settings of `auto` on one device, for images of `size` pixels."""
  batch = max(min(4096 // size, 32), 1)
  return (size, 1.0 if size >= 512 else 0.5, 2, batch, min(batch, 4), 0.002 if size >= 1024 else 0.0025,
          0.0002 * size**2 / batch, batch * 10 / 32, 0.05, 25_000)


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Return the configuration.

  Args:
    arg: `cifar`, `auto`, `paper256`, `stylegan2` or nothing (small networks for digits), `data=<name>`,
      `size=<pixels>` (with auto), `condition=<kind>`, `loss=<name>`, `ada=false`, `runlocal`, comma-separated.
  """
  words = [word.strip() for word in arg.split(',')]
  chosen = [word for word in words if word in (AUTO, *SETTINGS)]
  if len(chosen) > 1:
    raise ConfigError(f'argument {arg!r} names {" and ".join(chosen)}; name one of them')
  name, = chosen or ('digits',)
  arg = parse_arg(','.join(word for word in words if word not in chosen), data='', loss='nonsaturating', size=0,
                  condition='none', ada=name != 'digits', runlocal=False)
  if arg.size and name != AUTO:
    raise ConfigError(f'argument size={arg.size} is for auto; {name} has a size of its own')
  config = base_config()
  config.data.name = arg.data or {'digits': 'digits', 'cifar': 'cifar10'}.get(name, 'folder')
  config.model.gen.name = config.model.disc.name = 'stylegan2'
  config.model.condition, config.loss.name = arg.condition, arg.loss
  for player in (config.optimizer.gen, config.optimizer.disc):
    player.b1, player.b2 = 0.0, 0.99
  config.penalty.every = 16
  config.augment.policy = 'ada' if arg.ada else 'none'
  if name == 'digits':
    _digits(config)
  else:
    _published(config, *(auto(arg.size or 256) if name == AUTO else SETTINGS[name]))
    if name == 'cifar':
      _cifar(config)
    else:
      config.penalty.path_length = 2.0
  if arg.runlocal:
    _digits(config)
    config.data.name = arg.data or 'digits'
    apply_overrides(config, RUNLOCAL_IMAGES)
    config.train.batch_size = 16
  return config


def _published(config: ml_collections.ConfigDict, size: int, capacity: float, layers: int, batch: int, group: int,
               lr: float, gamma: float, halflife: float, rampup: float, length: int) -> None:
  """Set the published settings; `capacity` times 32768 / pixels are the channels of a resolution, at most 512."""
  config.data.image_size, config.model.z_dim = size, 512
  width = min(int(capacity * 32_768 / size), 512)
  for player in (config.model.gen, config.model.disc):
    if width != 32:   # 32 is the default of the networks.
      player.width = width
  if layers != 8:
    config.model.gen.mapping_layers = layers
  if group != 4:
    config.model.disc.group = group
  config.optimizer.gen.lr = config.optimizer.disc.lr = lr
  config.penalty.r1 = gamma
  config.train.batch_size, config.train.ema_halflife = batch, 1000.0 * halflife
  if rampup:
    config.train.ema_rampup = rampup
  config.train.num_steps = 1000 * length // batch
  config.train.log_every, config.train.sample_every = 100, 1_000
  config.train.save_every = config.train.eval_every = 5_000


def _cifar(config: ml_collections.ConfigDict) -> None:
  """Set what `cifar` has besides: no path length, no style mixing, no paths around the discriminator's convolutions."""
  config.data.flip = True
  config.model.gen.mixing, config.model.disc.architecture = 0.0, 'orig'
  # The authors' code corrects the generator's optimizer for its lazy path length, every 4 updates, even if that has
  # the weight 0; here a term of weight 0 is no part of the program, so these numbers are corrected by hand.
  config.optimizer.gen.lr, config.optimizer.gen.b2 = 0.0025 * 4 / 5, 0.99**0.8


def _digits(config: ml_collections.ConfigDict) -> None:
  """Set small networks for digits at 16 pixels: 64, 32 and 16 channels."""
  _published(config, 16, 16 * 16 / 32_768, 2, 32, 4, 0.0025, 3.0, 3.2, 0.05, 192)
  config.model.z_dim = config.model.gen.w_dim = 64
  config.model.gen.max_width = config.model.disc.max_width = 64
  config.penalty.path_length = 2.0
  config.train.log_every, config.train.sample_every = 50, 250
  config.train.save_every = config.train.eval_every = 500
