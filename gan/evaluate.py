"""Scores of a generator while it trains: mode coverage of mixtures, diversity of images."""

from collections.abc import Callable

import jax
import numpy as np

from gan import randomness, step
from gan.data import toy
from gan.data.source import DataError, ImageSource
from gan.games import Game
from gan.metrics.diversity import mean_distance
from gan.metrics.mixture import line_scores, mixture_scores
from gan.state import PyTree

CHUNK = 256               # Samples drawn at a time: memory does not grow with their number.
DIVERSITY_SAMPLES = 256   # Pairwise distances grow with the square.


def make_sampler(game: Game, z_dim: int, z: str) -> Callable[[PyTree, jax.Array, int], np.ndarray]:
  """Builds sample(gen, rng, num) -> float32 [num, ...] on the host.

  Sample i depends on (rng, i) alone, so asking for more leaves the first ones as they were.
  """
  @jax.jit
  def chunk(gen: PyTree, rng: jax.Array, index: jax.Array) -> jax.Array:
    return game.sample(gen, step.draw_latents(jax.random.fold_in(rng, index), CHUNK, z_dim, z))

  def sample(gen: PyTree, rng: jax.Array, num: int) -> np.ndarray:
    chunks = [np.asarray(chunk(gen, rng, np.int32(i))) for i in range(-(-num // CHUNK))]
    return np.concatenate(chunks)[:num]

  return sample


def make_evaluator(data: ImageSource | toy.Mixture, sample: Callable, num: int):
  """Builds evaluate(gen, root) -> {'eval/...': float}, with the same latents at every evaluation.

  Args:
    data: what the samples are compared with.
    sample: made by `make_sampler`.
    num: generated samples of a mixture that are scored.
  """
  if isinstance(data, toy.Mixture) and data.modes.shape[1] == 1:
    truth = np.asarray(data.draw(jax.random.key(0), num))

    def scores(samples: np.ndarray) -> dict[str, float]:
      return line_scores(samples, truth)
  elif isinstance(data, toy.Mixture):
    def scores(samples: np.ndarray) -> dict[str, float]:
      return mixture_scores(samples, data.modes, data.sigma)
  else:
    num = min(num, DIVERSITY_SAMPLES)
    chosen = np.linspace(0, data.num_examples - 1, min(num, data.num_examples)).astype(int)
    real = mean_distance(data.read(chosen)[0] / 127.5 - 1.0)
    if real == 0:
      raise DataError(f'{num} images of {data.name} are all the same: there is nothing to learn from them')

    def scores(samples: np.ndarray) -> dict[str, float]:
      return {'diversity': mean_distance(samples) / real}

  def evaluate(gen: PyTree, root: jax.Array) -> dict[str, float]:
    samples = sample(gen, randomness.purpose_key(root, 'evaluation'), num)
    return {f'eval/{name}': value for name, value in scores(samples).items()}

  return evaluate


def interpolate(game: Game, gen: PyTree, rng: jax.Array, rows: int, length: int, z_dim: int, z: str) -> np.ndarray:
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
