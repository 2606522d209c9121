"""Configurations: the fields that every run has, helpers for configuration files, and the argument after the colon.

A configuration is plain data. A file states its choices and changes; `gan.config.complete` adds the declared defaults
of these choices. This file also lists the fields that may change when a run is resumed, and those that do not change
its mathematics.
"""

import functools
from typing import Any

import ml_collections

from gan.declare import (
  ANY,
  FRACTION,
  NOT_NEGATIVE,
  POSITIVE,
  SEED,
  SIZE,
  Setting,
  at_least,
  nearest,
  one_of,
)

# Fields that every run has, whatever it chooses. Periods and lengths are in steps.
RUN = {
    'seed': Setting(0, 'Seed of all random draws.', SEED),
    'data.name': Setting('digits', 'Data set: digits, folder, stacked_mnist, ring, grid, dirac, gaussian, or a name in '
                         'TFDS.', ANY),
    'data.image_size': Setting(32, 'Height and width of images in pixels, after resizing and a centre crop; points do '
                               'not use this.', NOT_NEGATIVE),
    'data.path': Setting('', 'Directory of images, for data.name=folder.', ANY),
    'data.num_points': Setting(0, 'Number of points in the data set of a mixture (ring, ...); 0: endless.',
                               NOT_NEGATIVE),
    'data.flip': Setting(False, 'Mirror each image with probability 1/2.', ANY),
    'data.resident_bytes': Setting(2 * 2**30, 'Largest size of a data set that is held on each device; larger data '
                                   'sets are streamed.', SIZE),
    'train.batch_size': Setting(128, 'Samples in a batch, over all devices; must divide by the number of devices.',
                                POSITIVE),
    'train.num_steps': Setting(10_000, 'Number of steps; each has train.disc_steps and update.gen_steps updates.',
                               POSITIVE),
    'train.disc_steps': Setting(1, 'Updates of the discriminator in a step.', POSITIVE),
    'train.ema_decay': Setting(0.999, 'Decay per step of the averaged generator, warmed up.', FRACTION),
    'train.ema_halflife': Setting(0.0, 'Half-life of the averaged generator in real images, instead of '
                                  'train.ema_decay; 0: none.', NOT_NEGATIVE),
    'train.steps_per_call': Setting(10, 'Steps in one dispatch.', POSITIVE),
    'train.log_every': Setting(100, 'Period of logged scalars.', POSITIVE),
    'train.save_every': Setting(1_000, 'Period of checkpoints.', POSITIVE),
    'train.eval_every': Setting(1_000, 'Period of scores.', POSITIVE),
    'train.sample_every': Setting(500, 'Period of pictures of samples.', POSITIVE),
    'train.keep': Setting(3, 'Number of checkpoints kept, the newest ones.', POSITIVE),
    'train.num_samples': Setting(64, 'Samples in a grid of images; a scatter plot shows eval.num_samples.', POSITIVE),
    'train.tensorboard': Setting(False, 'Write event files for TensorBoard; needs the package tensorboardX.', ANY),
    'train.tracker': Setting('', 'Log to wandb or trackio, too, where that is installed; single runs only.',
                             one_of(('', 'wandb', 'trackio'))),
    'train.dynamics': Setting(True, 'Log angles between steps (the last one is kept in the state) and slopes.', ANY),
    'train.on_failure': Setting('continue', 'When the verdict is a failure: continue, or stop.',
                                one_of(('continue', 'stop'))),
    'eval.metrics': Setting('', "Scores, comma-separated (docs/evaluation.md); '': the usual ones.", ANY),
    'eval.features': Setting('', "Features: classifier, inception, pixels, random, or module:function; '': the usual "
                             'ones.', ANY),
    'eval.num_samples': Setting(2_500, 'Generated samples scored at each evaluation.', at_least(2)),
    'eval.data_split': Setting('train', 'Split that samples are compared with: train or test.',
                               one_of(('train', 'test'))),
    'eval.nearest_k': Setting(5, 'Number of neighbours in precision, recall, density and coverage.', POSITIVE),
    'eval.inception_weights': Setting('', "Weight file of Inception; '': the published one, downloaded once.", ANY),
    'eval.inception_sha256': Setting('', 'SHA-256 of an Inception weight file that is not the published one.', ANY),
}
# The field that comes with train.on_failure=stop.
STOPPING = {'train.patience': Setting(0, 'Number of successive failing evaluations that do not yet stop the run.',
                                      NOT_NEGATIVE)}
# The field that comes with train.ema_halflife.
RAMPED = {'train.ema_rampup': Setting(0.0, 'The half-life is at most this share of the real images seen so far; 0: no '
                                      'such bound.', NOT_NEGATIVE)}
GROUPS = ('data', 'model', 'model.gen', 'model.disc', 'loss', 'penalty', 'augment', 'optimizer', 'optimizer.gen',
          'optimizer.disc', 'train', 'eval', 'update', 'parallel', 'game', 'schedule',
          *(f'schedule.{group}' for group in ('loss', 'penalty', 'augment', 'optimizer', 'optimizer.gen',
                                              'optimizer.disc', 'train', 'update', 'game')))

