"""Samples of a generator, in any number: a chunk at a time on the devices."""

from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax import Array
from jax.sharding import NamedSharding, PartitionSpec

from gan import step
from gan.games import Game
from gan.parallel import AXIS, Parallel
from gan.state import PyTree

CHUNK = 256   # Samples drawn at a time: memory does not grow with their number.

Stream = Callable[[PyTree, Array, int], Iterator[tuple[Array, int]]]


def make_stream(game: Game, z_dim: int, z: str, parallel: Parallel | None = None) -> Stream:
  """Builds stream(gen, rng, num), which yields (samples [CHUNK, ...] on the devices, how many of them count).

  Sample i depends on (rng, i) alone: asking for more leaves the first ones as they were, and so does the number of
  devices.

  Args:
    game: whose generator is sampled.
    z_dim: length of a latent.
    z: distribution of latents.
    parallel: devices that share each chunk; one by default.
  """
  split = parallel is not None and CHUNK % parallel.mesh.size == 0
  rows = NamedSharding(parallel.mesh, PartitionSpec(AXIS)) if split else None

  def chunk(gen: PyTree, rng: Array, index: Array) -> Array:
    latents = step.draw_latents(jax.random.fold_in(rng, index), CHUNK, z_dim, z)
    return game.sample(gen, jax.lax.with_sharding_constraint(latents, rows) if split else latents)

  # Whole on each device, so that every host can fetch it.
  compiled = jax.jit(chunk, out_shardings=parallel.replicated if parallel else None)

  def stream(gen: PyTree, rng: Array, num: int) -> Iterator[tuple[Array, int]]:
    for start in range(0, num, CHUNK):
      yield compiled(gen, rng, np.int32(start // CHUNK)), min(CHUNK, num - start)

  return stream


def make_sampler(stream: Stream) -> Callable[[PyTree, Array, int], np.ndarray]:
  """Builds sample(gen, rng, num) -> float32 [num, ...] on the host."""
  def sample(gen: PyTree, rng: Array, num: int) -> np.ndarray:
    return np.concatenate([np.asarray(samples)[:count] for samples, count in stream(gen, rng, num)])

  return sample


def interpolate(game: Game, gen: PyTree, rng: Array, rows: int, length: int, z_dim: int, z: str) -> np.ndarray:
  """Walks between pairs of latents: float32 [rows * length, ...], row by row.

  Normal latents go along the great circle, where they keep a likely norm (White 2016, arXiv:1609.04468); uniform ones
  along the straight line, which stays in their cube.
  """
  start, end = step.draw_latents(rng, 2 * rows, z_dim, z).reshape(2, rows, 1, z_dim)
  start, end = np.asarray(start), np.asarray(end)
  t = np.linspace(0.0, 1.0, length, dtype=np.float32)[None, :, None]
  if z == 'normal':
    norms = np.linalg.norm(start, axis=-1, keepdims=True) * np.linalg.norm(end, axis=-1, keepdims=True)
    cosine = (start * end).sum(-1, keepdims=True) / norms
    angle = np.arccos(np.clip(cosine, -0.9999, 0.9999))
    walk = (np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / np.sin(angle)
  else:
    walk = (1 - t) * start + t * end
  return np.asarray(jax.jit(game.sample)(gen, walk.reshape(rows * length, z_dim)))
