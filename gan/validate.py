"""What makes no sense in a configuration: unknown names, impossible numbers, wrong combinations, said all at once."""

import difflib
import importlib.util
import itertools
import math
from collections.abc import Iterator
from typing import Any

import jax
import ml_collections

from gan import scheduling
from gan.augment import DIFF_AUGMENT
from gan.build import number_fields
from gan.config import AROUND_NETWORK, ConfigError, base_config, flatten, nearest
from gan.data import toy
from gan.features.resizing import RESIZINGS
from gan.games.table import GAMES
from gan.losses import LOSSES
from gan.models import MODELS
from gan.models.minibatch import MINIBATCH
from gan.optimizers import OPTIMIZERS
from gan.parallel import STRATEGIES
from gan.penalties import LECAM_FORMS
from gan.rules import RULES, rule_settings
from gan.scoring.plan import check_points, make_plan

_DEFAULTS = base_config()  # Made once: a sweep validates thousands of configurations.
# Widths are None for networks that have none.
_REQUIRED = {field: value is not None and not field.endswith('.width') for field, value in flatten(_DEFAULTS).items()}


def validate(config: ml_collections.ConfigDict, num_devices: int = 1) -> None:
  """Checks a configuration before anything is built.

  Raises:
    ConfigError: lists all problems at once; each says what to change.
  """
  names = list(_name_problems(config))
  problems = [*names, *_number_problems(flatten(config)), *_device_problems(config, num_devices)]
  if not names:  # Each combination is looked up by its names.
    said = {problem.partition('=')[0] for problem in problems}
    found = itertools.chain(*(check(config) for check in (_combination_problems, _penalty_problems, _augment_problems,
                                                          _rule_problems, _eval_problems, _schedule_problems)))
    problems += [problem for problem in found if problem.partition('=')[0] not in said]
  if problems:
    raise ConfigError('\n'.join(f'  * {problem}' for problem in problems))


FORMS = ('saturating', 'nonsaturating', 'alternative', 'minimax')  # Ends of names of objectives.


def _name_problems(config: ml_collections.ConfigDict) -> Iterator[str]:
  tables = {'game.name': GAMES,
            'loss.name': LOSSES, 'model.gen.name': MODELS, 'model.disc.name': MODELS, 'update.rule': RULES,
            'optimizer.gen.name': OPTIMIZERS, 'optimizer.disc.name': OPTIMIZERS,
            'parallel.strategy': STRATEGIES, 'model.z': ('normal', 'uniform'), 'update.first': ('disc', 'gen'),
            'penalty.lecam_form': LECAM_FORMS,
            'model.disc.minibatch': (*MINIBATCH, None), 'train.on_failure': ('continue', 'stop'),
            'eval.data_split': ('train', 'test'), 'eval.resizing': tuple(RESIZINGS)}
  flat = flatten(config)
  for field, value in flat.items():
    if value is None and _REQUIRED[field]:
      yield f'{field}=None: it must have a value, such as {flatten(_DEFAULTS)[field]}'
  for field, table in tables.items():
    if flat[field] in table or flat[field] is None:
      continue
    base, _, form = str(flat[field]).rpartition('_')
    if field == 'loss.name' and f'{base}_alternative' in LOSSES and form == 'nonsaturating':
      yield f'loss.name={flat[field]!r}: {LOSSES[base].paper} calls that form alternative; use {base}_alternative'
    elif field == 'loss.name' and form in FORMS and base in LOSSES:
      yield f'loss.name={flat[field]!r}: {LOSSES[base].paper} defines no {form} form of {base}; use {base}'
    else:
      yield f'{field}={flat[field]!r} is unknown{nearest(flat[field], [name for name in table if name])}'


_POSITIVE = ('model.gen.width', 'model.disc.width', 'model.z_dim', 'train.batch_size', 'train.num_steps',
             'train.disc_steps', 'train.steps_per_call', 'train.log_every', 'train.save_every', 'train.eval_every',
             'train.sample_every', 'train.keep', 'train.num_samples', 'loss.margin', 'loss.alpha_disc',
             'loss.alpha_gen', 'model.disc.pack', 'penalty.every', 'augment.ada_images', 'augment.ada_interval',
             'update.gen_steps', 'update.unroll_steps', 'update.lookahead_steps', 'eval.nearest_k',
             *(f'optimizer.{player}.{field}' for player in ('gen', 'disc') for field in ('lr', 'eps')))
_NOT_NEGATIVE = ('seed', 'data.image_size', 'data.num_points', 'data.resident_bytes', 'train.patience',
                 'augment.noise', 'penalty.lecam_start', 'update.consensus', 'update.adjustment',
                 *(f'penalty.{field}' for field, value in _DEFAULTS.penalty.items() if isinstance(value, float)),
                 *(f'optimizer.{player}.weight_decay' for player in ('gen', 'disc')))
