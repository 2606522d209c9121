"""From a data set to the batches of a step: resident on the device, streamed from disk, or drawn from a mixture.

They are used alike. `feed(step, count)` runs on the host before a dispatch of `count` steps; what it returns goes
into the compiled loop, where `batch` makes the images of one step from it. Which samples a step sees depends on the
seed and the step alone (`order.py`), so streamed and resident runs are equal bit for bit, wherever they were resumed.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan.data import order, toy
from gan.data.source import ImageSource, read_batches
from gan.randomness import coin, purpose_key, step_key

Batch = dict[str, Array]
LOADER_THREADS = 8
PREFETCHED_STEPS = 16
LOADED_AT_ONCE = 2048


class Pipeline(Protocol):
  """Batches of one run."""

  def feed(self, step: int, count: int) -> Any:
    """Data of the dispatch that starts at `step`; on the devices, or on its way there."""

  def batch(self, data: Any, rng: Array, step: Array, i: Array) -> Batch:
    """Batch of `step`, the i-th of its dispatch: arrays [disc_steps, B, ...], this device's part of B; compiled."""


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
    return {'images': data[_indices(rng, step, self._shape, self._size, self._shard)]}


class Resident:
  """The whole data set as uint8 on each device, gathered inside the step."""

  def __init__(self, source: ImageSource, disc_steps: int, batch_size: int, shard: Callable[[Array], Array],
               place: Callable[[Any], Any], flip: bool):
    images, labels = load_all(source)
    self._data = place({'images': images, 'labels': labels})
    self._shape, self._shard, self._flip, self._size = (disc_steps, batch_size), shard, flip, len(images)

  def feed(self, step: int, count: int) -> Any:
    """The same arrays for each dispatch."""
    del step, count
    return self._data

  def batch(self, data: Any, rng: Array, step: Array, i: Array) -> Batch:
    """Gathers [disc_steps, B, H, W, C] by the indices of the step."""
    del i
    indices = _indices(rng, step, self._shape, self._size, self._shard)
    batch = jax.tree.map(lambda column: column[indices], data)
    return _decode(batch, rng, step, self._shape, self._shard, self._flip)


class Streamed:
  """Records read from disk in threads, a few steps ahead; the same samples in the same order as `Resident`."""

  def __init__(self, source: ImageSource, disc_steps: int, batch_size: int, shard: Callable[[Array], Array],
               place_batch: Callable[[np.ndarray, int], Array], flip: bool, rng: Array, steps_per_call: int,
               rows: slice):
    self._source, self._shape, self._shard, self._flip = source, (disc_steps, batch_size), shard, flip
    self._place_batch, self._steps_per_call, self._rows = place_batch, steps_per_call, rows
    self._key = np.asarray(order.order_key(purpose_key(rng, 'data')))
    self._position: int | None = None
    self._steps: Iterator = iter(())

  def _load(self, step: int) -> dict[str, np.ndarray]:
    disc_steps, batch_size = self._shape
    drawn = disc_steps * batch_size
    indices = order.host_indices(self._key, int(step) * drawn, drawn, self._source.num_examples)
    indices = indices.reshape(disc_steps, batch_size)[:, self._rows]
    images, labels = self._source.read(indices.ravel())
    return {'images': images.reshape(*indices.shape, *self._source.shape), 'labels': labels.reshape(indices.shape)}

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
    """Takes step i of the dispatch: [disc_steps, B, H, W, C]."""
    batch = jax.tree.map(lambda column: jax.vmap(self._shard)(column[i]), data)
    return _decode(batch, rng, step, self._shape, self._shard, self._flip)


def load_all(source: ImageSource) -> tuple[np.ndarray, np.ndarray]:
  """Every record of a source: uint8 [N, H, W, C] and int32 [N], in order."""
  images, labels = zip(*read_batches(source, np.arange(source.num_examples), LOADED_AT_ONCE), strict=True)
  return np.concatenate(images), np.concatenate(labels)


def _indices(rng: Array, step: Array, shape: tuple[int, int], size: int, shard: Callable[[Array], Array]) -> Array:
  """Which of `size` samples a step sees: [disc_steps, B], this device's part of B."""
  key = order.order_key(purpose_key(rng, 'data'))
  return jax.vmap(shard)(order.batch_indices(key, step, math.prod(shape), size).reshape(shape))


def _decode(batch: Batch, rng: Array, step: Array, shape: tuple[int, int], shard: Callable[[Array], Array],
            flip: bool) -> Batch:
  """uint8 -> float32 in [-1, 1]; mirrors each image with probability 1/2 where the data set allows it."""
  images = (2.0 * batch['images'].astype(jnp.float32) - 255.0) * (1.0 / 255.0)  # Exactly -1 and 1 at the ends.
  if flip:
    mirrored = coin(step_key(rng, 'augmentation', step), 0.5, (math.prod(shape),)).reshape(shape)
    mirrored = jax.vmap(shard)(mirrored)[..., None, None, None]
    images = jnp.where(mirrored, images[..., ::-1, :], images)
  return batch | {'images': images}
