"""Checks of relations between the fields of a configuration.

Their problems are reported together with those of `gan.config.complete`. A check sees a complete configuration, in
which single values may still be out of range.
"""

import difflib
import importlib.util
import itertools
import os
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import ml_collections

from gan.build import number_fields
from gan.config import ConfigError, RunConfig, flatten, make_config, scheduling
from gan.config.complete import completed, declared, fields_of, refuse
from gan.data import has_images, toy
from gan.declare import problem, quoted
from gan.games.cast import PLAYERS
from gan.games.table import show_of
from gan.models import MODELS
from gan.rules import rule_settings
from gan.scoring.plan import check_points, make_plan


def validate(stated: ml_collections.ConfigDict, num_devices: int = 1,
             overrides: Mapping[str, Any] | None = None) -> RunConfig:
  """Complete a configuration and check all of it, before anything is built.

  Args:
    stated: the stated fields, or a complete configuration.
    num_devices: number of devices that share a batch.
    overrides: dotted fields that replace stated ones, see `gan.config.complete`.

  Returns:
    The complete configuration.

  Raises:
    ConfigError: lists all problems at once; each says what to change.
  """
  flat, problems = completed(flatten(stated), overrides or {})
  config, wrong_fields = make_config(flat), {_field(line) for line in problems}
  checks = [_device_problems(config, num_devices)]
  # The other checks look names up in tables, so all names must be valid.
  if not any(field.endswith(('name', 'rule', 'strategy')) for field in wrong_fields):
    checks.append(_path_problems(config, num_devices))
    checks += [check(config) for check in (_loss_problems, _model_problems, _condition_problems, _data_problems,
                                           _penalty_problems, _training_problems, _eval_problems, _schedule_problems)]
  refuse([*problems, *(line for line in itertools.chain(*checks) if _field(line) not in wrong_fields)])
  return config


def _field(problem: str) -> str:
  return problem.partition('=')[0]


def _loss_problems(config: ml_collections.ConfigDict) -> Iterator[str]:
  loss = config.loss
  if loss.name == 'least_squares':
    if loss.a == loss.b:
      yield f'loss.a={loss.a} equals loss.b: real and fake samples would have the same target; try a=0, b=1'
    elif loss.c == loss.a:
      yield f'loss.c={loss.c} equals loss.a: the generator would aim at the target of fakes; try c=b={loss.b}'
  bounds = [config.penalty[field] for field in ('clip', 'gp', 'dragan', 'zero_gp', 'r1', 'r2')]
  paper = MODELS[config.model.disc.name].sample_dim is not None  # Games on paper (dirac, ...) may have no bound.
  if loss.name == 'wasserstein' and not (any(bounds) or config.model.disc.spectral_norm or paper):
    yield 'loss.name=wasserstein needs a Lipschitz critic: without a bound its loss has no minimum; ' \
          'add --config.penalty.gp=10 or --config.penalty.clip=0.01'


def _model_problems(config: ml_collections.ConfigDict) -> Iterator[str]:
  two_dimensional, dim = not has_images(config.data.name), _dim(config)
  for player in PLAYERS:
    name, architecture = config.model[player].name, MODELS[config.model[player].name]
    if architecture.sample_dim not in (None, dim):
      yield f'model.{player}.name={name} is for samples of {architecture.sample_dim} number, and the samples of ' \
            f'data.name={config.data.name} have more; use data.name=dirac or gaussian, or model.{player}.name=mlp'
    elif architecture.sample_dim and player == 'disc' and config.model.disc.pack > 1:
      yield f'model.disc.pack={config.model.disc.pack} must be 1: model.disc.name={name} judges single numbers'
    elif name == 'linear_quadratic' and player == 'gen' and config.model.get('z_dim') != 1:
      yield f'model.z_dim={config.model.get("z_dim")} must be 1: model.gen.name={name} scales a single latent'
    elif architecture.images == two_dimensional:
      fitting = [key for key, other in MODELS.items() if other.images != two_dimensional]
      close = '' if two_dimensional else _meant(config.data.name)
      yield f'model.{player}.name={name} does not fit the {"points" if two_dimensional else "images"} of ' \
            f'data.name={config.data.name}{close}; use {" or ".join(fitting)}'
    elif architecture.image_sizes and config.data.image_size not in architecture.image_sizes:
      sizes = ', '.join(map(str, architecture.image_sizes))
      yield f'data.image_size={config.data.image_size}: model.{player}.name={name} is built for {sizes}'
    else:
      yield from architecture.problems(player, flatten(config))
    if architecture.sample_dim is not None:
      flat = flatten(config)
      of_matrices = {'gen': ['penalty.gen_orthogonal'], 'disc': ['penalty.orthogonal', 'model.disc.spectral_norm']}
      yield from (f'{field}={value} is for matrices, and model.{player}.name={name} has a single weight; leave it out'
                  for field in of_matrices[player] if (value := flat[field]))
  places = config.model.gen.get('places', 1)
  if places not in (1, config.model.disc.pack):
    yield f'model.gen.places={places} must be 1 or equal model.disc.pack={config.model.disc.pack}'
  if config.train.batch_size == places and {'dcgan', 'pacgan'} & {config.model.gen.name, config.model.disc.name}:
    yield f'train.batch_size={places} gives batch norm a single sample to normalise; use at least {2 * places}'


