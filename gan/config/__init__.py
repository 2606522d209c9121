"""What a configuration file states, the fields that belong to a run itself, and the argument after the colon.

A configuration is plain data. A file states what it chooses and changes; `gan.config.complete` adds the declared
defaults of what was chosen. Which fields may change when a run is resumed, and which change its mathematics, is
decided here too.
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
    'seed': Setting(0, 'Seed of everything that is drawn.', SEED),
    'data.name': Setting('digits', 'digits, folder, stacked_mnist, ring, grid, dirac, gaussian, or one of TFDS.', ANY),
    'data.image_size': Setting(32, 'Pixels, after resizing and a centre crop; points have none.', NOT_NEGATIVE),
    'data.path': Setting('', 'Directory of images, for folder.', ANY),
    'data.num_points': Setting(0, 'Size of the data set of a mixture (ring, ...); 0: endless.', NOT_NEGATIVE),
    'data.flip': Setting(False, 'Mirror each image with probability 1/2.', ANY),
    'data.resident_bytes': Setting(2 * 2**30, 'Up to this size a data set is held on each device; larger ones stream.',
                                   SIZE),
    'train.batch_size': Setting(128, 'Samples, global; it must divide by the number of devices.', POSITIVE),
    'train.num_steps': Setting(10_000, 'Steps, each of disc_steps and update.gen_steps updates.', POSITIVE),
    'train.disc_steps': Setting(1, 'Updates of the discriminator in a step.', POSITIVE),
    'train.ema_decay': Setting(0.999, 'Decay of the averaged generator, per step, warmed up.', FRACTION),
    'train.steps_per_call': Setting(10, 'Steps in one dispatch.', POSITIVE),
    'train.log_every': Setting(100, 'Period of scalars.', POSITIVE),
    'train.save_every': Setting(1_000, 'Period of checkpoints.', POSITIVE),
    'train.eval_every': Setting(1_000, 'Period of scores.', POSITIVE),
    'train.sample_every': Setting(500, 'Period of pictures.', POSITIVE),
    'train.keep': Setting(3, 'Checkpoints kept, the newest ones.', POSITIVE),
    'train.num_samples': Setting(64, 'Samples in a grid of images; a scatter plot shows eval.num_samples.', POSITIVE),
    'train.tensorboard': Setting(False, 'Write for TensorBoard; needs the package tensorboardX.', ANY),
    'train.tracker': Setting('', 'Log to wandb or trackio, too, where that is installed; single runs only.',
                             one_of(('', 'wandb', 'trackio'))),
    'train.dynamics': Setting(True, 'Log angles between steps (the last one is kept in the state) and slopes.', ANY),
    'train.on_failure': Setting('continue', 'When the verdict is a failure: continue, or stop.',
                                one_of(('continue', 'stop'))),
    'eval.metrics': Setting('', "Scores, comma-separated (README.md); '': the usual ones.", ANY),
    'eval.features': Setting('', "classifier, inception, pixels, random, module:function; '': the usual ones.", ANY),
    'eval.num_samples': Setting(2_500, 'Generated samples scored at each evaluation.', at_least(2)),
    'eval.data_split': Setting('train', 'What samples are compared with: train or test.', one_of(('train', 'test'))),
    'eval.nearest_k': Setting(5, 'Neighbours of precision, recall, density and coverage.', POSITIVE),
    'eval.inception_weights': Setting('', "inception: weight file; '': the published one, downloaded once.", ANY),
    'eval.inception_sha256': Setting('', 'inception: SHA-256 of a weight file that is not the published one.', ANY),
}
# Where train.on_failure is stop.
STOPPING = {'train.patience': Setting(0, 'Failing evaluations in a row that are let pass before the run stops.',
                                      NOT_NEGATIVE)}
GROUPS = ('data', 'model', 'model.gen', 'model.disc', 'loss', 'penalty', 'augment', 'optimizer', 'optimizer.gen',
          'optimizer.disc', 'train', 'eval', 'update', 'parallel', 'game', 'schedule',
          *(f'schedule.{group}' for group in ('loss', 'penalty', 'augment', 'optimizer', 'optimizer.gen',
                                              'optimizer.disc', 'train', 'update', 'game')))

# How long a run goes on and what it reports: may differ when it is resumed, and does not name its directory.
FREE_FIELDS = ('train.num_steps', 'train.log_every', 'train.save_every', 'train.eval_every', 'train.sample_every',
               'train.on_failure', 'train.patience', 'train.tracker', 'eval.metrics', 'eval.features',
               'eval.num_samples', 'eval.data_split', 'eval.nearest_k', 'eval.resizing', 'eval.inception_weights',
               'eval.inception_sha256')
# The same samples, the same updates (to rounding), another way of computing or keeping them.
MECHANICAL_FIELDS = (*FREE_FIELDS, 'train.steps_per_call', 'train.keep', 'train.tensorboard', 'train.num_samples',
                     'train.dynamics', 'parallel.strategy', 'data.resident_bytes')

RUNLOCAL = {'train.num_steps': 20, 'train.log_every': 5, 'train.save_every': 10, 'train.eval_every': 10,
            'train.sample_every': 10, 'train.steps_per_call': 5, 'eval.num_samples': 256}
RUNLOCAL_IMAGES = RUNLOCAL | {'eval.metrics': 'diversity'}   # No classifier is trained for it.

# The settings of the Wasserstein GAN for images (arXiv:1701.07875).
WASSERSTEIN = {'loss.name': 'wasserstein', 'penalty.clip': 0.01, 'train.disc_steps': 5} | {
    f'optimizer.{player}.{field}': value for player in ('gen', 'disc')
    for field, value in (('name', 'rmsprop'), ('lr', 5e-5), ('b2', 0.99))}


class ConfigError(Exception):
  """A configuration that cannot be run; the message lists every problem and what to change."""


class RunConfig(ml_collections.ConfigDict):
  """A ConfigDict in which `update` is the field of that name and not the method: `--config.update.rule=...` works."""

  @property
  def update(self) -> ml_collections.ConfigDict:
    """Settings of the update rule."""
    return self['update']


def base_config() -> RunConfig:
  """A configuration that states nothing yet: its groups are there, and a field is made by assigning to it."""
  return make_config({group: {} for group in GROUPS}, type_safe=False)


def make_config(flat: dict[str, Any], type_safe: bool = True) -> RunConfig:
  """The configuration of dotted fields; a group comes before what is in it."""
  nested: dict[str, Any] = {}
  for field, value in flat.items():
    *parents, name = field.split('.')
    functools.reduce(lambda node, key: node.setdefault(key, {}), parents, nested)[name] = value
  return RunConfig(nested, type_safe=type_safe)


def parse_arg(arg: str, **defaults: Any) -> ml_collections.ConfigDict:
  """Reads the argument after the colon of `--config=file.py:argument`.

  Args:
    arg: comma-separated; a bare word is `runlocal` or the name of a data set, `key=value` sets a key.
    **defaults: the keys that the file knows, with their defaults, whose types are kept.

  Raises:
    ConfigError: if a key is unknown or given twice, or a value is not of its type.
  """
  parsed, given = dict(defaults), set()
  for word in filter(None, (part.strip() for part in arg.split(','))):
    key, equals, value = word.partition('=')
    if not equals:
      key, value = ('runlocal', 'true') if word == 'runlocal' else ('data', word)
    if key not in defaults:
      raise ConfigError(f'argument {word!r}: unknown key {key!r}{nearest(key, defaults)}')
    if key in given:
      raise ConfigError(f'argument {arg!r} sets {key} twice; give it once')
    given.add(key)
    parsed[key] = _convert(key, value, type(defaults[key]))
  return ml_collections.ConfigDict(parsed)


def _convert(key: str, value: str, kind: type) -> Any:
  if kind is bool:
    if value.lower() not in ('true', 'false'):
      raise ConfigError(f'argument {key}={value}: must be true or false')
    return value.lower() == 'true'
  try:
    return kind(value)
  except ValueError:
    raise ConfigError(f'argument {key}={value}: must be of type {kind.__name__}') from None


def apply_overrides(config: ml_collections.ConfigDict, overrides: dict[str, Any]) -> None:
  """Sets dotted fields, such as RUNLOCAL's, in place."""
  for field, value in overrides.items():
    *parents, name = field.split('.')
    functools.reduce(lambda node, key: node[key], parents, config)[name] = value


def flatten(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """{'loss.name': 'hinge', ...}, in a stable order."""
  flat = {}
  for key in sorted(config.keys()):
    value = config[key]
    if isinstance(value, ml_collections.ConfigDict):
      flat |= {f'{key}.{inner}': leaf for inner, leaf in flatten(value).items()}
    else:
      flat[key] = value
  return flat


def mathematical_overrides(overrides: dict[str, Any]) -> dict[str, Any]:
  """Those overrides that name a different experiment."""
  return {field: value for field, value in sorted(overrides.items()) if field not in MECHANICAL_FIELDS}


def differing_fields(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
  """'loss.name: hinge there, saturating here' for each field that must not differ on resume."""
  return [f'{field}: {theirs.get(field)} there, {ours.get(field)} here' for field in sorted(set(ours) | set(theirs))
          if field not in FREE_FIELDS and ours.get(field) != theirs.get(field)]
