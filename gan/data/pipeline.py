"""From a data set to the batches of a step: resident on the device, streamed from disk, or drawn from a mixture.

They are used alike. `feed(step, count)` runs on the host before a dispatch of `count` steps; what it returns goes
into the compiled loop, where `batch` makes the images of one step from it. Which samples a step sees depends on the
seed and the step alone (`order.py`), so streamed and resident runs are equal bit for bit, wherever they were resumed.
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
OTHERS = 2**31   # No step has such a number: it and more count the parts of unpaired data after the first.


class Pipeline(Protocol):
  """Batches of one run."""

  def feed(self, step: int, count: int) -> Any:
    """Data of the dispatch that starts at `step`; on the devices, or on its way there."""

  def batch(self, data: Any, rng: Array, step: Array, i: Array) -> Batch:
    """Columns of `step`, the i-th of its dispatch: arrays [disc_steps, B, ...], this device's part of B; compiled."""


class Joined:
  """Several pipelines whose columns do not belong together, as one."""

  def __init__(self, parts: Sequence[Pipeline]):
    self._parts = tuple(parts)

  def feed(self, step: int, count: int) -> Any:
    """That of each part."""
    return tuple(part.feed(step, count) for part in self._parts)

  def batch(self, data: Any, rng: Array, step: Array, i: Array) -> Batch:
    """The columns of all parts."""
    batch = {}
    for part, own in zip(self._parts, data, strict=True):
      batch |= part.batch(own, rng, step, i)
    return batch


class Drawn:
  """Fresh samples of a mixture, drawn on the device; there is no epoch."""

  def __init__(self, mixture: toy.Mixture, disc_steps: int, batch_size: int, shard: Callable[[Array], Array]):
    self._mixture, self._shape, self._shard = mixture, (disc_steps, batch_size), shard

  def feed(self, step: int, count: int) -> Any:
    """Nothing has to be fed."""
    del step, count
    return ()

  def batch(self, data: Any, rng: Array, step: Array, i: Array) -> Batch:
    """Draws [disc_steps, B, 2]."""
    del data, i
    disc_steps, batch_size = self._shape
    samples = self._mixture.draw(step_key(rng, 'data', step), disc_steps * batch_size)
    return {'images': jax.vmap(self._shard)(samples.reshape(disc_steps, batch_size, -1))}


class Points:
  """As many samples of a mixture as its data set has, on each device; the order is the run's own."""

  def __init__(self, mixture: toy.Mixture, disc_steps: int, batch_size: int, shard: Callable[[Array], Array],
               place: Callable[[Any], Any]):
    self._points, self._size = place(np.asarray(mixture.points())), mixture.num_points
    self._shape, self._shard = (disc_steps, batch_size), shard

  def feed(self, step: int, count: int) -> Any:
    """The same array for each dispatch."""
    del step, count
    return self._points

  def batch(self, data: Any, rng: Array, step: Array, i: Array) -> Batch:
    """Gathers [disc_steps, B, D] by the indices of the step."""
    del i
    return {'images': data[_indices(rng, step, self._shape, self._size, self._shard, 0)]}


class Resident:
  """The whole data set as it is stored on each device, gathered inside the step.

  Args:
    source: the data.
    disc_steps: batches of a step.
    batch_size: global.
    shard: takes this device's rows of a global array.
    place: puts arrays on the devices.
    flip: whether images are mirrored with probability 1/2.
    part: number among unpaired sources, of which each has an order of its own.
  """

  def __init__(self, source: Source, disc_steps: int, batch_size: int, shard: Callable[[Array], Array],
               place: Callable[[Any], Any], flip: bool, part: int = 0):
    self._data, self._columns, self._part = place(load_all(source)), source.columns, part
    self._shape, self._shard, self._flip, self._size = (disc_steps, batch_size), shard, flip, source.num_examples

  def feed(self, step: int, count: int) -> Any:
    """The same arrays for each dispatch."""
    del step, count
    return self._data

  def batch(self, data: Any, rng: Array, step: Array, i: Array) -> Batch:
    """Gathers [disc_steps, B, ...] by the indices of the step."""
    del i
    indices = _indices(rng, step, self._shape, self._size, self._shard, self._part)
    batch = jax.tree.map(lambda column: column[indices], data)
    mirrored = _mirrored(rng, step, self._shape, self._shard, self._part) if self._flip else None
    return decode(batch, self._columns, mirrored)


