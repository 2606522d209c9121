"""Executors, which train the populations of a plan: one after another on this machine, or as tasks of a Ray cluster.

All files of a population are in its directory, so an executor only decides where and when it is trained. A population
that was interrupted is started again and continues from its checkpoint.
"""

import dataclasses
import os
import signal
from collections.abc import Callable

import jax

from experiments.plan import Plan, load_plan
from experiments.sweep import SweepError
from gan.population.run import is_finished, run
from gan.run import compilation, environment, settings
from gan.run.paths import open_path

RETRIES = 20          # Retries of a task whose worker was lost; each continues from the last checkpoint.
NOT_SHIPPED = ['.git', '.venv', 'runs', '.pytest_cache', '**/__pycache__']   # Not copied to remote workers.


@dataclasses.dataclass(frozen=True)
class Needs:
  """Resources that one population needs in a cluster.

  Attributes:
    cpus: number of cores.
    gpus: number of GPUs.
    tpus: number of TPU chips.
    devices_per_member: devices that share the batch of each member.
    deterministic: whether to use bit-reproducible operations on a GPU.
  """

  cpus: float = 1
  gpus: float = 0
  tpus: float = 0
  devices_per_member: int = 1
  deterministic: bool = False


def population_dir(workdir: str, name: str) -> str:
  """Return the directory of a population."""
  return str(open_path(workdir) / 'populations' / name)


def train_population(workdir: str, name: str, argv: list[str], devices_per_member: int,
                     say: Callable[[str], None] = print) -> int:
  """Train one population of the plan in `workdir` on all devices of this process; return its exit code."""
  plan = load_plan(workdir)
  group = next(group for group in plan.groups if group.name == name)
  root = population_dir(workdir, name)
  if is_finished(root):
    return 0
  return run(group.ids, plan.configs(group), root, argv, devices_per_member=devices_per_member, say=say)


def use_cores(cores: int) -> None:
  """Make each core of a CPU a device; call this before JAX is first used.

  Members share nothing, so cores that train different members wait less for each other than cores that share every
  matrix product. If XLA_FLAGS sets the number of devices, nothing changes.
  """
  if 'xla_force_host_platform_device_count' not in os.environ.get('XLA_FLAGS', '') and (
      jax.config.jax_num_cpu_devices != cores):  # In the second task of a Ray worker the number is already set.
    jax.config.update('jax_num_cpu_devices', cores)


def run_local(plan: Plan, workdir: str, argv: list[str], devices_per_member: int = 1) -> int:
  """Train the populations one after another; the members of each share the devices.

  Returns:
    0, or the exit code of the population that a signal ended.
  """
  for number, group in enumerate(plan.groups, start=1):
    print(f'Population {number} of {len(plan.groups)}: {len(group.ids)} run(s)', flush=True)
    code = train_population(workdir, group.name, argv, devices_per_member, lambda text: print(text, flush=True))
    if code:
      return code
  return 0


def run_ray(plan: Plan, workdir: str, argv: list[str], address: str | None, needs: Needs) -> int:
  """Train each population as a Ray task, with its results in the shared `workdir`.

  Args:
    plan: the plan, saved in `workdir`.
    workdir: a directory that every machine sees, on a shared disk or in a bucket.
    argv: the command, for the record.
    address: address of the cluster; 'auto' means the cluster of this machine; None starts a new cluster here.
    needs: resources of each task.

  Returns:
    0, or 1 if a population could not be trained.

  Raises:
    SweepError: if Ray is not installed.
  """
  try:
    import ray  # Optional, and slow to import.
  except ImportError as error:
    raise SweepError(f"--executor=ray: {error}; pip install -e '.[ray]'") from None
  if not ray.is_initialized():
    commit = environment.describe([])['git_commit']
    shipped = {'working_dir': '.', 'excludes': NOT_SHIPPED, 'env_vars': {environment.SHIPPED_COMMIT: commit}}
    ray.init(address=address, runtime_env=shipped if address else None, log_to_driver=False)
  resources = {'TPU': needs.tpus} if needs.tpus else None
  train = ray.remote(num_cpus=needs.cpus, num_gpus=needs.gpus, resources=resources, max_retries=RETRIES)(_task)
  waiting = {train.remote(workdir, group.name, argv, needs): group for group in plan.groups}
  failed = False
  while waiting:
    [done], _ = ray.wait(list(waiting), num_returns=1)
    group = waiting.pop(done)
    left = f'{len(waiting)} of {len(plan.groups)} populations left'
    try:
      code = ray.get(done)
    except ray.exceptions.RayError as error:
      failed, code = True, str(error).strip().splitlines()[-1]
    print(f'Population {group.name}: {"done" if code == 0 else f"failed ({code})"}; {left}', flush=True)
    failed |= code != 0
  return int(failed)


def _task(workdir: str, name: str, argv: list[str], needs: Needs) -> int:
  """Train a population in a worker. A worker that is told to end saves its task, and Ray retries the task."""
  settings.fix()
  compilation.keep_programs()
  if needs.deterministic:
    environment.ask_for_determinism()
  use_cores(max(int(needs.cpus), 1))
  code = train_population(workdir, name, argv, needs.devices_per_member)
  if code == 128 + signal.SIGTERM:
    raise SystemExit(code)
  return code
