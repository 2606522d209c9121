"""Pipelines from a data set to the batches of a step: resident on the device, streamed, or drawn from a mixture.

All pipelines are used in the same way. `feed(step, count)` runs on the host before a dispatch of `count` steps; its
result goes into the compiled loop, where `batch` makes the columns of one step from it. The samples of a step depend
on the seed and the step alone (`order.py`), so streamed and resident runs are equal bit for bit, even if they were
resumed.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan.data import order, toy
from gan.data.source import Column, Source, Unpaired, read_batches
from gan.randomness import coin, purpose_key, step_key

Batch = dict[str, Array]
LOADER_THREADS = 8
PREFETCHED_STEPS = 16
LOADED_AT_ONCE = 2048
OTHERS = 2**31   # Offset of the keys of unpaired data after the first part; no step has so large a number.


class Pipeline(Protocol):
  """Batches of one run."""

  def feed(self, step: int, count: int) -> Any:
    """Return the data of the dispatch that starts at `step`, on the devices or in transfer to them."""

  def batch(self, data: Any, rng: Array, step: Array, i: Array) -> Batch:
    """Return the columns of `step`, the i-th of its dispatch: arrays [disc_steps, B, ...], this device's part of B.

    This runs inside the compiled loop.
    """


class Joined:
  """A pipeline made of several, whose columns do not belong together example by example."""

  def __init__(self, parts: Sequence[Pipeline]):
    self._parts = tuple(parts)

  def feed(self, step: int, count: int) -> Any:
    """Return the data of each part."""
    return tuple(part.feed(step, count) for part in self._parts)

  def batch(self, data: Any, rng: Array, step: Array, i: Array) -> Batch:
    """Return the columns of all parts."""
    batch = {}
    for part, part_data in zip(self._parts, data, strict=True):
      batch |= part.batch(part_data, rng, step, i)
    return batch


class Drawn:
  """A pipeline that draws new samples of a mixture on the device; there are no epochs."""

  def __init__(self, mixture: toy.Mixture, disc_steps: int, batch_size: int, shard: Callable[[Array], Array]):
    self._mixture, self._shape, self._shard = mixture, (disc_steps, batch_size), shard

  def feed(self, step: int, count: int) -> Any:
    """Return (): nothing has to be fed."""
    del step, count
    return ()

  def batch(self, data: Any, rng: Array, step: Array, i: Array) -> Batch:
    """Draw points [disc_steps, B, D]."""
    del data, i
    disc_steps, batch_size = self._shape
    samples = self._mixture.draw(step_key(rng, 'data', step), disc_steps * batch_size)
    return {'images': jax.vmap(self._shard)(samples.reshape(disc_steps, batch_size, -1))}


class Points:
  """A pipeline over a mixture's finite data set, which lies on each device; each run has its own order."""

  def __init__(self, mixture: toy.Mixture, disc_steps: int, batch_size: int, shard: Callable[[Array], Array],
               place: Callable[[Any], Any]):
    self._points, self._size = place(np.asarray(mixture.points())), mixture.num_points
    self._shape, self._shard = (disc_steps, batch_size), shard

  def feed(self, step: int, count: int) -> Any:
    """Return the same array for each dispatch."""
    del step, count
    return self._points

  def batch(self, data: Any, rng: Array, step: Array, i: Array) -> Batch:
    """Gather points [disc_steps, B, D] by the indices of the step."""
    del i
    return {'images': data[_indices(rng, step, self._shape, self._size, self._shard, 0)]}


class Resident:
  """A pipeline that keeps the whole data set, as it is stored, on each device and gathers batches inside the step.

  Args:
    source: the data.
    disc_steps: number of batches of a step.
    batch_size: global size of a batch.
    shard: function that takes this device's rows of a global array.
    place: function that puts arrays on the devices.
    flip: whether images are mirrored with probability 1/2.
    part: number of the source among unpaired sources, each of which has its own order.
  """

  def __init__(self, source: Source, disc_steps: int, batch_size: int, shard: Callable[[Array], Array],
               place: Callable[[Any], Any], flip: bool, part: int = 0):
    self._data, self._columns, self._part = place(load_all(source)), source.columns, part
    self._shape, self._shard, self._flip, self._size = (disc_steps, batch_size), shard, flip, source.num_examples

  def feed(self, step: int, count: int) -> Any:
    """Return the same arrays for each dispatch."""
    del step, count
    return self._data

  def batch(self, data: Any, rng: Array, step: Array, i: Array) -> Batch:
    """Gather columns [disc_steps, B, ...] by the indices of the step."""
    del i
    indices = _indices(rng, step, self._shape, self._size, self._shard, self._part)
    batch = jax.tree.map(lambda column: column[indices], data)
    mirrored = _mirrored(rng, step, self._shape, self._shard, self._part) if self._flip else None
    return decode(batch, self._columns, mirrored)


