"""The plan of a sweep: which runs are trained together, and in which order. It is made once, saved and kept."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.sweep import Run, Sweep, SweepError
from gan import build
from gan.config import flatten
from gan.config.complete import unflatten
from gan.population import compiled
from gan.population.program import program_key
from gan.run.environment import describe
from gan.run.paths import open_path, write
from gan.run.workdir import CONFIG, check_path, check_writable

FILE = 'plan.json'
_NAME = re.compile(r'[A-Za-z0-9_-]+')   # Name of a group: such a directory cannot lie outside that of the sweep.
SHARE = 0.6           # Share of the free memory that a plan uses: needs are estimates, and other programs run too.
CPU_FALLBACK = 8 * 2**30   # Bytes, if the operating system does not say how much memory is free.


class Group(NamedTuple):
  """Runs that become one population.

  Attributes:
    name: name of its directory.
    ids: ids of its runs, in the order of its arrays.
    member_bytes: memory that one member needs on a device, in bytes.
    step_flops: floating-point operations of one step of one member.
  """

  name: str
  ids: list[str]
  member_bytes: int
  step_flops: float


class Plan(NamedTuple):
  """A whole sweep, ready to be trained.

  Attributes:
    sweep: the flag --sweep, for the record.
    runs: id -> {'file', 'overrides', 'config' (flat), 'command'}.
    groups: the populations, in the order of training.
  """

  sweep: str
  runs: dict[str, dict[str, Any]]
  groups: list[Group]

  def configs(self, group: Group) -> list[ml_collections.ConfigDict]:
    """Return the configurations of a group's runs."""
    return [unflatten(self.runs[run]['config']) for run in group.ids]


