"""The picture of a population: a small panel for each member, under its name."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from gan.data.toy import Mixture
from gan.show import images

PANEL = 132           # Side of a panel of points in pixels; tiled images have about this side.
MAX_PANELS = 64
MARGIN, TITLE = 6, 14
INK, SOFT, PAPER = (58, 66, 80), (154, 165, 180), (255, 255, 255)
POINT = (47, 111, 222)


def panels(samples: np.ndarray, names: Sequence[str], mixture: Mixture | None, title: str) -> np.ndarray:
  """Draw samples of the first MAX_PANELS members.

  Args:
    samples: [M, N, H, W, C] images in [-1, 1], or [M, N, D] points.
    names: names of the members.
    mixture: the mixture that the points imitate; None for images, and for points of other data.
    title: title above all panels.

  Returns:
    uint8 [H, W, 3].
  """
  shown = min(len(names), MAX_PANELS)
  drawn = [_tiles(member) if member.ndim == 4 else _points(member, mixture) for member in samples[:shown]]
  height, width = drawn[0].shape[:2]
  columns = min(shown, 8)
  rows = math.ceil(shown / columns)
  cell_height, cell_width = height + TITLE + MARGIN, width + MARGIN
  page = Image.new('RGB', (columns * cell_width + MARGIN, rows * cell_height + MARGIN + TITLE), PAPER)
  text = ImageDraw.Draw(page)
  more = '' if shown == len(names) else f', the first {shown} of {len(names)} members'
  text.text((MARGIN, 3), f'{title}{more}', INK)
  for i, (picture, name) in enumerate(zip(drawn, names, strict=False)):
    left, top = MARGIN + i % columns * cell_width, TITLE + MARGIN + i // columns * cell_height
    text.text((left, top), name[:width // 6], INK)
    page.paste(Image.fromarray(picture), (left, top + TITLE))
  return np.asarray(page)


def _tiles(samples: np.ndarray) -> np.ndarray:
  side = math.isqrt(len(samples))
  upscale = max(1, PANEL // (side * samples.shape[1]))
  tiled = images.grid(samples[:side * side], columns=side, upscale=upscale, padding=1)
  return np.broadcast_to(tiled, (*tiled.shape[:2], 3)).astype(np.uint8)


def _points(points: np.ndarray, mixture: Mixture | None) -> np.ndarray:
  """Draw points of the plane over the true modes; points on a line are spread over the panel's height."""
  modes, sigma = (mixture.modes, mixture.sigma) if mixture else (points[:0], 0.0)
  if points.shape[1] == 1:
    points = np.concatenate([points, np.linspace(-1, 1, len(points))[:, None] * max(np.ptp(modes), 2.0)], axis=1)
    modes = np.concatenate([modes, np.zeros_like(modes)], axis=1)
  half = max(1.35 * np.abs(modes).max(initial=0.0), 8 * sigma, 1.0)
  panel = Image.new('RGB', (PANEL, PANEL), (246, 247, 249))
  draw = ImageDraw.Draw(panel)

  def place(xy: np.ndarray) -> np.ndarray:
    return (xy * [1, -1] / half + 1) / 2 * (PANEL - 1)

  radius = max(3 * sigma / half * PANEL / 2, 1.5)
  for x, y in place(modes):
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=SOFT)
  pixels = np.array(panel)
  finite = points[np.isfinite(points).all(axis=1) & (np.abs(points) < half).all(axis=1)]
  columns, rows = np.rint(place(finite)).astype(int).T
  pixels[rows, columns] = POINT
  return pixels
