"""What is on record of a run at a checkpoint, and whether it still is when training goes on from there.

A checkpoint notes at how many steps its run was logged and scored, so that rows that are lost later are missed whatever
the settings were when they were written.
"""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gan.run.report import FILE, read_metrics
from gan.scoring import records
from gan.show import images

Note = dict[str, dict[str, int]]   # File -> {'count': of steps that have rows there, 'first', 'last'}.
# Of a checkpoint without a note, written before there were any: step 1 is always logged.
_AT_LEAST = {FILE: {'count': 1, 'first': 1, 'last': 1}}


def note(logged: Iterable[int], scored: Iterable[int]) -> Note:
  """What a checkpoint says of the files of its run; a file without rows is left out.

  Args:
    logged: steps of the rows in metrics.jsonl.
    scored: steps at which training has written to evaluation.jsonl.
  """
  steps = {FILE: set(logged), records.FILE: set(scored)}
  return {file: {'count': len(own), 'first': min(own), 'last': max(own)} for file, own in steps.items() if own}


def sync(run_dir: Path) -> None:
  """Waits until all rows are on the disk, so that a checkpoint made after that never knows of more than is left."""
  for path in (run_dir / FILE, run_dir / records.FILE, run_dir):
    if path.exists():
      images.sync(path)


def lost(run_dir: Path, step: int, noted: Note | None) -> list[str]:
  """A warning for each file that has no longer the rows up to `step` that the checkpoint of that step knows of.

  Args:
    run_dir: directory of the run.
    step: of the checkpoint that was restored; 0 for none, which knows of nothing.
    noted: its note.

  Raises:
    MetricsError, RecordsError: if a file is damaged before its last line.
  """
  known = (_AT_LEAST | (noted or {})) if step else {}
  left = {FILE: {row['step'] for row in read_metrics(run_dir / FILE)}, records.FILE: records.scored_steps(run_dir)}
  return [f'{run_dir / file} has lost {text}; verdicts, curves and summaries see only what is left'
          for file, then in known.items() if (text := _missing(sorted(s for s in left[file] if s <= step), then))]


def _missing(left: list[int], then: dict[str, Any]) -> str | None:
  """Which rows are gone: all, those at either end, or some where the largest gap is."""
  number = then['count'] - len(left)
  if number < 1:
    return None
  if not left:
    return f'all its rows of steps {then["first"]} to {then["last"]}'
  if ends := [(low, high) for low, high in ((then['first'], left[0] - 1), (left[-1] + 1, then['last'])) if low <= high]:
    return f'{number} row(s), of steps ' + ' and '.join(f'{low} to {high}' for low, high in ends)
  low, high = max(itertools.pairwise(left), key=lambda gap: gap[1] - gap[0])
  return f'{number} row(s), the largest gap being between steps {low} and {high}'
