"""Plots of a comparison: as <svg> elements in the text colour of the page, or as pixels for PNG files."""

import collections
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from experiments.comparison.analysis import SettingResult, claimed
from experiments.comparison.evidence import ACCURACY, Curve
from experiments.comparison.grouping import Grouping
from gan.show import plots
from gan.show.page import DISC, GEN, INK, OTHER, style_axes, svg_settings, to_svg, use_log_scale
from gan.statistics import Comparison, Interval

Writer = Callable[[Figure, str], Any]

PALETTE = (GEN, DISC, OTHER, '#c2549d', '#b08a1e', '#8a6be0', '#5f9e3a', '#d9534f')
WIDE, NARROW = 10.4, 5.2       # Inches of a full-width and of a half-width card; the type size is the same in both.
DPI, TITLE = 150, 0.35         # Resolution of PNG files; inches of their title.
CHARACTER = 0.073              # Inches of an average letter in labels.
PAPER = '#fefdfb'              # Placeholder for the background of a card, --card in the page.
SIDES = 0.65                   # Inches beside the columns of a plot of seeds.
MAX_PAIRED = 8                 # Maximum number of arms in a plot of seeds.
MAX_NAMED, LINE = 4, 0.2       # A longer legend stands below a PNG picture, in lines of this height in inches.
MAX_STEPS, MAX_FAILED = 100, 12   # Points of a learning curve; failed runs that are drawn for each arm.


def markup(figure: Figure, label: str) -> str:
  """Turn a figure into an <svg> element of the page."""
  return to_svg(figure, label).replace(PAPER, 'var(--card)')


def picture(figure: Figure, label: str) -> np.ndarray:
  """Turn a figure into a picture with background, title and legend: uint8 [H, W, 3]."""
  figure.set_facecolor(PAPER)
  figure.set_dpi(DPI)
  width, height = figure.get_size_inches()
  legends = [axes.get_legend_handles_labels() for axes in figure.axes]
  handles, names = ([*itertools.chain.from_iterable(parts)] for parts in zip(*legends, strict=True))
  columns = max(1, int(width / (max(map(len, names), default=0) * CHARACTER + 0.6)))
  below = LINE * math.ceil(len(names) / columns) if len(names) > MAX_NAMED else 0.0
  taller = height + TITLE + below
  figure.set_figheight(taller)
  for axes in figure.axes:
    x, y, wide, tall = axes.get_position().bounds
    axes.set_position((x, (y * height + below) / taller, wide, tall * height / taller))
    if axes.get_legend_handles_labels()[1] and not below:
      axes.legend(frameon=False)
  if below:
    figure.legend(handles, names, loc='lower center', ncols=columns, frameon=False, fontsize=9, handlelength=1.4,
                  borderaxespad=0.0, labelspacing=0.4)
  figure.text(0.02, 1 - 0.45 * TITLE / taller, label.removeprefix('eval/'), va='center', weight='bold')
  return plots.render(figure)


def colors_of(grouping: Grouping) -> dict[str, str]:
  """Choose a colour for each arm, readable on white and near-black; for a curve, colours of a continuous map."""
  names = list(grouping.arms)
  if grouping.is_curve:
    shades = matplotlib.colormaps['plasma'](np.linspace(0.15, 0.8, len(names)))
    return {name: matplotlib.colors.to_hex(shade) for name, shade in zip(names, shades, strict=True)}
  return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(names)}