class Streamed:
  """A pipeline that reads records from disk in threads, a few steps ahead; samples and order are those of `Resident`.

  Args:
    source: the data.
    disc_steps: number of batches of a step.
    batch_size: global size of a batch.
    shard: function that takes this device's rows of a global array.
    place_batch: (rows of this host, axis of the batch) -> global array.
    flip: whether images are mirrored with probability 1/2.
    rng: root key of the run.
    steps_per_call: largest number of steps of a dispatch.
    rows: rows of a batch that this host loads.
    part: number of the source among unpaired sources, each of which has its own order.
  """

  def __init__(self, source: Source, disc_steps: int, batch_size: int, shard: Callable[[Array], Array],
               place_batch: Callable[[np.ndarray, int], Array], flip: bool, rng: Array, steps_per_call: int,
               rows: slice, part: int = 0):
    self._source, self._shape, self._shard, self._flip = source, (disc_steps, batch_size), shard, flip
    self._place_batch, self._steps_per_call, self._rows = place_batch, steps_per_call, rows
    self._key, self._part = np.asarray(order.order_key(_part_key(rng, 'data', part))), part
    self._position: int | None = None
    self._steps: Iterator = iter(())

  def _load(self, step: int) -> dict[str, np.ndarray]:
    disc_steps, batch_size = self._shape
    drawn = disc_steps * batch_size
    indices = order.host_indices(self._key, int(step) * drawn, drawn, self._source.num_examples)
    indices = indices.reshape(disc_steps, batch_size)[:, self._rows]
    return {name: column.reshape(*indices.shape, *column.shape[1:])
            for name, column in self._source.read(indices.ravel()).items()}

  def feed(self, step: int, count: int) -> Any:
    """Return arrays [steps_per_call, disc_steps, B, ...]; steps after the first `count` are zero and not used."""
    if step != self._position:  # This is the first dispatch, or the first one after a resume.
      steps = grain.MapDataset.range(step, 2**31 - 1).map(self._load)
      options = grain.ReadOptions(num_threads=LOADER_THREADS, prefetch_buffer_size=PREFETCHED_STEPS)
      self._steps = iter(steps.to_iter_dataset(options))
    self._position = step + count
    loaded = [next(self._steps) for _ in range(count)]

    def stack(*columns: np.ndarray) -> Array:
      stacked = np.zeros((self._steps_per_call, *columns[0].shape), columns[0].dtype)
      stacked[:count] = columns
      return self._place_batch(stacked, 2)

    return jax.tree.map(stack, *loaded)

  def batch(self, data: Any, rng: Array, step: Array, i: Array) -> Batch:
    """Take step i of the dispatch: [disc_steps, B, ...]."""
    batch = jax.tree.map(lambda column: jax.vmap(self._shard)(column[i]), data)
    mirrored = _mirrored(rng, step, self._shape, self._shard, self._part) if self._flip else None
    return decode(batch, self._source.columns, mirrored)


def make_conditions(data: Source | Unpaired, names: Sequence[str], size: int) -> Callable[[int], Batch] | None:
  """Build conditions(i) -> columns [size, ...] that the i-th chunk of samples is made from; None without `names`.

  Args:
    data: the data set. Its examples come in one fixed permutation, which starts again after the last example.
    names: names of the columns.
    size: number of samples of a chunk.
  """
  if not names:
    return None
  parts = data.parts if isinstance(data, Unpaired) else (data,)

  def conditions(index: int) -> Batch:
    columns = {}
    for part in parts:
      if part_names := [name for name in names if name in part.columns]:
        indices = np.arange(index * size, (index + 1) * size) % part.num_examples
        stored = part.read(np.random.default_rng(0).permutation(part.num_examples)[indices])
        columns |= decode({name: jnp.asarray(stored[name]) for name in part_names}, part.columns)
    return columns

  return conditions


def load_all(source: Source) -> dict[str, np.ndarray]:
  """Read all examples of a source, in order: its columns [N, ...], as they are stored."""
  parts = [*read_batches(source, np.arange(source.num_examples), LOADED_AT_ONCE)]
  return {name: np.concatenate([part[name] for part in parts]) for name in source.columns}


def _part_key(rng: Array, purpose: str, part: int) -> Array:
  """Return the key [] of one purpose for one of several unpaired sources; the first has the key of a single source."""
  key = purpose_key(rng, purpose)
  return jax.random.fold_in(key, np.uint32(OTHERS + part)) if part else key


def _indices(rng: Array, step: Array, shape: tuple[int, int], size: int, shard: Callable[[Array], Array],
             part: int) -> Array:
  """Return the indices of a step's samples among `size` samples: [disc_steps, B], this device's part of B."""
  key = order.order_key(_part_key(rng, 'data', part))
  return jax.vmap(shard)(order.batch_indices(key, step, math.prod(shape), size).reshape(shape))


def _mirrored(rng: Array, step: Array, shape: tuple[int, int], shard: Callable[[Array], Array], part: int) -> Array:
  """Return which examples of a step are mirrored: bool [disc_steps, B], this device's part of B."""
  key = jax.random.fold_in(_part_key(rng, 'augmentation', part), step)
  return jax.vmap(shard)(coin(key, 0.5, (math.prod(shape),)).reshape(shape))


def decode(batch: Batch, columns: Mapping[str, Column], mirrored: Array | None = None) -> Batch:
  """Turn stored columns into columns as networks see them: pixels as float32 in [-1, 1], all else as it is.

  Args:
    batch: stored columns [..., *shape], by name.
    columns: shapes and dtypes of the columns, by name.
    mirrored: bool [...], the examples that are mirrored left to right, with all of their images; None: no example.
  """
  def pixels(images: Array) -> Array:
    images = (2.0 * images.astype(jnp.float32) - 255.0) * (1.0 / 255.0)  # Exactly -1 and 1 at the ends.
    return images if mirrored is None else jnp.where(mirrored[..., None, None, None], images[..., ::-1, :], images)

  return {name: pixels(column) if columns[name].is_image else column for name, column in batch.items()}
