"""The Dirac-GAN under every update rule and regulariser: real steps of the library, over the game's own field."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from configs import dirac
from experiments.explain.style import DISC, GEN, INK, Explained, new_figure
from gan import build, plots, randomness
from gan.config import apply_overrides
from gan.dynamics.field import make_field
from gan.rules import RULES

STEPS = 300
ARROWS = 15
HALF = 2.4                     # Of the plane shown; whoever leaves it has run away.
COLUMNS = 4
# A larger step than the configuration's: what the rules do shows within few turns. Many samples: noise, where there is
# any, is averaged. One device needs no more.
COMMON = {'optimizer.gen.lr': 0.4, 'optimizer.disc.lr': 0.4, 'train.batch_size': 512}
WASSERSTEIN = {'loss.name': 'wasserstein', 'optimizer.gen.lr': 0.2, 'optimizer.disc.lr': 0.2}
REGULARISERS = {
    'R1': {'penalty.r1': 1.0},
    'R2': {'penalty.r2': 1.0},
    'zero-centred, between': {'penalty.zero_gp': 0.5},
    'instance noise': {'augment.noise': 0.7},
    'LeCam': {'penalty.lecam': 0.3},
    'weight decay of D': {'optimizer.disc.weight_decay': 0.1},
    'DRAGAN': {'penalty.dragan': 0.3},
    'non-saturating loss': {'loss.name': 'nonsaturating'},
    'Wasserstein, nothing': WASSERSTEIN,
    'Wasserstein, WGAN-GP': WASSERSTEIN | {'penalty.gp': 0.3},
    'Wasserstein, clipping': WASSERSTEIN | {'penalty.clip': 0.5},
    'Wasserstein, R1': WASSERSTEIN | {'penalty.r1': 1.0},
}
WORDS = {'rests': 'comes to rest', 'nears': 'comes nearer', 'circles': 'keeps moving', 'leaves': 'runs away'}


class Path(NamedTuple):
  """Where the two players of one game went.

  Attributes:
    points: [T, 2], (theta, psi), the start first.
    field: [ARROWS, ARROWS, 2], directions of the game over the plane.
  """

  points: np.ndarray
  field: np.ndarray

  @property
  def start(self) -> float:
    """First distance from the equilibrium (0, 0)."""
    return float(np.linalg.norm(self.points[0]))

  @property
  def end(self) -> float:
    """Mean distance over the last tenth of the path: a circle that is not round gives no other number each time."""
    return float(np.linalg.norm(self.points[-max(1, len(self.points) // 10):], axis=1).mean())

  @property
  def verdict(self) -> str:
    """Key of WORDS."""
    share = self.end / self.start
    return 'rests' if share < 0.05 else 'nears' if share < 0.5 else 'circles' if share < 1.5 else 'leaves'


def follow(overrides: dict[str, Any], steps: int = STEPS) -> Path:
  """Plays the game of configs/dirac.py with `overrides` and records every position."""
  config = dirac.get_config()
  apply_overrides(config, COMMON | overrides)
  # Not validated: a Wasserstein critic without any bound is refused there, and wanted here.
  data = build.open_data(config)
  built = build.build(config, build.describe_data(data).sample_shape, jax.devices()[:1])
  state = build.make_initial_state(built, config.seed)
  field = _field(config, built, data, state)
  batches = build.make_pipeline(config, data, built.parallel, state.rng)
  loop = build.make_loop(config, built, batches)
  points = [[float(jax.tree.leaves(player.params)[0].squeeze()) for player in (state.gen, state.disc)]]
  for step in range(steps):  # One step for each call: the loop reports its last position only.
    state, scalars, _ = loop(state, batches.feed(step, 1), built.hparams, np.int32(1))
    points.append([scalars['gen/parameter'], scalars['disc/parameter']])
  return Path(np.array(jax.device_get(points), np.float64), field)


def _field(config: Any, built: build.Build, data: Any, state: Any) -> np.ndarray:
  deal = build.make_deal(config, built.parallel)
  batch = {'images': data.draw(randomness.purpose_key(state.rng, 'analysis'), config.train.batch_size)[None]}
  side = np.linspace(-HALF, HALF, ARROWS)
  gen, disc = np.meshgrid(side, side)

  @jax.jit
  def evaluate(state: Any, points: jax.Array) -> jax.Array:
    field = make_field(built.game, state, deal(batch, state, 0), built.hparams)
    return jax.vmap(field.evaluate, (0, None))(points, field.context)

  # Flat parameters are in the order of the players' names: the discriminator's come first.
  points = np.stack([disc.ravel(), gen.ravel()], axis=1).astype(np.float32)
  return np.asarray(evaluate(state, points)).reshape(ARROWS, ARROWS, 2)[..., ::-1]


def games() -> dict[str, dict[str, dict[str, Any]]]:
  """{group: {name: overrides}}: all that is drawn."""
  return {'rules': {rule: {'update.rule': rule} for rule in RULES}, 'regularisers': REGULARISERS}


def draw(steps: int = STEPS, follow: Callable[..., Path] = follow) -> Explained:
  """One panel for each update rule, and one for each regulariser under alternating updates.

  Args:
    steps: of each game.
    follow: (overrides, steps) -> its path.
  """
  groups = games()
  rows = {name: -(-len(group) // COLUMNS) for name, group in groups.items()}
  width, cell, head = 11.6, 2.9, 0.62
  height = sum(rows.values()) * cell + 2 * head + 0.3
  figure, top, facts = new_figure(width, height), height - 0.05, {}
  headings = {'rules': 'Update rules, each on the plain minimax game',
              'regularisers': 'Regularisers and losses, each under alternating updates'}
  for group, entries in groups.items():
    figure.text(0.055, (top - 0.3) / height, headings[group], fontsize=13, weight='bold', color=INK)
    top -= head
    for i, (name, overrides) in enumerate(entries.items()):
      row, column = divmod(i, COLUMNS)
      left, bottom = 0.62 + column * (width - 0.7) / COLUMNS, top - row * cell - cell + 0.28
      axes = figure.add_axes((left / width, bottom / height, 2.4 / width, 2.4 / height))
      path = follow(overrides, steps)
      plots.draw_path(axes, path.points, path.field, HALF, ('', ''))
      axes.set(xticks=(-2, 0, 2), yticks=(-2, 0, 2))
      if column == 0:
        axes.set_ylabel('ψ, discriminator', fontsize=9.5, color=DISC, labelpad=1)
      if row == rows[group] - 1:
        axes.set_xlabel('θ, generator', fontsize=9.5, color=GEN, labelpad=1)
      axes.set_title(name, loc='left', fontsize=10, weight='bold', color=INK, pad=5)
      axes.text(0.03, 0.97, f'{WORDS[path.verdict]}: {path.start:.1f} → {path.end:.2g}', transform=axes.transAxes,
                va='top', fontsize=8.8, color=INK, bbox={'facecolor': 'white', 'alpha': 0.8, 'linewidth': 0, 'pad': 2})
      facts.setdefault(group, []).append(
          {'name': name, 'verdict': path.verdict, 'start': path.start, 'end': path.end})
    top -= rows[group] * cell
  return Explained(plots.render(figure), {'games': facts, 'steps': steps, 'lr': COMMON['optimizer.gen.lr']})