def _condition_problems(config: ml_collections.ConfigDict) -> Iterator[str]:
  kind = config.model.condition
  if kind == 'none':
    return
  if config.game.name != 'generation':
    yield f'model.condition={kind} is for game.name=generation, not for game.name={config.game.name}; leave it out'
  elif not has_images(config.data.name) and kind != 'infogan':
    yield f'model.condition={kind} needs labels, and the points of data.name={config.data.name} have none; use ' \
          'model.condition=none, or infogan'
  if config.model.disc.pack > 1 and kind != 'concat':
    yield f'model.disc.pack={config.model.disc.pack} gives several samples one logit, and model.condition={kind} ' \
          'judges the class or the codes of each; use model.disc.pack=1, or model.condition=concat'
  if kind in ('concat', 'projection') and config.model.get('fake_labels') == 'drawn':
    yield from (f'penalty.{name}={config.penalty[name]} is taken between a real and a generated sample, which must '
                'have one class; use model.fake_labels=batch' for name in ('gp', 'zero_gp') if config.penalty[name])


def _dim(config: ml_collections.ConfigDict) -> int | None:
  """Return the dimension of a point of the data; None for images."""
  mixture = toy.MIXTURES.get(config.data.name)
  return mixture().modes.shape[1] if mixture else None


def _data_problems(config: ml_collections.ConfigDict) -> Iterator[str]:
  two_dimensional, dim, num_points = not has_images(config.data.name), _dim(config), config.data.num_points
  if num_points and dim is None:
    yield f'data.num_points={num_points} is for mixtures; data.name={config.data.name} has a fixed size: leave it out'
  elif num_points and (size := 4 * dim * num_points) > config.data.resident_bytes:
    yield f'data.num_points={num_points} needs {size} bytes on each device, more than ' \
          f'data.resident_bytes={config.data.resident_bytes}; lower the first or raise the second'
  if config.data.name == 'folder' and not config.data.path:
    yield 'data.name=folder needs --config.data.path=<directory of images>'
  if config.data.path and config.data.name != 'folder':
    yield f'data.path={config.data.path!r} does nothing for data.name={config.data.name}; use data.name=folder'
  for field, path in (('data.path', config.data.path), ('eval.inception_weights', config.eval.inception_weights)):
    if path.startswith('~') and os.path.expanduser(path) == path:
      yield f'{field}={path!r} begins with a home directory that does not exist; write the path out'
  if not two_dimensional:
    return
  if config.data.flip:
    yield f'data.flip=True mirrors images; data.name={config.data.name} has none'
  for field in ('penalty.cr_real', 'penalty.cr_fake', 'augment.policy'):
    group, name = field.split('.')
    if config[group][name] not in (0.0, 'none'):
      yield f'{field}={config[group][name]} transforms images; data.name={config.data.name} has none'


def _meant(name: str) -> str:
  """Suggest a mixture, ' (did you mean ring?)', for the name of a data set that may be misspelt; '' if none is near."""
  close = difflib.get_close_matches(name, toy.MIXTURES, n=1)
  return f' (did you mean {close[0]}?)' if close else ''


