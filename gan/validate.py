"""What makes no sense in a configuration: unknown names, impossible numbers, wrong combinations, said all at once."""

import importlib.util
import math
from collections.abc import Iterator

import jax
import ml_collections

from gan.config import ConfigError, base_config, flatten, nearest
from gan.data import toy
from gan.losses import LOSSES
from gan.models import MODELS
from gan.optimizers import OPTIMIZERS, SCHEDULES
from gan.parallel import STRATEGIES
from gan.step import RULES


def validate(config: ml_collections.ConfigDict, num_devices: int = 1) -> None:
  """Checks a configuration before anything is built.

  Raises:
    ConfigError: lists all problems at once; each says what to change.
  """
  names = list(_name_problems(config))
  problems = [*names, *_number_problems(config), *_device_problems(config, num_devices)]
  if not names:  # Each combination is looked up by its names.
    said = {problem.partition('=')[0] for problem in problems}
    problems += [problem for problem in _combination_problems(config) if problem.partition('=')[0] not in said]
  if problems:
    raise ConfigError('\n'.join(f'  * {problem}' for problem in problems))


def _name_problems(config: ml_collections.ConfigDict) -> Iterator[str]:
  tables = {'loss.name': LOSSES, 'model.gen.name': MODELS, 'model.disc.name': MODELS, 'update.rule': RULES,
            'optimizer.gen.name': OPTIMIZERS, 'optimizer.disc.name': OPTIMIZERS,
            'optimizer.gen.schedule': SCHEDULES, 'optimizer.disc.schedule': SCHEDULES,
            'parallel.strategy': STRATEGIES, 'model.z': ('normal', 'uniform')}
  flat = flatten(config)
  for field, table in tables.items():
    if flat[field] not in table:
      yield f'{field}={flat[field]!r} is unknown{nearest(flat[field], table)}'


_POSITIVE = ('model.gen.width', 'model.disc.width', 'model.z_dim', 'train.batch_size', 'train.num_steps',
             'train.disc_steps', 'train.steps_per_call', 'train.log_every', 'train.save_every', 'train.eval_every',
             'train.sample_every', 'train.keep', 'train.num_samples', 'loss.margin',
             *(f'optimizer.{player}.{field}' for player in ('gen', 'disc') for field in ('lr', 'eps')))
_NOT_NEGATIVE = ('seed', 'data.image_size', 'data.resident_bytes', 'penalty.clip',
                 *(f'optimizer.{player}.{field}' for player in ('gen', 'disc')
                   for field in ('decay_steps', 'warmup_steps')))
_FRACTIONS = ('loss.label_smoothing', 'train.ema_decay',
              *(f'optimizer.{player}.{field}' for player in ('gen', 'disc') for field in ('b1', 'b2')))
_AT_LEAST_ONE_IF_SET = ('model.gen.layers', 'model.disc.layers')


def _number_problems(config: ml_collections.ConfigDict) -> Iterator[str]:
  flat = flatten(config)
  for field, value in flat.items():
    if isinstance(value, float) and not math.isfinite(value):
      yield f'{field}={value} must be a finite number'
    elif isinstance(value, float) and value and not 1e-37 < abs(value) < 1e38:
      yield f'{field}={value} must be a number of float32, between 1e-37 and 1e38'
    elif field == 'seed' and value >= 2**32:
      yield f'{field}={value} must be below 2^32'
    elif field in _POSITIVE and value <= 0:
      yield f'{field}={value} must be positive'
    elif field in _NOT_NEGATIVE and value < 0:
      yield f'{field}={value} must not be negative'
    elif field in _FRACTIONS and not 0 <= value < 1:
      yield f'{field}={value} must lie in [0, 1)'
    elif field in _AT_LEAST_ONE_IF_SET and value is not None and value < 1:
      yield f'{field}={value} must be at least 1'
    elif field == 'train.eval_samples' and value < 2:
      yield f'{field}={value} must be at least 2: scores compare samples'
    elif field.startswith('train.num_steps') and value >= 2**31:
      yield f'{field}={value} must be below 2^31'


