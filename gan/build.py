"""Builders from a ConfigDict to plain objects. Nothing below this file receives a configuration."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import ml_collections
import numpy as np

from gan import optimizers, randomness, schedules, step
from gan.config import ConfigError, flatten, scheduling
from gan.data import get_source, order, pipeline, toy
from gan.data.source import Column, Source, Unpaired, class_shares
from gan.games import Devices, Game, GameError, Setup
from gan.games.cast import PLAYERS
from gan.games.condition import LABELLED
from gan.games.show import Show
from gan.games.table import GAMES
from gan.losses import LOSSES
from gan.losses.choice import INDEX, chosen_among
from gan.models import AROUND, get_model
from gan.parallel import Parallel, make_parallel
from gan.rules import NUMBERS, Txs, optimizer_numbers, rule_settings
from gan.sampling import CHUNK, Conditions, class_rows, given
from gan.schedules import PREFIX
from gan.show import frames
from gan.state import GanState, PyTree, create_state

# Numbers of the averaged generator that are left out of the program if they are 0.
AVERAGE = ('train.ema_halflife', 'train.ema_rampup')
# Groups whose numbers may differ between the members of a population. A number that is 0 (no such penalty, no noise) is
# left out of the compiled program.
OPTIONAL = ('penalty', 'augment', 'update', 'game')
COUNTS = ('augment.ada_images', 'augment.ada_interval', 'penalty.lecam_start')   # Whole numbers with the same rule.


Data = Source | Unpaired | toy.Mixture


class DataInfo(NamedTuple):
  """Description of a data set, stored with a run, so that the run can be sampled where the data are absent."""

  name: str
  columns: Mapping[str, Column]
  num_examples: int | None       # None: endless, every example is drawn afresh.
  class_names: tuple[str, ...]
  fingerprint: str

  @property
  def sample_shape(self) -> tuple[int, ...]:
    """Shape of one example in the first column."""
    return next(iter(self.columns.values())).shape


class Build(NamedTuple):
  """A run, ready to be compiled."""

  game: Game
  txs: Txs
  parallel: Parallel
  hparams: dict[str, Any]        # Numbers that may differ between members of a population, see `hparams_of`.
  numbers_at: Callable[[dict[str, Any], jax.Array], dict[str, Any]]   # (hparams, steps finished) -> present hparams.
  memory: Callable[[dict[str, PyTree]], PyTree]   # {'gen', 'disc'} parameters -> initial memory of the step.


def open_data(config: ml_collections.ConfigDict) -> Data:
  """Open the data set of a configuration.

  Raises:
    DataError: if the data set cannot be opened.
  """
  if config.data.name in toy.MIXTURES:
    return toy.MIXTURES[config.data.name]()._replace(num_points=config.data.num_points or None)
  return get_source(config.data.name, config.data.image_size, path=config.data.path or None)


def describe_data(data: Data, conditional: bool = False) -> DataInfo:
  """Describe a data set, for a run to store.

  Args:
    data: the data set.
    conditional: whether the run needs the share of each class (`is_conditional`); this reads all labels.
  """
  columns = dict(data.columns)
  if conditional and 'labels' in columns:
    columns['labels'] = columns['labels']._replace(shares=class_shares(data))
  return DataInfo(data.name, columns, data.num_examples, tuple(data.class_names), data.fingerprint())


def is_conditional(config: ml_collections.ConfigDict) -> bool:
  """Return whether samples of a run have classes of the data."""
  return config.model.condition in LABELLED


def build(config: ml_collections.ConfigDict, columns: Mapping[str, Column], devices: list | None = None, *,
          parallel: Parallel | None = None, losses: Sequence[str] = ()) -> Build:
  """Build the networks, game, optimizers and devices of a valid configuration.

  Args:
    config: complete configuration of the run.
    columns: columns of its data.
    devices: devices that the run uses; all by default.
    parallel: how the run uses its devices; by default as the configuration says.
    losses: objectives among which the number `loss.index` chooses; by default only that of the configuration.

  Raises:
    ConfigError: if the game cannot be made of these data, or does not read one of the numbers.
  """
  parallel = parallel or make_parallel(config.parallel.strategy, devices)
  losses = tuple(losses) or (config.loss.name,)
  setup = Setup(flatten(config), {name: column.seen for name, column in columns.items()},
                functools.partial(_network, config, parallel),
                chosen_among([LOSSES[name] for name in losses]), Devices(parallel.draw, parallel.gather),
                columns['labels'].shares if 'labels' in columns else ())
  try:
    game = GAMES[config.game.name].make(setup)
  except GameError as error:
    raise ConfigError(str(error)) from None
  optimistic = config.update.rule == 'optimistic'
  txs = Txs(*(optimizers.make_optimizer(config.optimizer[player].name, optimistic) for player in ('gen', 'disc')))
  memory = functools.partial(step.initial_memory, config.update.rule, angles=config.train.dynamics)
  numbers_at = functools.partial(schedules.resolve, schedules=scheduling.schedules_of(flatten(config)),
                                 images_per_step=images_per_step(config))
  hparams = hparams_of(config, losses)
  if unread := [name for name in hparams if name not in game.numbers | NUMBERS and not name.startswith(PREFIX)]:
    raise ConfigError('\n'.join(f'  * {name}={hparams[name]:g} is not read by game.name={config.game.name}; '
                                'leave it out' for name in unread))
  return Build(game, txs, parallel, hparams, numbers_at, memory)


def images_per_step(config: ml_collections.ConfigDict) -> int:
  """Count the real images that the discriminator sees in one step."""
  return config.train.batch_size * config.train.disc_steps


def _network(config: ml_collections.ConfigDict, parallel: Parallel, player: str,
             sample_shape: tuple[int, ...]) -> nn.Module:
  settings = {key: value for key, value in config.model[player].items() if key not in AROUND}
  convolution = config.model.convolution
  if convolution == 'auto' and parallel.strategy == 'members':
    convolution = 'matmul'   # Under `vmap` over kernels, products stay products; convolutions become those of groups.
  return get_model(player, settings.pop('name'), sample_shape, parallel.axis_name, convolution, **settings)


def hparams_of(config: ml_collections.ConfigDict, losses: Sequence[str]) -> dict[str, Any]:
  """Collect the numbers of a run by field: they may differ between runs of one compiled program.

  Args:
    config: complete configuration of the run.
    losses: objectives in the program; if there are several, the number 'loss.index' says which one this run has.

  Returns:
    float32 numbers: the initial values of the fields, and the numbers of their schedules (`schedules.resolve`). The
    index of the objective is an int32.
  """
  flat = _with_losses(config, losses)
  values = {field: flat[field] for field in number_fields(config, losses)} | scheduling.numbers(flat)
  chosen = {f'loss.{INDEX}': np.int32(losses.index(config.loss.name))} if len(losses) > 1 else {}
  return {field: np.float32(value) for field, value in values.items()} | chosen


def number_fields(config: ml_collections.ConfigDict, losses: Sequence[str]) -> list[str]:
  """List the fields of a configuration that enter the compiled program as numbers."""
  flat = _with_losses(config, losses)
  optional = ['loss.label_flip', *AVERAGE, *(f'optimizer.{player}.weight_decay' for player in PLAYERS), *COUNTS]
  optional += [field for field in flat if field.partition('.')[0] in OPTIONAL and isinstance(flat[field], float)]
  always = ['train.ema_decay', *(field for field in flat if field.partition('.')[0] in ('loss', 'optimizer')
                                 and isinstance(flat[field], float))]
  return [field for field in always if field not in optional] + [field for field in optional if flat.get(field)]


def _with_losses(config: ml_collections.ConfigDict, losses: Sequence[str]) -> dict[str, Any]:
  """Return all fields, with the default settings of the program's other objectives."""
  others = {f'loss.{name}': setting.default for loss in losses for name, setting in LOSSES[loss].settings.items()}
  return others | flatten(config)


