"""Pictures of a run: sample grids, scatter plots, PNG and GIF files, and the sample frames of a workdir.

This file uses NumPy, Pillow and Matplotlib figures, without JAX, pyplot or state.
"""

import contextlib
import io
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from PIL import Image

CELL_PIXELS = 64               # Small images are enlarged to about this size.
SEPARATOR = 96                 # Grey level between cells: visible beside black and white.
MAX_GIF_FRAMES = 60
MAX_GIF_BYTES = 2_000_000
INSIDE, OUTSIDE, INK = '#2f6fde', '#e0752d', '#3a4250'


def to_uint8(images: np.ndarray) -> np.ndarray:
  """Convert float images in [-1, 1] to bytes in [0, 255], rounding and clipping.

  Args:
    images: [..., H, W, C] floats; NaN becomes 0 (black), so that samples of a diverged run can still be shown.

  Returns:
    uint8 of the same shape.
  """
  levels = np.rint((np.asarray(images, np.float32) + 1.0) * 127.5)
  return np.nan_to_num(np.clip(levels, 0.0, 255.0), nan=0.0).astype(np.uint8)


def grid(
    images: np.ndarray, columns: int | None = None, upscale: int | None = None, padding: int = 2) -> np.ndarray:
  """Arrange images in a near-square grid with separators between and around the cells.

  Args:
    images: [N, H, W, C], N >= 1, C 1 or 3; uint8, or floats in [-1, 1].
    columns: Cells per row; the default is the rounded-up square root of N.
    upscale: Integer factor of nearest-neighbour enlargement; by default small images reach about 64 pixels.
    padding: Width of the separators in pixels; it is not enlarged.

  Returns:
    uint8 [rows * (H * upscale + padding) + padding, columns * (W * upscale + padding) + padding, C];
    cells without an image have the colour of the separators.

  Raises:
    ValueError: if the shape or a layout argument is unusable.
  """
  images = np.asarray(images)
  if images.ndim != 4 or 0 in images.shape or images.shape[-1] not in (1, 3):
    raise ValueError(f'images have shape {images.shape}; expected [N, H, W, C], none empty, with C 1 or 3')
  if images.dtype != np.uint8:
    images = to_uint8(images)
  n, height, width, channels = images.shape
  columns = math.ceil(math.sqrt(n)) if columns is None else columns
  upscale = max(1, round(CELL_PIXELS / max(height, width))) if upscale is None else upscale
  if columns < 1 or upscale < 1 or padding < 0:
    raise ValueError(f'{columns=} and {upscale=} must be at least 1, {padding=} at least 0')
  columns = min(columns, n)
  rows = math.ceil(n / columns)
  cells = images.repeat(upscale, axis=1).repeat(upscale, axis=2)
  step_y, step_x = height * upscale + padding, width * upscale + padding
  canvas = np.full((rows * step_y + padding, columns * step_x + padding, channels), SEPARATOR, np.uint8)
  for i, cell in enumerate(cells):
    top, left = i // columns * step_y + padding, i % columns * step_x + padding
    canvas[top:top + cell.shape[0], left:left + cell.shape[1]] = cell
  return canvas