def make_plan(spec: str, sweep: Sweep, devices: Sequence[jax.Device], say: Callable[[str], None] = print) -> Plan:
  """Group runs with the same program, and split groups that do not fit in memory.

  Args:
    spec: the flag --sweep.
    sweep: the expanded sweep.
    devices: devices of one population.
    say: called with a message about progress: each group needs a compilation.

  Raises:
    SweepError: if the memory is too small for a single member.
  """
  by_program: dict[str, list[Run]] = {}
  for run in sweep.runs:
    by_program.setdefault(program_key(run.config), []).append(run)
  groups: list[Group] = []
  for runs in by_program.values():
    say(f'Measuring the memory of {len(runs)} run(s) like {runs[0].file} ...')
    member_bytes, shared_bytes, flops = measure(runs[0].config)
    free = free_bytes(devices[0])
    one_memory = devices[0].platform == 'cpu'  # The cores of a machine share its memory, but not one copy of the data.
    per_device = (SHARE * free / len(devices) if one_memory else SHARE * free) - shared_bytes
    fit = int(max(per_device, 0) // member_bytes) * len(devices)
    if fit < 1:
      raise SweepError(f'{runs[0].command}: one member needs about {member_bytes / 2**20:,.0f} MiB beside '
                       f'{shared_bytes / 2**20:,.0f} MiB of data, but only {SHARE:.0%} of the free '
                       f'{free / 2**20:,.0f} MiB may be used; take a smaller network or batch, or a larger device')
    parts = -(-len(runs) // fit)
    for part in np.array_split(np.arange(len(runs)), parts):  # Even parts: 65 members become 33 and 32, not 64 and 1.
      groups.append(Group(f'{len(groups):03d}', [runs[i].id for i in part], member_bytes, flops))
  by_id = {run.id: {'file': run.file, 'overrides': run.overrides, 'config': flatten(run.config),
                    'command': run.command} for run in sweep.runs}
  return Plan(spec, by_id, groups)


def measure(config: ml_collections.ConfigDict) -> tuple[int, int, float]:
  """Compile a member, and return its bytes, the bytes of the shared data, and the floating-point operations of a step.

  Raises:
    SweepError: if the data set is too large to be resident.
  """
  data = build.open_data(config)
  if not build.is_resident(config, data):
    raise SweepError(f'data.name={config.data.name} does not fit into data.resident_bytes, and members of a population '
                     'draw from one resident data set; raise it, or train the runs one by one with gan.main')
  population = compiled.make_population([config], data.columns, jax.local_devices()[:1])
  batches = build.make_pipeline(config, data, population.built.parallel, None)
  fed = jax.tree.map(jnp.asarray, batches.feed(0, 1))
  shared = sum(leaf.nbytes for leaf in jax.tree.leaves(fed))
  state = jax.eval_shape(lambda: compiled.initial_state(population))
  hparams = population.place(population.hparams)
  program = compiled.make_loop(population, batches).lower(state, fed, hparams, np.int32(1))
  memory = program.compile().memory_analysis()
  used = memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes - shared
  cost = program.cost_analysis() or {}  # XLA counts the body of a loop once: one step.
  return max(int(used), 1), shared, float(cost.get('flops', 0.0))


def free_bytes(device: jax.Device) -> int:
  """Return the free memory of a device in bytes; for a CPU, the free memory of the machine."""
  stats = device.memory_stats() if device.platform != 'cpu' else None
  if stats and 'bytes_limit' in stats:
    return stats['bytes_limit'] - stats.get('bytes_in_use', 0)
  try:
    return os.sysconf('SC_AVPHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
  except (ValueError, OSError):
    return CPU_FALLBACK


def check_home(workdir: str) -> None:
  """Check that a directory can hold a sweep.

  Raises:
    SweepError: if the directory holds an ordinary run.
    WorkdirError: if Orbax cannot use its path for checkpoints.
  """
  check_path(workdir)
  if (open_path(workdir) / CONFIG).exists():
    raise SweepError(f'{workdir} holds an ordinary run ({CONFIG}), and the report.html of the sweep would replace that '
                     'of the run; name another --workdir')


def save_plan(plan: Plan, workdir: str) -> None:
  """Write a plan, before the first step of any run.

  Raises:
    WorkdirError: if the directory cannot be written.
  """
  if '://' not in workdir:
    check_writable(Path(workdir))
  content = {'sweep': plan.sweep, 'git_commit': describe([])['git_commit'], 'runs': plan.runs,
             'groups': [group._asdict() for group in plan.groups]}
  write(open_path(workdir) / FILE, json.dumps(content, indent=1).encode())


def load_plan(workdir: str) -> Plan | None:
  """Load the plan of a directory; None if there is none.

  Raises:
    SweepError: if it cannot be read, if a run is not in exactly one group, or if the name of a group is not allowed.
  """
  path = open_path(workdir) / FILE
  if not path.exists():
    return None
  try:
    content = json.loads(path.read_text())
    plan = Plan(content['sweep'], content['runs'], [Group(**group) for group in content['groups']])
    problem = _problem(plan)
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise SweepError(f'{path} cannot be read ({error}); is {workdir} the directory of a sweep?') from None
  if problem:
    raise SweepError(f'{path}: {problem}; put the plan back as experiments.run wrote it')
  return plan


def _problem(plan: Plan) -> str | None:
  """Describe what is wrong with an edited plan; None if nothing is. A plan decides where files are written."""
  if unnamed := [group.name for group in plan.groups if not _NAME.fullmatch(group.name)]:
    return f'the group name {unnamed[0]!r} names a directory, so it must consist of letters, digits, - and _'
  if twice := [name for name, count in Counter(group.name for group in plan.groups).items() if count > 1]:
    return f'{twice[0]!r} is the name of several groups'
  if bad := [run for run, entry in plan.runs.items() if not entry.keys() >= {'file', 'overrides', 'config', 'command'}]:
    return f'run {bad[0]} must have file, overrides, config and command'
  places = Counter(run for group in plan.groups for run in group.ids)
  if unknown := [run for run in places if run not in plan.runs]:
    return f'{len(unknown)} of the runs in its groups are unknown, {unknown[0]} first'
  if wrong := [run for run in plan.runs if places[run] != 1]:
    return f'each run must be in one group, and {len(wrong)} of {len(plan.runs)} are not, {wrong[0]} first'
  return None


def check_same(plan: Plan, sweep: Sweep, workdir: str) -> None:
  """Check that a plan is that of this sweep.

  Raises:
    SweepError: if the directory holds another sweep; the message counts the runs that differ.
  """
  ours, theirs = {run.id for run in sweep.runs}, set(plan.runs)
  if ours != theirs:
    raise SweepError(f'{workdir} holds another sweep ({plan.sweep}): {len(theirs - ours)} of its {len(theirs)} runs '
                     f'are not in this one, {len(ours - theirs)} of the {len(ours)} runs here are new; name another '
                     '--workdir')