def initial_state(built: Build, seed: jax.Array) -> GanState:
  """Create the state of a run before its first step; it is a function of the seed alone."""
  root = randomness.root_key(seed)
  start = built.game.init(randomness.purpose_key(root, 'init'))
  txs = [tx(optimizer_numbers(built.hparams, player)) for tx, player in zip(built.txs, PLAYERS, strict=True)]
  memory = built.memory({player: begin.params for player, begin in start.items()})
  return create_state(root, start['gen'], start['disc'], txs, memory)


def make_initial_state(built: Build, seed: int) -> GanState:
  """Create the `initial_state`, with a copy on each device."""
  init = jax.jit(functools.partial(initial_state, built), out_shardings=built.parallel.replicated)
  return init(np.uint32(seed))


def make_pipeline(config: ml_collections.ConfigDict, data: Data, parallel: Parallel,
                  rng: jax.Array) -> pipeline.Pipeline:
  """Build the pipeline that fits the data set: its batches are drawn, resident or streamed."""
  disc_steps, batch_size = config.train.disc_steps, config.train.batch_size
  if isinstance(data, toy.Mixture) and data.num_points:
    return pipeline.Points(data, disc_steps, batch_size, parallel.shard, parallel.place)
  if isinstance(data, toy.Mixture):
    return pipeline.Drawn(data, disc_steps, batch_size, parallel.shard)
  if isinstance(data, Unpaired):
    return pipeline.Joined([_make_part(config, part, parallel, rng, i) for i, part in enumerate(data.parts)])
  return _make_part(config, data, parallel, rng, 0)


