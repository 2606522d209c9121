"""Mode collapse of a plain GAN on the ring, and a cure: the same networks, optimizers and seed with R1 added."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.collections import EllipseCollection

from experiments.explain.ring import ring
from experiments.explain.style import DATA, GEN, GRID, INK, PANEL, Explained, new_figure
from gan.show.plots import render

STOPS = [500, 1500, 3000, 4500]
SAMPLES = 2000
HALF = 1.5                     # Half of the side of the plane shown.
# The generator takes two updates for each update of D, with momentum (b1 is the usual 0.9, not 0.5 as in toy.py). So it
# moves to points where D is fooled before D can react. Modes covered after 3,000 and 4,500 steps, measured with seeds 0
# to 4 on a CPU: plain 0, 0, 0, 1, 0 and 0, 1, 1, 0, 0; with R1 7, 8, 8, 8, 8 and 8, 8, 7, 8, 5. A weaker R1 (0.03, 0.1,
# 0.3) cured only some of the seeds; momentum without the second update collapsed with seed 0 and not with seed 1.
PLAIN = {'train.batch_size': 128, 'model.gen.width': 64, 'model.disc.width': 64, 'update.gen_steps': 2,
         'optimizer.gen.b1': 0.9, 'optimizer.disc.b1': 0.9}
CURE = {'penalty.r1': 1.0}
SEED = 0


def snapshots(overrides: dict[str, Any], stops: list[int] | None = None) -> list[dict[str, Any]]:
  """Train, and return for each stop 'step', 'points' [N, 2], 'modes' (of 8), 'high_quality' (share) and 'truth'."""
  run = ring(PLAIN | {'seed': SEED} | overrides)
  sample, shots = run.sampler(), []
  for step, state, _ in run.train(stops or STOPS):
    points = sample(state, SAMPLES)
    scores = run.scores(points)
    shots.append({'step': step, 'points': points, 'modes': int(scores['modes']),
                  'high_quality': scores['high_quality'], 'truth': run.data})
  return shots


def draw(stops: list[int] | None = None, overrides: dict[str, Any] | None = None,
         snapshots: Callable[..., list[dict[str, Any]]] = snapshots) -> Explained:
  """Draw samples at several steps, those of the plain GAN above, those with R1 below.

  Args:
    stops: the steps; STOPS by default.
    overrides: overrides of both configurations, in addition to PLAIN.
    snapshots: (overrides, stops) -> snapshots of one run.
  """
  rows = {'plain GAN': snapshots(overrides or {}, stops), 'with R1, all else equal': snapshots(
      (overrides or {}) | CURE, stops)}
  columns = max(len(row) for row in rows.values())
  cell, head, width = 2.75, 0.75, 0.15 + columns * 2.85
  height = len(rows) * (cell + head) + 0.1
  figure = new_figure(width, height)
  for i, (title, row) in enumerate(rows.items()):
    top = height - i * (cell + head)
    figure.text(0.15 / width, (top - 0.33) / height, title, fontsize=13, weight='bold', color=INK)
    for j, shot in enumerate(row):
      axes = figure.add_axes(((0.15 + j * 2.85) / width, (top - head - cell + 0.1) / height, 2.7 / width,
                              2.7 / height))
      _scatter(axes, shot)
      axes.set_title(f'step {shot["step"]:,}', loc='left', fontsize=10, weight='bold', color=INK, pad=5)
      axes.set_title(f'{shot["modes"]} of {len(shot["truth"].modes)} modes, {shot["high_quality"]:.0%} near one',
                     loc='right', fontsize=9, color=INK, pad=5)
  facts = {name: [{key: shot[key] for key in ('step', 'modes', 'high_quality')} for shot in row]
           for name, row in zip(('plain', 'cured'), rows.values(), strict=True)}
  return Explained(render(figure), facts | {'samples': SAMPLES, 'seed': SEED, 'r1': CURE['penalty.r1'],
                                            'of': len(next(iter(rows.values()))[0]['truth'].modes)})


def _scatter(axes: Any, shot: dict[str, Any]) -> None:
  """Draw generated points over the modes; a circle of 3 sigma would be invisible, so modes are drawn larger."""
  modes = shot['truth'].modes
  diameters = np.full(len(modes), 0.24)
  axes.add_collection(EllipseCollection(
      diameters, diameters, np.zeros(len(modes)), units='xy', offsets=modes, offset_transform=axes.transData,
      facecolors='white', edgecolors=DATA, linewidths=1.1, zorder=1))
  axes.scatter(*shot['points'].T, s=5, color=GEN, alpha=0.35, linewidths=0, zorder=2)
  axes.set(xlim=(-HALF, HALF), ylim=(-HALF, HALF), xticks=[], yticks=[], facecolor=PANEL)
  axes.spines[:].set_color(GRID)