_FRACTIONS = ('loss.label_smoothing', 'loss.label_flip', 'train.ema_decay', 'penalty.lecam_decay',
              *(f'optimizer.{player}.{field}' for player in ('gen', 'disc') for field in ('b1', 'b2')))
_MAY_BE_INFINITE = ('loss.alpha_disc', 'loss.alpha_gen')
_AT_LEAST_ONE_IF_SET = ('model.gen.layers', 'model.disc.layers', 'model.gen.blocks', 'model.disc.blocks',
                        'model.disc.pieces')


def _number_problems(flat: dict[str, Any]) -> Iterator[str]:
  for field, value in flat.items():
    if value is None or (field in _MAY_BE_INFINITE and value == math.inf):
      continue
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
    elif field in _AT_LEAST_ONE_IF_SET and value < 1:
      yield f'{field}={value} must be at least 1'
    elif field == 'augment.ada_target' and not -1 < value < 1:
      yield f'{field}={value} must lie in (-1, 1): it is a mean of signs'
    elif field == 'update.lookahead' and not 0 < value <= 1:
      yield f'{field}={value} must lie in (0, 1]: the share of the way that is kept'
    elif field == 'eval.num_samples' and value < 2:
      yield f'{field}={value} must be at least 2: scores compare samples'
    elif isinstance(value, int) and value >= 2**31 and field not in ('seed', 'data.resident_bytes'):
      yield f'{field}={value} must be below 2^31'


def _combination_problems(config: ml_collections.ConfigDict) -> Iterator[str]:
  loss, defaults = config.loss, _DEFAULTS.loss
  known = LOSSES[loss.name].settings
  for setting in defaults:
    if setting not in ('name', 'label_flip', *known) and loss[setting] != defaults[setting]:
      users = [name for name, pair in LOSSES.items() if setting in pair.settings]
      yield f'loss.{setting}={loss[setting]} does nothing for loss.name={loss.name}; it belongs to {", ".join(users)}'
  if loss.name == 'least_squares':
    if loss.a == loss.b:
      yield f'loss.a={loss.a} equals loss.b: real and fake samples would have one target; try a=0, b=1'
    elif loss.c == loss.a:
      yield f'loss.c={loss.c} equals loss.a: the generator would aim at being rejected; try c=b={loss.b}'
  bounds = [config.penalty[field] for field in ('clip', 'gp', 'dragan', 'zero_gp', 'r1', 'r2')]
  paper = MODELS[config.model.disc.name].sample_dim is not None  # A game to be seen as it is on paper, unbounded.
  if loss.name == 'wasserstein' and not (any(bounds) or config.model.disc.spectral_norm or paper):
    yield 'loss.name=wasserstein needs a Lipschitz critic: without a bound its loss has no minimum; ' \
          'add --config.penalty.gp=10 or --config.penalty.clip=0.01'

  two_dimensional = config.data.name in toy.MIXTURES
  dim = toy.MIXTURES[config.data.name]().modes.shape[1] if two_dimensional else None
  for player in ('gen', 'disc'):
    name, architecture = config.model[player].name, MODELS[config.model[player].name]
    settings = architecture.gen_settings if player == 'gen' else architecture.disc_settings
    for setting, value in config.model[player].items():
      if setting not in ('name', *AROUND_NETWORK, *settings) and value is not None:
        yield f'model.{player}.{setting}={value} does nothing for model.{player}.name={name}; start from a ' \
              'configuration file that leaves it out'
    if architecture.sample_dim not in (None, dim):
      yield f'model.{player}.name={name} is for samples of {architecture.sample_dim} number, which ' \
            f'data.name={config.data.name} has not; use data.name=dirac or gaussian, or model.{player}.name=mlp'
    elif architecture.sample_dim and player == 'disc' and config.model.disc.pack > 1:
      yield f'model.disc.pack={config.model.disc.pack}: model.disc.name={name} judges one number; use 1'
    elif name == 'linear_quadratic' and player == 'gen' and config.model.z_dim != 1:
      yield f'model.z_dim={config.model.z_dim}: model.gen.name={name} scales one latent; use 1'
    elif architecture.images == two_dimensional:
      fitting = [key for key, other in MODELS.items() if other.images != two_dimensional]
      close = '' if two_dimensional else _meant(config.data.name)
      yield f'model.{player}.name={name} does not fit the {"points" if two_dimensional else "images"} of ' \
            f'data.name={config.data.name}{close}; use {" or ".join(fitting)}'
    elif architecture.image_sizes and config.data.image_size not in architecture.image_sizes:
      sizes = ', '.join(map(str, architecture.image_sizes))
      yield f'data.image_size={config.data.image_size}: model.{player}.name={name} is built for {sizes}'
    if architecture.sample_dim is not None:
      flat = flatten(config)
      of_matrices = {'gen': ['penalty.gen_orthogonal'], 'disc': ['penalty.orthogonal', 'model.disc.spectral_norm']}
      yield from (f'{field}={value} is for matrices, and model.{player}.name={name} has a single weight; leave it out'
                  for field in of_matrices[player] if (value := flat[field]))
  if config.data.num_points and not two_dimensional:
    yield f'data.num_points={config.data.num_points} is for mixtures; data.name={config.data.name} has its own size'
  elif config.data.num_points and (size := 4 * dim * config.data.num_points) > config.data.resident_bytes:
    yield f'data.num_points={config.data.num_points} are {size} bytes on each device, more than ' \
          f'data.resident_bytes={config.data.resident_bytes}'
  if two_dimensional and config.data.flip:
    yield f'data.flip=True mirrors images; data.name={config.data.name} has none'
  if config.train.tensorboard and importlib.util.find_spec('tensorboardX') is None:
    yield 'train.tensorboard=True needs the package tensorboardX: pip install tensorboardX'
  if config.data.name == 'folder' and not config.data.path:
    yield 'data.name=folder needs --config.data.path=<directory of images>'
  if config.data.path and config.data.name != 'folder':
    yield f'data.path={config.data.path!r} does nothing for data.name={config.data.name}; use data.name=folder'
  places = 1 if config.model.gen.places is None else config.model.gen.places
  if places not in (1, config.model.disc.pack):
    yield f'model.gen.places={places} must be 1, or model.disc.pack={config.model.disc.pack}, the places of a pack'
  if config.train.batch_size == places and {'dcgan', 'pacgan'} & {config.model.gen.name, config.model.disc.name}:
    yield f'train.batch_size={places} leaves batch norm nothing to compare; use at least {2 * places}'


