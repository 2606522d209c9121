"""Settings from outside that change numbers: those that the code names itself, and the record of all others.

Variables of the environment reach JAX, XLA and the drivers below our configuration. What can be named is named by
`fix`, so that nobody can change it by accident; what cannot is part of `describe`, which a resume compares and each
score carries.
"""

import os
import re
import shlex
from pathlib import Path
from typing import Any

import jax

from gan.randomness import IMPLEMENTATION

# What random keys and dtypes mean; in JAX's own default, so that runs which were started before this go on exactly.
FIXED = {
    'jax_default_prng_impl': IMPLEMENTATION, 'jax_enable_x64': False, 'jax_numpy_dtype_promotion': 'standard',
    'jax_random_seed_offset': 0, 'jax_threefry_partitionable': True,
}
# A choice between speed and rounding, which is a person's own. A program may have made it, too.
CHOSEN = {'jax_default_matmul_precision': None, 'jax_disable_jit': False, 'jax_disable_most_optimizations': False}
# Read by XLA, CUDA, and NumPy.
FLAGS = ('XLA_FLAGS', 'LIBTPU_INIT_ARGS')
VARIABLES = ('NVIDIA_TF32_OVERRIDE', 'PJRT_NPROC', 'NPY_DISABLE_CPU_FEATURES', 'OPENBLAS_CORETYPE')
# Parts of names that only choose where to compute (recorded as the device), what to print, check and keep, and whom to
# wait for. All other flags and variables of JAX count as settings, also those that nobody here knows.
HARMLESS_FLAGS = re.compile('xla_(dump|force_host_platform_device_count|gpu_cuda_data_dir|log|vlog|hlo_profile|'
                            'gpu_kernel_cache_file|gpu_per_fusion_autotune_cache_dir|gpu_experimental_autotune_cache)')
HARMLESS = re.compile('CACHE|CHECK|COORDINATOR|DEBUG|DEVICES|DISTRIBUTED|DUMP|EXPLAIN|GUARD|LEAK|LOCAL_|LOG|NUM_|'
                      'PLATFORM|PPRINT|PROCESS|RANK_PROMOTION|SHARE_BINARY|TIMEOUT|TRACEBACK|TRACER|WARN')


def fix() -> None:
  """Sets what is FIXED; to be called by every program before it draws or compiles anything."""
  for name, value in FIXED.items():
    jax.config.update(name, value)


def describe() -> str:
  """Settings that differ from their defaults and may change numbers, in one line; '' if there are none."""
  found = {name: value for name, default in (FIXED | CHOSEN).items()
           if _plain(value := _of_jax(name)) != _plain(default)}
  found |= {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
  for name, text in os.environ.items():
    if name.startswith('JAX_') and text and not HARMLESS.search(name) and name.lower() not in FIXED | CHOSEN:
      found[name.lower()] = _of_jax(name.lower(), text)
  for name in FLAGS:
    found |= _flags(os.environ.get(name, ''))
  return ' '.join(f'{name}={_plain(value)}' for name, value in sorted(found.items()))


def _of_jax(name: str, otherwise: Any = None) -> Any:
  return getattr(jax.config, name, jax.config.values.get(name, otherwise))


def _plain(value: Any) -> str:
  return str(getattr(value, 'value', value))  # Some are enumerations.


def _flags(text: str) -> dict[str, str]:
  """{'xla_name': 'value'} of those flags that may change numbers; the last one counts, as it does for XLA."""
  if text and not text.startswith('-'):  # Then it is the name of a file of flags.
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
