"""A cache of compiled programs on disk, shared by the processes of one kind of machine.

XLA compiles for the present processor and its number of cores, so each kind of machine and each version of JAX has a
separate folder. JAX looks a program up by everything that it was compiled from, including the flags of XLA, and
verifies it by the checksum of its compression.
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
    'jax_compilation_cache_max_size': 2**29,             # Bytes: thousands of programs; the last used ones stay.
    'jax_persistent_cache_min_compile_time_secs': 0.1,   # Reading a program takes a few milliseconds.
    # XLA's additional caches for a GPU have neither a size limit nor a checksum; the programs contain their results.
    'jax_persistent_cache_enable_xla_caches': 'none',
}
WARNING = 'Error (reading|writing) persistent compilation cache'   # JAX warns like this, once for each program.
LOCK_SECONDS = 5           # Time to wait for another process that holds the lock.
PROCESSOR = ('vendor_id', 'cpu family', 'model', 'model name', 'stepping', 'flags', 'Features', 'CPU implementer',
             'CPU architecture', 'CPU variant', 'CPU part', 'CPU revision', 'isa')   # Keys of /proc/cpuinfo.


def keep_programs() -> None:
  """Turn on JAX's persistent compilation cache; call this before anything is compiled.

  GAN_COMPILATION_CACHE=off turns it off. If JAX_COMPILATION_CACHE_DIR is set, JAX's own settings are left alone. No
  device is touched. If the folder cannot be used, a warning says so, and the run goes on without the cache.
  """
  if os.environ.get(VARIABLE, '').lower() in OFF or jax.config.jax_compilation_cache_dir or not (
      jax.config.jax_enable_compilation_cache and _has_checksum()):
    return
  try:
    folder = directory()
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / '.lockfile', timeout=LOCK_SECONDS):  # The lock that JAX takes, too.
      _drop_halves(folder)
  except (OSError, RuntimeError) as error:  # Not writable, no locks, locked for too long, or no home directory.
    print(f'Warning: compiled programs are not kept ({error}); name another directory with GAN_CACHE_DIR=<path>, or '
          f'set {VARIABLE}=off.', file=sys.stderr)
    return
  jax.config.update('jax_compilation_cache_dir', str(folder))
  for name, value in LIMITS.items():
    if name.upper() not in os.environ:
      jax.config.update(name, value)
  _listen(folder)


def directory() -> Path:
  """Return the folder for this kind of machine and these versions of JAX."""
  machine = platform.machine(), _processor(), num_cores(), os.environ.get('PJRT_NPROC')
  digest = hashlib.sha256(repr(machine).encode()).hexdigest()[:12]
  return cache_dir() / 'xla' / f'jax-{jax.__version__}-jaxlib-{jaxlib.__version__}-{digest}'


def _processor() -> list[str]:
  """List model and features of the processor, as far as the system reports them."""
  try:
    lines = Path('/proc/cpuinfo').read_text(encoding='utf-8', errors='replace').splitlines()
  except OSError:
    return [platform.processor()]
  return sorted({line for line in lines if line.partition(':')[0].strip() in PROCESSOR})


def _has_checksum() -> bool:
  """Return whether JAX would notice a changed byte: it compresses with zlib, which has a checksum, and not with zstd.

  JAX writes zstd files without a checksum.
  """
  return sys.version_info < (3, 14) and importlib.util.find_spec('zstandard') is None


def _drop_halves(folder: Path) -> None:
  """Remove programs without a file of their last use: a killed process leaves them, and JAX then cannot free space."""
  names = {path.name for path in folder.iterdir()}
  for name in names:
    if name.endswith('-cache') and f'{name.removesuffix("cache")}atime' not in names:
      (folder / name).unlink(missing_ok=True)


def _listen(folder: Path) -> None:
  """Replace JAX's warning for each program by a single one, and remove damaged programs, so that they are written anew.

  Args:
    folder: the folder of the cache.
  """
  default_show, warned_actions = warnings.showwarning, set()

  def show(message: Any, *others: Any, **named: Any) -> None:
    match = re.match(f"{WARNING} entry for '(.*?)': (.*)", str(message), re.DOTALL)
    if not match:
      default_show(message, *others, **named)
      return
    action, program, problem = match.groups()
    if action == 'reading' and not problem.startswith('Timeout'):
      for path in folder.glob(f'{program}-*'):
        path.unlink(missing_ok=True)
      text = f'compiled programs in {folder} are damaged ({problem}); they are compiled anew'
    else:
      text = f'{folder}: {action} compiled programs failed ({problem}); the run goes on without them'
    if action not in warned_actions:
      warned_actions.add(action)
      print(f'Warning: {text}.', file=sys.stderr, flush=True)

  warnings.filterwarnings('always', message=WARNING)
  warnings.showwarning = show