def scatter(samples: np.ndarray, modes: np.ndarray, sigma: float, title: str = '') -> np.ndarray:
  """Plot generated points over the true modes of a two-dimensional mixture.

  Each mode is a circle of radius 3 sigma. Points inside a circle are blue, the others orange. The axes depend only on
  `modes` and `sigma`, so that frames of a run can be compared and animated; points beyond the axes are counted.

  Args:
    samples: [N, 2] generated points, N >= 0; non-finite points are counted as beyond the axes and not drawn.
    modes: [K, 2] centres of the true modes, in the same units.
    sigma: [] standard deviation of every mode, in the same units, > 0.
    title: Text above the plot, drawn without mathtext.

  Returns:
    uint8 [H, W, 3] of fixed size.

  Raises:
    ValueError: if the shapes are not [N, 2] and [K, 2] with K >= 1, or sigma is not positive.
  """
  samples, modes = np.asarray(samples, np.float64), np.asarray(modes, np.float64)
  if samples.ndim != 2 or samples.shape[1] != 2 or modes.ndim != 2 or modes.shape[1] != 2 or not len(modes):
    raise ValueError(f'samples {samples.shape} and modes {modes.shape} must be [N, 2] and [K, 2] with K >= 1')
  if not sigma > 0:
    raise ValueError(f'{sigma=} must be positive')
  low, high = modes.min(axis=0), modes.max(axis=0)
  centre, half = (low + high) / 2, np.max(high - low) / 2
  half = max(1.35 * half, half + 8 * sigma)
  finite = samples[np.isfinite(samples).all(axis=1)]
  distance = np.full(len(finite), np.inf)
  for mode in modes:  # A loop over modes needs little memory; an array [N, K, 2] would be large for many samples.
    distance = np.minimum(distance, np.hypot(*(finite - mode).T))
  inside = distance <= 3 * sigma
  beyond = len(samples) - int(np.count_nonzero((np.abs(finite - centre) <= half).all(axis=1)))

  figure = Figure(figsize=(4.8, 5.3), dpi=100, facecolor='white')
  axes = figure.add_axes((0.03, 0.075, 0.94, 0.94 * 4.8 / 5.3))
  axes.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] - half, centre[1] + half), xticks=[], yticks=[])
  axes.set_facecolor('#f6f7f9')
  axes.spines[:].set_color('#d5dae1')
  diameters = np.full(len(modes), 6 * sigma)
  axes.add_collection(EllipseCollection(
      diameters, diameters, np.zeros(len(modes)), units='xy', offsets=modes, offset_transform=axes.transData,
      facecolors='white', edgecolors='#9aa5b4', linewidths=1.1, zorder=1))
  alpha = float(np.clip(500 / max(len(finite), 1), 0.25, 0.75))
  for points, colour in ((finite[~inside], OUTSIDE), (finite[inside], INSIDE)):
    axes.scatter(*points.T, s=7, color=colour, alpha=alpha, linewidths=0, zorder=2)
  share = np.count_nonzero(inside) / max(len(samples), 1)
  line = {'parse_math': False, 'fontsize': 9.5, 'va': 'center'}
  figure.text(0.03, 0.962, title, color=INK, weight='bold', **line)
  figure.text(0.03, 0.036, f'{share:.0%} within 3σ of a mode', color=INSIDE, **line)
  figure.text(0.97, 0.036, f'{beyond:,} beyond the axes' if beyond else '', color=OUTSIDE, ha='right', **line)
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  return np.array(canvas.buffer_rgba())[..., :3]


def write_atomic(path: str | os.PathLike, data: bytes) -> Path:
  """Write a file whole or not at all: neither a reader nor a kill nor a power loss leads to half a file."""
  path = Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
  try:
    with temporary.open('wb') as file:
      file.write(data)
      file.flush()
      os.fsync(file.fileno())  # Otherwise the name could reach the disk before the contents.
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)
  sync(path.parent)
  return path


