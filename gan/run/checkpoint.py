"""Checkpoints of a run, on top of Orbax: asynchronous saves, exact restores; damaged checkpoints are skipped."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from gan.parallel import is_writer
from gan.run.paths import open_path, unreadable_part, unwritable_part
from gan.state import PyTree


class CheckpointError(RuntimeError):
  """A checkpoint that is needed cannot be read, or a checkpoint cannot be written."""


class Checkpoints:
  """The checkpoints of one run directory.

  The first checkpoint is read back after it was saved, so that a disk, path or bucket that loses data is noticed at
  once.
  """

  def __init__(self, workdir: str | os.PathLike, keep: int = 3, *, read_only: bool = False):
    """Open `<workdir>/checkpoints`.

    Args:
      workdir: directory of the run.
      keep: number of checkpoints kept, the newest ones.
      read_only: whether nothing is written or moved.

    Raises:
      CheckpointError: if `checkpoints` is a file, or Orbax cannot use a directory of this name.
    """
    if part := (unreadable_part if read_only else unwritable_part)(workdir):
      raise CheckpointError(f'checkpoints in {open_path(workdir)} {"cannot" if read_only else "could not"} be read, '
                            f'because of {part} in its path; rename that directory')
    self._root, self._read_only = open_path(workdir) / 'checkpoints', read_only
    if self._root.exists() and not self._root.is_dir():
      raise CheckpointError(f'{self._root} is a file; it must be a directory of checkpoints: move the file away')
    self._options = ocp.CheckpointManagerOptions(max_to_keep=None if read_only else keep, read_only=read_only,
                                                 create=not read_only, enable_async_checkpointing=not read_only)
    self._read_back = read_only   # Whether this process has read a checkpoint back, or need not.
    self._manager = self._open()

  def _open(self) -> ocp.CheckpointManager:
    return ocp.CheckpointManager(self._root, options=self._options)

  def steps(self) -> list[int]:
    """List the steps that have a checkpoint, oldest first."""
    return sorted(self._manager.all_steps()) if self._root.is_dir() else []

  def save(self, step: int, state: PyTree, note: dict[str, Any] | None = None) -> None:
    """Save a state in the background; its buffers may be donated as soon as this method returns.

    The first call waits until the checkpoint is written, and reads it back.

    Args:
      step: the step of the state; must equal `state.step`.
      state: a `GanState`, or the `PopulationState` of many runs.
      note: JSON that the method `note` returns for this step.

    Raises:
      CheckpointError: if this checkpoint or the one before cannot be written, or the first cannot be read back.
    """
    with self._writing():
      self._manager.check_for_errors()
      if step not in self._manager.all_steps():
        record = ocp.args.JsonSave({'sha256': _digest(state)} | ({'note': note} if note else {}))
        self._manager.save(step, args=ocp.args.Composite(state=ocp.args.StandardSave(state), record=record))
        if not self._read_back:
          self._manager.wait_until_finished()
          self._check_first(step, state)
          self._read_back = True

  def _check_first(self, step: int, state: PyTree) -> None:
    """Read a checkpoint as a resume would: on one device of a single host, or by all hosts together."""
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    like = state if jax.process_count() > 1 else jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), state)
    try:
      self.restore(step, like)
    except CheckpointError as error:
      raise CheckpointError(f'the first checkpoint was saved and cannot be read back: {error}. Training stopped, '
                            'because later checkpoints would be lost too. Repair the disk, or name a directory on '
                            'another disk with --workdir=<path>.') from None

  def restore(self, step: int, like: PyTree) -> PyTree:
    """Restore the state at `step`, placed like `like` (arrays, or shapes with shardings).

    Raises:
      CheckpointError: if the checkpoint cannot be read, if its contents have changed (Orbax itself accepts flipped
        bits), or if it belongs to another step because its directory was copied or renamed.
    """
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    wanted = ocp.args.Composite(state=ocp.args.StandardRestore(abstract), record=ocp.args.JsonRestore())
    name = f'checkpoint {self._root / str(step)}'
    try:
      restored = self._manager.restore(step, args=wanted)
    except MemoryError:
      raise
    except Exception as error:  # Orbax and TensorStore raise many kinds of exceptions.
      if differences := self._differences(step, like):
        raise CheckpointError(f'{name} was written by another version of the code: {differences}') from None
      raise CheckpointError(f'{name} is damaged ({_first_line(error)})') from None
    if _digest(restored.state) != restored.record['sha256']:
      raise CheckpointError(f'{name} is damaged (its contents are not those that were saved)')
    if (saved_step := _step_of(restored.state)) != step:
      raise CheckpointError(f'{name} is damaged (its state is of step {saved_step}; was the directory copied or '
                            'renamed?)')
    return restored.state

  def note(self, step: int) -> dict[str, Any] | None:
    """Return the note of the checkpoint of `step`, which must be readable; None if it has no note."""
    return self._manager.restore(step, args=ocp.args.Composite(record=ocp.args.JsonRestore())).record.get('note')

  def _differences(self, step: int, like: PyTree) -> str:
    """Name the parts that only `like` has and those that only the saved state has; '' if none, or if unreadable."""
    try:
      with ocp.StandardCheckpointer() as checkpointer:
        metadata = checkpointer.metadata(self._root / str(step) / 'state').item_metadata
      here, there = ({'.'.join(map(str, path)) for path in ocp.tree.to_flat_dict(tree)}
                     for tree in (like, metadata.tree))
    except Exception:  # Many kinds of exceptions, as in `restore`.
      return ''
    parts = (('lacks', here - there), ('has', there - here))
    return ' and '.join(f'its state {verb} {", ".join(sorted(names)[:4])}' for verb, names in parts if names)

  def restore_latest(self, like: PyTree, warn: Callable[[str], None]) -> tuple[int, PyTree] | None:
    """Restore the newest readable checkpoint; warn of newer damaged checkpoints and move them away.

    Args:
      like: a state of the same structure.
      warn: receives a message about each damaged checkpoint.

    Returns:
      (step, state), or None for a run that has saved nothing.

    Raises:
      CheckpointError: if there are checkpoints and none of them can be read.
    """
    damaged = []
    for step in reversed(self.steps()):
      try:
        state = self.restore(step, like)
      except CheckpointError as error:
        warn(str(error))
        damaged.append(step)
      else:
        self._set_aside(damaged)
        return step, state
    if damaged:
      raise CheckpointError(f'none of the checkpoints in {self._root} can be read, and nothing was changed there. '
                            'Start the run again in another --workdir.')
    return None

  def _set_aside(self, damaged: list[int]) -> None:
    """Move damaged checkpoints to `damaged_checkpoints`, so that their steps can be saved anew."""
    if self._read_only or not damaged:
      return
    self._manager.close()
    attic = self._root.parent / 'damaged_checkpoints'
    if is_writer():
      attic.mkdir(exist_ok=True)
      for step in damaged:
        if (attic / str(step)).exists():  # An earlier damaged checkpoint of the same step.
          (attic / str(step)).rmtree()
        (self._root / str(step)).rename(attic / str(step))
    if jax.process_count() > 1:
      multihost_utils.sync_global_devices('damaged checkpoints set aside')
    self._manager = self._open()

  def close(self) -> None:
    """Wait for unfinished saves.

    Raises:
      CheckpointError: if one of them cannot be written.
    """
    with self._writing():
      self._manager.wait_until_finished()
      self._manager.close()

  @contextlib.contextmanager
  def _writing(self) -> Iterator[None]:
    try:
      yield
    except (OSError, ValueError, NotImplementedError) as error:  # TensorStore raises the last two.
      raise CheckpointError(f'a checkpoint cannot be written to {self._root} ({_first_line(error)}). Earlier '
                            'checkpoints are kept, and the same command goes on from there.') from None


def _digest(state: PyTree) -> str:
  digest = hashlib.sha256()
  for leaf in jax.tree.leaves(state):
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
      leaf = jax.random.key_data(leaf)
    digest.update(np.ascontiguousarray(leaf))
  return digest.hexdigest()


def _step_of(state: PyTree) -> int:
  return int(getattr(state, 'members', state).step)  # All members of a population are at the same step.


def _first_line(error: Exception) -> str:
  text = str(error).strip() or type(error).__name__
  return text.splitlines()[0][:200]
