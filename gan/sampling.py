"""Samplers of a generator: any number of samples, computed in chunks on the devices."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

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


def given(inputs: Mapping[str, np.ndarray]) -> Conditions:
  """Build conditions that fix these inputs [N, ...] of samples 0 to N - 1; then they start again."""
  def conditions(index: int) -> Inputs:
    return {name: jnp.asarray(values[np.arange(index * CHUNK, (index + 1) * CHUNK) % len(values)])
            for name, values in inputs.items()}

  return conditions


def class_rows(game: Game, num: int, classes: Sequence[int] = ()) -> tuple[dict[str, np.ndarray], int] | None:
  """Lay out a picture with a row for each class.

  Args:
    game: the game.
    num: number of samples, roughly: all rows have the same length.
    classes: the classes; all of them by default, as far as `num` allows.

  Returns:
    (inputs for `given`, samples in a row); None if samples of the game have no classes.
  """
  if game.classes is None:
    return None
  name, count = game.classes
  rows = list(classes) or list(range(min(count, num)))
  length = max(num // len(rows), 1)
  return {name: np.repeat(np.array(rows, np.int32), length)}, length


def code_rows(game: Game, rng: Array, num: int) -> tuple[dict[str, np.ndarray], int]:
  """Lay out a picture in which each row sweeps one code of an InfoGAN, while the latent and the other codes are fixed.

  The first row goes through the categories; row 1 + j takes uniform code j from -1 to 1. If `num` allows, further
  latents follow below.

  Returns:
    (inputs for `given`, samples in a row).
  """
  _, length = game.classes
  drawn = {name: np.asarray(value) for name, value in game.draw(_fixed_draw(rng), {}, num).items()}
  codes = drawn['uniform'].shape[1]
  count = max(num // (length * (1 + codes)), 1)
  rows: dict[str, list[np.ndarray]] = {name: [] for name in drawn}
  for latent in range(count):
    for row in range(1 + codes):
      cells = {name: np.repeat(values[latent:latent + 1], length, axis=0) for name, values in drawn.items()}
      if row == 0:
        cells['category'] = np.arange(length, dtype=np.int32)
      else:
        cells['uniform'][:, row - 1] = np.linspace(-1, 1, length)
      for name, values in cells.items():
        rows[name].append(values)
  return {name: np.concatenate(parts) for name, parts in rows.items()}, length


def _fixed_draw(rng: Array) -> Draw:
  return lambda purpose, sampler, shape: sampler(_root(rng, purpose), shape)


def classes_of(game: Game, rng: Array, num: int) -> np.ndarray | None:
  """Return the classes [num] of the samples that `make_stream` draws with this key; None without classes."""
  if game.classes is None:
    return None
  drawn = _drawn_classes(game)
  return np.concatenate([np.asarray(drawn(rng, np.int32(i))) for i in range(-(-num // CHUNK))])[:num]


@functools.lru_cache(maxsize=4)
def _drawn_classes(game: Game) -> Callable[[Array, Array], Array]:
  return jax.jit(lambda rng, index: game.draw(draw_from(rng, index), {}, CHUNK)[game.classes[0]])


def interpolate(game: Game, gen: PyTree, rng: Array, rows: int, length: int,
                classes: tuple[int, int] | None = None) -> np.ndarray:
  """Interpolate between pairs of generator inputs; return float32 samples [rows * length, ...], row by row.

  With `classes`, each row goes from the first class to the second and keeps its latent.
  """
  def pairs(drawn: Array) -> tuple[Array, Array]:
    return tuple(drawn.reshape(2, rows, 1, *drawn.shape[1:]))

  draw = _fixed_draw(rng)

  @jax.jit
  def walk(gen: PyTree) -> Array:
    drawn = {name: pairs(value) for name, value in game.draw(draw, {}, 2 * rows).items()}
    start, end = ({name: pair[i] for name, pair in drawn.items()} for i in range(2))
    if classes:
      start, end = ({**start, game.classes[0]: jnp.full_like(start[game.classes[0]], label)} for label in classes)
    t = jnp.linspace(0.0, 1.0, length, dtype=jnp.float32)
    inputs: Inputs = jax.tree.map(lambda x: x.reshape(rows * length, *x.shape[2:]),
                                  game.walk(start, end, t[None, :, None]))
    return game.sample(gen, inputs, draw)

  return np.asarray(walk(gen))
