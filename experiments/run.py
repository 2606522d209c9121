r"""Train a sweep, or resume it; runs with the same program are trained together as one population.

  python -m experiments.run --sweep=experiments/saturating_vs_nonsaturating.py --workdir=runs/sat_vs_ns
  python -m experiments.run --sweep=... --dry_run                     # runs, populations, estimated cost
  python -m experiments.run --sweep=... --executor=ray --address=auto # on a cluster, see experiments/clusters
"""

import contextlib
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
from absl import flags

from experiments import executors, results
from experiments.plan import Plan, check_home, check_same, load_plan, make_plan, save_plan
from experiments.sweep import load_sweep
from gan import cli
from gan.run import environment
from gan.run.paths import safe_name
from gan.run.workdir import held

SWEEP = flags.DEFINE_string('sweep', None, 'Python file with CONFIG and sweep(), file.py[:argument].', required=True)
WORKDIR = flags.DEFINE_string('workdir', None, 'Directory of the sweep, local or gs://; runs/<name> by default.')
DRY_RUN = flags.DEFINE_bool('dry_run', False, 'Show runs, populations and estimated cost, and exit.')
EXECUTOR = flags.DEFINE_enum('executor', 'local', ('local', 'ray'), 'Where populations are trained.')
DETERMINISTIC = flags.DEFINE_bool('deterministic', False, 'Bit-reproducible operations on a GPU, at some cost.')
ADDRESS = flags.DEFINE_string('address', None, 'Address of a Ray cluster: auto, or host:port; without this flag a '
                              'cluster of this machine is started.')
DEVICES = flags.DEFINE_integer('devices_per_member', 1, 'Devices that share the batch of each member.', lower_bound=1)
CPUS = flags.DEFINE_float('cpus', 1, 'ray: cores for each population.')
GPUS = flags.DEFINE_float('gpus', 0, 'ray: GPUs for each population.')
TPUS = flags.DEFINE_float('tpus', 0, 'ray: TPU chips for each population.')
for _flag in (CPUS, GPUS, TPUS):
  flags.register_validator(_flag, lambda number: 0 <= number < math.inf, 'must be a finite number, 0 or more')
# Speed of training over speed of a large matrix product, measured with the sweeps of this repository on CPU cores.
EFFICIENCY = 0.33


def main(argv: list[str]) -> int:
  """Plan, train and write the table; return the exit code."""
  del argv  # The flags are parsed already.
  if DETERMINISTIC.value:
    environment.ask_for_determinism()
  if EXECUTOR.value == 'local':
    executors.use_cores(environment.num_cores())
  sweep = load_sweep(SWEEP.value)
  workdir = WORKDIR.value or str(Path('runs') / safe_name(sweep.name))
  check_home(workdir)
  plan = load_plan(workdir)
  if plan:
    check_same(plan, sweep, workdir)
  plan = plan or make_plan(SWEEP.value, sweep, jax.local_devices())
  print(describe(plan, matmul_rate() if DRY_RUN.value else None))
  if DRY_RUN.value:
    return 0
  command = ['-m', 'experiments.run', *sys.argv[1:]]
  with contextlib.nullcontext() if '://' in workdir else held(Path(workdir)):
    save_plan(plan, workdir)
    results.rows_of(plan, workdir)  # Missing or damaged files raise an error here, before hours of training.
    if EXECUTOR.value == 'local':
      code = executors.run_local(plan, workdir, command, DEVICES.value)
    else:
      needs = executors.Needs(CPUS.value, GPUS.value, TPUS.value, DEVICES.value, DETERMINISTIC.value)
      code = executors.run_ray(plan, workdir, command, ADDRESS.value, needs)
    path = results.write_table(plan, workdir)
  print(f'{path}: {len(plan.runs)} runs. Compare: python -m experiments.compare --workdir={workdir}')
  return code


def describe(plan: Plan, rate: float | None) -> str:
  """Describe a plan as a table.

  Args:
    plan: the plan.
    rate: floating-point operations per second of this machine, for an estimate of the time; None leaves the estimate
      out.
  """
  lines = [f'{len(plan.runs)} runs in {len(plan.groups)} population(s):']
  total = 0.0
  for group in plan.groups:
    runs = [plan.runs[run] for run in group.ids]
    varying = {field: len({str(run['overrides'].get(field)) for run in runs})
               for field in dict.fromkeys(field for run in runs for field in run['overrides'])}
    fields = ', '.join(f'{field} ({count})' if count > 1 else f'{field}={runs[0]["overrides"].get(field)}'
                       for field, count in varying.items())
    steps = runs[0]['config']['train.num_steps']
    flops = group.step_flops * steps * len(runs)
    total += flops
    lines.append(f'  {group.name}  {len(runs):>4} x {steps:,} steps of {runs[0]["file"]}: {fields}; '
                 f'{len(runs) * group.member_bytes / 2**20:,.0f} MiB')
  if rate:
    seconds = total / (EFFICIENCY * rate)
    lines.append(f'About {seconds / 60:.0f} minutes, to within a factor of three: {total / 1e12:,.1f} TFLOP on a '
                 f'machine that multiplies matrices at {rate / 1e9:,.0f} GFLOP/s. Evaluation takes additional time.')
  return '\n'.join(lines)


def matmul_rate(size: int = 1024, seconds: float = 0.5) -> float:
  """Measure the floating-point operations per second of a large matrix product on this machine."""
  x = jnp.ones((size, size))
  multiply: Callable = jax.jit(jnp.matmul)
  multiply(x, x).block_until_ready()
  start, count = time.perf_counter(), 0
  while time.perf_counter() - start < seconds:
    multiply(x, x).block_until_ready()
    count += 1
  return count * 2 * size**3 / (time.perf_counter() - start)


if __name__ == '__main__':
  cli.run(main)