class Streamed:
  """Records read from disk in threads, a few steps ahead; the same samples in the same order as `Resident`.

  Args:
    source: the data.
    disc_steps: batches of a step.
    batch_size: global.
    shard: takes this device's rows of a global array.
    place_batch: (rows of this host, axis) -> global array.
    flip: whether images are mirrored with probability 1/2.
    rng: root key of the run.
    steps_per_call: most steps of a dispatch.
    rows: of a batch that this host loads.
    part: number among unpaired sources, of which each has an order of its own.
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
    """Arrays [steps_per_call, disc_steps, B, ...]; what lies beyond `count` is zero and never looked at."""
    if step != self._position:  # At the start, and after a resume.
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
    """Takes step i of the dispatch: [disc_steps, B, ...]."""
    batch = jax.tree.map(lambda column: jax.vmap(self._shard)(column[i]), data)
    mirrored = _mirrored(rng, step, self._shape, self._shard, self._part) if self._flip else None
    return decode(batch, self._source.columns, mirrored)


def make_conditions(data: Source | Unpaired, names: Sequence[str], size: int) -> Callable[[int], Batch] | None:
  """Builds conditions(i) -> columns [size, ...] that the i-th chunk of samples is made of; None if it needs none.

  Args:
    data: in whose order there is nothing random; after the last example comes the first again.
    names: of the columns.
    size: of a chunk.
  """
  if not names:
    return None
  parts = data.parts if isinstance(data, Unpaired) else (data,)

  def conditions(index: int) -> Batch:
    found = {}
    for part in parts:
      if wanted := [name for name in names if name in part.columns]:
        indices = np.arange(index * size, (index + 1) * size) % part.num_examples
        read = part.read(np.random.default_rng(0).permutation(part.num_examples)[indices])
        found |= decode({name: jnp.asarray(read[name]) for name in wanted}, part.columns)
    return found

  return conditions


def load_all(source: Source) -> dict[str, np.ndarray]:
  """Every example of a source, in order: its columns [N, ...], as they are stored."""
  parts = [*read_batches(source, np.arange(source.num_examples), LOADED_AT_ONCE)]
  return {name: np.concatenate([part[name] for part in parts]) for name in source.columns}


def _part_key(rng: Array, purpose: str, part: int) -> Array:
  """Key [] of one purpose for one of several unpaired sources; the first has the key that a single one has."""
  key = purpose_key(rng, purpose)
  return jax.random.fold_in(key, np.uint32(OTHERS + part)) if part else key


def _indices(rng: Array, step: Array, shape: tuple[int, int], size: int, shard: Callable[[Array], Array],
             part: int) -> Array:
  """Which of `size` samples a step sees: [disc_steps, B], this device's part of B."""
  key = order.order_key(_part_key(rng, 'data', part))
  return jax.vmap(shard)(order.batch_indices(key, step, math.prod(shape), size).reshape(shape))


def _mirrored(rng: Array, step: Array, shape: tuple[int, int], shard: Callable[[Array], Array], part: int) -> Array:
  """Which examples of a step are mirrored: bool [disc_steps, B], this device's part of B."""
  key = jax.random.fold_in(_part_key(rng, 'augmentation', part), step)
  return jax.vmap(shard)(coin(key, 0.5, (math.prod(shape),)).reshape(shape))


def decode(batch: Batch, columns: Mapping[str, Column], mirrored: Array | None = None) -> Batch:
  """What is stored -> what networks see: pixels as float32 in [-1, 1], all else as it is.

  Args:
    batch: columns [..., *shape].
    columns: what is known of them.
    mirrored: bool [...], the examples of which every image is mirrored left to right; they belong together.
  """
  def pixels(images: Array) -> Array:
    images = (2.0 * images.astype(jnp.float32) - 255.0) * (1.0 / 255.0)  # Exactly -1 and 1 at the ends.
    return images if mirrored is None else jnp.where(mirrored[..., None, None, None], images[..., ::-1, :], images)

  return {name: pixels(column) if columns[name].is_image else column for name, column in batch.items()}