def _meant(name: str) -> str:
  """' (did you mean ring?)' for a data set that may be one of TFDS, or a mixture misspelt."""
  close = difflib.get_close_matches(name, toy.MIXTURES, n=1)
  return f' (did you mean {close[0]}?)' if close else ''


def _is_batch_normed(config: ml_collections.ConfigDict) -> bool:
  own = MODELS[config.model.disc.name].disc_settings.get('batch_norm', False)
  return own if config.model.disc.batch_norm is None else config.model.disc.batch_norm


def _penalty_problems(config: ml_collections.ConfigDict) -> Iterator[str]:
  penalty, defaults = config.penalty, _DEFAULTS.penalty
  sloped = [name for name in ('r1', 'r2', 'gp', 'dragan', 'zero_gp') if penalty[name]]
  for name in sloped:
    if _is_batch_normed(config):
      yield f'penalty.{name}={penalty[name]} takes the slope at each sample, and batch norm makes a logit depend on ' \
            'all samples of the batch; add --config.model.disc.batch_norm=False'
    elif config.model.disc.minibatch == 'discrimination':
      yield f'penalty.{name}={penalty[name]} takes the slope at each sample, and minibatch discrimination compares ' \
            'all samples of the batch; leave one of them out'
  if penalty.difference_std and config.model.disc.minibatch == 'stddev':
    yield f'penalty.difference_std={penalty.difference_std} moves all samples at once, and with ' \
          'model.disc.minibatch=stddev a logit depends on all of them, so it is another penalty than R1; ' \
          'use penalty.difference_std=0, or leave stddev out'
  users = {'every': ('r1', 'r2'), 'difference_std': ('r1', 'r2'), 'dragan_std': ('dragan',), 'target': ('gp', 'dragan'),
           'one_sided': ('gp', 'dragan'), 'zcr_std': ('zcr_disc', 'zcr_gen'),
           **dict.fromkeys(('lecam_decay', 'lecam_form', 'lecam_start'), ('lecam',))}
  for setting, names in users.items():
    used = any(penalty[name] for name in names)
    if penalty[setting] != defaults[setting] and not used:
      yield f'penalty.{setting}={penalty[setting]} does nothing without penalty.{" or ".join(names)}'
    elif used and setting in ('dragan_std', 'zcr_std') and not penalty[setting]:
      yield f'penalty.{setting}=0 leaves the penalty nothing to compare; try {defaults[setting]}'
  if penalty.every > 1 and 'disc_steps' not in rule_settings(config.update.rule):
    yield f'penalty.every={penalty.every} is for rules in which the players take turns; ' \
          f'update.rule={config.update.rule} follows one field, so use penalty.every=1'


