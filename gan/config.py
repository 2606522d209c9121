"""The configuration: its fields and defaults, and the argument after the colon.

A configuration is plain data. Which fields may change when a run is resumed, and which change its mathematics, is
decided here too; what makes no sense is refused in validate.py.
"""

import difflib
import functools
from typing import Any

import ml_collections
from ml_collections import config_dict

# How long a run goes on and what it reports: may differ when it is resumed, and does not name its directory.
FREE_FIELDS = ('train.num_steps', 'train.log_every', 'train.save_every', 'train.eval_every', 'train.sample_every',
               'train.on_failure', 'train.patience', 'eval.metrics', 'eval.features', 'eval.num_samples',
               'eval.data_split', 'eval.nearest_k', 'eval.resizing', 'eval.inception_weights', 'eval.inception_sha256')
# The same samples, the same updates (to rounding), another way of computing or keeping them.
MECHANICAL_FIELDS = (*FREE_FIELDS, 'train.steps_per_call', 'train.keep', 'train.tensorboard', 'train.num_samples',
                     'train.dynamics', 'parallel.strategy', 'data.resident_bytes')

# Their floats are numbers of a run, each of which may have a schedule.
SCHEDULED_GROUPS = ('loss', 'penalty', 'augment', 'optimizer', 'train', 'update')

# Of `model.disc`: done to any network from outside, so that none of them knows it.
AROUND_NETWORK = ('spectral_norm', 'pack')

RUNLOCAL = {'train.num_steps': 20, 'train.log_every': 5, 'train.save_every': 10, 'train.eval_every': 10,
            'train.sample_every': 10, 'train.steps_per_call': 5, 'eval.num_samples': 256}
RUNLOCAL_IMAGES = RUNLOCAL | {'eval.metrics': 'diversity'}   # No classifier is trained for it.

# The settings of the Wasserstein GAN for images (arXiv:1701.07875).
WASSERSTEIN = {'loss.name': 'wasserstein', 'penalty.clip': 0.01, 'train.disc_steps': 5} | {
    f'optimizer.{player}.{field}': value for player in ('gen', 'disc')
    for field, value in (('name', 'rmsprop'), ('lr', 5e-5), ('b2', 0.99))}


class ConfigError(Exception):
  """A configuration that cannot be run; the message lists every problem and what to change.

  Not a ValueError: ml_collections would wrap one that a config file raises in a traceback.
  """


class RunConfig(ml_collections.ConfigDict):
  """A ConfigDict in which `update` is the field of that name and not the method: `--config.update.rule=...` works."""

  @property
  def update(self) -> ml_collections.ConfigDict:
    """Settings of the update rule."""
    return self['update']


