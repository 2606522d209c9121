"""Plots of a game as a dynamical system: a path over the vector field, eigenvalues in the complex plane.

This file uses NumPy and Matplotlib figures only, like images.py.
"""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gan.show.images import INK, INSIDE, OUTSIDE

GRID, SOFT, PANEL = '#d5dae1', '#9aa5b4', '#f6f7f9'


def render(figure: Figure) -> np.ndarray:
  """Render a figure as uint8 [H, W, 3]."""
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  return np.array(canvas.buffer_rgba())[..., :3]


def draw_path(axes, path: np.ndarray, field: np.ndarray, half: float, labels: tuple[str, str]) -> None:
  """Draw a path over a field, on axes of half-width `half` around the origin.

  Args:
    axes: Matplotlib axes.
    path: [T, 2], in the order of time.
    field: [N, N, 2], directions at N x N evenly spaced points, first axis vertical.
    half: the plane shown is [-half, half]^2.
    labels: labels of the two axes.
  """
  side = np.linspace(-half, half, field.shape[0])
  field = np.where(np.isfinite(field).all(axis=-1, keepdims=True), field, 0.0)  # Exponentials overflow far from 0.
  lengths = np.linalg.norm(field, axis=-1)
  largest = lengths.max()
  arrows = field / np.where(lengths > 0, lengths, 1.0)[..., None]
  shade = 0.25 + 0.6 * (lengths / largest if largest else lengths)
  axes.quiver(side, side, arrows[..., 0], arrows[..., 1], color=SOFT, alpha=shade.ravel(), pivot='mid', scale=26,
              width=0.0042, headwidth=4.2, headlength=4.6, headaxislength=4.2, zorder=1)
  axes.axhline(0, color=GRID, linewidth=0.9, zorder=0)
  axes.axvline(0, color=GRID, linewidth=0.9, zorder=0)
  axes.plot(*path.T, color=INSIDE, linewidth=1.3, alpha=0.85, zorder=2)
  axes.plot(*path[0], marker='o', color='white', markeredgecolor=INSIDE, markersize=6, markeredgewidth=1.6, zorder=3)
  axes.plot(*path[-1], marker='o', color=OUTSIDE, markersize=6, zorder=4)
  axes.set(xlim=(-half, half), ylim=(-half, half), facecolor=PANEL)
  axes.set_xlabel(labels[0], fontsize=9.5, color=INK)
  axes.set_ylabel(labels[1], fontsize=9.5, color=INK)
  axes.tick_params(labelsize=8, colors=INK, length=0)
  axes.spines[:].set_color(GRID)


def trajectory(path: np.ndarray, field: np.ndarray, half: float, title: str = '',
               labels: tuple[str, str] = ('generator', 'discriminator')) -> np.ndarray:
  """Plot the path of the players' single parameters over the field that they follow.

  Args:
    path: [T, 2], in the order of time; T >= 1. The start is drawn as a ring, the end as a dot.
    field: [N, N, 2], see `draw_path`.
    half: the plane shown is [-half, half]^2.
    title: text above the plot.
    labels: labels of the axes.

  Returns:
    uint8 [H, W, 3] of fixed size.
  """
  figure = Figure(figsize=(5.2, 5.5), dpi=100, facecolor='white')
  axes = figure.add_axes((0.125, 0.1, 0.845, 0.845 * 5.2 / 5.5))
  draw_path(axes, path, field, half, labels)
  figure.text(0.125, 0.945, title, color=INK, weight='bold', fontsize=9.5, va='center', parse_math=False)
  return render(figure)