def _combination_problems(config: ml_collections.ConfigDict) -> Iterator[str]:
  loss, defaults = config.loss, base_config().loss
  known = LOSSES[loss.name].settings
  for setting in defaults:
    if setting != 'name' and setting not in known and loss[setting] != defaults[setting]:
      users = [name for name, pair in LOSSES.items() if setting in pair.settings]
      yield f'loss.{setting}={loss[setting]} does nothing for loss.name={loss.name}; it belongs to {", ".join(users)}'
  if loss.name == 'least_squares':
    if loss.a == loss.b:
      yield f'loss.a={loss.a} equals loss.b: real and fake samples would have one target; try a=0, b=1'
    elif loss.c == loss.a:
      yield f'loss.c={loss.c} equals loss.a: the generator would aim at being rejected; try c=b={loss.b}'
  if loss.name == 'wasserstein' and config.penalty.clip == 0:
    yield 'loss.name=wasserstein needs a Lipschitz critic: without a bound its loss has no minimum; ' \
          'add --config.penalty.clip=0.01'

  two_dimensional = config.data.name in toy.MIXTURES
  for player in ('gen', 'disc'):
    name, architecture = config.model[player].name, MODELS[config.model[player].name]
    settings = architecture.gen_settings if player == 'gen' else architecture.disc_settings
    for setting, value in config.model[player].items():
      if setting != 'name' and value is not None and setting not in settings:
        yield f'model.{player}.{setting}={value} does nothing for model.{player}.name={name}'
    if architecture.images == two_dimensional:
      fitting = [key for key, other in MODELS.items() if other.images != two_dimensional]
      yield f'model.{player}.name={name} does not fit the {"points" if two_dimensional else "images"} of ' \
            f'data.name={config.data.name}; use {" or ".join(fitting)}'
    elif architecture.image_sizes and config.data.image_size not in architecture.image_sizes:
      sizes = ', '.join(map(str, architecture.image_sizes))
      yield f'data.image_size={config.data.image_size}: model.{player}.name={name} is built for {sizes}'
    optimizer = config.optimizer[player]
    if optimizer.schedule != 'constant' and optimizer.decay_steps == 0:
      yield f'optimizer.{player}.schedule={optimizer.schedule} needs its length in optimizer.{player}.decay_steps'
    if optimizer.schedule == 'constant' and optimizer.decay_steps:
      yield f'optimizer.{player}.decay_steps={optimizer.decay_steps} does nothing for a constant schedule'
  if two_dimensional and config.data.flip:
    yield f'data.flip=True mirrors images; data.name={config.data.name} has none'
  if config.train.tensorboard and importlib.util.find_spec('tensorboardX') is None:
    yield 'train.tensorboard=True needs the package tensorboardX: pip install tensorboardX'
  if config.data.name == 'folder' and not config.data.path:
    yield 'data.name=folder needs --config.data.path=<directory of images>'
  if config.data.path and config.data.name != 'folder':
    yield f'data.path={config.data.path!r} does nothing for data.name={config.data.name}; use data.name=folder'
  if config.train.batch_size == 1 and 'dcgan' in (config.model.gen.name, config.model.disc.name):
    yield 'train.batch_size=1 leaves batch norm nothing to compare; use at least 2'


def _device_problems(config: ml_collections.ConfigDict, num_devices: int) -> Iterator[str]:
  batch_size = config.train.batch_size
  if batch_size > 0 and batch_size % num_devices:
    below = batch_size // num_devices * num_devices
    choices = [str(size) for size in (below, below + num_devices) if size]
    yield f'train.batch_size={batch_size} must divide by {num_devices} devices; try {" or ".join(choices)}'
  if config.parallel.strategy == 'pmap' and jax.process_count() > 1:
    yield 'parallel.strategy=pmap is for the devices of one host; use jit, which gives the same numbers'
