"""Runs as a person starts them: `python -m gan.main` in a process of its own, and what it leaves behind."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from gan.report import read_metrics

ROOT = Path(__file__).parents[1]


def environment(devices: int) -> dict[str, str]:
  """Variables of a process with that many CPU devices; compiled programs are shared between the processes of a test."""
  return os.environ | {'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': f'--xla_force_host_platform_device_count={devices}',
                       'JAX_COMPILATION_CACHE_DIR': str(ROOT / '.pytest_cache' / 'xla'),
                       'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.2', 'TF_CPP_MIN_LOG_LEVEL': '3'}


def start(module: str, *arguments: str, devices: int = 1, env: dict[str, str] | None = None) -> subprocess.Popen:
  """Starts `python -m <module> <arguments>` in the root of the repository, on CPU devices."""
  return subprocess.Popen([sys.executable, '-m', module, *arguments], cwd=ROOT, env=environment(devices) | (env or {}),
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen, timeout: float = 240) -> tuple[int, str, str]:
  """Waits for a process; returns exit code, stdout, stderr."""
  out, err = process.communicate(timeout=timeout)
  return process.returncode, out, err


def run(module: str, *arguments: str, **options) -> tuple[int, str, str]:
  """Starts a process and waits for it."""
  return finish(start(module, *arguments, **options))


def rows_without_clock(workdir: Path) -> list[dict[str, float]]:
  """metrics.jsonl without all that depends on the clock."""
  return [{name: value for name, value in row.items() if not name.startswith('time/')}
          for row in read_metrics(workdir / 'metrics.jsonl')]


def saved_arrays(workdir: Path, step: int) -> dict[str, np.ndarray]:
  """Every array of a checkpoint, by path, as the bytes that were saved."""
  with ocp.StandardCheckpointer() as checkpointer:
    tree = checkpointer.restore(workdir.absolute() / 'checkpoints' / str(step) / 'state')
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {jax.tree_util.keystr(path): np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
          for path, leaf in leaves}


def _is_key(leaf) -> bool:
  return hasattr(leaf, 'dtype') and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
