"""Samples of single runs as small pictures, and the choice of these runs."""

import base64
import io
import math
from typing import NamedTuple

import numpy as np
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from PIL import Image

from experiments.comparison.analysis import ArmResult, SettingResult
from experiments.comparison.evidence import Evidence
from gan.data.toy import Mixture
from gan.show import images, plots

MAX_PICTURES = 60      # Pictures on a page; if there would be more, only the median run of each arm is shown.
MAX_ARMS = 8           # Arms shown for each setting, evenly chosen.
COLORS = 48            # Colours in a picture of points; the reduction is invisible and saves two thirds of the bytes.


class Picture(NamedTuple):
  """Samples of one run, and their caption."""

  rank: str
  seed: int
  run: str
  value: float
  success: bool
  uri: str


def pictures_of(results: list[SettingResult],
                evidence: Evidence) -> list[tuple[SettingResult, dict[str, list[Picture]]]]:
  """Draw pictures of the best, median and worst run of each arm: pairs (result, {arm: pictures}) if there are any."""
  shown = [(result, list(result.arms)[::max(1, math.ceil(len(result.arms) / MAX_ARMS))]) for result in results]
  ranks = ('best', 'median', 'worst') if 3 * sum(len(names) for _, names in shown) <= MAX_PICTURES else ('median',)
  pictures_of_settings = []
  for result, names in shown:
    by_arm = {name: _of_arm(result.arms[name], result.measure.higher_is_better, ranks, evidence) for name in names}
    if by_arm := {name: pictures for name, pictures in by_arm.items() if pictures}:
      pictures_of_settings.append((result, by_arm))
  return pictures_of_settings


def data_uri(picture: np.ndarray, colors: int | None = None) -> str:
  """Encode a PNG as a data URI; with `colors`, reduce it to this number of colours."""
  if colors:
    buffer = io.BytesIO()
    Image.fromarray(picture).quantize(colors, dither=Image.Dither.NONE).save(buffer, 'PNG', optimize=True)
    data = buffer.getvalue()
  else:
    data = images.png_bytes(picture)
  return f'data:image/png;base64,{base64.b64encode(data).decode()}'


def _of_arm(arm: ArmResult, higher_is_better: bool, ranks: tuple[str, ...], evidence: Evidence) -> list[Picture]:
  """Draw pictures of the runs of given ranks, among those with a value and samples; each run once."""
  order = np.argsort(-arm.arm.ranked(higher_is_better), kind='stable')
  usable = [i for i in order if np.isfinite(arm.arm.values[i]) and arm.rows[i]['run'] in evidence.samples]
  if not usable:
    return []
  positions = {'best': 0, 'median': (len(usable) - 1) // 2, 'worst': len(usable) - 1}
  chosen: dict[int, str] = {}
  for rank in ranks:
    chosen.setdefault(usable[positions[rank]], rank)
  return [_of_run(rank if len(usable) > 1 else 'only', arm, i, evidence) for i, rank in chosen.items()]


def _of_run(rank: str, arm: ArmResult, i: int, evidence: Evidence) -> Picture:
  run = arm.rows[i]['run']
  return Picture(rank, int(arm.arm.seeds[i]), run, float(arm.arm.values[i]), bool(arm.arm.successes[i]),
                 _draw(evidence.samples[run], evidence.mixtures.get(run)))


def _draw(samples: np.ndarray, mixture: Mixture | None) -> str:
  if mixture is None:
    return data_uri(images.grid(samples, upscale=max(1, round(48 / samples.shape[1]))))
  if mixture.modes.shape[1] == 1:
    picture = plots.histogram(samples[:, 0], mixture.modes[:, 0], mixture.sigma)
    return data_uri(np.asarray(Image.fromarray(picture).reduce(2)), COLORS)
  return data_uri(_points(samples, mixture), COLORS)


def _points(samples: np.ndarray, mixture: Mixture) -> np.ndarray:
  """Draw points over the true modes, as `images.scatter` does, but small and without text."""
  figure = Figure(figsize=(2.5, 2.5), dpi=120, facecolor=plots.PANEL)
  axes = figure.add_axes((0, 0, 1, 1))
  half = max(1.35 * float(np.abs(mixture.modes).max()), 8 * mixture.sigma)
  axes.set(xlim=(-half, half), ylim=(-half, half), xticks=[], yticks=[], facecolor=plots.PANEL)
  axes.spines[:].set_visible(False)
  sizes = np.full(len(mixture.modes), 6 * mixture.sigma)
  axes.add_collection(EllipseCollection(
      sizes, sizes, np.zeros(len(sizes)), units='xy', offsets=mixture.modes, offset_transform=axes.transData,
      facecolors='white', edgecolors=plots.SOFT, linewidths=0.8, zorder=1))
  finite = samples[np.isfinite(samples).all(axis=1)]
  distances = np.linalg.norm(finite[:, None] - mixture.modes, axis=-1).min(axis=1)
  inside = distances <= 3 * mixture.sigma
  for points, color in ((finite[~inside], images.OUTSIDE), (finite[inside], images.INSIDE)):
    axes.plot(*points.T, 'o', color=color, markersize=2.2, alpha=0.55, markeredgewidth=0, zorder=2)
  return plots.render(figure)
