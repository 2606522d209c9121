"""Runs as a person starts them: `python -m gan.main` in a process of its own, and what it leaves behind."""

import multiprocessing
import os
import runpy
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from gan.run.report import read_metrics
from tests.xla_flags import QUICK

ROOT = Path(__file__).parents[1]
# Processes are forked from a server that has imported all that is slow to import, and has used nothing of it.
_SERVER = multiprocessing.get_context('forkserver')
_SERVER.set_forkserver_preload(['gan.cli', 'gan.run.train', 'gan.run.dry_run', 'gan.data.tfds', 'gan.population.run',
                               'experiments.executors', 'sklearn.datasets', 'tests.frozen'])


class Run:
  """`python -m <module> <arguments>` in the root of the repository, on CPU devices."""

  def __init__(self, module: str, *arguments: str, devices: int = 1, env: dict[str, str] | None = None):
    self._out, self._err = (Path(tempfile.mkstemp()[1]) for _ in range(2))
    env = {'XLA_FLAGS': f'{QUICK} --xla_force_host_platform_device_count={devices}'} | (env or {})
    self._process = _SERVER.Process(target=_run_module, args=(module, arguments, env, self._out, self._err))
    self._process.start()

  def alive(self) -> bool:
    """Whether it still runs."""
    return self._process.is_alive()

  def send(self, signum: int) -> None:
    """Sends a signal."""
    if self._process.is_alive():
      os.kill(self._process.pid, signum)

  def finish(self, timeout: float = 240) -> tuple[int, str, str]:
    """Waits for the end; returns exit code, stdout, stderr."""
    self._process.join(timeout)
    if self._process.is_alive():
      self._process.kill()
      raise TimeoutError(f'still running after {timeout} s: {self._err.read_text()}')
    texts = self._out.read_text(), self._err.read_text()
    self._out.unlink()
    self._err.unlink()
    return self._process.exitcode, *texts


def _run_module(module: str, arguments: tuple[str, ...], env: dict[str, str], out: Path, err: Path) -> None:
  os.chdir(ROOT)
  os.environ.update(env)
  for path, descriptor in ((out, 1), (err, 2)):
    os.dup2(os.open(path, os.O_WRONLY), descriptor)
  sys.argv = [module, *arguments]
  runpy.run_module(module, run_name='__main__', alter_sys=True)


def run(module: str, *arguments: str, **options) -> tuple[int, str, str]:
  """Runs a module to its end; returns exit code, stdout, stderr."""
  return Run(module, *arguments, **options).finish()


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