def base_config() -> ml_collections.ConfigDict:
  """Every field with its default; a config file sets what it needs."""
  config = RunConfig()
  config.seed = 0

  config.data = ml_collections.ConfigDict()
  config.data.name = 'digits'              # digits, folder, stacked_mnist, ring, grid, dirac, gaussian, or one of TFDS.
  config.data.image_size = 32              # Pixels, after resizing and a centre crop; points have none.
  config.data.path = ''                    # Directory of images, for folder.
  config.data.num_points = 0               # Size of the data set of a mixture (ring, ...); 0: endless.
  config.data.flip = False                 # Mirror each image with probability 1/2.
  config.data.resident_bytes = 2 * 2**30   # Up to this size a data set is held on each device; larger ones stream.

  config.game = ml_collections.ConfigDict()
  config.game.name = 'generation'          # Key of gan.games.table.GAMES.

  config.model = ml_collections.ConfigDict()
  for player in ('gen', 'disc'):
    config.model[player] = ml_collections.ConfigDict()
    config.model[player].name = 'dcgan'    # Key of gan.models.MODELS.
    config.model[player].width = 64        # Channels (dcgan, resnet) or units (vanilla, mlp, pacgan).
    # None, here and below: the model's own.
    config.model[player].layers = config_dict.placeholder(int)   # Hidden layers (vanilla, mlp, pacgan).
    config.model[player].blocks = config_dict.placeholder(int)   # Residual blocks at each resolution (resnet).
    config.model[player].start = config_dict.placeholder(float)  # Initial parameter (dirac, linear_quadratic).
  config.model.gen.places = config_dict.placeholder(int)         # disc.pack: batch norm by place in a pack (pacgan).
  config.model.disc.pieces = config_dict.placeholder(int)        # Linear pieces of each maxout unit (pacgan).
  config.model.disc.batch_norm = config_dict.placeholder(bool)   # Of dcgan.
  config.model.disc.minibatch = config_dict.placeholder(str)     # Key of MINIBATCH; of dcgan, vanilla, mlp.
  config.model.disc.spectral_norm = False  # Divide each kernel by its largest singular value; any model.
  config.model.disc.pack = 1               # Samples that get one logit together (PacGAN); must divide the batch.
  config.model.z_dim = 100
  config.model.z = 'normal'                # Latents: normal, or uniform on [-1, 1].

  config.loss = ml_collections.ConfigDict()
  config.loss.name = 'nonsaturating'       # Key of gan.losses.LOSSES.
  config.loss.label_smoothing = 0.0        # One-sided, in [0, 1); saturating and nonsaturating.
  config.loss.label_flip = 0.0             # Share of pairs that the discriminator sees with their labels swapped; any.
  config.loss.a = 0.0                      # least_squares: target of fakes,
  config.loss.b = 1.0                      # of real samples,
  config.loss.c = 1.0                      # and of fakes in the generator's eyes.
  config.loss.margin = 1.0                 # hinge.
  config.loss.alpha_disc = 1.0             # alpha_saturating and alpha_nonsaturating: order of each player,
  config.loss.alpha_gen = 1.0              # in (0, inf].

  config.penalty = ml_collections.ConfigDict()
  # Weights on the discriminator's loss; 0: not part of the program. See gan/penalties.py for each and its paper.
  config.penalty.r1 = 0.0                  # gamma in gamma/2 E|grad D|^2 at real samples,
  config.penalty.r2 = 0.0                  # and at generated ones.
  config.penalty.every = 1                 # R1 and R2 come after every k-th discriminator update only, k times as heavy
                                           # (not logged).
  config.penalty.difference_std = 0.0      # R1 and R2 by finite differences under noise of this std; 0: exact.
  config.penalty.gp = 0.0                  # WGAN-GP: lambda in lambda E(|grad D| - target)^2, between real and fake.
  config.penalty.dragan = 0.0              # The same around real samples.
  config.penalty.dragan_std = 0.5          # How far: noise up to this, in units of the batch's standard deviation.
  config.penalty.target = 1.0              # Of the norm, in gp and dragan.
  config.penalty.one_sided = False         # gp and dragan spare norms below the target.
  config.penalty.zero_gp = 0.0             # lambda in lambda E|grad D|^2, between real and fake.
  config.penalty.lecam = 0.0               # Logits to the other side's running mean, which is corrected for its start
  config.penalty.lecam_decay = 0.99        # and decays by this in each discriminator update;
  config.penalty.lecam_form = 'published'  # published: gaps of the right sign only, as in the authors' code; or paper;
  config.penalty.lecam_start = 0           # steps without the penalty, in which the means are those of the last batch.
  config.penalty.cr_real = 0.0             # CR: logits of real samples and of their flipped and shifted copies;
  config.penalty.cr_fake = 0.0             # bCR: of generated ones too.
  config.penalty.zcr_disc = 0.0            # zCR: logits at nearby latents together,
  config.penalty.zcr_gen = 0.0             # and, in the generator's loss, their samples apart;
  config.penalty.zcr_std = 0.05            # how near, in units of latents.
  config.penalty.orthogonal = 0.0          # Columns of the discriminator's kernels at right angles,
  config.penalty.gen_orthogonal = 0.0      # and of the generator's.
  config.penalty.clip = 0.0                # Bound on each discriminator parameter after each update.

  config.augment = ml_collections.ConfigDict()
  config.augment.policy = 'none'           # What D sees of real and fake: none, ada, or DiffAugment's
                                           # color, translation, cutout joined by +.
  config.augment.ada_target = 0.6          # ada: E[sign(D(real))] that its probability steers to,
  config.augment.ada_interval = 4          # discriminator updates between two moves, by the mean sign over all of them,
  config.augment.ada_images = 500_000      # and real images until it has gone from 0 to 1.
  config.augment.noise = 0.0               # Instance noise: std, in units of the data.

  config.optimizer = ml_collections.ConfigDict()
  for player in ('gen', 'disc'):
    config.optimizer[player] = ml_collections.ConfigDict()
    config.optimizer[player].name = 'adam'         # Key of gan.optimizers.OPTIMIZERS.
    config.optimizer[player].lr = 2e-4
    config.optimizer[player].b1 = 0.5              # adam: first moment; sgd: momentum.
    config.optimizer[player].b2 = 0.999            # adam: second moment; rmsprop: decay of the squares.
    config.optimizer[player].eps = 1e-8
    config.optimizer[player].weight_decay = 0.0    # Decoupled from the gradient (AdamW).

  config.train = ml_collections.ConfigDict()
  config.train.batch_size = 128            # Global; must divide by the number of devices.
  config.train.num_steps = 10_000          # Steps, each of disc_steps and update.gen_steps updates.
  config.train.disc_steps = 1              # Discriminator updates in a step.
  config.train.ema_decay = 0.999           # Of the averaged generator, per step, warmed up.
  config.train.steps_per_call = 10         # Steps in one dispatch.
  config.train.log_every = 100             # Periods in steps:
  config.train.save_every = 1_000
  config.train.eval_every = 1_000
  config.train.sample_every = 500
  config.train.keep = 3                    # Checkpoints kept, the newest ones.
  config.train.num_samples = 64            # In a grid of images; a scatter plot shows eval.num_samples.
  config.train.tensorboard = False         # Needs the package tensorboardX.
  config.train.dynamics = True             # Log angles between steps (the last one is kept in the state) and slopes.
  config.train.on_failure = 'continue'     # When the verdict is a failure: continue, or stop
  config.train.patience = 0                # after so many more failing evaluations in a row.

  config.eval = ml_collections.ConfigDict()
  config.eval.metrics = ''                 # Scores, comma-separated (README.md); '': the usual ones.
  config.eval.features = ''                # classifier, inception, pixels, random, module:function; '': the usual ones.
  config.eval.num_samples = 2_500          # Generated samples scored at each evaluation.
  config.eval.data_split = 'train'         # What they are compared with: train or test.
  config.eval.nearest_k = 5                # Neighbours of precision, recall, density and coverage.
  config.eval.resizing = 'tensorflow'      # inception: how images get to 299 pixels, tensorflow or clean.
  config.eval.inception_weights = ''       # inception: weight file; '': the published one, downloaded once.
  config.eval.inception_sha256 = ''        # inception: of a weight file that is not the published one.

  config['update'] = ml_collections.ConfigDict()
  config.update.rule = 'alternating'       # Key of gan.rules.RULES.
  config.update.first = 'disc'             # alternating, unrolled, lookahead: who moves first, disc or gen,
  config.update.gen_steps = 1              # and generator updates in a step.
  config.update.consensus = 1.0            # consensus: gamma, the weight of the gradient of |field|^2 / 2.
  config.update.adjustment = 1.0           # symplectic: |lambda|.
  config.update.unroll_steps = 5           # unrolled: discriminator updates that the generator foresees.
  config.update.lookahead_steps = 5        # lookahead: steps between two returns towards the slow weights,
  config.update.lookahead = 0.5            # and the share of the way to the fast ones that is kept.

  config.parallel = ml_collections.ConfigDict()
  config.parallel.strategy = 'jit'         # jit or pmap: equal to rounding (gan/parallel.py).

  # How numbers change while a run goes on (gan/schedules.py): 'linear,over=10000' for any of them; '' is constant.
  config.schedule = RunConfig({group: _texts(config[group]) for group in SCHEDULED_GROUPS})
  return config


