"""The directory of a run: its name, its claim to one configuration, and the small files that describe it."""

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
SWEEP, LOCK = 'plan.json', '.lock'   # What experiments.run writes first; what a process holds while it trains here.
_BACK = 'put the images back as they were, or name the folder that holds them with --config.data.path=<folder>'


class WorkdirError(ValueError):
  """A directory that this run cannot use; the message says why and what to do."""


class Claim(NamedTuple):
  """Whether the directory held this run already, and what a person should know about going on."""

  resumed: bool
  warnings: list[str]


def default_workdir(config_file: str, arg: str, overrides: dict[str, Any]) -> Path:
  """runs/<config file>[-<argument>][-<field>=<value> for each override that changes the mathematics]."""
  changes = [f'{field}={value}' for field, value in configs.mathematical_overrides(overrides).items()]
  name = '-'.join(part for part in (Path(config_file).stem, arg, *changes) if part)
  return Path('runs') / safe_name(name)


@contextlib.contextmanager
def held(workdir: Path) -> Iterator[None]:
  """Keeps other processes of this machine from training here too: two would mix their records.

  Raises:
    WorkdirError: if one does already, or the directory cannot be used.
  """
  check_path(workdir)
  check_writable(workdir)
  if not is_writer():
    yield
    return
  lock = filelock.FileLock(workdir / LOCK)  # The lock ends with this process; processes that it forks do not hold it.
  try:
    lock.acquire(blocking=False)
  except filelock.Timeout:
    ways_out = 'wait until it has finished, or name another directory with --workdir=<path>'
    if isinstance(lock, filelock.SoftFileLock):  # A system without locks: the file is the lock, and may be a left-over.
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
  """Makes a directory the home of this run, or finds that it is.

  Images that have moved are the same images: then `data.path` may differ, and is written anew.

  Args:
    workdir: created if absent.
    config: resolved configuration.
    data: what it is trained on.
    env: made by `environment.describe`.

  Raises:
    WorkdirError: if it belongs to another run (with the fields that differ), or cannot be written.
  """
  check_writable(workdir)
  if (workdir / SWEEP).exists():
    raise WorkdirError(f'{workdir} holds a sweep; name another directory with --workdir=<path>')
  flat = configs.flatten(config)
  warnings = []
  resumed = (workdir / CONFIG).exists()
  if not resumed and (workdir / 'checkpoints').is_dir() and any((workdir / 'checkpoints').iterdir()):
    raise WorkdirError(f'{workdir} holds checkpoints, and no {CONFIG} says of which run; '
                       'name another directory with --workdir=<path>')
  if resumed:
    theirs = configs.flatten(load_config(workdir))
    data_changes = data_differences(load_data_info(workdir), data)
    if not data_changes:  # The same images, wherever they lie now.
      theirs['data.path'] = flat['data.path']
    differing = configs.differing_fields(flat, theirs)
    if all(line.startswith('data.path:') for line in differing):
      differing += data_changes
    if differing:
      listing = '\n'.join(f'  * {line}' for line in differing)
      back = f'; or {_BACK}' if data_changes and flat['data.path'] else ''
      raise WorkdirError(f'{workdir} holds a different run:\n{listing}\nGive this one a directory of its own with '
                         f'--workdir=<path>, or delete that one{back}.')
    changed = environment.differences(env, _read(workdir / ENVIRONMENT))
    if changed:
      warnings.append('resuming where the environment differs, so the result equals an uninterrupted run only to '
                      'rounding: ' + '; '.join(changed))
  if is_writer():  # The data first and the configuration last: a directory with a configuration is complete.
    _write(workdir / DATA, data._asdict())
    if not resumed:
      _write(workdir / ENVIRONMENT, env)
    _write(workdir / CONFIG, flat)
  return Claim(resumed, warnings)


def data_differences(before: DataInfo, now: DataInfo) -> list[str]:
  """How data differ from those that a run was trained on, a line each; where they lie does not matter."""
  fields = [f'{field}: {getattr(before, field)} there, {getattr(now, field)} here' for field in now._fields
            if field != 'fingerprint' and getattr(before, field) != getattr(now, field)]
  return fields or list(filter(None, [fingerprint_difference(before.fingerprint, now.fingerprint)]))


def check_data(workdir: Path, data: DataInfo, path: str) -> None:
  """Refuses to look at a run with other images than it was trained on.

  Args:
    workdir: of the run.
    data: what lies in the folder.
    path: the folder; '' for data that have none, which are not compared: their name says which they are.

  Raises:
    WorkdirError: if there is no run, or its images were others.
  """
  if path and (differing := data_differences(load_data_info(workdir), data)):
    listing = '\n'.join(f'  * {line}' for line in differing)
    raise WorkdirError(f'{path} does not hold the images that {workdir} was trained on:\n{listing}\nTo go on, {_BACK}.')


def check_writable(directory: Path, flag: str = '--workdir') -> None:
  """Creates a directory and a file in it.

  Args:
    directory: of the run, or another one.
    flag: by which a person names another.

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
  """Refuses, before anything is trained, a directory whose checkpoints would be lost.

  Args:
    directory: of a run or a sweep, local or in a bucket; it need not exist.
    flag: by which a person names another.

  Raises:
    WorkdirError: if Orbax cannot use its path.
  """
  if part := unwritable_part(directory):
    raise WorkdirError(f'checkpoints in {open_path(directory)} could not be read again, because of {part} in its path; '
                       f'name another with {flag}=<path>')


def load_config(workdir: Path) -> ml_collections.ConfigDict:
  """The configuration that a run was started with.

  Raises:
    WorkdirError: if there is no run, or another version of the code has written it.
  """
  _require_run(workdir)
  try:
    return unflatten(_read(workdir / CONFIG))
  except configs.ConfigError as error:
    raise WorkdirError(f'{workdir / CONFIG}: {error}') from None


def _require_run(workdir: Path) -> None:
  if not (workdir / CONFIG).exists():
    known = sorted(str(path.parent) for path in Path('runs').glob(f'*/{CONFIG}'))
    raise WorkdirError(f'no run in {workdir}' + (f'; known: {", ".join(known)}' if known else
                                                 '; train one first: python -m gan.main --config=configs/dcgan.py'))


def load_data_info(workdir: Path) -> DataInfo:
  """What a run was trained on.

  Raises:
    WorkdirError: if there is no run.
  """
  _require_run(workdir)
  return data_info(_read(workdir / DATA), workdir / DATA)


def data_info(fields: dict[str, Any], path: Any) -> DataInfo:
  """What a file says of the data of a run, or of a population.

  Raises:
    WorkdirError: if it is no such file; `path` is its name.
  """
  try:
    if 'sample_shape' in fields:  # The run was written before data had columns.
      fields = dict(fields)
      columns = columns_of(tuple(fields.pop('sample_shape')))
    else:
      columns = {name: Column(tuple(shape), dtype) for name, (shape, dtype) in fields['columns'].items()}
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
