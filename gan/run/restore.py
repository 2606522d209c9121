"""Restoring a trained run for samples, scores and analysis."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import ml_collections

from gan.build import Build, DataInfo, build, make_initial_state
from gan.run import workdir
from gan.run.checkpoint import CheckpointError, Checkpoints
from gan.state import GanState


class Restored(NamedTuple):
  """A run at one of its checkpoints."""

  config: ml_collections.ConfigDict
  data: DataInfo
  built: Build
  step: int
  state: GanState


def checkpoint_steps(run_dir: Path, which: str | None) -> list[int | None]:
  """List the steps that `--step` selects: a number, 'all', or None for the newest readable checkpoint.

  Raises:
    CheckpointError: if `which` is none of these, or is 'all' and there is no checkpoint.
  """
  if which is None:
    return [None]
  steps = Checkpoints(run_dir, read_only=True).steps()
  if which == 'all' and steps:
    return steps
  if which.isdecimal():
    return [int(which)]
  raise CheckpointError(f'--step={which} must be all or a number; {run_dir} has checkpoints of steps {steps}')


def restore(run_dir: Path, step: int | None = None, devices: Sequence[jax.Device] | None = None) -> Restored:
  """Restore a run from one of its checkpoints.

  Args:
    run_dir: directory of the run.
    step: step of the checkpoint; by default that of the newest readable one.
    devices: devices on which the state is placed; by default the first of this process.

  Raises:
    WorkdirError: if there is no run in the directory.
    CheckpointError: if there is no checkpoint, or none of this step.
  """
  config, data = workdir.load_config(run_dir), workdir.load_data_info(run_dir)
  config.parallel.strategy = 'jit'  # The numbers are the same to rounding, and no mapping over devices is needed.
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