def forest(results: Sequence[SettingResult], colors: Mapping[str, str], write: Writer = markup) -> Any:
  """Draw all comparisons of one score below each other: difference of means, and probability of improvement.

  Args:
    results: results of settings with the same measure.
    colors: name of an arm -> its colour.
    write: called with the figure and its label.

  Returns:
    The result of `write`; None if there is no comparison.
  """
  results = [result for result in results if result.comparisons]
  if not results:
    return None
  measure, alone = results[0].measure, all(len(result.comparisons) == 1 for result in results) and len(
      {next(iter(result.comparisons.values()))[:2] for result in results}) == 1
  rows: list[tuple[str, Comparison | None]] = []
  for result in results:
    if not alone:
      rows.append((f'{result.setting.name}, against {result.reference}', None))
    rows += [(result.setting.name if alone else f'   {comparison.x}', comparison)
             for comparison in result.comparisons.values()]
  first = next(comparison for _, comparison in rows if comparison)
  longest = min(max(len(text) for text, _ in rows), 46)
  left, height = longest * CHARACTER + 0.25, 0.27 * len(rows) + 1.05
  label = f'Differences in {measure.name}'
  with matplotlib.rc_context(svg_settings(label)):
    figure = Figure(figsize=(WIDE, height))
    widths = ((WIDE - left - 0.5) * 0.58, (WIDE - left - 0.5) * 0.42)
    box = [(left, 0.62, widths[0], height - 1.0), (left + widths[0] + 0.4, 0.62, widths[1], height - 1.0)]
    panels = [figure.add_axes((x / WIDE, y / height, w / WIDE, h / height)) for x, y, w, h in box]
    for axes, middle in zip(panels, (0.0, 0.5), strict=True):
      style_axes(axes)
      axes.grid(visible=False, axis='y')
      axes.grid(axis='x', color=INK, alpha=0.1, linewidth=0.7)
      axes.axvline(middle, color=INK, alpha=0.55, linewidth=1.0, zorder=1)
      axes.set(ylim=(len(rows) - 0.4, -0.6), yticks=[])
    for y, (text, comparison) in enumerate(rows):
      panels[0].text(-left + 0.02, y, _short(text, 46), va='center', weight='normal' if comparison else 'bold',
                     transform=_inches_and_rows(figure, panels[0]))
      if comparison:
        color = colors[comparison.x]
        _whisker(panels[0], comparison.difference, y, color, claimed(comparison))
        _whisker(panels[1], comparison.improvement, y, color, claimed(comparison))
    _symmetric(panels[0])
    panels[1].set(xlim=(-0.02, 1.02), xticks=[0, 0.25, 0.5, 0.75, 1.0], xticklabels=['0', '', '½', '', '1'])
    minus = f'{first.x} − {first.y}' if alone else 'arm − reference'
    winner = first.x if alone else 'the arm'
    for axes, title in zip(panels, (f'difference in {measure.name}: {_short(minus, 44)}',
                                    f'probability that {_short(winner, 22)} is better'), strict=True):
      axes.set_title(title, fontsize=9.5, loc='left', pad=7)
    # The better direction depends on the score, so each plot shows it.
    for axes, right_is_better in ((panels[0], measure.higher_is_better), (panels[1], True)):
      ends = ('← worse', 'better →') if right_is_better else ('← better', 'worse →')
      for text, x, side in zip(ends, (0.0, 1.0), ('left', 'right'), strict=True):
        axes.annotate(text, (x, 0), xycoords='axes fraction', xytext=(0, -31), textcoords='offset points', ha=side,
                      fontsize=8.5, alpha=0.75)
    return write(figure, label)


