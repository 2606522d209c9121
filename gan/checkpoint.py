"""Checkpoints of a run: asynchronous saves, exact restores, damaged ones passed over. Around Orbax."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from gan.parallel import is_writer
from gan.paths import open_path
from gan.state import PyTree


class CheckpointError(RuntimeError):
  """A checkpoint cannot be read, where one has to be, or cannot be written."""


class Checkpoints:
  """The checkpoints of one run directory."""

  def __init__(self, workdir: str | os.PathLike, keep: int = 3, *, read_only: bool = False):
    """Opens `<workdir>/checkpoints`.

    Args:
      workdir: the run's directory.
      keep: newest checkpoints kept.
      read_only: whether nothing is ever written or set aside.

    Raises:
      CheckpointError: if a file is in the way.
    """
    self._root, self._read_only = open_path(workdir) / 'checkpoints', read_only
    if self._root.exists() and not self._root.is_dir():
      raise CheckpointError(f'{self._root} is a file, where checkpoints should lie; move it away')
    self._options = ocp.CheckpointManagerOptions(max_to_keep=None if read_only else keep, read_only=read_only,
                                                 create=not read_only, enable_async_checkpointing=not read_only)
    self._manager = self._open()

  def _open(self) -> ocp.CheckpointManager:
    return ocp.CheckpointManager(self._root, options=self._options)

  def steps(self) -> list[int]:
    """Steps that can be restored, oldest first."""
    return sorted(self._manager.all_steps()) if self._root.is_dir() else []

  def save(self, step: int, state: PyTree) -> None:
    """Saves in the background; the buffers of `state` may be donated as soon as this returns.

    Raises:
      CheckpointError: if this one, or the one before, cannot be written.
    """
    with self._writing():
      self._manager.check_for_errors()
      if step not in self._manager.all_steps():
        record = ocp.args.JsonSave({'sha256': _digest(state)})
        self._manager.save(step, args=ocp.args.Composite(state=ocp.args.StandardSave(state), record=record))

  def restore(self, step: int, like: PyTree) -> PyTree:
    """The state at `step`, placed as `like` (arrays or shapes with shardings) says.

    Raises:
      CheckpointError: if it cannot be read, or is not the state that was saved: Orbax itself accepts flipped bits.
    """
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    wanted = ocp.args.Composite(state=ocp.args.StandardRestore(abstract), record=ocp.args.JsonRestore())
    name = f'checkpoint {self._root / str(step)}'
    try:
      restored = self._manager.restore(step, args=wanted)
    except MemoryError:
      raise
    except Exception as error:  # Orbax and TensorStore raise many kinds.
      if differences := self._differences(step, like):
        raise CheckpointError(f'{name} was written by another version of the code: {differences}') from None
      raise CheckpointError(f'{name} is damaged ({_first_line(error)})') from None
    if _digest(restored.state) != restored.record['sha256']:
      raise CheckpointError(f'{name} is damaged (its contents are not those that were saved)')
    return restored.state

  def _differences(self, step: int, like: PyTree) -> str:
    """Says which parts of `like` a saved state lacks or has besides; '' if none, or if that cannot be read."""
    try:
      with ocp.StandardCheckpointer() as checkpointer:
        metadata = checkpointer.metadata(self._root / str(step) / 'state').item_metadata
      here, there = ({'.'.join(map(str, path)) for path in ocp.tree.to_flat_dict(tree)}
                     for tree in (like, metadata.tree))
    except Exception:  # As many kinds.
      return ''
    found = (('lacks', here - there), ('has', there - here))
    return ' and '.join(f'its state {verb} {", ".join(sorted(names)[:4])}' for verb, names in found if names)

  def restore_latest(self, like: PyTree, warn: Callable[[str], None]) -> tuple[int, PyTree] | None:
    """The newest checkpoint that can be read; damaged ones are named, and set aside.

    Args:
      like: a state of the same structure.
      warn: told of each damaged checkpoint.

    Returns:
      (step, state), or None for a run that has saved nothing.

    Raises:
      CheckpointError: if there are checkpoints, and none can be read.
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
    """Moves damaged checkpoints away, so that their steps can be saved anew; nothing is deleted."""
    if self._read_only or not damaged:
      return
    self._manager.close()
    attic = self._root.parent / 'damaged_checkpoints'
    if is_writer():
      attic.mkdir(exist_ok=True)
      for step in damaged:
        if (attic / str(step)).exists():  # An earlier one of the same step.
          (attic / str(step)).rmtree()
        (self._root / str(step)).rename(attic / str(step))
    if jax.process_count() > 1:
      multihost_utils.sync_global_devices('damaged checkpoints set aside')
    self._manager = self._open()

  def close(self) -> None:
    """Waits for saves under way.

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
    except OSError as error:
      raise CheckpointError(f'a checkpoint cannot be written to {self._root} ({_first_line(error)}). What was saved '
                            'before is kept, and the same command goes on from there.') from None


def _digest(state: PyTree) -> str:
  digest = hashlib.sha256()
  for leaf in jax.tree.leaves(state):
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
      leaf = jax.random.key_data(leaf)
    digest.update(np.ascontiguousarray(leaf))
  return digest.hexdigest()


def _first_line(error: Exception) -> str:
  text = str(error).strip() or type(error).__name__
  return text.splitlines()[0][:200]