def histogram(samples: np.ndarray, modes: np.ndarray, sigma: float, title: str = '') -> np.ndarray:
  """Plot generated numbers over the density of a mixture on the line.

  Args:
    samples: [N].
    modes: [K], equally likely means.
    sigma: standard deviation of each mode; if it is 0, the modes are drawn as vertical lines.
    title: text above the plot.

  Returns:
    uint8 [H, W, 3] of fixed size.
  """
  figure = Figure(figsize=(5.2, 4.2), dpi=100, facecolor='white')
  axes = figure.add_axes((0.06, 0.1, 0.9, 0.78))
  half = max(np.abs(modes).max() + 4 * sigma, 1.0)
  finite = samples[np.isfinite(samples)]
  axes.hist(np.clip(finite, -half, half), bins=60, range=(-half, half), density=True, color=OUTSIDE, alpha=0.6)
  if sigma:
    x = np.linspace(-half, half, 400)
    density = np.exp(-0.5 * ((x[:, None] - modes) / sigma) ** 2).mean(axis=1) / (sigma * np.sqrt(2 * np.pi))
    axes.plot(x, density, color=INSIDE, linewidth=1.8)
  else:
    for mode in modes:
      axes.axvline(mode, color=INSIDE, linewidth=1.8)
  axes.set(xlim=(-half, half), yticks=[], facecolor=PANEL)
  axes.tick_params(labelsize=8, colors=INK, length=0)
  axes.spines[:].set_color(GRID)
  figure.text(0.06, 0.935, title, color=INK, weight='bold', fontsize=9.5, va='center', parse_math=False)
  return render(figure)


def cloud(samples: np.ndarray, title: str = '') -> np.ndarray:
  """Plot the first two coordinates of each sample.

  Args:
    samples: [N, D], D >= 2.
    title: text above the plot.

  Returns:
    uint8 [H, W, 3] of fixed size.
  """
  figure = Figure(figsize=(5.2, 5.5), dpi=100, facecolor='white')
  axes = figure.add_axes((0.125, 0.1, 0.845, 0.845 * 5.2 / 5.5))
  axes.scatter(samples[:, 0], samples[:, 1], s=4, color=INSIDE, alpha=0.6, linewidths=0)
  axes.set(facecolor=PANEL)
  axes.tick_params(labelsize=8, colors=INK, length=0)
  axes.spines[:].set_color(GRID)
  figure.text(0.125, 0.945, title, color=INK, weight='bold', fontsize=9.5, va='center', parse_math=False)
  return render(figure)


def eigenvalues(values: np.ndarray, title: str = '', note: str = '') -> np.ndarray:
  """Plot eigenvalues of a Jacobian in the complex plane; those right of the imaginary axis drive the players away.

  Args:
    values: complex [K].
    title: text above the plot.
    note: text below it.

  Returns:
    uint8 [H, W, 3] of fixed size.
  """
  figure = Figure(figsize=(5.6, 5.0), dpi=110, facecolor='white')
  axes = figure.add_axes((0.13, 0.16, 0.84, 0.745))
  size = max(np.abs(values).max(initial=0.0), 1e-12)
  # The axes are linear near zero and logarithmic outside: the spectrum of a discriminator spans decades.
  threshold = max(np.percentile(np.abs(values), 25) if len(values) else 0.0, 1e-3 * size, 1e-12)
  axes.set_xscale('symlog', linthresh=threshold)
  axes.set_yscale('symlog', linthresh=threshold)
  axes.axvspan(0, 3 * size, color=OUTSIDE, alpha=0.07, linewidth=0)
  axes.axhline(0, color=GRID, linewidth=0.9)
  axes.axvline(0, color=SOFT, linewidth=1.1)
  stable = values.real <= 0
  for chosen, colour in ((stable, INSIDE), (~stable, OUTSIDE)):
    axes.plot(values[chosen].real, values[chosen].imag, 'o', color=colour, markersize=5.5, alpha=0.75,
              markeredgewidth=0)
  axes.set(xlim=(-3 * size, 3 * size), ylim=(-3 * size, 3 * size), facecolor=PANEL)
  axes.set_xlabel('real part: below 0 the players come together', fontsize=9.5, color=INK)
  axes.set_ylabel('imaginary part: they turn around each other', fontsize=9.5, color=INK)
  axes.tick_params(labelsize=8, colors=INK, length=0, which='both')
  axes.spines[:].set_color(GRID)
  figure.text(0.13, 0.945, title, color=INK, weight='bold', fontsize=10, va='center', parse_math=False)
  figure.text(0.13, 0.03, note, color=INK, fontsize=8.5, va='center', parse_math=False)
  return render(figure)