def _make_part(config: ml_collections.ConfigDict, data: Source, parallel: Parallel, rng: jax.Array,
               part: int) -> pipeline.Pipeline:
  """Build the pipeline of one source; each part of unpaired data has a separate order."""
  disc_steps, batch_size = config.train.disc_steps, config.train.batch_size
  if data.num_examples > order.MAX_EXAMPLES:
    raise ConfigError(f'data.name={config.data.name} has {data.num_examples} examples; at most {order.MAX_EXAMPLES} '
                      'can be shuffled: use a part of them')
  if is_resident(config, data):
    return pipeline.Resident(data, disc_steps, batch_size, parallel.shard, parallel.place, config.data.flip, part)
  return pipeline.Streamed(data, disc_steps, batch_size, parallel.shard, parallel.place_batch, config.data.flip, rng,
                           config.train.steps_per_call, parallel.host_rows(batch_size), part)


def make_sight(config: ml_collections.ConfigDict, built: Build, data: Data | None, sample: Callable) -> frames.Sight:
  """Collect what a picture of a state is drawn from."""
  hparams_at = functools.partial(built.numbers_at, built.hparams)
  num, columns = config.train.num_samples, None
  if rows := class_rows(built.game, num):
    num, columns = len(next(iter(rows[0].values()))), rows[1]
  return frames.Sight(built.game, data, sample, hparams_at, config.seed, config.train.batch_size, num,
                      config.eval.num_samples, columns)


def picture_conditions(config: ml_collections.ConfigDict, built: Build, data: Data | None) -> Conditions | None:
  """Return the conditions of the samples in a run's pictures: a row for each class where samples have classes."""
  if rows := class_rows(built.game, config.train.num_samples):
    return given(rows[0])
  return pipeline.make_conditions(data, built.game.conditions, CHUNK)


def show_of(config: ml_collections.ConfigDict) -> Show:
  """Return how the game of a configuration is shown."""
  return GAMES[config.game.name].show


def is_resident(config: ml_collections.ConfigDict, data: Data) -> bool:
  """Return whether a data set is held on the device, or drawn there."""
  if isinstance(data, Unpaired):
    return all(is_resident(config, part) for part in data.parts)
  return isinstance(data, toy.Mixture) or data.num_examples * example_bytes(data) <= config.data.resident_bytes


def example_bytes(data: Source) -> int:
  """Return the size of one stored example in bytes; labels are not counted."""
  return sum(math.prod(column.shape) * np.dtype(column.dtype).itemsize for column in data.columns.values()
             if column.shape)


def make_train_step(config: ml_collections.ConfigDict, built: Build) -> step.TrainStep:
  """Build the step (state, batch, hparams) -> (state, scalars) of a configuration."""
  rule = config.update.rule
  settings = {**config.update, 'disc_steps': config.train.disc_steps}
  return step.make_train_step(
      built.game, built.txs, rule, mean=built.parallel.mean, numbers_at=built.numbers_at,
      images_per_step=images_per_step(config),
      **{name: settings[name] for name in rule_settings(rule)})


def make_loop(config: ml_collections.ConfigDict, built: Build, batches: pipeline.Pipeline):
  """Compile the loop (state, data, hparams, num_steps) -> (state, scalars, last), see `step.make_loop`."""
  return built.parallel.compile(step.make_loop(make_train_step(config, built), batches.batch))


def make_probe(built: Build, batches: pipeline.Pipeline):
  """Compile the probe (state, data, hparams, i) -> scalars: how steep the discriminator is.

  `data` and `i` are those of the last step before `state`: the slopes are taken at the batch of that step.
  """
  deal = step.make_deal(built.game)

  def probe(state: GanState, data: Any, hparams: dict[str, Any], i: jax.Array) -> dict[str, jax.Array]:
    batch = batches.batch(data, state.rng, state.step - 1, i)
    numbers = built.numbers_at(hparams, state.step)
    return built.parallel.mean(built.game.slopes(state, deal(batch, state, 0), numbers))

  return built.parallel.compile(probe, donate=False)
