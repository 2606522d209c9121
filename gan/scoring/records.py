"""evaluation.jsonl: every score of a run, one line each, with everything that is needed to repeat it.

Scores of another step or setting have lines of their own; a score that is computed again replaces its line.
"""

import contextlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import filelock
from absl import logging

from gan.scoring import Score
from gan.show.images import write_atomic

FILE = 'evaluation.jsonl'
LOCK = f'.{FILE}.lock'   # A process holds this lock while it reads, merges and writes.
PATIENCE = 60.0          # Seconds to wait for the lock; other processes hold it for milliseconds.
TAIL = 0.25   # The tail mean of a run is over this last fraction of its steps.
# Two lines with the same values of these fields are the same score.
IDENTITY = ('metric', 'step', 'samples', 'num_samples', 'seed', 'data', 'fingerprint', 'split', 'features',
            'feature_weights', 'resizing', 'during_training', 'nearest_k')
# Lines with the same values of these fields are one curve over steps.
_CURVE = tuple(key for key in IDENTITY if key != 'step')
# Required fields of a line, after decoding.
_NEEDED = {'metric': str, 'value': (int, float), 'standard_error': (int, float), 'step': int, 'during_training': bool}
# The ideal value of each score; the best step is the step whose score is nearest to it.
TARGETS = {
    'fid': -math.inf, 'kid': -math.inf, 'is': math.inf, 'fd': -math.inf, 'kd': -math.inf, 'cs': math.inf,
    'fid_infinity': -math.inf, 'fd_infinity': -math.inf, 'precision': math.inf, 'recall': math.inf, 'density': 1.0,
    'coverage': math.inf, 'copying': 0.5, 'modes': math.inf,
    'class_accuracy': math.inf, 'code_agreement': math.inf, 'classes': math.inf, 'reverse_kl': -math.inf,
    'high_quality_reverse_kl': -math.inf, 'total_variation': -math.inf, 'ms_ssim': -math.inf, 'diversity': 1.0,
    'high_quality': math.inf, 'covariance_ratio': 1.0, 'sliced_wasserstein': -math.inf, 'scale': 1.0, 'w1': -math.inf,
}


def family(metric: str) -> str:
  """Return the name of a score without its features: 'fd_classifier' -> 'fd'."""
  return max((name for name in TARGETS if metric == name or metric.startswith(f'{name}_')), key=len, default=metric)


def target(metric: str) -> float:
  """Return the ideal value of a score, with or without features in its name.

  Raises:
    KeyError: if there is no such score.
  """
  return TARGETS[family(metric)]


def distance_to_target(metric: str, value: float) -> float:
  """Return how far a score is from its ideal value: smaller is better, and infinite for nan.

  If the ideal value is infinite, this is the value itself, or its negative if larger values are better.

  Raises:
    KeyError: if there is no such score.
  """
  best = target(metric)
  if math.isnan(value):
    return math.inf
  return math.copysign(1.0, -best) * value if math.isinf(best) else abs(value - best)


def lines_of(scores: Iterable[Score], provenance: dict[str, Any]) -> list[dict[str, Any]]:
  """Turn scores into lines, each with its standard error, its details and `provenance`."""
  return [{'metric': score.metric, 'value': score.value, 'standard_error': score.standard_error,
           'error_method': score.error_method, **provenance, **score.details} for score in scores]


def read(workdir: Path) -> list[dict[str, Any]]:
  """Read the lines of a run in file order; [] if there are none. A half-written last line is ignored.

  Raises:
    RecordsError: if any other line is not valid JSON, or if a line is not a score.
  """
  path = Path(workdir) / FILE
  lines = path.read_bytes().splitlines() if path.exists() else []
  parsed = []
  for number, line in enumerate(lines, start=1):
    try:
      content = json.loads(line)
    except ValueError as error:
      if number < len(lines):
        raise RecordsError(f'{path}, line {number} is damaged ({error}); delete that line to go on') from None
      break
    fields = {key: _decoded(value) for key, value in content.items()} if isinstance(content, dict) else {}
    if wrong := [key for key, kind in _NEEDED.items() if not isinstance(fields.get(key), kind)]:
      raise RecordsError(f'{path}, line {number} is no score: {", ".join(wrong)} missing or of a wrong type; delete '
                         'that line to go on')
    parsed.append(fields)
  return parsed


def add(workdir: Path, lines: Sequence[dict[str, Any]]) -> None:
  """Add lines and remove earlier lines of the same scores (IDENTITY); several processes may add lines at once."""
  new = {_identity(line): line for line in lines}
  Path(workdir).mkdir(parents=True, exist_ok=True)
  with _alone(workdir):
    _write(workdir, [line for line in read(workdir) if _identity(line) not in new] + list(lines))


