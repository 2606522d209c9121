"""The ledger of a run: each checkpoint notes how many steps were logged and scored, and a resume checks this.

Rows that are lost later are thus noticed, whatever the periods were when they were written.
"""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gan.run.report import FILE, read_metrics
from gan.scoring import records
from gan.show import images

Note = dict[str, dict[str, int]]   # File -> {'count': steps with rows in the file, 'first': step, 'last': step}.
# Assumed for a checkpoint without a note, from an older version of the code: step 1 is always logged.
_AT_LEAST = {FILE: {'count': 1, 'first': 1, 'last': 1}}


def note(logged: Iterable[int], scored: Iterable[int]) -> Note:
  """Make the note of a checkpoint about the files of its run; a file without rows is left out.

  Args:
    logged: steps of the rows in metrics.jsonl.
    scored: steps at which training has written to evaluation.jsonl.
  """
  steps = {FILE: set(logged), records.FILE: set(scored)}
  return {file: {'count': len(in_file), 'first': min(in_file), 'last': max(in_file)}
          for file, in_file in steps.items() if in_file}


def sync(run_dir: Path) -> None:
  """Wait until all rows are on the disk, so that the note of a later checkpoint never counts rows that were lost."""
  for path in (run_dir / FILE, run_dir / records.FILE, run_dir):
    if path.exists():
      images.sync(path)


def lost(run_dir: Path, step: int, noted: Note | None) -> list[str]:
  """Write a warning for each file that has lost rows up to `step` that the checkpoint of `step` noted.

  Args:
    run_dir: directory of the run.
    step: step of the restored checkpoint; 0 if there was none, and then nothing can be lost.
    noted: note of that checkpoint.

  Raises:
    MetricsError, RecordsError: if a file is damaged before its last line.
  """
  expected = (_AT_LEAST | (noted or {})) if step else {}
  left = {FILE: {row['step'] for row in read_metrics(run_dir / FILE)}, records.FILE: records.scored_steps(run_dir)}
  return [f'{run_dir / file} has lost {text}; verdicts, curves and summaries use only the remaining rows'
          for file, then in expected.items() if (text := _missing(sorted(s for s in left[file] if s <= step), then))]


def _missing(left: list[int], then: dict[str, Any]) -> str | None:
  """Describe the lost rows: all, those at either end, or else the largest gap; None if none are lost."""
  number = then['count'] - len(left)
  if number < 1:
    return None
  if not left:
    return f'all its rows of steps {then["first"]} to {then["last"]}'
  if ends := [(low, high) for low, high in ((then['first'], left[0] - 1), (left[-1] + 1, then['last'])) if low <= high]:
    return f'{number} row(s), of steps ' + ' and '.join(f'{low} to {high}' for low, high in ends)
  low, high = max(itertools.pairwise(left), key=lambda gap: gap[1] - gap[0])
  return f'{number} row(s), the largest gap being between steps {low} and {high}'
