"""The files of a population: its members, and the rows that are logged for them.

Rows are written in parts, each together with a checkpoint and named after its step. So no file is ever appended to,
which buckets cannot do, and a resume keeps the parts up to its checkpoint. The first line of a part holds its number of
rows and the step of the part before, so that a lost or truncated part is noticed. Parts of older runs have no such
line.
"""

import io
import json
import math
import os
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np

from gan.config import flatten
from gan.config.complete import unflatten
from gan.run.paths import open_path, write
from gan.run.report import MetricsError

MEMBERS, DATA, ENVIRONMENT, SAMPLES = 'members.json', 'data.json', 'environment.json', 'samples.npz'
_KINDS = {'step', 'alive', 'stopped_at'}, {'part', 'after', 'rows'}   # Keys of a row, and keys of a first line.
Row = dict[str, Any]   # One step of all members: {'step': 100, 'disc/loss': [a value per member], 'time/...': a value}.


class Store:
  """The directory of one population, local or in a bucket."""

  def __init__(self, root: str | os.PathLike):
    """Open a directory; nothing is written yet."""
    self.root = open_path(root)

  def exists(self) -> bool:
    """Return whether the directory holds a population: a list of members, or files that only training writes."""
    return (self.root / MEMBERS).exists() or self.is_finished() or bool(self._checkpoints() or self._parts())

  def is_finished(self) -> bool:
    """Return whether the population is finished: the final samples are written last."""
    return (self.root / SAMPLES).exists()

  def claim(self, ids: Sequence[str], configs: Sequence[ml_collections.ConfigDict], data: dict[str, Any],
            environment: dict[str, Any]) -> None:
    """Write the files that describe the members; the list of members comes last, so that it marks all as complete."""
    for name, content in ((DATA, data), (ENVIRONMENT, environment),
                          (MEMBERS, [{'id': run, 'config': flatten(c)} for run, c in zip(ids, configs, strict=True)])):
      write(self.root / name, json.dumps(content, indent=1).encode())

  def read(self, name: str) -> Any:
    """Return the contents of one of the JSON files.

    Raises:
      MetricsError: if the file is absent or damaged.
    """
    path, kind = self.root / name, list if name == MEMBERS else dict
    try:
      content = json.loads(path.read_text())
      if not isinstance(content, kind):
        raise ValueError(f'not a {kind.__name__}')
      return content
    except (OSError, ValueError) as error:
      reason = getattr(error, 'strerror', None) or error
      raise MetricsError(f'{path} cannot be read ({reason}); {self._way_out()}') from None

  def samples(self) -> np.ndarray | None:
    """Return the final samples of each member [M, N, ...]; None before the end.

    Raises:
      MetricsError: if the file is damaged.
    """
    path = self.root / SAMPLES
    if not path.exists():
      return None
    try:
      return np.load(io.BytesIO(path.read_bytes()))['samples']
    except Exception as error:  # For a truncated file, zipfile, zlib and numpy raise many kinds of errors.
      raise MetricsError(f'{path} is damaged ({error}); delete it and start the sweep again, which writes it from the '
                         'checkpoint') from None

  def members(self) -> tuple[list[str], list[ml_collections.ConfigDict]]:
    """Return the ids and configurations of the members, in the order of the arrays.

    Raises:
      MetricsError: if the list is absent or damaged.
    """
    ids = self.ids()
    return ids, [unflatten(entry['config']) for entry in self.read(MEMBERS)]

  def ids(self) -> list[str]:
    """Return the ids of the members, in the order of the arrays.

    Raises:
      MetricsError: if the list is absent or damaged.
    """
    entries = self.read(MEMBERS)
    if not all(isinstance(entry, dict) and entry.keys() >= {'id', 'config'} for entry in entries):
      raise MetricsError(f'{self.root / MEMBERS} is not a list of members, each with id and config; {self._way_out()}')
    return [entry['id'] for entry in entries]

  def write_rows(self, step: int, rows: Sequence[Row]) -> None:
    """Write the rows that were logged since the last checkpoint, up to and including `step`."""
    before = max((part_step for part_step in self._parts() if part_step < step), default=0)
    head = {'part': step, 'after': before, 'rows': len(rows)}
    text = ''.join(json.dumps(line) + '\n' for line in (head, *map(_encoded, rows)))
    write(self._part(step), text.encode())

  def rows(self) -> list[Row]:
    """Return all logged rows, in the order of steps.

    Raises:
      MetricsError: if a part is damaged or missing.
    """
    saved, parts = self._checkpoints(), self._parts()  # Read in this order: a part is written before its checkpoint.
    all_rows, before, headed = [], 0, False
    for step, part in parts.items():
      head, rows = _parse(part)
      headed = headed or head is not None
      if head is None and (headed or not (before or rows)):  # A first part has rows: step 1 is always logged.
        raise MetricsError(f'{part} is damaged (its first line does not say how many rows it holds); {self._way_out()}')
      if head and head['after'] not in (0, *parts):
        raise MetricsError(self._is_missing(head['after']))
      if head and (step, before, len(rows)) != (head['part'], head['after'], head['rows']):
        raise MetricsError(f'{part} is damaged (it has {len(rows)} rows of step {step}, after step {before}; its first '
                           f'line says {head["rows"]} rows of step {head["part"]}, after step {head["after"]}); '
                           f'{self._way_out()}')
      all_rows, before = all_rows + rows, step
    if lost := saved - set(parts):
      raise MetricsError(self._is_missing(min(lost)))
    return all_rows

  def cut_rows(self, step: int) -> None:
    """Delete the parts after `step`: a resumed run writes them again."""
    for part_step, part in self._parts().items():
      if part_step > step:
        part.unlink()

  def _part(self, step: int) -> Any:
    return self.root / 'metrics' / f'{step:08d}.jsonl'

  def _parts(self) -> dict[int, Any]:
    """Return the paths of the parts by step, in the order of steps."""
    folder = self.root / 'metrics'
    steps = {int(name.removesuffix('.jsonl')) for name in _names(folder) if name.removesuffix('.jsonl').isdecimal()}
    return {step: self._part(step) for step in sorted(steps)}

  def _checkpoints(self) -> set[int]:
    """Return the steps of all checkpoints, damaged ones included; each checkpoint has a part."""
    return {int(name) for name in _names(self.root / 'checkpoints') if name.isdecimal()}

  def _is_missing(self, step: int) -> str:
    return f'{self._part(step)} is missing, and with it the rows up to step {step}; {self._way_out()}'

  def _way_out(self) -> str:
    return f'restore the file from a copy, or delete {self.root} and train its runs again'