def learning_curve(result: SettingResult, curves: Mapping[str, Mapping[str, Curve]], scalar: str,
                   colors: Mapping[str, str], write: Writer = markup) -> Any:
  """Draw median and quartiles of each arm, and failed runs as thin dashed lines that end in a cross.

  Args:
    result: results of a setting.
    curves: run -> scalar -> its curve.
    scalar: name of the scalar.
    colors: name of an arm -> its colour.
    write: called with the figure and its label.

  Returns:
    The result of `write`; None if no run has the scalar.
  """
  arms = {name: [curves[row['run']][scalar] for row in rows if len(curves.get(row['run'], {}).get(scalar, ((),))[0])]
          for name, rows in result.setting.arms.items()}
  if not any(arms.values()):
    return None
  label = f'{scalar} against steps: {result.setting.name}'
  with matplotlib.rc_context(svg_settings(label)):
    figure = Figure(figsize=(NARROW, 2.75))
    axes = figure.add_axes((0.105, 0.115, 0.875, 0.85))
    last = 1.0
    for name, arm_curves in arms.items():
      if not arm_curves:
        continue
      steps, quartiles = _quartiles(arm_curves)
      last = max(last, steps[-1])
      axes.fill_between(steps, quartiles[0], quartiles[2], color=colors[name], alpha=0.18, linewidth=0)
      axes.plot(steps, quartiles[1], color=colors[name], label=name, linewidth=1.9, solid_joinstyle='round', zorder=3)
      failed = _failed_runs(result, name)
      for run in failed[::max(1, math.ceil(len(failed) / MAX_FAILED))]:
        x, y = (values[::max(1, len(values) // MAX_STEPS)] for values in curves.get(run, {}).get(scalar, ((), ())))
        if len(x):
          last = max(last, x[-1])
          axes.plot(x, y, color=colors[name], linewidth=0.7, linestyle=(0, (4, 2)), alpha=0.6, zorder=2)
          axes.plot(x[-1], y[-1], 'x', color=colors[name], markersize=5, markeredgewidth=1.2, clip_on=False, zorder=4)
    style_axes(axes)
    if scalar == ACCURACY:
      axes.axhline(0.5, color=INK, linestyle=(0, (5, 4)), linewidth=1.1, alpha=0.6, zorder=1)
      axes.set_ylim(-0.03, 1.03)
    elif _spans_decades(np.concatenate([values for arm_curves in arms.values() for _, values in arm_curves])):
      use_log_scale(axes)
    axes.set_xlim(0, last * 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=''))
    return write(figure, label)


def seed_by_seed(result: SettingResult, colors: Mapping[str, str], write: Writer = markup) -> Any:
  """Draw each run in the column of its arm, with lines between runs of one seed; runs without a value stand apart.

  Args:
    result: results of a setting.
    colors: name of an arm -> its colour.
    write: called with the figure and its label.

  Returns:
    The result of `write`.
  """
  measure, arms = result.measure, [arm_result.arm for arm_result in result.arms.values()]
  values = np.concatenate([arm.values[np.isfinite(arm.values)] for arm in arms] or [np.zeros(0)])
  low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
  span = (high - low) or max(abs(high), 1.0) * 0.2
  nowhere = low - 0.22 * span if measure.higher_is_better else high + 0.22 * span   # Runs without a value: beyond all.
  lost = any(np.isnan(arm.values).any() for arm in arms)
  label = f'{measure.name} seed by seed: {result.setting.name}'
  with matplotlib.rc_context(svg_settings(label)):
    width, names = width_of_columns(result), [_in_lines(arm.name) for arm in arms]
    below = 0.2 + 0.17 * max(1 + name.count('\n') for name in names)   # Inches.
    height = 2.53 + below
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0.84 * SIDES / width, below / height, 1 - SIDES / width, 2.44 / height))
    for i, (left, right) in enumerate(itertools.pairwise(arms)):
      for (start, end), count in _joined(left, right, nowhere).items():
        axes.plot((i + 0.07, i + 0.93), (start, end), color=INK, alpha=0.3, linewidth=0.8 + 0.7 * (count - 1) ** 0.7,
                  solid_capstyle='round', zorder=1, linestyle=(0, (3, 2)) if nowhere in (start, end) else '-')
    for i, (arm, arm_result) in enumerate(zip(arms, result.arms.values(), strict=True)):
      color, shown = colors[arm.name], np.where(np.isnan(arm.values), nowhere, arm.values)
      for (value, success), count in collections.Counter(
          zip(shown.tolist(), arm.successes.tolist(), strict=True)).items():
        size = 4.2 + 1.3 * (count - 1) ** 0.6
        axes.plot(i, value, 'o' if success else 'X', color=color, markersize=size + 1.5 * (not success), alpha=0.9,
                  markeredgewidth=0, zorder=3)
      if arm_result.mean.has_value:
        axes.plot((i - 0.11, i + 0.11), (arm_result.mean.value,) * 2, color=color, linewidth=3.2, alpha=0.55, zorder=2,
                  solid_capstyle='butt')
    style_axes(axes)
    bottom, top = (min(low, nowhere if lost else low) - 0.08 * span, max(high, nowhere if lost else high) + 0.08 * span)
    axes.set(xlim=(-0.45, len(arms) - 0.55), ylim=(bottom, top), xticks=range(len(arms)))
    room = int((width - SIDES) / len(arms) / CHARACTER) - 1
    axes.set_xticklabels(['\n'.join(_short(line, room) for line in name.split('\n')) for name in names])
    locator = MaxNLocator(6, integer=bool(np.all(values % 1 == 0)))
    ticks = [tick for tick in locator.tick_values(low, high) if low - 0.02 * span <= tick <= high + 0.02 * span]
    axes.set_yticks([*ticks, *[nowhere] * lost], [*(f'{tick:g}' for tick in ticks), *['none'] * lost])
    return write(figure, label)