def _penalty_problems(config: ml_collections.ConfigDict) -> Iterator[str]:
  penalty, minibatch = config.penalty, config.model.disc.get('minibatch')
  for name in ('r1', 'r2', 'gp', 'dragan', 'zero_gp'):
    if penalty[name] and config.model.disc.get('batch_norm'):
      yield f'penalty.{name}={penalty[name]} needs the slope at each sample, and batch norm makes a logit depend on ' \
            'all samples of the batch; add --config.model.disc.batch_norm=False'
    elif penalty[name] and minibatch == 'discrimination':
      yield f'penalty.{name}={penalty[name]} needs the slope at each sample, and minibatch discrimination makes a ' \
            'logit depend on all samples of the batch; leave one of them out'
  if penalty.get('difference_std') and minibatch == 'stddev':
    yield f'penalty.difference_std={penalty.difference_std} moves all samples at once, and with ' \
          'model.disc.minibatch=stddev a logit depends on all of them, so the penalty would not be R1; ' \
          'use penalty.difference_std=0, or leave stddev out'


def _path_problems(config: ml_collections.ConfigDict, num_devices: int) -> Iterator[str]:
  weight, name = config.penalty.path_length, config.model.gen.name
  if not weight:
    return
  if not MODELS[name].styles:
    fitting = ' or '.join(key for key, model in MODELS.items() if model.styles)
    yield f'penalty.path_length={weight} needs a generator with styles, and model.gen.name={name} has none; use ' \
          f'model.gen.name={fitting}'
  if config.model.condition == 'infogan':
    yield f'penalty.path_length={weight} does not go with model.condition=infogan; leave one of them out'
  share, rows = config.penalty.path_share, config.train.batch_size // num_devices
  if share > 0 and rows % share:
    yield f'penalty.path_share={share} must divide the {rows} samples of each device'
  if 'disc_steps' not in rule_settings(config.update.rule) and (every := config.penalty.path_every) > 1:
    yield f'penalty.path_every={every} is for rules in which the players take turns; with update.rule=' \
          f'{config.update.rule} both move at once, so use penalty.path_every=1'


def _training_problems(config: ml_collections.ConfigDict) -> Iterator[str]:
  rule, every = config.update.rule, config.penalty.get('every', 1)
  if 'disc_steps' not in rule_settings(rule):
    if every > 1:
      yield f'penalty.every={every} is for rules in which the players take turns; with update.rule={rule} both move ' \
            'at once, so use penalty.every=1'
    if config.train.disc_steps != 1:
      yield f'train.disc_steps={config.train.disc_steps}: with update.rule={rule} both players move at once; use 1, ' \
            'and separate learning rates instead'
  if config.train.tensorboard and importlib.util.find_spec('tensorboardX') is None:
    yield 'train.tensorboard=True needs the package tensorboardX: pip install tensorboardX'
  if (tracker := config.train.tracker) and getattr(importlib.util.find_spec(tracker), 'origin', None) is None:
    yield f'train.tracker={tracker} needs the package {tracker}: pip install -U {tracker}'   # A folder is no package.


def _schedule_problems(config: ml_collections.ConfigDict) -> Iterator[str]:
  flat = flatten(config)
  fields = fields_of(flat)

  def check(field: str, value: float) -> list[str]:
    return [f'{quoted(field, value)}{wrong}'] if (wrong := problem(fields[field], value)) else []

  yield from scheduling.problems(flat, number_fields(config, (config.loss.name,)), check)


def _eval_problems(config: ml_collections.ConfigDict) -> Iterator[str]:
  if not show_of(config.game.name).scored:
    return
  settings = config.eval
  try:
    if config.data.name in toy.MIXTURES:
      check_points(settings.metrics, settings.features, toy.MIXTURES[config.data.name]())
      yield from (f'eval.{setting}={settings[setting]} does nothing for the points of data.name={config.data.name}'
                  for setting in ('data_split', 'nearest_k', 'resizing', 'inception_weights', 'inception_sha256')
                  if settings[setting] != declared().always[f'eval.{setting}'].default)
      return
    # Only opening the data would show whether they have classes; here we assume it.
    plan = make_plan(settings.metrics, settings.features, has_classes=True, training=True,
                     condition=config.model.condition)
  except ConfigError as error:
    yield f'eval.{error}'
    return
  for setting in ('resizing', 'inception_weights', 'inception_sha256'):
    if settings[setting] != declared().always[f'eval.{setting}'].default and plan.features != 'inception':
      yield f'eval.{setting}={settings[setting]} does nothing for eval.features={plan.features}'
  if 'prdc' in plan.metrics and settings.num_samples <= settings.nearest_k:
    yield f'eval.nearest_k={settings.nearest_k}: {settings.num_samples} samples are too few for that many ' \
          'neighbours; raise eval.num_samples'


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
