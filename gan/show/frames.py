"""Pictures of a state that are drawn during training; the `Show` of a game says which one it has."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from gan import randomness
from gan.data import toy
from gan.dynamics.field import make_field
from gan.games import ONE_DEVICE, Game
from gan.show import images, plots
from gan.state import GanState
from gan.step import make_deal

ARROWS = 17   # Number of arrows of the field along each side of the picture.

DrawFrame = Callable[[GanState, int, list[dict[str, float]]], np.ndarray]   # (state, its step, rows so far) -> picture


class Sight(NamedTuple):
  """Everything that a frame is drawn from.

  Attributes:
    game: the game.
    data: the data set; None if only images are drawn.
    sample: result of `sampling.make_sampler`; pictures show the averaged generator at fixed latents.
    hparams_at: step -> numbers of the run.
    seed: seed of the run.
    batch_size: batch size of the run.
    num_images: samples in a grid.
    columns: samples in a row of the grid, where rows show classes; None: the grid is nearly square.
    num_points: samples in a scatter plot.
  """

  game: Game
  data: Any
  sample: Callable
  hparams_at: Callable[[jax.Array], Mapping[str, Any]]
  seed: int
  batch_size: int
  num_images: int
  num_points: int
  columns: int | None = None


def samples(sight: Sight) -> DrawFrame:
  """Build a function that draws a grid of images, points over the modes of a mixture, or numbers over its density."""
  def draw_frame(state: GanState, step: int, rows: list[dict[str, float]]) -> np.ndarray:
    del rows
    rng, data = randomness.purpose_key(state.rng, 'samples'), sight.data
    if isinstance(data, toy.Mixture):
      points = sight.sample(state.ema, rng, sight.num_points)
      if points.shape[1] == 1:
        return plots.histogram(points[:, 0], data.modes[:, 0], data.sigma, f'step {step}')
      return images.scatter(points, data.modes, data.sigma, f'step {step}')
    drawn = sight.sample(state.ema, rng, sight.num_images)
    return images.grid(drawn, columns=sight.columns) if drawn.ndim == 4 else plots.cloud(drawn, f'step {step}')

  return draw_frame


def path(sight: Sight) -> DrawFrame:
  """Build a function that draws the path so far over the field, for a game with one parameter for each player.

  Every host computes the field by itself.
  """
  game = dataclasses.replace(sight.game, devices=ONE_DEVICE)
  deal = make_deal(game)
  names = tuple(game.networks[player].module.coordinate for player in ('gen', 'disc'))

  rng = randomness.root_key(np.uint32(sight.seed))
  start = jax.jit(game.init)(randomness.purpose_key(rng, 'init'))
  first = [float(jax.tree.leaves(start[player].params)[0].squeeze()) for player in ('gen', 'disc')]

  @jax.jit
  def field_at(state: GanState, points: jax.Array) -> jax.Array:
    batch = {'images': sight.data.draw(randomness.purpose_key(state.rng, 'analysis'), sight.batch_size)[None]}
    field = make_field(game, state, deal(batch, state, 0), sight.hparams_at(state.step))
    return jax.vmap(field.evaluate, (0, None))(points, field.context)

  def draw_frame(state: GanState, step: int, rows: list[dict[str, float]]) -> np.ndarray:
    here = GanState(np.asarray(state.step), rng, *jax.device_get((state.gen, state.disc)), ema={})
    logged = [(row['gen/parameter'], row['disc/parameter']) for row in rows if 'gen/parameter' in row]
    walked = np.array([first, *logged])
    half = 1.25 * max(float(np.abs(walked).max()), 0.1)
    side = np.linspace(-half, half, ARROWS)
    gen, disc = np.meshgrid(side, side)
    # Flat parameters are in the order of the players' names: the discriminator's come first.
    points = np.stack([disc.ravel(), gen.ravel()], axis=1).astype(np.float32)
    flow = np.asarray(field_at(here, points)).reshape(ARROWS, ARROWS, 2)[..., ::-1]
    return plots.trajectory(walked, flow, half, f'step {step}', names)

  return draw_frame


FRAMES: dict[str, Callable[[Sight], DrawFrame]] = {'samples': samples, 'path': path}
