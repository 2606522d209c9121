"""ConfigDict -> plain objects. Nothing below this file receives a configuration."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import ml_collections
import numpy as np

from gan import optimizers, randomness, step
from gan.config import ConfigError, flatten
from gan.data import get_source, order, pipeline, toy
from gan.data.source import ImageSource
from gan.games import Devices, Game, generation
from gan.games.cast import PLAYERS
from gan.games.view import View
from gan.losses import LOSSES
from gan.losses.choice import INDEX, chosen_among
from gan.models import AROUND, get_model
from gan.parallel import Parallel, make_parallel
from gan.rules import Txs, optimizer_numbers, rule_settings
from gan.state import GanState, PyTree, create_state

# Groups of settings whose numbers may differ between members of a population; where one is 0 (no such penalty, no
# noise), it is not part of the program.
OPTIONAL = ('penalty', 'augment', 'update')
COUNTS = ('augment.ada_images', 'augment.ada_interval', 'augment.noise_steps', 'penalty.lecam_start')   # So may these.


class DataInfo(NamedTuple):
  """What a run remembers of its data set, so that it can be sampled where the data are absent."""

  name: str
  sample_shape: tuple[int, ...]
  num_examples: int | None       # None: drawn afresh, without end.
  class_names: tuple[str, ...]
  fingerprint: str


class Build(NamedTuple):
  """A run, ready to be compiled."""

  game: Game
  txs: Txs
  parallel: Parallel
  hparams: dict[str, Any]        # Numbers that may differ between members of a population, see `hparams_of`.
  memory: Callable[[dict[str, PyTree]], PyTree]   # {'gen', 'disc'} parameters -> what the step remembers at first.


def open_data(config: ml_collections.ConfigDict) -> ImageSource | toy.Mixture:
  """The data set of a configuration.

  Raises:
    DataError: if it cannot be opened.
  """
  if config.data.name in toy.MIXTURES:
    return toy.MIXTURES[config.data.name]()._replace(num_points=config.data.num_points or None)
  return get_source(config.data.name, config.data.image_size, path=config.data.path or None)


def describe_data(data: ImageSource | toy.Mixture) -> DataInfo:
  """What to remember of a data set."""
  if isinstance(data, toy.Mixture):
    return DataInfo(data.name, data.modes.shape[1:], data.num_points, (), data.fingerprint())
  return DataInfo(data.name, data.shape, data.num_examples, data.class_names, data.fingerprint())


def build(config: ml_collections.ConfigDict, sample_shape: tuple[int, ...], devices: list | None = None, *,
          parallel: Parallel | None = None, losses: Sequence[str] = ()) -> Build:
  """Networks, game, optimizers and devices of a configuration that is valid.

  Args:
    config: of the run, complete.
    sample_shape: shape of one sample.
    devices: that it uses; all by default.
    parallel: how it uses them; by default as the configuration says.
    losses: objectives among which a number chooses; by default the configuration's own alone.

  Raises:
    ConfigError: if the samples are too small for what the configuration does to them.
  """
  parallel = parallel or make_parallel(config.parallel.strategy, devices)
  losses = tuple(losses) or (config.loss.name,)
  _check_transformed(config, sample_shape)
  gen, disc = (_network(config, player, sample_shape, parallel.axis_name) for player in PLAYERS)
  game = generation.make_generation(gen, disc, chosen_among([LOSSES[name] for name in losses]), config.model.z_dim,
                                    sample_shape, _rules(config, disc, sample_shape),
                                    Devices(parallel.draw, parallel.gather), config.model.z)
  optimistic = config.update.rule == 'optimistic'
  txs = Txs(*(_optimizer(config.optimizer[player], optimistic) for player in ('gen', 'disc')))
  memory = functools.partial(step.initial_memory, config.update.rule, angles=config.train.dynamics)
  return Build(game, txs, parallel, hparams_of(config, losses), memory)


def _check_transformed(config: ml_collections.ConfigDict, sample_shape: tuple[int, ...]) -> None:
  if len(sample_shape) == 3 and min(sample_shape[:2]) < 2:
    flat = flatten(config)
    for field in ('augment.policy', 'penalty.cr_real', 'penalty.cr_fake'):
      if (value := flat[field]) not in (0.0, 'none'):
        raise ConfigError(f'{field}={value} transforms images of 2 x 2 pixels or more, and these have '
                          f'{" x ".join(map(str, sample_shape[:2]))}; leave it out, or raise data.image_size')


def _network(config: ml_collections.ConfigDict, player: str, sample_shape: tuple[int, ...], axis_name: str | None):
  settings = {key: value for key, value in config.model[player].items() if key not in AROUND}
  return get_model(player, settings.pop('name'), sample_shape, axis_name, **settings)


def _rules(config: ml_collections.ConfigDict, network: nn.Module, sample_shape: tuple[int, ...]) -> generation.Rules:
  disc, penalty, policy = config.model.disc, config.penalty, config.augment.policy
  view = View(policy=() if policy in ('none', 'ada') else tuple(policy.split('+')), adaptive=policy == 'ada',
              pack=disc.pack)
  # With batch norm, real and fake are separate batches (Radford et al. 2015), and so they are where the discriminator
  # compares the samples of a batch; without either one pass is the same function.
  shown = jax.ShapeDtypeStruct((2, *sample_shape[:-1], disc.pack * sample_shape[-1]), 'float32')
  collections = jax.eval_shape(functools.partial(network.init, train=True), randomness.root_key(0), images=shown)
  joint = 'batch_stats' not in collections and disc.get('minibatch', 'none') == 'none'
  return generation.Rules(joint, view, disc.spectral_norm, penalty.get('lecam_form'), penalty.get('one_sided', False),
                          penalty.get('every', 1))


def _optimizer(settings: ml_collections.ConfigDict, optimistic: bool) -> optimizers.TxBuilder:
  return optimizers.make_optimizer(settings.name, settings.schedule, settings.warmup_steps, settings.decay_steps,
                                   optimistic)


def hparams_of(config: ml_collections.ConfigDict, losses: Sequence[str]) -> dict[str, Any]:
  """The numbers of a run, by field: what may differ between runs of one compiled program.

  Args:
    config: of the run.
    losses: objectives that the program has; where there are several, 'loss.index' says which one is the run's.
  """
  # Of the other objectives of the program a run has the settings' defaults.
  flat = {f'loss.{name}': setting.default for loss in losses for name, setting in LOSSES[loss].settings.items()}
  flat |= flatten(config)
  optional = ['loss.label_flip', *(f'optimizer.{player}.weight_decay' for player in PLAYERS), *COUNTS]
  optional += [field for field in flat if field.partition('.')[0] in OPTIONAL and isinstance(flat[field], float)]
  always = ['train.ema_decay', *(field for field in flat if field.partition('.')[0] in ('loss', 'optimizer')
                                 and isinstance(flat[field], float))]
  fields = [field for field in always if field not in optional] + [field for field in optional if flat.get(field)]
  chosen = {f'loss.{INDEX}': np.int32(losses.index(config.loss.name))} if len(losses) > 1 else {}
  return {field: np.float32(flat[field]) for field in fields} | chosen


def initial_state(built: Build, seed: jax.Array) -> GanState:
  """The state of a run before its first step; a function of the seed alone."""
  root = randomness.root_key(seed)
  start = built.game.init(randomness.purpose_key(root, 'init'))
  txs = [tx(optimizer_numbers(built.hparams, player), 0) for tx, player in zip(built.txs, PLAYERS, strict=True)]
  memory = built.memory({player: own.params for player, own in start.items()})
  return create_state(root, start['gen'], start['disc'], txs, memory)


def make_initial_state(built: Build, seed: int) -> GanState:
  """`initial_state`, a copy on each device."""
  init = jax.jit(functools.partial(initial_state, built), out_shardings=built.parallel.replicated)
  return init(np.uint32(seed))


def make_pipeline(config: ml_collections.ConfigDict, data: ImageSource | toy.Mixture, parallel: Parallel,
                  rng: jax.Array) -> pipeline.Pipeline:
  """The batches of a run: drawn, resident or streamed, whichever fits its data set."""
  disc_steps, batch_size = config.train.disc_steps, config.train.batch_size
  if isinstance(data, toy.Mixture) and data.num_points:
    return pipeline.Points(data, disc_steps, batch_size, parallel.shard, parallel.place)
  if isinstance(data, toy.Mixture):
    return pipeline.Drawn(data, disc_steps, batch_size, parallel.shard)
  if data.num_examples > order.MAX_EXAMPLES:
    raise ConfigError(f'data.name={data.name} has {data.num_examples} examples; the order is made for at most '
                      f'{order.MAX_EXAMPLES}')
  if is_resident(config, data):
    return pipeline.Resident(data, disc_steps, batch_size, parallel.shard, parallel.place, config.data.flip)
  return pipeline.Streamed(data, disc_steps, batch_size, parallel.shard, parallel.place_batch, config.data.flip, rng,
                           config.train.steps_per_call, parallel.host_rows(batch_size))


def is_resident(config: ml_collections.ConfigDict, data: ImageSource | toy.Mixture) -> bool:
  """Whether a data set is held on the device, or drawn there."""
  return isinstance(data, toy.Mixture) or data.num_examples * int(np.prod(data.shape)) <= config.data.resident_bytes


def make_train_step(config: ml_collections.ConfigDict, built: Build) -> step.TrainStep:
  """The step (state, batch, hparams) -> (state, scalars) of a configuration."""
  rule = config.update.rule
  settings = {**config.update, 'disc_steps': config.train.disc_steps}
  return step.make_train_step(
      built.game, built.txs, rule, mean=built.parallel.mean, **{name: settings[name] for name in rule_settings(rule)})


def make_loop(config: ml_collections.ConfigDict, built: Build, batches: pipeline.Pipeline):
  """The compiled loop (state, data, hparams, num_steps) -> (state, scalars, finite)."""
  return built.parallel.compile(step.make_loop(make_train_step(config, built), batches.batch))


def make_probe(built: Build, batches: pipeline.Pipeline):
  """The compiled probe (state, data, hparams, i) -> scalars: how steep the discriminator is.

  `data` and `i` are those of the last step before `state`: it is judged on the batch that it was trained on.
  """
  deal = step.make_deal(built.game)

  def probe(state: GanState, data: Any, hparams: dict[str, Any], i: jax.Array) -> dict[str, jax.Array]:
    batch = batches.batch(data, state.rng, state.step - 1, i)
    return built.parallel.mean(built.game.slopes(state, deal(batch, state, 0), hparams))

  return built.parallel.compile(probe, donate=False)
