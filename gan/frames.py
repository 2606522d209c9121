"""The picture of a state that is drawn while a run goes on: a grid, a scatter plot, or the path of a small game."""

from collections.abc import Callable
from typing import Any

import jax
import ml_collections
import numpy as np

from gan import images, plots, randomness
from gan.build import build, make_initial_state
from gan.data import toy
from gan.dynamics.field import make_field
from gan.state import GanState
from gan.step import make_deal

ARROWS = 17          # Of the field, along each side.
SMALL_GAMES = {'dirac': ('theta: where generated samples are', 'psi: slope of the discriminator'),
               'linear_quadratic': ('a: deviation of generated samples', 'w: curvature of the discriminator')}

DrawFrame = Callable[[GanState, int, list[dict[str, float]]], np.ndarray]


def make_draw_frame(config: ml_collections.ConfigDict, data: Any, sample: Callable) -> DrawFrame:
  """Builds draw_frame(state, step, rows) -> uint8 [H, W, C], rows being those logged so far.

  Args:
    config: of the run.
    data: what it learns.
    sample: made by `sampling.make_sampler`; pictures show the averaged generator, from fixed latents.
  """
  if config.model.gen.name in SMALL_GAMES and config.model.disc.name in SMALL_GAMES:
    return _path_frame(config, data)

  def draw_frame(state: GanState, step: int, rows: list[dict[str, float]]) -> np.ndarray:
    del rows
    rng = randomness.purpose_key(state.rng, 'samples')
    if isinstance(data, toy.Mixture):
      points = sample(state.ema, rng, config.eval.num_samples)
      if points.shape[1] == 1:
        return plots.histogram(points[:, 0], data.modes[:, 0], data.sigma, f'step {step}')
      return images.scatter(points, data.modes, data.sigma, f'step {step}')
    return images.grid(sample(state.ema, rng, config.train.num_samples))

  return draw_frame


def _path_frame(config: ml_collections.ConfigDict, data: toy.Mixture) -> DrawFrame:
  """For a game of one parameter each: the path so far over the field, which this host computes for itself."""
  config = config.copy_and_resolve_references()
  config.parallel.strategy = 'jit'
  built = build(config, data.modes.shape[1:], jax.local_devices()[:1])
  deal = make_deal(built.game)
  names = SMALL_GAMES[config.model.gen.name][0], SMALL_GAMES[config.model.disc.name][1]
  initial = make_initial_state(built, config.seed)
  start = [float(jax.tree.leaves(player.params)[0].squeeze()) for player in (initial.gen, initial.disc)]
  @jax.jit
  def field_at(state: GanState, points: jax.Array) -> jax.Array:
    batch = {'images': data.draw(randomness.purpose_key(state.rng, 'analysis'), config.train.batch_size)[None]}
    field = make_field(built.game, state, deal(batch, state, 0),
                       built.numbers_at(built.hparams, state.step))
    return jax.vmap(field.evaluate, (0, None))(points, field.context)

  def draw_frame(state: GanState, step: int, rows: list[dict[str, float]]) -> np.ndarray:
    logged = [(row['gen/parameter'], row['disc/parameter']) for row in rows if 'gen/parameter' in row]
    path = np.array([start, *logged])
    half = 1.25 * max(float(np.abs(path).max()), 0.1)
    side = np.linspace(-half, half, ARROWS)
    gen, disc = np.meshgrid(side, side)
    # Flat parameters are in the order of the players' names: the discriminator's come first.
    points = np.stack([disc.ravel(), gen.ravel()], axis=1).astype(np.float32)
    # Parameters come from `points`; what players remember may be LeCam's means.
    players = {name: getattr(initial, name).replace(memory=jax.device_get(getattr(state, name).memory))
               for name in ('gen', 'disc')}
    here = initial.replace(step=np.asarray(state.step), **players)
    flow = np.asarray(field_at(here, points)).reshape(ARROWS, ARROWS, 2)[..., ::-1]
    return plots.trajectory(path, flow, half, f'step {step}', names)

  return draw_frame