# The length of a run and its reports: these fields may change on resume, and do not enter the name of its directory.
FREE_FIELDS = ('train.num_steps', 'train.log_every', 'train.save_every', 'train.eval_every', 'train.sample_every',
               'train.on_failure', 'train.patience', 'train.tracker', 'eval.metrics', 'eval.features',
               'eval.num_samples', 'eval.data_split', 'eval.nearest_k', 'eval.resizing', 'eval.inception_weights',
               'eval.inception_sha256')
# The same samples, the same updates (to rounding), another way of computing or keeping them.
MECHANICAL_FIELDS = (*FREE_FIELDS, 'train.steps_per_call', 'train.keep', 'train.tensorboard', 'train.num_samples',
                     'train.dynamics', 'parallel.strategy', 'data.resident_bytes', 'model.convolution')

RUNLOCAL = {'train.num_steps': 20, 'train.log_every': 5, 'train.save_every': 10, 'train.eval_every': 10,
            'train.sample_every': 10, 'train.steps_per_call': 5, 'eval.num_samples': 256}
RUNLOCAL_IMAGES = RUNLOCAL | {'eval.metrics': 'diversity'}   # This score needs no trained classifier.

# The settings of the Wasserstein GAN for images (arXiv:1701.07875).
WASSERSTEIN = {'loss.name': 'wasserstein', 'penalty.clip': 0.01, 'train.disc_steps': 5} | {
    f'optimizer.{player}.{field}': value for player in ('gen', 'disc')
    for field, value in (('name', 'rmsprop'), ('lr', 5e-5), ('b2', 0.99))}


class ConfigError(Exception):
  """A configuration cannot be run; the message lists every problem and what to change."""


class RunConfig(ml_collections.ConfigDict):
  """A ConfigDict whose `update` is the group of that name, not the method, so that `--config.update.rule=...` works."""

  @property
  def update(self) -> ml_collections.ConfigDict:
    """Settings of the update rule."""
    return self['update']


def base_config() -> RunConfig:
  """Make a configuration with all groups and no fields; assigning to a field creates it."""
  return make_config({group: {} for group in GROUPS}, type_safe=False)


def make_config(flat: dict[str, Any], type_safe: bool = True) -> RunConfig:
  """Make a configuration from dotted fields; a group that is a key itself must come before its fields."""
  nested: dict[str, Any] = {}
  for field, value in flat.items():
    *parents, name = field.split('.')
    functools.reduce(lambda node, key: node.setdefault(key, {}), parents, nested)[name] = value
  return RunConfig(nested, type_safe=type_safe)


def parse_arg(arg: str, **defaults: Any) -> ml_collections.ConfigDict:
  """Parse the argument after the colon of `--config=file.py:argument`.

  Args:
    arg: comma-separated; a bare word is `runlocal` or the name of a data set, `key=value` sets a key.
    **defaults: the keys that the file accepts, with their defaults; a value has the type of its default.

  Raises:
    ConfigError: if a key is unknown or set twice, or a value has another type.
  """
  parsed, keys_set = dict(defaults), set()
  for word in filter(None, (part.strip() for part in arg.split(','))):
    key, equals, value = word.partition('=')
    if not equals:
      key, value = ('runlocal', 'true') if word == 'runlocal' else ('data', word)
    if key not in defaults:
      raise ConfigError(f'argument {word!r}: unknown key {key!r}{nearest(key, defaults)}')
    if key in keys_set:
      raise ConfigError(f'argument {arg!r} sets {key} twice; set it once')
    keys_set.add(key)
    parsed[key] = _convert(key, value, type(defaults[key]))
  return ml_collections.ConfigDict(parsed)


def _convert(key: str, value: str, kind: type) -> Any:
  if kind is bool:
    if value.lower() not in ('true', 'false'):
      raise ConfigError(f'argument {key}={value} must be true or false')
    return value.lower() == 'true'
  try:
    return kind(value)
  except ValueError:
    raise ConfigError(f'argument {key}={value} must be of type {kind.__name__}') from None


def apply_overrides(config: ml_collections.ConfigDict, overrides: dict[str, Any]) -> None:
  """Set dotted fields, such as those of RUNLOCAL, in place."""
  for field, value in overrides.items():
    *parents, name = field.split('.')
    functools.reduce(lambda node, key: node[key], parents, config)[name] = value


def flatten(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """Flatten a configuration to dotted fields, {'loss.name': 'hinge', ...}, in a stable order."""
  flat = {}
  for key in sorted(config.keys()):
    value = config[key]
    if isinstance(value, ml_collections.ConfigDict):
      flat |= {f'{key}.{inner}': leaf for inner, leaf in flatten(value).items()}
    else:
      flat[key] = value
  return flat


def mathematical_overrides(overrides: dict[str, Any]) -> dict[str, Any]:
  """Select the overrides that change the mathematics of a run."""
  return {field: value for field, value in sorted(overrides.items()) if field not in MECHANICAL_FIELDS}


def differing_fields(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
  """List the fields that differ although a resume must not change them: 'loss.name: hinge there, saturating here'."""
  return [f'{field}: {theirs.get(field)} there, {ours.get(field)} here' for field in sorted(set(ours) | set(theirs))
          if field not in FREE_FIELDS and ours.get(field) != theirs.get(field)]
