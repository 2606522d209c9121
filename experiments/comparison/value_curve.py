"""The plot of a sweep over a number: score and success rate against this number, and its recommended range."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from experiments.comparison.analysis import SettingResult, as_good_as_best, has_interval
from experiments.comparison.figures import PAPER, WIDE, Writer, markup
from experiments.comparison.grouping import Grouping
from gan.show.page import DISC, GEN, OTHER, style_axes, svg_settings
from gan.statistics import Interval

DECADES = 2.0   # The axis is logarithmic if the values span more decades.


def value_curve(result: SettingResult, grouping: Grouping, write: Writer = markup) -> Any:
  """Draw every run, the mean given success with its interval, and the success rate with its interval.

  Args:
    result: results of a setting whose arms are values of a number.
    grouping: all settings of the sweep.
    write: called with the figure and its label.

  Returns:
    The result of `write`.
  """
  names = list(result.arms)
  numbers = np.array([grouping.arms[name][0] for name in names], float)
  x, ticks, labels = _axis(numbers)
  label = f'{result.measure.name} against {grouping.by[0]}: {result.setting.name}'
  with matplotlib.rc_context(svg_settings(label)):
    figure = Figure(figsize=(WIDE, 3.1))
    panels = [figure.add_axes(box) for box in ((0.052, 0.19, 0.43, 0.69), (0.557, 0.19, 0.43, 0.69))]
    arms = list(result.arms.values())
    for i, arm in enumerate(arms):
      for success in (True, False):
        values = arm.arm.values[(arm.arm.successes == success) & np.isfinite(arm.arm.values)]
        panels[0].plot(np.full(len(values), x[i]), values, 'o' if success else 'x', color=GEN if success else DISC,
                       alpha=0.28 if success else 0.6, markersize=3.6, markeredgewidth=0 if success else 1.0, zorder=1)
    _band(panels[0], x, [arm.mean for arm in arms], GEN)
    _band(panels[1], x, [arm.success for arm in arms], OTHER)
    panels[1].set_ylim(-0.03, 1.03)
    panels[1].set_yticks([0, 0.25, 0.5, 0.75, 1.0])
    for axes, title in zip(panels, (f'{result.measure.name}, mean given success', 'success rate'), strict=True):
      style_axes(axes)
      axes.set_title(title, fontsize=9.5, loc='left', pad=7)
      axes.set_xlabel(grouping.by[0], labelpad=3)
      axes.set_xlim(*_limits(x))
      if ticks is None:
        axes.xaxis.set_major_locator(MaxNLocator(7))
      else:
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.set_xticklabels(labels)
        axes.xaxis.set_minor_locator(NullLocator())
      for low, high in _recommended(result, names, x):
        axes.axvspan(low, high, color=OTHER, alpha=0.10, linewidth=0, zorder=0)
    if result.reference:
      best = names.index(result.reference)
      for axes, interval, color in ((panels[0], arms[best].mean, GEN), (panels[1], arms[best].success, OTHER)):
        if interval.has_value:
          axes.plot(x[best], interval.value, 'o', color=color, markersize=9, zorder=4)
          axes.plot(x[best], interval.value, 'o', color=PAPER, markersize=4.5, zorder=5, markeredgewidth=0)
    return write(figure, label)


def is_logarithmic(numbers: np.ndarray) -> bool:
  """Return whether the positive numbers span more than two decades; False if any number is negative."""
  positive = numbers[numbers > 0]
  return bool((numbers >= 0).all() and len(positive) > 1 and positive.max() > 10**DECADES * positive.min() * (1 + 1e-9))


def _axis(numbers: np.ndarray) -> tuple[np.ndarray, list[float] | None, list[str]]:
  """Return positions of the numbers, ticks and labels; ticks are None for a linear axis, which makes its own.

  On a logarithmic axis, zero is drawn one gap to the left of the smallest positive number.
  """
  if not is_logarithmic(numbers):
    return numbers, None, []
  logs = np.log10(np.where(numbers > 0, numbers, np.nan))
  low, high = np.nanmin(logs), np.nanmax(logs)
  zero = low - max((high - low) / (np.count_nonzero(numbers > 0) - 1), 0.3)
  decades = [k for k in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)]
  decades = decades[::math.ceil(len(decades) / 7)]
  ticks, labels = [float(k) for k in decades], [f'{10.0**k:g}' for k in decades]
  if (numbers == 0).any():
    ticks, labels = [zero, *ticks], ['0', *labels]
  return np.where(numbers > 0, logs, zero), ticks, labels


def _limits(x: np.ndarray) -> tuple[float, float]:
  room = 0.04 * (x.max() - x.min() or 1.0)
  return x.min() - room, x.max() + room


def _band(axes: Any, x: np.ndarray, intervals: Sequence[Interval], color: str) -> None:
  """Draw a line through the finite values, with a band between finite ends."""
  value, low, high = (np.array([getattr(interval, end) for interval in intervals]) for end in ('value', 'low', 'high'))
  finite = np.isfinite(value)
  axes.fill_between(x[finite], low[finite], high[finite], color=color, alpha=0.16, linewidth=0, zorder=1)
  axes.plot(x[finite], value[finite], '-o', color=color, linewidth=1.8, markersize=4, zorder=3)


def _recommended(result: SettingResult, names: Sequence[str], x: np.ndarray) -> list[tuple[float, float]]:
  """Return the intervals of values that are as good as the best; each ends halfway to the next value."""
  if not any(has_interval(comparison.difference) for comparison in result.comparisons.values()):
    return []
  good = as_good_as_best(result)
  edges = np.concatenate([[_limits(x)[0]], (x[1:] + x[:-1]) / 2, [_limits(x)[1]]])
  return [(edges[i], edges[i + 1]) for i, name in enumerate(names) if name in good]
