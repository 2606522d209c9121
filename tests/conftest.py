"""Every test sees two CPU devices, strict promotion of ranks, and no network."""

import gc
import os
from pathlib import Path

# Before jax is imported, and inherited by the runs that tests start. That compiled programs know the lines of code they
# come from took a 20th of the time.
os.environ |= {'JAX_PLATFORMS': 'cpu', 'TF_CPP_MIN_LOG_LEVEL': '3', 'JAX_TRACEBACK_IN_LOCATIONS_LIMIT': '0',
               'GAN_CACHE_DIR': str(Path(__file__).parents[1] / '.pytest_cache' / 'gan')}

import jax

from gan.run.compilation import keep_programs
from tests.xla_flags import PLAIN

os.environ['XLA_FLAGS'] = PLAIN
jax.config.update('jax_num_cpu_devices', 2)
jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_disable_most_optimizations', True)
keep_programs()

gc.set_threshold(100_000, 20, 20)  # Tracing makes many objects and hardly a cycle; looking for them took a 20th.

# The longest files first, so that all workers end together; within a file the order stays.
LONGEST = ('test_resume', 'test_run', 'test_ray', 'test_multihost', 'test_compiled', 'test_dirac', 'test_mixing',
           'test_parallel', 'test_main', 'test_step', 'test_evaluate', 'test_classifier')


def pytest_collection_modifyitems(items):
  items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))
