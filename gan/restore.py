"""A trained run, opened again: for samples, scores and analysis."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import ml_collections

from gan import workdir
from gan.build import Build, DataInfo, build, make_initial_state
from gan.checkpoint import CheckpointError, Checkpoints
from gan.state import GanState


class Restored(NamedTuple):
  """A run at one of its checkpoints."""

  config: ml_collections.ConfigDict
  data: DataInfo
  built: Build
  step: int
  state: GanState


def checkpoint_steps(run_dir: Path, which: str | None) -> list[int | None]:
  """The steps that `--step` names: a number, 'all', or None for the newest that can be read.

  Raises:
    CheckpointError: if it is neither, or there is no checkpoint.
  """
  if which is None:
    return [None]
  steps = Checkpoints(run_dir, read_only=True).steps()
  if which == 'all' and steps:
    return steps
  if which.isdecimal():
    return [int(which)]
  raise CheckpointError(f'--step={which}: must be all or a number; {run_dir} has checkpoints of steps {steps}')


def restore(run_dir: Path, step: int | None = None, devices: Sequence[jax.Device] | None = None) -> Restored:
  """Opens a checkpoint.

  Args:
    run_dir: the run's directory.
    step: of the checkpoint; by default the newest that can be read.
    devices: on which it is placed; by default the first of this process.

  Raises:
    WorkdirError: if there is no run in the directory.
    CheckpointError: if there is no such checkpoint, or none at all.
  """
  config, data = workdir.load_config(run_dir), workdir.load_data_info(run_dir)
  config.parallel.strategy = 'jit'  # The same numbers, and nothing has to be mapped over a single device.
  built = build(config, data.columns, devices=list(devices or jax.local_devices()[:1]))
  like = make_initial_state(built, config.seed)
  checkpoints = Checkpoints(run_dir, read_only=True)
  if step is None:
    restored = checkpoints.restore_latest(like, lambda text: print(f'Warning: {text}'))
    if restored is None:
      raise CheckpointError(f'{run_dir} has no checkpoint yet; the first one comes at step train.save_every')
    return Restored(config, data, built, *restored)
  if step not in checkpoints.steps():
    raise CheckpointError(f'--step={step}: {run_dir} has checkpoints of steps {checkpoints.steps()}')
  return Restored(config, data, built, step, checkpoints.restore(step, like))