def sync(path: str | os.PathLike) -> None:
  """Wait until a file, or the names in a folder, are on the disk and survive a power loss."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    # Some file systems cannot sync folders.
    with contextlib.suppress(OSError) if os.path.isdir(path) else contextlib.nullcontext():
      os.fsync(descriptor)
  finally:
    os.close(descriptor)


def save_png(path: str | os.PathLike, array: np.ndarray) -> Path:
  """Save uint8 [H, W, 1 or 3] or [H, W] as a PNG file, atomically, making its folder if needed."""
  return write_atomic(path, png_bytes(array))


def png_bytes(array: np.ndarray) -> bytes:
  """Encode uint8 [H, W, 1 or 3] or [H, W] as PNG."""
  buffer = io.BytesIO()
  _to_pil(array).save(buffer, 'PNG', optimize=True)
  return buffer.getvalue()


def save_gif(
    path: str | os.PathLike, frames: Sequence[np.ndarray | str | os.PathLike], duration_ms: int = 120,
    hold_last_ms: int = 2500) -> Path:
  """Save an endlessly repeated animation that is small enough to embed; the same frames give the same bytes.

  More than 60 frames are thinned evenly, keeping the first and the last. All frames get the size of the last one and
  share one palette. The picture is shrunk step by step until the file is below 2 MB, but not below 160 pixels.

  Args:
    path: File to write, atomically.
    frames: uint8 arrays [H, W, 1 or 3], or paths of pictures, in order; at least one.
    duration_ms: Milliseconds per frame.
    hold_last_ms: Milliseconds for the last frame.

  Returns:
    The path.

  Raises:
    ValueError: if there are no frames.
  """
  if not len(frames):
    raise ValueError('an animation needs at least one frame')
  count = min(len(frames), MAX_GIF_FRAMES)
  chosen = np.unique(np.linspace(0, len(frames) - 1, count).round().astype(int))
  pictures = [_to_pil(frames[i]) for i in chosen]
  size, scale, colors = pictures[-1].size, 1.0, 128
  while True:
    target = tuple(max(1, round(side * scale)) for side in size)
    data = _encode_gif([p if p.size == target else p.resize(target, Image.Resampling.BOX) for p in pictures],
                       colors, duration_ms, hold_last_ms)
    if len(data) <= MAX_GIF_BYTES or max(target) * 0.75 < 160:
      return write_atomic(path, data)
    scale, colors = scale * 0.75, 64


def frame_path(workdir: str | os.PathLike, step: int) -> Path:
  """Return the path of the sample picture of `step`: samples/step_00000500.png."""
  return Path(workdir) / 'samples' / f'step_{step:08d}.png'


def frames(workdir: str | os.PathLike) -> list[tuple[int, Path]]:
  """Return the sample pictures of a workdir as (step, path), in the order of steps; [] if there are none."""
  matches = ((re.fullmatch(r'step_(\d+)\.png', p.name), p) for p in Path(workdir, 'samples').glob('step_*.png'))
  return sorted((int(match[1]), path) for match, path in matches if match)


def cut_frames(workdir: str | os.PathLike, step: int) -> None:
  """Delete the sample pictures newer than `step`; a resumed run draws them again."""
  for frame_step, path in frames(workdir):
    if frame_step > step:
      path.unlink()


def animate(workdir: str | os.PathLike) -> Path | None:
  """Write training.gif from the sample pictures of a workdir; return its path, or None if there are no pictures."""
  paths = [path for _, path in frames(workdir)]
  return save_gif(Path(workdir, 'training.gif'), paths) if paths else None


def _to_pil(picture: np.ndarray | str | os.PathLike) -> Image.Image:
  if isinstance(picture, str | os.PathLike):
    with Image.open(picture) as opened:
      return opened.convert('L' if opened.mode == 'L' else 'RGB')
  array = np.asarray(picture)
  if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3)):
    raise ValueError(f'a picture must be uint8 [H, W], [H, W, 1] or [H, W, 3], not {array.dtype} {array.shape}')
  return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)


def _encode_gif(pictures: list[Image.Image], colors: int, duration_ms: int, hold_last_ms: int) -> bytes:
  # All frames share one palette; palettes that change from frame to frame flicker.
  if all(picture.mode == 'L' for picture in pictures):
    levels = np.linspace(0, 255, colors).round().astype(np.uint8)
    first, *others = [Image.fromarray(np.rint(np.asarray(p) * ((colors - 1) / 255)).astype(np.uint8)) for p in pictures]
    for picture in (first, *others):
      picture.putpalette(levels.repeat(3).tobytes())
  else:
    few = [pictures[i] for i in np.unique(np.linspace(0, len(pictures) - 1, 16).round().astype(int))]
    montage = Image.fromarray(np.concatenate([np.asarray(picture.convert('RGB')) for picture in few]))
    palette = montage.quantize(colors, method=Image.Quantize.MEDIANCUT)
    first, *others = [p.convert('RGB').quantize(palette=palette, dither=Image.Dither.NONE) for p in pictures]
  buffer = io.BytesIO()
  first.save(buffer, 'GIF', save_all=True, append_images=others, loop=0, optimize=False,
             duration=[duration_ms] * len(others) + [hold_last_ms])
  return buffer.getvalue()