def width_of_columns(result: SettingResult) -> float:
  """Return the width of `seed_by_seed` in inches: half a page, unless the names of the arms need more."""
  longest = max((len(line) for name in result.arms for line in _in_lines(name).split('\n')), default=0)
  return NARROW if len(result.arms) * (longest + 1) * CHARACTER <= NARROW - SIDES else WIDE


def _in_lines(name: str) -> str:
  """Break the name of an arm with several values into lines, one for each value."""
  return name.replace(', ', '\n')


def _quartiles(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray]:
  """Return steps [T] and quartiles [3, T] over the runs that have not ended."""
  at: dict[float, list[float]] = {}
  for steps, values in curves:
    for step, value in zip(steps, values, strict=True):
      at.setdefault(step, []).append(value)
  # A run that stops between two evaluations has the only row of that step, which has no quartiles.
  steps = np.array(sorted(step for step in at if len(at[step]) > 1 or len(curves) == 1) or sorted(at))
  steps = steps[np.unique(np.linspace(0, len(steps) - 1, min(len(steps), MAX_STEPS)).round().astype(int))]
  return steps, np.array([np.percentile(at[step], (25, 50, 75)) for step in steps]).T


def _failed_runs(result: SettingResult, name: str) -> list[str]:
  arm_result = result.arms.get(name)
  if arm_result is None:
    return []
  return [row['run'] for row, success in zip(arm_result.rows, arm_result.arm.successes, strict=True) if not success]


def _spans_decades(values: np.ndarray) -> bool:
  values = values[np.isfinite(values)]
  return len(values) > 0 and values.min() > 0 and values.max() > 100 * values.min()


def _joined(left: Any, right: Any, nowhere: float) -> collections.Counter:
  """Count the pairs of values of shared seeds."""
  of_right = dict(zip(right.seeds.tolist(), right.values, strict=True))
  return collections.Counter(
      tuple(nowhere if math.isnan(value) else float(value) for value in (start, of_right[seed]))
      for seed, start in zip(left.seeds.tolist(), left.values, strict=True) if seed in of_right)


def _whisker(axes: Any, interval: Interval, y: float, color: str, filled: bool) -> None:
  if not interval.has_value:
    axes.annotate('too few succeed', (0.5, y), xycoords=('axes fraction', 'data'), ha='center', va='center',
                  fontsize=8.5, alpha=0.7)
    return
  if interval.method != 'none' and math.isfinite(interval.high - interval.low):
    style = (0, (1, 1.5)) if interval.method == 'range' else '-'   # Dotted: a range of values, no interval.
    axes.plot((interval.low, interval.high), (y, y), color=color, linewidth=2.0, linestyle=style, zorder=2,
              solid_capstyle='butt')
  axes.plot(interval.value, y, 'o', color=color, markersize=6.5, zorder=3)
  if not filled:
    axes.plot(interval.value, y, 'o', color=PAPER, markersize=3.4, zorder=4, markeredgewidth=0)


def _symmetric(axes: Any) -> None:
  """Extend the x axis to zero, with some room at both ends."""
  low, high = axes.dataLim.intervalx
  low, high = min(low, 0.0), max(high, 0.0)
  room = 0.06 * ((high - low) or 1.0)
  axes.set_xlim(low - room, high + room)
  axes.xaxis.set_major_locator(MaxNLocator(7))


def _inches_and_rows(figure: Figure, axes: Any) -> Any:
  """Return a transform of (inches from the left end of the axes, row)."""
  moved = matplotlib.transforms.ScaledTranslation(
      axes.get_position().x0 * figure.get_figwidth(), 0, figure.dpi_scale_trans)
  return matplotlib.transforms.blended_transform_factory(figure.dpi_scale_trans + moved, axes.transData)


def _short(text: str, room: int) -> str:
  return text if len(text) <= room else text[:max(room - 1, 1)] + '…'

