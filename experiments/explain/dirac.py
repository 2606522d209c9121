"""The Dirac-GAN with every update rule and regulariser: training steps of `gan`, drawn over the vector field."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from configs import dirac
from experiments.explain.style import DATA, DISC, GEN, INK, Explained, new_figure
from gan import build
from gan.config.complete import complete
from gan.data.source import columns_of
from gan.dynamics.field import make_field
from gan.rules import RULES
from gan.show import plots
from gan.step import make_deal

STEPS = 300
ARROWS = 15
HALF = 2.4                     # Half of the side of the plane shown.
COLUMNS = 4
# The learning rate is larger than in the config, so that few turns show what the rules do. The batch is large, so that
# instance noise averages out.
COMMON = {'optimizer.gen.lr': 0.4, 'optimizer.disc.lr': 0.4, 'train.batch_size': 512}
WASSERSTEIN = {'loss.name': 'wasserstein', 'optimizer.gen.lr': 0.2, 'optimizer.disc.lr': 0.2}
REGULARISERS = {
    'R1': {'penalty.r1': 1.0},
    'R2': {'penalty.r2': 1.0},
    'zero-centred': {'penalty.zero_gp': 0.5},
    'instance noise': {'augment.noise': 0.7},
    'LeCam': {'penalty.lecam': 0.3},
    'weight decay of D': {'optimizer.disc.weight_decay': 0.1},
    'DRAGAN': {'penalty.dragan': 0.3},
    'non-saturating loss': {'loss.name': 'nonsaturating'},
    'Wasserstein unbounded': WASSERSTEIN,
    'Wasserstein + WGAN-GP': WASSERSTEIN | {'penalty.gp': 0.3},
    'Wasserstein + clipping': WASSERSTEIN | {'penalty.clip': 0.5},
    'Wasserstein + R1': WASSERSTEIN | {'penalty.r1': 1.0},
}
WORDS = {'rests': 'converges', 'nears': 'approaches slowly', 'circles': 'keeps circling', 'leaves': 'diverges'}


class Path(NamedTuple):
  """The path of the two players of one game.

  Attributes:
    points: [T, 2], (theta, psi), beginning with the start.
    field: [ARROWS, ARROWS, 2], vector field of the game on a grid over the plane.
  """

  points: np.ndarray
  field: np.ndarray

  @property
  def start(self) -> float:
    """Initial distance from the equilibrium (0, 0)."""
    return float(np.linalg.norm(self.points[0]))

  @property
  def middle(self) -> float:
    """Mean distance over the tenth of the path around its middle."""
    return self._distance(0.45, 0.55)

  @property
  def end(self) -> float:
    """Mean distance over the last tenth of the path: more than one turn, so orbits need not be round."""
    return self._distance(0.9, 1.0)

  @property
  def verdict(self) -> str:
    """Key of WORDS."""
    if self.end < 0.05 * self.start:
      return 'rests'
    if self.end < 0.9 * self.middle:
      return 'nears'
    # A path that left may have stopped since, where the field is flat; hence the comparison with the start.
    away = self.end > 1.1 * self.middle or self.end > 2.0 * self.start
    return 'leaves' if away else 'circles'

  def _distance(self, first: float, last: float) -> float:
    count = len(self.points)
    chosen = self.points[min(int(first * count), count - 1):max(int(last * count), 1)]
    return float(np.linalg.norm(chosen, axis=1).mean())


class Zeros:
  """The data of the Dirac-GAN, all at 0, without a random number generator, which takes seconds to compile."""

  def __init__(self, batch_size: int):
    self._shape = (1, batch_size, 1)

  def batch(self, data: Any, rng: jax.Array, step: jax.Array, i: jax.Array) -> dict[str, jax.Array]:
    """Return a batch like a pipeline of `gan.data.pipeline`, for one update of the discriminator."""
    del data, rng, step, i
    return {'images': jnp.zeros(self._shape)}


def follow(overrides: dict[str, Any], steps: int = STEPS) -> Path:
  """Play the game of configs/dirac.py with `overrides` and record every position."""
  config = complete(dirac.get_config(), COMMON | overrides)
  # The config is not validated: `validate` refuses the Wasserstein critic without a bound, which is shown here.
  built = build.build(config, columns_of((1,)), jax.devices()[:1])
  state, batches = build.make_initial_state(built, config.seed), Zeros(config.train.batch_size)
  field = _field(built, batches, state)
  loop = build.make_loop(config, built, batches)
  points = [[float(jax.tree.leaves(player.params)[0].squeeze()) for player in (state.gen, state.disc)]]
  for _ in range(steps):  # One step in each call, because the loop only reports its last position.
    state, scalars, _ = loop(state, (), built.hparams, np.int32(1))
    points.append([scalars['gen/parameter'], scalars['disc/parameter']])
  return Path(np.array(jax.device_get(points), np.float64), field)


def _field(built: build.Build, batches: Zeros, state: Any) -> np.ndarray:
  deal = make_deal(built.game)
  side = np.linspace(-HALF, HALF, ARROWS)
  gen, disc = np.meshgrid(side, side)

  @jax.jit
  def evaluate(state: Any, points: jax.Array) -> jax.Array:
    turn = deal(batches.batch((), state.rng, state.step, 0), state, 0)
    field = make_field(built.game, state, turn, built.numbers_at(built.hparams, state.step))
    return jax.vmap(field.evaluate, (0, None))(points, field.context)

  # Flat parameters are in the alphabetical order of the players: disc, gen.
  points = np.stack([disc.ravel(), gen.ravel()], axis=1).astype(np.float32)
  return np.asarray(evaluate(state, points)).reshape(ARROWS, ARROWS, 2)[..., ::-1]


def games() -> dict[str, dict[str, dict[str, Any]]]:
  """Return all games that are drawn: {group: {name: overrides}}."""
  return {'rules': {rule: {'update.rule': rule} for rule in RULES}, 'regularisers': REGULARISERS}


def draw(steps: int = STEPS, follow: Callable[..., Path] = follow) -> Explained:
  """Draw a panel for each update rule, and for each regulariser with alternating updates.

  Args:
    steps: number of steps of each game.
    follow: (overrides, steps) -> path of a game.
  """
  groups = games()
  rows = {name: -(-len(group) // COLUMNS) for name, group in groups.items()}
  width, cell, head = 11.6, 2.9, 0.62
  height = sum(rows.values()) * cell + 2 * head + 0.3
  figure, top, facts = new_figure(width, height), height - 0.05, {}
  headings = {'rules': 'Update rules on the plain minimax game',
              'regularisers': 'Regularisers and losses with alternating updates'}
  for group, entries in groups.items():
    figure.text(0.055, (top - 0.42) / height, headings[group], fontsize=13, weight='bold', color=INK)
    top -= head
    for i, (name, overrides) in enumerate(entries.items()):
      row, column = divmod(i, COLUMNS)
      left, bottom = 0.62 + column * (width - 0.7) / COLUMNS, top - row * cell - cell + 0.28
      axes = figure.add_axes((left / width, bottom / height, 2.4 / width, 2.4 / height))
      path = follow(overrides, steps)
      plots.draw_path(axes, path.points, path.field, HALF, ('', ''))
      for arrows in axes.collections:  # The default colour is too pale in such small panels.
        arrows.set_color(DATA)
      axes.set(xticks=(-2, 0, 2), yticks=(-2, 0, 2))
      if column == 0:
        axes.set_ylabel('ψ, discriminator', fontsize=9.5, color=DISC, labelpad=1)
      if row == rows[group] - 1:
        axes.set_xlabel('θ, generator', fontsize=9.5, color=GEN, labelpad=1)
      axes.set_title(name, loc='left', fontsize=10, weight='bold', color=INK, pad=5)
      axes.text(0.03, 0.97, f'{WORDS[path.verdict]}: {path.start:.1f} → {path.end:.2f}', transform=axes.transAxes,
                va='top', fontsize=8.8, color=INK, bbox={'facecolor': 'white', 'alpha': 0.8, 'linewidth': 0, 'pad': 2})
      facts.setdefault(group, []).append(
          {'name': name, 'verdict': path.verdict, 'start': path.start, 'end': path.end})
    top -= rows[group] * cell
  return Explained(plots.render(figure), {'games': facts, 'steps': steps, 'lr': COMMON['optimizer.gen.lr']})