def _texts(group: ml_collections.ConfigDict) -> RunConfig:
  """The same group with '' in the place of each float, and nothing else."""
  texts = {name: _texts(value) if isinstance(value, ml_collections.ConfigDict) else ''
           for name, value in group.items() if isinstance(value, ml_collections.ConfigDict | float)}
  return RunConfig(texts)


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


def nearest(name: str, known: Any) -> str:
  """'; known: a, b (did you mean a?)': the end of every message about an unknown name."""
  close = difflib.get_close_matches(str(name), list(known), n=1)
  return f'; known: {", ".join(sorted(known))}' + (f' (did you mean {close[0]}?)' if close else '')


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


def unflatten(flat: dict[str, Any]) -> ml_collections.ConfigDict:
  """The configuration that a run directory holds.

  Fields that came later than the run have their defaults, which leave everything as it was before them.

  Raises:
    ConfigError: if it has fields that this version does not know, or values of another type.
  """
  config = base_config()
  if unknown := sorted(set(flat) - set(flatten(config))):
    replaced = any(field.endswith(('.schedule', '.decay_steps', '.warmup_steps', '.noise_steps')) for field in unknown)
    raise ConfigError(f'this run was written by another version of the code; fields unknown to this one: {unknown}' + (
        '; a schedule is now a text, such as schedule.optimizer.gen.lr=linear,over=10000' if replaced else ''))
  try:
    apply_overrides(config, flat)
  except TypeError as error:
    raise ConfigError(f'this run has a configuration that cannot be: {error}') from None
  return config


def mathematical_overrides(overrides: dict[str, Any]) -> dict[str, Any]:
  """Those overrides that name a different experiment."""
  return {field: value for field, value in sorted(overrides.items()) if field not in MECHANICAL_FIELDS}


def differing_fields(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
  """'loss.name: hinge there, saturating here' for each field that must not differ on resume."""
  return [f'{field}: {theirs.get(field)} there, {ours.get(field)} here' for field in sorted(set(ours) | set(theirs))
          if field not in FREE_FIELDS and ours.get(field) != theirs.get(field)]
