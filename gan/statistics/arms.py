"""Runs of one setting, which of them belong together, and an estimate with its interval."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.95           # Of every interval.
RESAMPLES = 9_999      # Of every bootstrap, always the same ones: their noise is 1% of an interval's width.
SEED = 0
MIN_RUNS = 5           # With fewer, the quantiles of a bootstrap are simply the smallest and the largest value.


class Run(NamedTuple):
  """One run.

  Attributes:
    seed: runs of two arms with the same seed are a pair.
    value: of the metric; not finite where there is none, because the run failed.
    success: whether the run reached what it should. A failed run may have a value.
  """

  seed: int
  value: float
  success: bool


class Arm(NamedTuple):
  """All runs of one setting, failed ones included, in the order of seeds. Made by `make_arm`.

  Attributes:
    name: for sentences, e.g. 'loss.name=saturating'.
    seeds: [N] int, each once.
    values: [N] float64, nan where there is none.
    successes: [N] bool.
  """

  name: str
  seeds: np.ndarray
  values: np.ndarray
  successes: np.ndarray

  def at(self, positions: np.ndarray) -> 'Arm':
    """Some of its runs."""
    return Arm(self.name, self.seeds[positions], self.values[positions], self.successes[positions])

  def ranked(self, higher_is_better: bool) -> np.ndarray:
    """Values [N] in which larger is better and a run without a value is worse than every other: -inf."""
    return np.where(np.isnan(self.values), -np.inf, self.values if higher_is_better else -self.values)


class Interval(NamedTuple):
  """An estimate and its 95% interval.

  Attributes:
    value: nan where there is none; the note says why.
    low: lower end; may be infinite, never nan where there is a value.
    high: upper end.
    count: runs, or pairs of runs, that it rests on.
    method: how the interval was made; 'range' where it is no interval but the smallest and the largest value.
    note: what has to be said beside it.
  """

  value: float
  low: float
  high: float
  count: int
  method: str
  note: str = ''

  @property
  def known(self) -> bool:
    """Whether there is an estimate."""
    return not math.isnan(self.value)

  def leaves_out(self, value: float) -> bool:
    """Whether `value` is outside; True of a range too, False where nothing is known."""
    return self.known and not self.low <= value <= self.high


def unknown(count: int, note: str) -> Interval:
  """No estimate, and why."""
  return Interval(math.nan, math.nan, math.nan, count, 'none', note)


def value_range(values: np.ndarray, note: str) -> Interval:
  """The mean, and the smallest and the largest value in place of an interval."""
  return Interval(float(np.mean(values)), float(np.min(values)), float(np.max(values)), len(values), 'range', note)


def make_arm(name: str, runs: Iterable[Run | tuple[int, float, bool]]) -> Arm:
  """Puts runs in the order of their seeds.

  Raises:
    ValueError: if a seed occurs twice, if a success has no value, or if there are no runs.
  """
  runs = sorted((Run(*run) for run in runs), key=lambda run: run.seed)
  if not runs:
    raise ValueError(f'{name!r} has no runs; leave the arm out')
  seeds = np.array([run.seed for run in runs])
  twice = seeds[:-1][seeds[1:] == seeds[:-1]]
  if len(twice):
    raise ValueError(f'{name!r} has seed {twice[0]} twice; one value per seed: take the mean, or the newest run')
  values = np.array([run.value for run in runs], np.float64)
  values[~np.isfinite(values)] = np.nan
  successes = np.array([run.success for run in runs], bool)
  if (successes & np.isnan(values)).any():
    raise ValueError(f'{name!r}, seed {seeds[successes & np.isnan(values)][0]}: a success without a finite value; '
                     'call the run failed, or leave it out of every arm')
  return Arm(name, seeds, values, successes)


def shared_runs(x: Arm, y: Arm) -> tuple[Arm, Arm] | None:
  """The runs of both arms with shared seeds, in the same order; None if that would leave out too many.

  Arms are compared in pairs if the smaller one shares half of its seeds or more: a few seeds in common by accident
  would be a reason to throw away all other runs.
  """
  _, in_x, in_y = np.intersect1d(x.seeds, y.seeds, assume_unique=True, return_indices=True)
  return (x.at(in_x), y.at(in_y)) if 2 * len(in_x) >= min(len(x.seeds), len(y.seeds)) else None


def expanded_level(count: int) -> float:
  """Nominal level at which a bootstrap interval from `count` values covers as a 95% interval should.

  A bootstrap's spread is too small by sqrt((n - 1) / n), and its quantiles are those of a normal where those of
  Student's t are called for (Hesterberg 2014, arXiv:1411.5279, section 5.3). 0.972 for 16 values.
  """
  return 1.0 - 2.0 * float(stats.norm.sf(stats.t.isf((1 - LEVEL) / 2, count - 1) * math.sqrt(count / (count - 1))))
