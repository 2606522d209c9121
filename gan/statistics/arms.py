"""Arms (the runs of one setting), pairs of runs with shared seeds, and estimates with intervals."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.95           # Confidence level of every interval.
RESAMPLES = 9_999      # Resamples of every bootstrap, drawn with SEED: their noise is 1% of an interval's width.
SEED = 0
MIN_RUNS = 5           # With fewer runs, the quantiles of a bootstrap are simply the smallest and the largest value.


class Run(NamedTuple):
  """One run.

  Attributes:
    seed: seed of the run; two runs of different arms with the same seed are a pair.
    value: value of the metric; not finite if a failed run has no value.
    success: whether the run met the criterion of success. A failed run may have a value.
  """

  seed: int
  value: float
  success: bool


class Arm(NamedTuple):
  """All runs of one setting, failed runs included, in the order of seeds. Made by `make_arm`.

  Attributes:
    name: name of the setting for sentences, e.g. 'loss.name=saturating'.
    seeds: [N] int, all different.
    values: [N] float64, nan for runs without a value.
    successes: [N] bool.
  """

  name: str
  seeds: np.ndarray
  values: np.ndarray
  successes: np.ndarray

  def at(self, positions: np.ndarray) -> 'Arm':
    """Select runs by position."""
    return Arm(self.name, self.seeds[positions], self.values[positions], self.successes[positions])

  def ranked(self, higher_is_better: bool) -> np.ndarray:
    """Return values [N] of which larger are better; a run without a value has -inf and is worse than all others."""
    return np.where(np.isnan(self.values), -np.inf, self.values if higher_is_better else -self.values)


class Interval(NamedTuple):
  """An estimate and its 95% interval.

  Attributes:
    value: the estimate; nan if there is none, and then the note says why.
    low: lower end; may be infinite; nan only if there is no estimate.
    high: upper end; likewise.
    count: number of runs, or pairs of runs, that it is based on.
    method: method of the interval; 'range' means the smallest and the largest value instead of an interval.
    note: caveat for the reader; '' if there is none.
  """

  value: float
  low: float
  high: float
  count: int
  method: str
  note: str = ''

  @property
  def has_value(self) -> bool:
    """Whether there is an estimate."""
    return not math.isnan(self.value)

  def leaves_out(self, value: float) -> bool:
    """Return whether `value` lies outside the interval or range; False if there is no estimate."""
    return self.has_value and not self.low <= value <= self.high


def unknown(count: int, note: str) -> Interval:
  """Make an `Interval` without an estimate; the note says why."""
  return Interval(math.nan, math.nan, math.nan, count, 'none', note)


def value_range(values: np.ndarray, note: str) -> Interval:
  """Make an `Interval` of the mean, with the smallest and the largest value instead of a confidence interval."""
  return Interval(float(np.mean(values)), float(np.min(values)), float(np.max(values)), len(values), 'range', note)


def make_arm(name: str, runs: Iterable[Run | tuple[int, float, bool]]) -> Arm:
  """Make an arm of runs, sorted by seed.

  Raises:
    ValueError: if a seed occurs twice, if a successful run has no value, or if there are no runs.
  """
  runs = sorted((Run(*run) for run in runs), key=lambda run: run.seed)
  if not runs:
    raise ValueError(f'{name!r} has no runs; leave the arm out')
  seeds = np.array([run.seed for run in runs])
  twice = seeds[:-1][seeds[1:] == seeds[:-1]]
  if len(twice):
    raise ValueError(f'{name!r} has seed {twice[0]} twice, but needs one value per seed: take the mean, or the newest '
                     'run')
  values = np.array([run.value for run in runs], np.float64)
  values[~np.isfinite(values)] = np.nan
  successes = np.array([run.success for run in runs], bool)
  if (successes & np.isnan(values)).any():
    raise ValueError(f'{name!r}, seed {seeds[successes & np.isnan(values)][0]}: a successful run needs a finite value; '
                     'count the run as failed, or leave its seed out of every arm')
  return Arm(name, seeds, values, successes)


def shared_runs(x: Arm, y: Arm) -> tuple[Arm, Arm] | None:
  """Return the runs of both arms with shared seeds, in the same order; None if too few seeds are shared.

  Arms are compared in pairs if the smaller arm shares at least half of its seeds. Without this limit, a few seeds in
  common by accident would exclude all other runs.
  """
  _, in_x, in_y = np.intersect1d(x.seeds, y.seeds, assume_unique=True, return_indices=True)
  return (x.at(in_x), y.at(in_y)) if 2 * len(in_x) >= min(len(x.seeds), len(y.seeds)) else None


def expanded_level(count: int) -> float:
  """Return the nominal level at which a bootstrap interval from `count` values has a coverage of 95%.

  A bootstrap's spread is too small by the factor sqrt((n - 1) / n), and its quantiles are those of a normal
  distribution instead of Student's t (Hesterberg 2014, arXiv:1411.5279, section 5.3). For 16 values the level is 0.972.
  """
  return 1.0 - 2.0 * float(stats.norm.sf(stats.t.isf((1 - LEVEL) / 2, count - 1) * math.sqrt(count / (count - 1))))
