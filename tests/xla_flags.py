"""How XLA compiles the programs of tests: quickly rather than well, since most of them run for a moment."""

import jax

# Its older, plainer emitters take half the time. XLA refuses flags that it does not know, and this one may go away.
PLAIN = '--xla_cpu_use_fusion_emitters=false' if jax.__version_info__ < (0, 11) else ''
# For runs in processes of their own; here, `jax_disable_most_optimizations` is the same and can be set back.
QUICK = f'{PLAIN} --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true'