def _augment_problems(config: ml_collections.ConfigDict) -> Iterator[str]:
  points, policy, defaults = config.data.name in toy.MIXTURES, config.augment.policy, _DEFAULTS.augment
  if policy not in ('none', 'ada'):
    if len(set(policy.split('+'))) < len(policy.split('+')):
      yield f'augment.policy={policy!r} names a transformation twice; name each once'
    for name in policy.split('+'):
      if name in ('none', 'ada'):
        yield f'augment.policy={policy!r}: {name} stands alone; use {name}, or {"+".join(DIFF_AUGMENT)}'
      elif name not in DIFF_AUGMENT:
        yield f'augment.policy={policy!r}: {name!r} is unknown{nearest(name, ("none", "ada", *DIFF_AUGMENT))}'
  for field in ('penalty.cr_real', 'penalty.cr_fake', 'augment.policy'):
    group, name = field.split('.')
    if points and config[group][name] not in (0.0, 'none'):
      yield f'{field}={config[group][name]} transforms images; data.name={config.data.name} has none'
  for setting in ('ada_target', 'ada_images', 'ada_interval'):
    if policy != 'ada' and config.augment[setting] != defaults[setting]:
      yield f'augment.{setting}={config.augment[setting]} does nothing without augment.policy=ada'


def _rule_problems(config: ml_collections.ConfigDict) -> Iterator[str]:
  rule, defaults, known = config.update.rule, _DEFAULTS, rule_settings(config.update.rule)
  numbers = {'consensus': 'consensus', 'adjustment': 'symplectic', 'lookahead': 'lookahead'}
  for setting, value in config.update.items():
    used = setting == 'rule' or setting in known or numbers.get(setting) == rule
    if not used and value != defaults.update[setting]:
      yield f'update.{setting}={value} does nothing for update.rule={rule}'
  if 'disc_steps' not in known and config.train.disc_steps != 1:
    yield f'train.disc_steps={config.train.disc_steps}: with update.rule={rule} both players move at once; use 1, ' \
          'and another learning rate for each of them'
  if config.train.patience and config.train.on_failure == 'continue':
    yield f'train.patience={config.train.patience} does nothing with train.on_failure=continue; use stop'


def _schedule_problems(config: ml_collections.ConfigDict) -> Iterator[str]:
  yield from scheduling.problems(flatten(config), number_fields(config, (config.loss.name,)),
                                 lambda field, value: _number_problems({field: value}))


def _eval_problems(config: ml_collections.ConfigDict) -> Iterator[str]:
  settings, defaults = config.eval, _DEFAULTS.eval
  try:
    if config.data.name in toy.MIXTURES:
      check_points(settings.metrics, settings.features, toy.MIXTURES[config.data.name]())
      yield from (f'eval.{setting}={settings[setting]} does nothing for the points of data.name={config.data.name}'
                  for setting in ('data_split', 'nearest_k', 'resizing', 'inception_weights', 'inception_sha256')
                  if settings[setting] != defaults[setting])
      return
    # Whether the data have classes is known once they are opened.
    plan = make_plan(settings.metrics, settings.features, has_classes=True, training=True)
  except ConfigError as error:
    yield f'eval.{error}'
    return
  for setting in ('resizing', 'inception_weights', 'inception_sha256'):
    if settings[setting] != defaults[setting] and plan.features != 'inception':
      yield f'eval.{setting}={settings[setting]} does nothing for eval.features={plan.features}'
  if 'prdc' in plan.metrics and settings.num_samples <= settings.nearest_k:
    yield f'eval.nearest_k={settings.nearest_k}: {settings.num_samples} samples have not so many neighbours each; ' \
          'raise eval.num_samples'


def _device_problems(config: ml_collections.ConfigDict, num_devices: int) -> Iterator[str]:
  batch_size = config.train.batch_size
  if batch_size > 0 and batch_size % num_devices:
    below = batch_size // num_devices * num_devices
    choices = [str(size) for size in (below, below + num_devices) if size]
    yield f'train.batch_size={batch_size} must divide by {num_devices} devices; try {" or ".join(choices)}'
  elif config.model.disc.pack > 0 and batch_size // num_devices % config.model.disc.pack:
    yield f'model.disc.pack={config.model.disc.pack} must divide the {batch_size // num_devices} samples of each device'
  if config.parallel.strategy == 'pmap' and jax.process_count() > 1:
    yield 'parallel.strategy=pmap is for the devices of one host; use jit, which gives the same numbers to rounding'
