"""Samplers of a generator: any number of samples, computed in chunks on the devices."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import NamedSharding, PartitionSpec

from gan.games import Game, Inputs
from gan.games.cast import Draw, Sampler
from gan.parallel import AXIS, Parallel
from gan.randomness import PURPOSES
from gan.state import PyTree

CHUNK = 256   # Samples computed at a time, so that memory does not grow with their number.
OTHERS = 2**31   # A draw that is not of latents folds this plus its purpose into the key; no chunk index reaches it.

Stream = Callable[[PyTree, Array, int], Iterator[tuple[Array, int]]]
Conditions = Callable[[int], Inputs]   # Index of a chunk -> columns [CHUNK, ...] of data that its samples are made of.


def draw_from(rng: Array, index: Array, place: Callable[[Array], Array] = lambda x: x) -> Draw:
  """Build the random draws of one chunk of samples.

  Args:
    rng: key [] of all samples.
    index: [] index of the chunk.
    place: puts an array [CHUNK, ...] on the devices that use it.
  """
  def draw(purpose: str, sampler: Sampler, shape: tuple[int, ...]) -> Array:
    return place(sampler(jax.random.fold_in(_root(rng, purpose), index), shape))

  return draw


def _root(rng: Array, purpose: str) -> Array:
  return rng if purpose == 'latents' else jax.random.fold_in(rng, np.uint32(OTHERS + PURPOSES[purpose]))


def make_stream(game: Game, parallel: Parallel | None = None, conditions: Conditions | None = None) -> Stream:
  """Build stream(gen, rng, num), which yields (samples [CHUNK, ...] on the devices, how many of them count).

  Sample i depends on (rng, i) alone, whatever the number of samples and of devices.

  Args:
    game: the game whose generator is sampled.
    parallel: devices that share each chunk; one by default.
    conditions: columns of data for each chunk, in games whose samples are made of data.
  """
  split = parallel is not None and CHUNK % parallel.mesh.size == 0
  rows = NamedSharding(parallel.mesh, PartitionSpec(AXIS)) if split else None

  def place(drawn: Array) -> Array:
    return jax.lax.with_sharding_constraint(drawn, rows) if split else drawn

  def chunk(gen: PyTree, rng: Array, index: Array, columns: Inputs) -> Array:
    return sample_chunk(game, gen, draw_from(rng, index, place), jax.tree.map(place, columns))

  # Each device gets the whole result, so that every host can fetch it.
  compiled = jax.jit(chunk, out_shardings=parallel.replicated if parallel else None)

  def stream(gen: PyTree, rng: Array, num: int) -> Iterator[tuple[Array, int]]:
    for start in range(0, num, CHUNK):
      index = start // CHUNK
      columns = conditions(index) if conditions else {}
      yield compiled(gen, rng, np.int32(index), columns), min(CHUNK, num - start)

  return stream


def sample_chunk(game: Game, gen: PyTree, draw: Draw, columns: Inputs) -> Array:
  """Compute CHUNK samples of a generator from the draws of the game; given columns replace draws of the same name."""
  return game.sample(gen, {**game.draw(draw, columns, CHUNK), **columns}, draw)


def make_sampler(stream: Stream) -> Callable[[PyTree, Array, int], np.ndarray]:
  """Build sample(gen, rng, num) -> float32 [num, ...] on the host."""
  def sample(gen: PyTree, rng: Array, num: int) -> np.ndarray:
    return np.concatenate([np.asarray(samples)[:count] for samples, count in stream(gen, rng, num)])

  return sample


def interpolate(game: Game, gen: PyTree, rng: Array, rows: int, length: int) -> np.ndarray:
  """Interpolate between pairs of generator inputs; return float32 samples [rows * length, ...], row by row."""
  def pairs(drawn: Array) -> tuple[Array, Array]:
    return tuple(drawn.reshape(2, rows, 1, *drawn.shape[1:]))

  def draw(purpose: str, sampler: Sampler, shape: tuple[int, ...]) -> Array:
    return sampler(_root(rng, purpose), shape)

  @jax.jit
  def walk(gen: PyTree) -> Array:
    drawn = {name: pairs(value) for name, value in game.draw(draw, {}, 2 * rows).items()}
    start, end = ({name: pair[i] for name, pair in drawn.items()} for i in range(2))
    t = jnp.linspace(0.0, 1.0, length, dtype=jnp.float32)
    inputs: Inputs = jax.tree.map(lambda x: x.reshape(rows * length, *x.shape[2:]),
                                  game.walk(start, end, t[None, :, None]))
    return game.sample(gen, inputs, draw)

  return np.asarray(walk(gen))