def member_rows(rows: Sequence[Row], member: int) -> list[dict[str, float | str]]:
  """Return the rows of one member as an ordinary run logs them, which end where the member stopped."""
  result = []
  for row in rows:
    member_row = {name: values[member] if isinstance(values, list) else values for name, values in row.items()
                  if name not in ('alive', 'stopped_at')}
    ended = row['stopped_at'][member] < row['step']
    member_row['step'] = row['stopped_at'][member]
    member_row = {name: value for name, value in member_row.items() if value is not None}
    if result and result[-1]['step'] == member_row['step']:  # Rows after the member stopped repeat its step.
      if not ended:
        result[-1] |= member_row
      continue
    result.append(member_row)
  return result


def _names(folder: Any) -> list[str]:
  return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def _parse(part: Any) -> tuple[dict[str, int] | None, list[Row]]:
  """Return the first line of a part (None if it has none) and its rows."""
  lines = []
  for number, line in enumerate(part.read_bytes().splitlines(), start=1):
    try:
      content = json.loads(line)
      kinds = _KINDS if number == 1 else _KINDS[:1]
      if not isinstance(content, dict) or not any(content.keys() >= kind for kind in kinds):
        raise ValueError('it is not a row of members')
    except ValueError as error:
      raise MetricsError(f'{part}, line {number} is damaged ({error}); delete the checkpoints from that step on, and '
                         'start the sweep again') from None
    lines.append(content)
  head = lines.pop(0) if lines and 'part' in lines[0] else None
  return head, [_decoded(line) for line in lines]


def _encoded(value: Any) -> Any:
  """Replace numbers that are not finite by words, because JSON has no such numbers."""
  if isinstance(value, dict):
    return {name: _encoded(item) for name, item in value.items()}
  if isinstance(value, list):
    return [_encoded(item) for item in value]
  return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _decoded(row: Row) -> Row:
  words = {'nan': math.nan, 'inf': math.inf, '-inf': -math.inf}

  def number(value: Any) -> Any:
    if isinstance(value, list):
      return [number(item) for item in value]
    return words.get(value, value) if isinstance(value, str) else value

  return {name: number(value) for name, value in row.items()}
