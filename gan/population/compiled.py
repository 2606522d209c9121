"""The compiled programs of a population: first state, loop of steps, samples, slopes, each for all members at once.

`vmap` runs over members, and `shard_map` splits the same axis over devices. A device holds only its members, so devices
do not communicate, unless each member's batch is split, too. Populations are padded to a multiple of the device count
with inactive copies of the last member.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax import Array
from jax.sharding import NamedSharding, PartitionSpec

from gan import build, sampling, step
from gan.data.pipeline import Pipeline
from gan.data.source import Column
from gan.parallel import AXIS, MEMBERS, enough_devices, make_member_parallel
from gan.population import PopulationState
from gan.state import GanState, PyTree

AXES = GanState(step=None, rng=0, gen=0, disc=0, ema=0, memory=0)   # Axes of vmap; all members are at the same step.
_WHOLE, _SPLIT = PartitionSpec(), PartitionSpec(MEMBERS)
_MEMBERS_SPLIT = GanState(_WHOLE, _SPLIT, _SPLIT, _SPLIT, _SPLIT, _SPLIT)
_STATE_SPLIT = PopulationState(_MEMBERS_SPLIT, _SPLIT, _SPLIT, _SPLIT)


class Population(NamedTuple):
  """The members of one program.

  Attributes:
    config: configuration of the first member; the others differ from it in seed, objective and numbers.
    columns: columns of their data.
    built: their common program; its `hparams` are those of the first member.
    num: M, the number of members; `size` is P, the number with padding.
    seeds: uint32 [P].
    hparams: numbers [P] by field.
  """

  config: ml_collections.ConfigDict
  columns: Mapping[str, Column]
  built: build.Build
  num: int
  seeds: np.ndarray
  hparams: dict[str, np.ndarray]

  @property
  def size(self) -> int:
    """Return P, the number of rows of every array of members: members and padding."""
    return len(self.seeds)

  def place(self, tree: PyTree) -> PyTree:
    """Split arrays [P, ...] over the devices, so that each device gets its members."""
    return jax.device_put(tree, NamedSharding(self.built.parallel.mesh, _SPLIT))

  def mapped(self, function: Callable, in_specs: tuple, out_specs: Any, *, donate: bool = False) -> Callable:
    """Compile a function of arrays of members; each device runs it on its own members."""
    # No check_vma: after `mean` all devices of a member hold equal values, which the check cannot see.
    mapped = jax.shard_map(function, mesh=self.built.parallel.mesh, in_specs=in_specs, out_specs=out_specs,
                           check_vma=False)
    return jax.jit(mapped, donate_argnums=(0,) if donate else ())


def make_population(configs: Sequence[ml_collections.ConfigDict], columns: Mapping[str, Column],
                    devices: Sequence[jax.Device], devices_per_member: int = 1) -> Population:
  """Build the population of runs with these configurations, which must have the same `program_key`.

  Args:
    configs: valid configurations, one for each member.
    columns: columns of their data.
    devices: devices of this host; `devices_per_member` must divide their number.
    devices_per_member: number of devices that share the batch of a member.
  """
  losses = tuple(dict.fromkeys(config.loss.name for config in configs))
  enough = enough_devices(len(configs), len(devices), devices_per_member)
  parallel = make_member_parallel(list(devices[:enough]), devices_per_member)
  built = build.build(configs[0], columns, parallel=parallel, losses=losses)
  rows = parallel.mesh.shape[MEMBERS]
  filled = [*configs, *[configs[-1]] * (-len(configs) % rows)]
  hparams = [build.hparams_of(config, losses) for config in filled]
  seeds = np.array([config.seed for config in filled], np.uint32)
  return Population(configs[0], columns, built, len(configs), seeds,
                    {name: np.stack([member_hparams[name] for member_hparams in hparams]) for name in hparams[0]})


def make_step(population: Population, get_batch: Callable) -> Callable:
  """Return one step of all members: (members, data, hparams) -> (members, scalars [P]).

  Args:
    population: the members.
    get_batch: (data, rng, step, i) -> batch; see `gan.data.pipeline`.
  """
  train_step = build.make_train_step(population.config, population.built)

  def of_member(member: GanState, data: PyTree, hparams: dict[str, Array]) -> tuple[GanState, dict[str, Array]]:
    # i = 0: data are resident or drawn, so a batch does not depend on the step's number in its dispatch.
    return train_step(member, get_batch(data, member.rng, member.step, jnp.int32(0)), hparams)

  return jax.vmap(of_member, in_axes=(AXES, None, 0), out_axes=(AXES, 0))


def initial_state(population: Population) -> PopulationState:
  """Return the state before the first step, on the devices; a member's part depends on its seed alone."""
  train, parts = population.config.train, population.built.parallel.mesh.shape[AXIS]
  rows = train.disc_steps, train.batch_size // parts
  batch = {name: jnp.zeros((*rows, *column.shape), column.seen.dtype) for name, column in population.columns.items()}
  train_step = build.make_train_step(population.config, population.built)

  def scalars_of(seed: Array, hparams: dict[str, Array]) -> dict[str, Array]:  # Only the shapes of the result are used.
    return train_step(build.initial_state(population.built, seed), batch, hparams)[1]

  def init(seeds: Array, alive: Array, hparams: dict[str, Array]) -> PopulationState:
    members = jax.vmap(functools.partial(build.initial_state, population.built), out_axes=AXES)(seeds)
    shapes = jax.eval_shape(scalars_of, seeds[0], {name: values[0] for name, values in hparams.items()})
    scalars = jax.tree.map(lambda s: jnp.zeros((len(seeds), *s.shape), s.dtype), shapes)
    return PopulationState(members, alive, jnp.zeros(len(seeds), jnp.int32), scalars)

  alive = np.arange(population.size) < population.num
  compiled = population.mapped(init, (_SPLIT, _SPLIT, _SPLIT), _STATE_SPLIT)
  return compiled(*population.place((population.seeds, alive, population.hparams)))


