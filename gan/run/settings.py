"""Settings of JAX, XLA and drivers that change numbers: some are fixed by the code, all others are recorded.

Environment variables can change them without our configuration. `fix` sets those that the code can set, so that nobody
changes them by accident. `describe` records the others; a resume compares this record, and each score contains it.
"""

import os
import re
import shlex
from pathlib import Path
from typing import Any

import jax

from gan.randomness import IMPLEMENTATION

# The meaning of random keys and dtypes. The values are JAX's defaults, so that older runs resume exactly.
FIXED = {
    'jax_default_prng_impl': IMPLEMENTATION, 'jax_enable_x64': False, 'jax_numpy_dtype_promotion': 'standard',
    'jax_random_seed_offset': 0, 'jax_threefry_partitionable': True,
}
# Choices between speed and precision, which the user or the calling program makes.
CHOSEN = {'jax_default_matmul_precision': None, 'jax_disable_jit': False, 'jax_disable_most_optimizations': False}
# Variables of XLA, CUDA and NumPy.
FLAGS = ('XLA_FLAGS', 'LIBTPU_INIT_ARGS')
VARIABLES = ('NVIDIA_TF32_OVERRIDE', 'PJRT_NPROC', 'NPY_DISABLE_CPU_FEATURES', 'OPENBLAS_CORETYPE')
# Names of flags and variables that change no numbers: they choose devices (recorded elsewhere), output, checks, caches
# and timeouts. All other flags and variables of JAX count as settings, including unknown ones.
HARMLESS_FLAGS = re.compile('xla_(dump|force_host_platform_device_count|gpu_cuda_data_dir|log|vlog|hlo_profile|'
                            'gpu_kernel_cache_file|gpu_per_fusion_autotune_cache_dir|gpu_experimental_autotune_cache)')
HARMLESS = re.compile('CACHE|CHECK|COORDINATOR|DEBUG|DEVICES|DISTRIBUTED|DUMP|EXPLAIN|GUARD|LEAK|LOCAL_|LOG|NUM_|'
                      'PLATFORM|PPRINT|PROCESS|RANK_PROMOTION|SHARE_BINARY|TIMEOUT|TRACEBACK|TRACER|WARN')


def fix() -> None:
  """Set the FIXED settings; every program calls this before it draws or compiles anything."""
  for name, value in FIXED.items():
    jax.config.update(name, value)


def describe() -> str:
  """List the settings that differ from their defaults and may change numbers, in one line; '' if there are none."""
  changed = {name: value for name, default in (FIXED | CHOSEN).items()
             if _plain(value := _jax_value(name)) != _plain(default)}
  changed |= {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
  for name, text in os.environ.items():
    if name.startswith('JAX_') and text and not HARMLESS.search(name) and name.lower() not in FIXED | CHOSEN:
      changed[name.lower()] = _jax_value(name.lower(), text)
  for name in FLAGS:
    changed |= _flags(os.environ.get(name, ''))
  return ' '.join(f'{name}={_plain(value)}' for name, value in sorted(changed.items()))


def _jax_value(name: str, default: Any = None) -> Any:
  return getattr(jax.config, name, jax.config.values.get(name, default))


def _plain(value: Any) -> str:
  return str(getattr(value, 'value', value))  # Some values are enumerations.


def _flags(text: str) -> dict[str, str]:
  """Parse the flags that may change numbers, {'xla_name': 'value'}; of equal flags the last counts, as in XLA."""
  if text and not text.startswith('-'):  # The text is then the name of a file of flags.
    try:
      text = Path(text).read_text(encoding='utf-8')
    except (OSError, UnicodeError):
      return {'xla_flags': text}
  try:
    words = shlex.split(text)
  except ValueError:
    words = text.split()
  pairs = (word.lstrip('-').partition('=') for word in words)
  return {name: value or 'true' for name, _, value in pairs if not HARMLESS_FLAGS.match(name)}
