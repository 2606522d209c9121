"""Every test sees two CPU devices, strict promotion of ranks, and no network."""

import os
from pathlib import Path

# Before jax is imported, and inherited by the runs that tests start. Compiled programs are kept for the next process.
os.environ |= {'JAX_PLATFORMS': 'cpu', 'TF_CPP_MIN_LOG_LEVEL': '3', 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.1',
               'JAX_COMPILATION_CACHE_DIR': str(Path(__file__).parents[1] / '.pytest_cache' / 'xla')}

import jax

jax.config.update('jax_num_cpu_devices', 2)
jax.config.update('jax_numpy_rank_promotion', 'raise')