def abstract_state(population: Population) -> PopulationState:
  """Return the shapes of the saved state: M members without padding, on one device however many trained them."""
  device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])

  def shape(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    rows = (population.num, *leaf.shape[1:]) if leaf.shape else ()
    return jax.ShapeDtypeStruct(rows, leaf.dtype, sharding=device)

  return jax.tree.map(shape, jax.eval_shape(functools.partial(initial_state, population)))


def trimmed(population: Population, state: PopulationState) -> PopulationState:
  """Return the state without padding."""
  return state if population.size == population.num else _first(state, population.num)


@functools.partial(jax.jit, static_argnums=1)
def _first(state: PopulationState, num: int) -> PopulationState:
  return jax.tree.map(lambda leaf: leaf[:num] if leaf.ndim else leaf, state)


def filled(population: Population, state: PopulationState) -> PopulationState:
  """Return a trimmed state with padding, placed on the devices."""
  padding = population.size - population.num

  def pad(leaf: Array) -> Array:
    return jnp.concatenate([leaf, *[leaf[-1:]] * padding]) if padding and leaf.ndim else leaf

  state = jax.tree.map(pad, state)
  state = state.replace(alive=state.alive & (np.arange(population.size) < population.num))
  mesh = population.built.parallel.mesh
  return jax.tree.map(lambda leaf: jax.device_put(leaf, NamedSharding(mesh, _SPLIT if leaf.ndim else _WHOLE)), state)


def make_loop(population: Population, batches: Pipeline) -> Callable:
  """Return the compiled loop of a dispatch: (state, data, hparams, num_steps) -> state.

  A member is frozen after the first step whose scalars are not all finite.
  """
  all_members = make_step(population, batches.batch)

  def loop(state: PopulationState, data: PyTree, hparams: dict[str, Array], num_steps: Array) -> PopulationState:
    first = state.members.step

    def body(state: PopulationState) -> PopulationState:
      members, scalars = all_members(state.members, data, hparams)
      finite = jnp.all(jnp.isfinite(jnp.stack(list(scalars.values()))), axis=0)

      def keep_dead(new: Array, old: Array) -> Array:
        return jnp.where(state.alive.reshape(-1, *[1] * (new.ndim - 1)), new, old)

      step_before = state.members.step
      members = jax.tree.map(keep_dead, members.replace(step=state.alive), state.members.replace(step=state.alive))
      return PopulationState(members.replace(step=step_before + 1), state.alive & finite,
                             jnp.where(state.alive, step_before + 1, state.stopped_at),
                             jax.tree.map(keep_dead, scalars, state.scalars))

    return jax.lax.while_loop(lambda state: state.members.step - first < num_steps, body, state)

  return population.mapped(loop, (_STATE_SPLIT, _WHOLE, _SPLIT, _WHOLE), _STATE_SPLIT, donate=True)


def make_probe(population: Population, batches: Pipeline) -> Callable | None:
  """Return the compiled probe (state, data, hparams) -> slopes [P] of the discriminators; None if there are none."""
  game = population.built.game
  if not population.config.train.dynamics or game.slopes is None:
    return None
  deal = step.make_deal(game)

  def probe(state: PopulationState, data: PyTree, hparams: dict[str, Array]) -> dict[str, Array]:
    def of_member(member: GanState, numbers: dict[str, Array]) -> dict[str, Array]:
      batch = batches.batch(data, member.rng, member.step - 1, jnp.int32(0))
      numbers = population.built.numbers_at(numbers, member.step)
      return population.built.parallel.mean(game.slopes(member, deal(batch, member, 0), numbers))
    return jax.vmap(of_member, in_axes=(AXES, 0))(state.members, hparams)

  return population.mapped(probe, (_STATE_SPLIT, _WHOLE, _SPLIT), _SPLIT)


def make_stream(population: Population,
                conditions: sampling.Conditions | None = None) -> Callable[[PyTree, Array, int], Iterator]:
  """Build stream(gen, rngs, num), which yields (samples [P, CHUNK, ...], how many of the CHUNK samples to use).

  A member's samples are those that `gan.sampling` draws with the same generator, key and conditions.
  """
  game = population.built.game

  def chunk(gen: PyTree, rngs: Array, index: Array, columns: PyTree) -> Array:
    def of_member(gen: PyTree, rng: Array) -> Array:
      return sampling.sample_chunk(game, gen, sampling.draw_from(rng, index), columns)
    return jax.vmap(of_member)(gen, rngs)

  compiled = population.mapped(chunk, (_SPLIT, _SPLIT, _WHOLE, _WHOLE), _SPLIT)

  def stream(gen: PyTree, rngs: Array, num: int) -> Iterator[tuple[Array, int]]:
    for start in range(0, num, sampling.CHUNK):
      index = start // sampling.CHUNK
      columns = conditions(index) if conditions else {}
      yield compiled(gen, rngs, np.int32(index), columns), min(sampling.CHUNK, num - start)

  return stream
