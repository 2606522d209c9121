"""The files of a population: who its members are, and what was logged of them.

Rows are written in parts, each together with a checkpoint and named after its step: nothing is ever appended to a file,
which buckets cannot do, and a resume keeps the parts up to its checkpoint. The first line of a part says how many rows
follow and which part comes before, so that one that was lost or cut is missed; parts of older runs have no such line.
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
_KINDS = {'step', 'alive', 'stopped_at'}, {'part', 'after', 'rows'}   # What a row has, and what a first line has.
Row = dict[str, Any]   # Of all members: {'step': 100, 'disc/loss': [one for each member], 'time/...': one for all}.


class Store:
  """The directory of one population, local or in a bucket."""

  def __init__(self, root: str | os.PathLike):
    """Opens a directory; nothing is written yet."""
    self.root = open_path(root)

  def exists(self) -> bool:
    """Whether a population lives here: it has members, or something that only training leaves behind."""
    return (self.root / MEMBERS).exists() or self.is_finished() or bool(self._checkpoints() or self._parts())

  def is_finished(self) -> bool:
    """Whether nothing is left to do: the last samples are written last."""
    return (self.root / SAMPLES).exists()

  def claim(self, ids: Sequence[str], configs: Sequence[ml_collections.ConfigDict], data: dict[str, Any],
            environment: dict[str, Any]) -> None:
    """Writes who the members are; the list of members last, so that a directory that has it is complete."""
    for name, content in ((DATA, data), (ENVIRONMENT, environment),
                          (MEMBERS, [{'id': run, 'config': flatten(c)} for run, c in zip(ids, configs, strict=True)])):
      write(self.root / name, json.dumps(content, indent=1).encode())

  def read(self, name: str) -> Any:
    """Contents of one of the JSON files.

    Raises:
      MetricsError: if it is absent or damaged.
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
    """The last samples of each member [M, N, ...]; None before the end.

    Raises:
      MetricsError: if the file is damaged.
    """
    path = self.root / SAMPLES
    if not path.exists():
      return None
    try:
      return np.load(io.BytesIO(path.read_bytes()))['samples']
    except Exception as error:  # Of a file cut off, zipfile, zlib and numpy raise what they like.
      raise MetricsError(f'{path} is damaged ({error}); delete it, and the sweep, started again, makes it from the '
                         'checkpoint') from None

  def members(self) -> tuple[list[str], list[ml_collections.ConfigDict]]:
    """Ids and configurations, in the order of the arrays.

    Raises:
      MetricsError: if the list is absent or damaged.
    """
    ids = self.ids()
    return ids, [unflatten(entry['config']) for entry in self.read(MEMBERS)]

  def ids(self) -> list[str]:
    """Ids of the members, in the order of the arrays.

    Raises:
      MetricsError: if the list is absent or damaged.
    """
    entries = self.read(MEMBERS)
    if not all(isinstance(entry, dict) and entry.keys() >= {'id', 'config'} for entry in entries):
      raise MetricsError(f'{self.root / MEMBERS} is no list of members, each with id and config; {self._way_out()}')
    return [entry['id'] for entry in entries]

  def write_rows(self, step: int, rows: Sequence[Row]) -> None:
    """Writes what was logged since the last checkpoint, up to and including `step`."""
    before = max((part_step for part_step in self._parts() if part_step < step), default=0)
    head = {'part': step, 'after': before, 'rows': len(rows)}
    text = ''.join(json.dumps(line) + '\n' for line in (head, *map(_encoded, rows)))
    write(self._part(step), text.encode())

  def rows(self) -> list[Row]:
    """All that was logged, in the order of steps.

    Raises:
      MetricsError: if a part is damaged or missing.
    """
    saved, parts = self._checkpoints(), self._parts()  # In this order: a part is there before its checkpoint.
    found, before, headed = [], 0, False
    for step, part in parts.items():
      head, rows = _parse(part)
      headed = headed or head is not None
      if head is None and (headed or not (before or rows)):  # Step 1 is always logged.
        raise MetricsError(f'{part} is damaged (its first line does not say what it holds); {self._way_out()}')
      if head and head['after'] not in (0, *parts):
        raise MetricsError(self._is_missing(head['after']))
      if head and (step, before, len(rows)) != (head['part'], head['after'], head['rows']):
        raise MetricsError(f'{part} is damaged ({len(rows)} rows of step {step}, after step {before}, where it says '
                           f'{head["rows"]} of step {head["part"]}, after step {head["after"]}); {self._way_out()}')
      found, before = found + rows, step
    if lost := saved - set(parts):
      raise MetricsError(self._is_missing(min(lost)))
    return found

  def cut_rows(self, step: int) -> None:
    """Deletes the parts after `step`: a resumed run writes them again."""
    for part_step, part in self._parts().items():
      if part_step > step:
        part.unlink()

  def _part(self, step: int) -> Any:
    return self.root / 'metrics' / f'{step:08d}.jsonl'

  def _parts(self) -> dict[int, Any]:
    """Parts by step, in their order."""
    folder = self.root / 'metrics'
    steps = {int(name.removesuffix('.jsonl')) for name in _names(folder) if name.removesuffix('.jsonl').isdecimal()}
    return {step: self._part(step) for step in sorted(steps)}

  def _checkpoints(self) -> set[int]:
    """Steps of the checkpoints, damaged ones too; each has a part of its own."""
    return {int(name) for name in _names(self.root / 'checkpoints') if name.isdecimal()}

  def _is_missing(self, step: int) -> str:
    return f'{self._part(step)} is missing, and with it what was logged up to step {step}; {self._way_out()}'

  def _way_out(self) -> str:
    return f'put a copy of it there, or delete {self.root} and train its runs again'


def member_rows(rows: Sequence[Row], member: int) -> list[dict[str, float | str]]:
  """What was logged of one member, as an ordinary run has it: nothing after it stopped."""
  found = []
  for row in rows:
    own = {name: values[member] if isinstance(values, list) else values for name, values in row.items()
           if name not in ('alive', 'stopped_at')}
    ended = row['stopped_at'][member] < row['step']
    own['step'] = row['stopped_at'][member]
    own = {name: value for name, value in own.items() if value is not None}
    if found and found[-1]['step'] == own['step']:  # Of a member that has stopped: what is said of its end.
      if not ended:
        found[-1] |= own
      continue
    found.append(own)
  return found


def _names(folder: Any) -> list[str]:
  return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def _parse(part: Any) -> tuple[dict[str, int] | None, list[Row]]:
  """The first line of a part, None where it has no such line, and its rows."""
  lines = []
  for number, line in enumerate(part.read_bytes().splitlines(), start=1):
    try:
      content = json.loads(line)
      kinds = _KINDS if number == 1 else _KINDS[:1]
      if not isinstance(content, dict) or not any(content.keys() >= kind for kind in kinds):
        raise ValueError('not a row of members')
    except ValueError as error:
      raise MetricsError(f'{part}, line {number} is damaged ({error}); delete the checkpoints from that step on and '
                         'start again') from None
    lines.append(content)
  head = lines.pop(0) if lines and 'part' in lines[0] else None
  return head, [_decoded(line) for line in lines]


def _encoded(value: Any) -> Any:
  """JSON has no numbers that are not finite: they become words."""
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
