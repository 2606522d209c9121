"""ConfigDict -> plain objects. Nothing below this file receives a configuration."""

import functools
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from gan import optimizers, randomness, step
from gan.config import ConfigError, flatten
from gan.data import get_source, order, pipeline, toy
from gan.data.source import ImageSource
from gan.games import Game, generation
from gan.losses import LOSSES
from gan.models import get_model
from gan.parallel import Parallel, make_parallel
from gan.state import GanState, create_state

HPARAMS = ('train.ema_decay', 'loss.label_smoothing', 'loss.a', 'loss.b', 'loss.c', 'loss.margin',
           *(f'optimizer.{player}.{number}' for player in ('gen', 'disc') for number in ('lr', 'b1', 'b2', 'eps')))


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
  nets: generation.Nets
  joint: bool                    # Whether the discriminator sees real and fake samples in one pass.
  txs: step.Txs
  parallel: Parallel
  hparams: dict[str, Any]        # Numbers that may differ between members of a population.


def open_data(config: ml_collections.ConfigDict) -> ImageSource | toy.Mixture:
  """The data set of a configuration.

  Raises:
    DataError: if it cannot be opened.
  """
  if config.data.name in toy.MIXTURES:
    return toy.MIXTURES[config.data.name]()
  return get_source(config.data.name, config.data.image_size, path=config.data.path or None)


def describe_data(data: ImageSource | toy.Mixture) -> DataInfo:
  """What to remember of a data set."""
  if isinstance(data, toy.Mixture):
    return DataInfo(data.name, (2,), None, (), f'{data.name}: {len(data.modes)} modes, sigma {data.sigma}')
  return DataInfo(data.name, data.shape, data.num_examples, data.class_names, data.fingerprint())


def build(config: ml_collections.ConfigDict, sample_shape: tuple[int, ...], devices: list | None = None) -> Build:
  """Networks, game, optimizers and devices of a configuration that is valid."""
  parallel = make_parallel(config.parallel.strategy, devices)
  nets = generation.Nets(*(_network(config, player, sample_shape, parallel.axis_name) for player in ('gen', 'disc')))
  z_dim = config.model.z_dim
  # With batch norm, real and fake are separate batches (Radford et al. 2015); without it one pass is the same function.
  one_batch = jax.ShapeDtypeStruct((2, *sample_shape), 'float32')
  disc = jax.eval_shape(functools.partial(nets.disc.init, train=True), jax.random.key(0), one_batch)
  joint = 'batch_stats' not in disc
  game = generation.make_game(nets, LOSSES[config.loss.name], z_dim, sample_shape, joint)
  txs = step.Txs(*(_optimizer(config.optimizer[player]) for player in ('gen', 'disc')))
  flat = flatten(config)
  hparams = {field: np.float32(flat[field]) for field in HPARAMS}
  if config.penalty.clip > 0:
    hparams['penalty.clip'] = np.float32(config.penalty.clip)
  return Build(game, nets, joint, txs, parallel, hparams)


def _network(config: ml_collections.ConfigDict, player: str, sample_shape: tuple[int, ...], axis_name: str | None):
  settings = {key: value for key, value in config.model[player].items() if value is not None}
  return get_model(player, settings.pop('name'), sample_shape, axis_name, **settings)


def _optimizer(settings: ml_collections.ConfigDict) -> optimizers.TxBuilder:
  return optimizers.make_optimizer(settings.name, settings.schedule, settings.warmup_steps, settings.decay_steps)


def make_initial_state(built: Build, seed: int) -> GanState:
  """The state of a run before its first step; a function of the seed alone."""
  def init(seed: jax.Array) -> GanState:
    root = randomness.root_key(seed)
    gen, disc = built.game.init(randomness.purpose_key(root, 'init'))
    numbers = [{key: built.hparams[f'optimizer.{player}.{key}'] for key in ('lr', 'b1', 'b2', 'eps')}
               for player in ('gen', 'disc')]
    txs = [tx(n, 0) for tx, n in zip(built.txs, numbers, strict=True)]
    return create_state(root, gen, disc, txs)
  return jax.jit(init, out_shardings=built.parallel.replicated)(np.uint32(seed))


def make_pipeline(config: ml_collections.ConfigDict, data: ImageSource | toy.Mixture, parallel: Parallel,
                  rng: jax.Array) -> pipeline.Pipeline:
  """The batches of a run: drawn, resident or streamed, whichever fits its data set."""
  disc_steps, batch_size = config.train.disc_steps, config.train.batch_size
  if isinstance(data, toy.Mixture):
    return pipeline.Drawn(data, disc_steps, batch_size, parallel.shard)
  if data.num_examples > order.MAX_EXAMPLES:
    raise ConfigError(f'data.name={data.name} has {data.num_examples} examples; the order is made for at most '
                      f'{order.MAX_EXAMPLES}')
  if data.num_examples * int(np.prod(data.shape)) <= config.data.resident_bytes:
    return pipeline.Resident(data, disc_steps, batch_size, parallel.shard, parallel.place, config.data.flip)
  return pipeline.Streamed(data, disc_steps, batch_size, parallel.shard, parallel.place_batch, config.data.flip, rng,
                           config.train.steps_per_call, parallel.host_rows(batch_size))


def make_loop(config: ml_collections.ConfigDict, built: Build, batches: pipeline.Pipeline):
  """The compiled loop (state, data, hparams, num_steps) -> (state, scalars, finite)."""
  rule = step.RULES[config.update.rule]
  train_step = rule(built.game, built.txs, disc_steps=config.train.disc_steps, batch_size=config.train.batch_size,
                    z_dim=config.model.z_dim, z=config.model.z, shard=built.parallel.shard, mean=built.parallel.mean)
  return built.parallel.compile(step.make_loop(train_step, batches.batch))
