"""The directory of a run: its name, its claim to one configuration, and the small files that describe it."""

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections

from gan import config as configs
from gan import environment
from gan.build import DataInfo
from gan.images import write_atomic
from gan.parallel import is_writer
from gan.paths import open_path, safe_name, unwritable_part

CONFIG, ENVIRONMENT, DATA = 'config.json', 'environment.json', 'data.json'
SWEEP, LOCK = 'plan.json', '.lock'   # What experiments.run writes first; what a process holds while it trains here.


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
  with open(workdir / LOCK, 'w', encoding='utf-8') as file:
    try:
      fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # Of this process, not of those it forks: it ends with it.
    except BlockingIOError:
      raise WorkdirError(f'another process trains in {workdir}; wait until it has finished, or name another directory '
                         'with --workdir=<path>') from None
    except OSError:
      pass  # A disk without locks.
    yield


def claim(workdir: Path, config: ml_collections.ConfigDict, data: DataInfo, env: dict[str, Any]) -> Claim:
  """Makes a directory the home of this run, or finds that it is.

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
    theirs = configs.flatten(configs.base_config()) | _read(workdir / CONFIG)  # Of a run older than some fields.
    differing = configs.differing_fields(flat, theirs)
    before = load_data_info(workdir)
    if not differing and before != data:
      differing = [f'{field}: {getattr(before, field)} there, {getattr(data, field)} here' for field in data._fields
                   if getattr(before, field) != getattr(data, field)]
    if differing:
      listing = '\n'.join(f'  * {line}' for line in differing)
      raise WorkdirError(f'{workdir} holds a different run:\n{listing}\nGive this one a directory of its own with '
                         '--workdir=<path>, or delete that one.')
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
    WorkdirError: if there is no run.
  """
  _require_run(workdir)
  return configs.unflatten(_read(workdir / CONFIG))


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
  fields = _read(workdir / DATA)
  if set(fields) != set(DataInfo._fields):
    raise WorkdirError(f'{workdir / DATA} must have the fields {", ".join(DataInfo._fields)}; it has {sorted(fields)}')
  if any(not isinstance(fields[key], list) for key in ('sample_shape', 'class_names')):
    raise WorkdirError(f'{workdir / DATA} must have lists as sample_shape and class_names')
  return DataInfo(**fields | {key: tuple(fields[key]) for key in ('sample_shape', 'class_names')})


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
