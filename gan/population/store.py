"""The files of a population: who its members are, and what was logged of them.

Rows are written in parts, each together with a checkpoint and named after its step: nothing is ever appended to a file,
which buckets cannot do, and a resume keeps the parts up to its checkpoint.
"""

import io
import json
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import ml_collections
import numpy as np

from gan.config import flatten, unflatten
from gan.paths import open_path, write
from gan.report import MetricsError

MEMBERS, DATA, ENVIRONMENT, SAMPLES = 'members.json', 'data.json', 'environment.json', 'samples.npz'
Row = dict[str, Any]   # Of all members: {'step': 100, 'disc/loss': [one for each member], 'time/...': one for all}.


class Store:
  """The directory of one population, local or in a bucket."""

  def __init__(self, root: str | os.PathLike):
    """Opens a directory; nothing is written yet."""
    self.root = open_path(root)

  def exists(self) -> bool:
    """Whether a population lives here."""
    return (self.root / MEMBERS).exists()

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
      raise MetricsError(f'{path} cannot be read ({reason}); put a copy of it there, or delete {self.root} and train '
                         'its runs again') from None

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
    """Ids and configurations, in the order of the arrays."""
    entries = self.read(MEMBERS)
    return [entry['id'] for entry in entries], [unflatten(entry['config']) for entry in entries]

  def write_rows(self, step: int, rows: Sequence[Row]) -> None:
    """Writes what was logged since the last checkpoint, up to and including `step`."""
    text = ''.join(json.dumps(_encoded(row)) + '\n' for row in rows)
    write(self.root / 'metrics' / f'{step:08d}.jsonl', text.encode())

  def rows(self) -> list[Row]:
    """All that was logged, in the order of steps.

    Raises:
      MetricsError: if a part is damaged.
    """
    return [_decoded(row) for _, part in self._parts() for row in _parse(part)]

  def cut_rows(self, step: int) -> None:
    """Deletes the parts after `step`: a resumed run writes them again."""
    for part_step, part in self._parts():
      if part_step > step:
        part.unlink()

  def _parts(self) -> list[tuple[int, Any]]:
    folder = self.root / 'metrics'
    return sorted((int(part.stem), part) for part in folder.iterdir()
                  if part.suffix == '.jsonl') if folder.exists() else []


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


def _parse(part: Any) -> Iterator[Row]:
  for number, line in enumerate(part.read_text().splitlines(), start=1):
    try:
      yield json.loads(line)
    except ValueError as error:
      raise MetricsError(f'{part}, line {number} is damaged ({error}); delete the checkpoints from that step on and '
                         'start again') from None


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