def cut(workdir: Path, step: int) -> None:
  """Remove the lines that training wrote after `step`: a resumed run writes them again."""
  if not (Path(workdir) / FILE).exists():
    return
  with _alone(workdir):
    lines = read(workdir)
    kept = [line for line in lines if not line['during_training'] or line['step'] <= step]
    if len(kept) < len(lines):
      _write(workdir, kept)


def scored_steps(workdir: Path) -> set[int]:
  """Return the steps at which training has written a score."""
  return {line['step'] for line in read(workdir) if line['during_training']}


class RecordsError(ValueError):
  """An evaluation.jsonl that cannot be read; the message names the line and says what to do."""


class Summary(NamedTuple):
  """A score over a run: its best value never stands without its last value and tail mean.

  Attributes:
    metric: name of the score.
    setting: the fields that all its lines share (_CURVE).
    last: (step, value, standard error) of the last line.
    best: (step, value, standard error) of the best line.
    tail_mean: mean value over the last quarter of the steps.
    num_tail: number of lines in this quarter.
    num: number of lines of the run.
  """

  metric: str
  setting: dict[str, Any]
  last: tuple[int, float, float]
  best: tuple[int, float, float]
  tail_mean: float
  num_tail: int
  num: int


def summarise(lines: Iterable[dict[str, Any]]) -> list[Summary]:
  """Summarise each curve, in the order of their first lines."""
  curves: dict[tuple, list[dict[str, Any]]] = {}
  for line in lines:
    curves.setdefault(tuple(line.get(key) for key in _CURVE), []).append(line)
  summaries = []
  for key, curve in curves.items():
    curve = sorted(curve, key=lambda line: line['step'])
    metric = curve[0]['metric']
    end = curve[-1]['step']
    tail = [line['value'] for line in curve if line['step'] >= end - TAIL * max(end, 0)]
    best = min(curve, key=lambda line: distance_to_target(metric, line['value']))
    last, best = ((line['step'], line['value'], line['standard_error']) for line in (curve[-1], best))
    summaries.append(Summary(metric, dict(zip(_CURVE, key, strict=True)), last, best, sum(tail) / len(tail), len(tail),
                             len(curve)))
  return summaries


def table(lines: Iterable[dict[str, Any]]) -> str:
  """Format lines as a table for the console."""
  rows = [('score', 'value', 'std. error', 'samples', 'step', 'against')]
  for line in lines:
    size = f' ({line["reference_size"]:,})' if line['reference_size'] else ''
    step = f'{line["step"]:,}' if line['step'] >= 0 else ''
    rows.append((line['metric'], f'{line["value"]:.5g}', _error(line['standard_error']),
                 f'{line["num_samples"]:,} {line["samples"]}', step, f'{line["data"]} {line["split"]}{size}'))
  return _aligned(rows)


def summary_table(summaries: Iterable[Summary]) -> str:
  """Format summaries as a table for the console: last, best and mean over the last quarter."""
  rows = [('score', 'last', 'at step', 'best', 'at step', f'mean of the last {TAIL:.0%} of steps')]
  rows += [(s.metric, f'{s.last[1]:.5g}', f'{s.last[0]:,}', f'{s.best[1]:.5g}', f'{s.best[0]:,}',
            f'{s.tail_mean:.5g} (of {s.num_tail})') for s in summaries]
  return _aligned(rows)


def _error(error: float) -> str:
  return '' if math.isnan(error) else f'{error:.2g}'


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = ('  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
  return '\n'.join(line.rstrip() for line in lines)


def _identity(line: dict[str, Any]) -> tuple:
  return tuple(line.get(key) for key in IDENTITY)


@contextlib.contextmanager
def _alone(workdir: Path) -> Iterator[None]:
  """Keep other writers out. The operating system frees the lock of a process that is killed."""
  lock = filelock.FileLock(Path(workdir) / LOCK, timeout=PATIENCE)
  try:
    lock.acquire()
  except filelock.Timeout:
    logging.warning('another process has held %s for %g seconds; scores are now written without the lock, and a line '
                    'that another process writes at this moment may be lost', Path(workdir) / LOCK, PATIENCE)
  except (OSError, NotImplementedError):
    pass  # The disk has no locks, or the directory is not writable: in the second case the write below fails.
  try:
    yield
  finally:
    lock.release()


def _write(workdir: Path, lines: Iterable[dict[str, Any]]) -> None:
  text = ''.join(json.dumps({key: _encoded(value) for key, value in line.items()}) + '\n' for line in lines)
  write_atomic(Path(workdir) / FILE, text.encode())


def _encoded(value: Any) -> Any:
  """Encode what JSON lacks: nan as null, infinities as the strings 'inf' and '-inf'."""
  if isinstance(value, float) and not math.isfinite(value):
    return None if math.isnan(value) else str(value)
  return value


def _decoded(value: Any) -> Any:
  if value is None:
    return math.nan
  return {'inf': math.inf, '-inf': -math.inf}.get(value, value) if isinstance(value, str) else value
