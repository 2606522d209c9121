"""How XLA compiles the programs of tests: quickly rather than well, since most of them run for a moment."""

import contextlib
from collections.abc import Iterator

import jax

# Its older, plainer emitters take half the time, and workers share two cores, so that each program is best compiled in
# one piece. XLA refuses flags that it does not know, and these may go away.
_HAS_PLAIN = jax.__version_info__ < (0, 11)
PLAIN = '--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1' if _HAS_PLAIN else ''
# For runs in processes of their own; here, `jax_disable_most_optimizations` is the same and can be set back.
QUICK = f'{PLAIN} --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true'
# As ever, for a program that runs for long.
WELL = {'xla_backend_optimization_level': 3, 'xla_llvm_disable_expensive_passes': False} | (
    {'xla_cpu_use_fusion_emitters': True} if _HAS_PLAIN else {})


@contextlib.contextmanager
def optimised() -> Iterator[None]:
  """For what runs here for longer than it is compiled, such as the training of a classifier."""
  jax.config.update('jax_disable_most_optimizations', False)
  try:
    yield
  finally:
    jax.config.update('jax_disable_most_optimizations', True)
