"""The directory of a run: its name, its lock, the configuration that it belongs to, and the files that describe it."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import ml_collections

from gan import config as configs
from gan.build import DataInfo
from gan.config.complete import unflatten
from gan.data.source import Column, columns_of, fingerprint_difference
from gan.parallel import is_writer
from gan.run import environment
from gan.run.paths import open_path, safe_name, unwritable_part
from gan.show.images import write_atomic

CONFIG, ENVIRONMENT, DATA = 'config.json', 'environment.json', 'data.json'
SWEEP, LOCK = 'plan.json', '.lock'   # The first file of a sweep (experiments.run); the file locked during training.
_BACK = 'put the images back as they were, or name the folder that holds them with --config.data.path=<folder>'


class WorkdirError(ValueError):
  """A directory cannot be used by this run; the message says why and what to do."""


class Claim(NamedTuple):
  """The result of `claim`: whether the directory held this run already, and warnings about a resume."""

  resumed: bool
  warnings: list[str]


def default_workdir(config_file: str, arg: str, overrides: dict[str, Any]) -> Path:
  """Name a run: runs/<config file>[-<argument>][-<field>=<value> for each override that changes the mathematics]."""
  changes = [f'{field}={value}' for field, value in configs.mathematical_overrides(overrides).items()]
  name = '-'.join(part for part in (Path(config_file).stem, arg, *changes) if part)
  return Path('runs') / safe_name(name)


@contextlib.contextmanager
def held(workdir: Path) -> Iterator[None]:
  """Lock a directory, so that no other process of this machine trains in it and mixes its records with ours.

  Raises:
    WorkdirError: if another process trains there, or the directory cannot be used.
  """
  check_path(workdir)
  check_writable(workdir)
  if not is_writer():
    yield
    return
  lock = filelock.FileLock(workdir / LOCK)  # The lock ends with this process; forked processes do not hold it.
  try:
    lock.acquire(blocking=False)
  except filelock.Timeout:
    ways_out = 'wait until it has finished, or name another directory with --workdir=<path>'
    if isinstance(lock, filelock.SoftFileLock):  # On a system without locks a killed process leaves the lock file.
      ways_out += f'; if no process does, delete {workdir / LOCK}'
    raise WorkdirError(f'another process trains in {workdir}; {ways_out}') from None
  except PermissionError as error:
    raise WorkdirError(f'cannot lock {workdir / LOCK} ({error.strerror}); name another directory with '
                       '--workdir=<path>') from None
  except (OSError, NotImplementedError):
    pass  # A disk without locks.
  try:
    yield
  finally:
    lock.release()


def claim(workdir: Path, config: ml_collections.ConfigDict, data: DataInfo, env: dict[str, Any]) -> Claim:
  """Claim a directory for this run, or check that it belongs to this run already.

  If the same images have moved to another folder, `data.path` may differ; the new path is stored.

  Args:
    workdir: the directory; created if absent.
    config: complete configuration.
    data: description of the training data.
    env: the result of `environment.describe`.

  Raises:
    WorkdirError: if the directory belongs to another run (the message lists the differing fields), or is not writable.
  """
  check_writable(workdir)
  if (workdir / SWEEP).exists():
    raise WorkdirError(f'{workdir} holds a sweep; name another directory with --workdir=<path>')
  flat = configs.flatten(config)
  warnings = []
  resumed = (workdir / CONFIG).exists()
  if not resumed and (workdir / 'checkpoints').is_dir() and any((workdir / 'checkpoints').iterdir()):
    raise WorkdirError(f'{workdir} holds checkpoints, but no {CONFIG} that says which run they belong to; '
                       'name another directory with --workdir=<path>')
  if resumed:
    theirs = configs.flatten(load_config(workdir))
    data_changes = data_differences(load_data_info(workdir), data)
    if not data_changes:  # The images are the same, even if their folder has moved.
      theirs['data.path'] = flat['data.path']
    differing = configs.differing_fields(flat, theirs)
    if all(line.startswith('data.path:') for line in differing):
      differing += data_changes
    if differing:
      listing = '\n'.join(f'  * {line}' for line in differing)
      back = f'; or {_BACK}' if data_changes and flat['data.path'] else ''
      raise WorkdirError(f'{workdir} holds a different run:\n{listing}\nName another directory with '
                         f'--workdir=<path>, or delete the other run{back}.')
    changed = environment.differences(env, _read(workdir / ENVIRONMENT))
    if changed:
      warnings.append('resuming where the environment differs, so the result equals an uninterrupted run only to '
                      'rounding: ' + '; '.join(changed))
  if is_writer():  # The configuration is written last: a directory that has one is complete.
    _write(workdir / DATA, data._asdict())
    if not resumed:
      _write(workdir / ENVIRONMENT, env)
    _write(workdir / CONFIG, flat)
  return Claim(resumed, warnings)


def data_differences(before: DataInfo, now: DataInfo) -> list[str]:
  """List the differences between the data of a run and other data, a line each; their folder does not matter."""
  fields = [f'{field}: {getattr(before, field)} there, {getattr(now, field)} here' for field in now._fields
            if field != 'fingerprint' and getattr(before, field) != getattr(now, field)]
  return fields or list(filter(None, [fingerprint_difference(before.fingerprint, now.fingerprint)]))


def check_data(workdir: Path, data: DataInfo, path: str) -> None:
  """Check that the images in a folder are those that a run was trained on.

  Args:
    workdir: directory of the run.
    data: description of the images in the folder.
    path: the folder; '' for data without a folder, which are not compared: their name identifies them.

  Raises:
    WorkdirError: if there is no run, or it was trained on other images.
  """
  if path and (differing := data_differences(load_data_info(workdir), data)):
    listing = '\n'.join(f'  * {line}' for line in differing)
    raise WorkdirError(f'{path} does not hold the images that {workdir} was trained on:\n{listing}\nTo go on, {_BACK}.')


def check_writable(directory: Path, flag: str = '--workdir') -> None:
  """Create a directory, and check that a file can be written in it.

  Args:
    directory: the directory.
    flag: the flag that names the directory, for the message.

  Raises:
    WorkdirError: if either fails.
  """
  try:
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory):
      pass
  except OSError as error:
    raise WorkdirError(f'cannot write to {directory} ({error.strerror}); name another with {flag}=<path>') from None


def check_path(directory: str | os.PathLike, flag: str = '--workdir') -> None:
  """Check, before training, that checkpoints in a directory could be read again.

  Args:
    directory: directory of a run or a sweep, local or in a bucket; it need not exist.
    flag: the flag that names the directory, for the message.

  Raises:
    WorkdirError: if Orbax cannot use the path.
  """
  if part := unwritable_part(directory):
    raise WorkdirError(f'checkpoints in {open_path(directory)} could not be read again, because of {part} in its path; '
                       f'name another with {flag}=<path>')


def load_config(workdir: Path) -> ml_collections.ConfigDict:
  """Load the configuration of a run.

  Raises:
    WorkdirError: if there is no run, or its configuration is of another version of the code.
  """
  _require_run(workdir)
  try:
    return unflatten(_read(workdir / CONFIG))
  except configs.ConfigError as error:
    raise WorkdirError(f'{workdir / CONFIG}: {error}') from None


def _require_run(workdir: Path) -> None:
  if not (workdir / CONFIG).exists():
    runs = sorted(str(path.parent) for path in Path('runs').glob(f'*/{CONFIG}'))
    raise WorkdirError(f'no run in {workdir}' + (f'; known: {", ".join(runs)}' if runs else
                                                 '; train one first: python -m gan.main --config=configs/dcgan.py'))


def load_data_info(workdir: Path) -> DataInfo:
  """Load the description of the data that a run was trained on.

  Raises:
    WorkdirError: if there is no run.
  """
  _require_run(workdir)
  return data_info(_read(workdir / DATA), workdir / DATA)


def data_info(fields: dict[str, Any], path: Any) -> DataInfo:
  """Make a `DataInfo` from the fields of a JSON file of a run or a population.

  Raises:
    WorkdirError: if the fields are not those of a `DataInfo`; the message names the file, `path`.
  """
  try:
    if 'sample_shape' in fields:  # The run was written before data had columns.
      fields = dict(fields)
      columns = columns_of(tuple(fields.pop('sample_shape')))
    else:
      columns = {name: Column(tuple(shape), dtype, *map(tuple, shares))
                 for name, (shape, dtype, *shares) in fields['columns'].items()}
    info = DataInfo(**fields | {'columns': columns, 'class_names': tuple(fields['class_names'])})
  except (KeyError, TypeError, ValueError, AttributeError):
    raise WorkdirError(f'{path} must have the fields {", ".join(DataInfo._fields)}, with a shape and a type for each '
                       f'of the columns; it has {fields}') from None
  return info


def _read(path: Path) -> dict[str, Any]:
  try:
    content = json.loads(path.read_text(encoding='utf-8'))
    if not isinstance(content, dict):
      raise ValueError('not a JSON object')
    return content
  except (OSError, ValueError) as error:
    raise WorkdirError(f'{path} cannot be read ({error}); is {path.parent} the directory of a run?') from None


def _write(path: Path, content: dict[str, Any]) -> None:
  write_atomic(path, (json.dumps(content, indent=2) + '\n').encode())
