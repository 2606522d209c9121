"""Compiled programs are kept for the next process: where, how many, and what happens if a kept one is damaged.

XLA compiles for the processor that it runs on and splits work by its cores, so each kind of machine and each version
of JAX has a folder of its own. JAX finds a program by all that went into it, flags of XLA among them, and checks what
it reads by the checksum of its compression.
"""

import hashlib
import importlib.util
import os
import platform
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import filelock
import jax
import jaxlib

from gan.cache import cache_dir
from gan.run.environment import num_cores

VARIABLE, OFF = 'GAN_COMPILATION_CACHE', ('off', 'false', 'no', '0')
LIMITS = {
    'jax_compilation_cache_max_size': 2**29,             # Bytes, thousands of programs; those used last stay.
    'jax_persistent_cache_min_compile_time_secs': 0.1,   # Reading one costs some milliseconds.
    # What XLA would keep beside the programs on a GPU has neither bound nor checksum; programs hold its choices.
    'jax_persistent_cache_enable_xla_caches': 'none',
}
WARNING = 'Error (reading|writing) persistent compilation cache'   # Of JAX, for each program.
LOCK_SECONDS = 5           # To be waited for another process, once.
PROCESSOR = ('vendor_id', 'cpu family', 'model', 'model name', 'stepping', 'flags', 'Features', 'CPU implementer',
             'CPU architecture', 'CPU variant', 'CPU part', 'CPU revision', 'isa')   # What /proc/cpuinfo calls it.


def keep_programs() -> None:
  """Turns on JAX's persistent compilation cache; to be called before anything is compiled.

  GAN_COMPILATION_CACHE=off leaves it out, and where JAX_COMPILATION_CACHE_DIR is set, it stays as a person has set it.
  No device is touched. A folder that cannot be used is told in a sentence, and the run goes on without.
  """
  if os.environ.get(VARIABLE, '').lower() in OFF or jax.config.jax_compilation_cache_dir or not (
      jax.config.jax_enable_compilation_cache and _has_checksum()):
    return
  try:
    folder = directory()
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / '.lockfile', timeout=LOCK_SECONDS):  # The lock that JAX takes, too.
      _drop_halves(folder)
  except (OSError, RuntimeError) as error:  # Not writable, no locks, locked for long, no home.
    print(f'Warning: compiled programs are not kept ({error}); name another directory with GAN_CACHE_DIR=<path>, or '
          f'set {VARIABLE}=off.', file=sys.stderr)
    return
  jax.config.update('jax_compilation_cache_dir', str(folder))
  for name, value in LIMITS.items():
    if name.upper() not in os.environ:
      jax.config.update(name, value)
  _listen(folder)


def directory() -> Path:
  """The folder of this kind of machine and these versions."""
  machine = platform.machine(), _processor(), num_cores(), os.environ.get('PJRT_NPROC')
  digest = hashlib.sha256(repr(machine).encode()).hexdigest()[:12]
  return cache_dir() / 'xla' / f'jax-{jax.__version__}-jaxlib-{jaxlib.__version__}-{digest}'


def _processor() -> list[str]:
  """Model and features of the processor, as far as the system tells."""
  try:
    lines = Path('/proc/cpuinfo').read_text(encoding='utf-8', errors='replace').splitlines()
  except OSError:
    return [platform.processor()]
  return sorted({line for line in lines if line.partition(':')[0].strip() in PROCESSOR})


def _has_checksum() -> bool:
  """Whether a changed byte of a kept program is noticed: zlib has a checksum, zstd, as JAX calls it, has none."""
  return sys.version_info < (3, 14) and importlib.util.find_spec('zstandard') is None


def _drop_halves(folder: Path) -> None:
  """Removes programs whose time of use is missing: their process was killed, and JAX could not make room any more."""
  names = {path.name for path in folder.iterdir()}
  for name in names:
    if name.endswith('-cache') and f'{name.removesuffix("cache")}atime' not in names:
      (folder / name).unlink(missing_ok=True)


def _listen(folder: Path) -> None:
  """Says in one sentence what JAX warns of program by program, and removes what is damaged, so that it is kept anew."""
  usual, told = warnings.showwarning, set()

  def show(message: Any, *others: Any, **named: Any) -> None:
    found = re.match(f"{WARNING} entry for '(.*?)': (.*)", str(message), re.DOTALL)
    if not found:
      usual(message, *others, **named)
      return
    action, program, problem = found.groups()
    if action == 'reading' and not problem.startswith('Timeout'):
      for path in folder.glob(f'{program}-*'):
        path.unlink(missing_ok=True)
      text = f'compiled programs in {folder} are damaged ({problem}); they are compiled anew'
    else:
      text = f'{folder}: {action} compiled programs failed ({problem}); the run goes on without'
    if action not in told:
      told.add(action)
      print(f'Warning: {text}.', file=sys.stderr, flush=True)

  warnings.filterwarnings('always', message=WARNING)
  warnings.showwarning = show
