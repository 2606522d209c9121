"""Devices: the mesh, what lies where, and how a loop of steps is compiled for them.

The step is written for one device and global arrays. `jit` keeps it so: the compiler splits the batch over the mesh and
batch norm and latents span the global batch. `pmap` runs the same step on each device's part: every random draw is
the global one, of which `shard` takes a slice, and gradients go through `mean`. The two agree to rounding, on any
number of devices.

Adam and RMSProp are an exception where a gradient is zero but for rounding: they divide it by its own size, so that
each step moves the parameter by up to the learning rate in a direction that the rounding chose. Such parameters differ
between strategies, numbers of devices and machines by several learning rates. Nothing depends on them to first order,
or their gradient would not be zero: a bias in front of batch norm, or the last one under a relativistic objective,
which sees differences of logits only.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jax import Array
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gan.declare import Setting, one_of
from gan.state import PyTree

AXIS, MEMBERS = 'data', 'member'
STRATEGIES = ('jit', 'pmap')
SETTINGS = {'strategy': Setting('jit', 'How a step is compiled: jit or pmap, equal to rounding.', one_of(STRATEGIES))}


class Parallel(NamedTuple):
  """How a run uses its devices.

  Attributes:
    strategy: 'jit', 'pmap', or 'members' for a population.
    mesh: all devices, along the axis 'data'.
    axis_name: what batch norm averages over: 'data' under `pmap`, None under `jit`.
    shard: inside the step, this device's rows of a global array [B, ...].
    gather: inside the step, the global vector [L] of this device's rows.
    mean: inside the step, the mean of a tree over devices.
  """

  strategy: str
  mesh: jax.sharding.Mesh
  axis_name: str | None
  shard: Callable[[Array], Array]
  gather: Callable[[Array], Array]
  mean: Callable[[PyTree], PyTree]

  def draw(self, sampler: Callable, key: Array, shape: tuple[int, ...]) -> Array:
    """Inside the step, this device's part, of `shape` [B, ...], of one draw sampler(key, shape) for all devices."""
    parts = 1 if self.axis_name is None else self.mesh.shape[AXIS]
    return self.shard(sampler(key, (shape[0] * parts, *shape[1:])))

  @property
  def replicated(self) -> NamedSharding:
    """A whole copy on each device."""
    return NamedSharding(self.mesh, PartitionSpec())

  def place(self, tree: PyTree) -> PyTree:
    """Puts a copy of a tree (equal on every host) on each device."""
    return jax.tree.map(lambda x: jax.device_put(x, self.replicated), tree)

  def place_batch(self, local: np.ndarray, axis: int) -> Array:
    """Makes a global array of which this host has the rows `host_rows` along `axis`."""
    if self.strategy == 'pmap':
      return jax.device_put(local, self.replicated)  # Each device takes its slice inside the step.
    sharding = NamedSharding(self.mesh, PartitionSpec(*[None] * axis, AXIS))
    return jax.make_array_from_process_local_data(sharding, local)

  def host_rows(self, batch: int) -> slice:
    """The rows of a batch that this host has to load."""
    rows = batch // jax.process_count()
    return slice(jax.process_index() * rows, (jax.process_index() + 1) * rows)

  def compile(self, function: Callable, *, donate: bool = True) -> Callable:
    """Compiles function(state, data, hparams, number) -> anything equal on all devices.

    Args:
      function: calls `shard`, `gather` and `mean` where it has to.
      donate: whether the state's buffers are given away.
    """
    if self.strategy == 'pmap':
      # `pmap` wants something to map over; all else goes whole to each device, and `shard` takes its part inside.
      mapped = jax.pmap(lambda _, *args: function(*args), axis_name=AXIS, in_axes=(0, None, None, None, None),
                        out_axes=None, devices=list(self.mesh.devices.flat), donate_argnums=(1,) if donate else ())
      return functools.partial(mapped, np.arange(self.mesh.size))
    # Where data lie is decided when they are placed: replicated if resident, split along the batch if streamed.
    return jax.jit(function, out_shardings=self.replicated, donate_argnums=(0,) if donate else ())


def make_parallel(strategy: str, devices: list[jax.Device] | None = None) -> Parallel:
  """Plans the use of `devices` (default: all of them, of all hosts).

  Raises:
    ValueError: if the strategy is unknown.
  """
  # In the order of hosts, so that the rows of a host lie together (`host_rows`).
  devices = sorted(devices or jax.devices(), key=lambda device: (device.process_index, device.id))
  mesh = jax.sharding.Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))
  if strategy == 'jit':
    rows = NamedSharding(mesh, PartitionSpec(AXIS))
    return Parallel(strategy, mesh, None, lambda x: jax.lax.with_sharding_constraint(x, rows), lambda x: x,
                    lambda tree: tree)
  if strategy == 'pmap':
    return _mapped(strategy, mesh)
  raise ValueError(f'parallel.strategy={strategy!r} is unknown; known: {", ".join(STRATEGIES)}')


def enough_devices(num_members: int, num_devices: int, devices_per_member: int = 1) -> int:
  """How many devices train a population as fast as all of them would; more would only hold copies of members.

  Args:
    num_members: of the population.
    num_devices: that there are; at least `devices_per_member`.
    devices_per_member: that share the batch of each member.
  """
  most = math.ceil(num_members / (num_devices // devices_per_member))   # Members of the fullest device.
  return math.ceil(num_members / most) * devices_per_member


def make_member_parallel(devices: list[jax.Device], devices_per_member: int = 1) -> Parallel:
  """Plans the use of `devices` by a population: members along one axis, the batch of each along another.

  What is compiled for it runs under `shard_map` over MEMBERS and AXIS, which is what `pmap` is too.

  Args:
    devices: of this host.
    devices_per_member: that share the batch of each member; must divide their number.
  """
  grid = np.array(devices).reshape(-1, devices_per_member)
  mesh = jax.sharding.Mesh(grid, (MEMBERS, AXIS), axis_types=(AxisType.Auto, AxisType.Auto))
  if devices_per_member == 1:
    return Parallel('members', mesh, None, lambda x: x, lambda x: x, lambda tree: tree)
  return _mapped('members', mesh)


def _mapped(strategy: str, mesh: jax.sharding.Mesh) -> Parallel:
  """Where the step sees this device's part along AXIS."""
  def shard(x: Array) -> Array:
    rows = x.shape[0] // mesh.shape[AXIS]
    return jax.lax.dynamic_slice_in_dim(x, jax.lax.axis_index(AXIS) * rows, rows)
  return Parallel(strategy, mesh, AXIS, shard, lambda x: jax.lax.all_gather(x, AXIS, tiled=True),
                  lambda tree: jax.lax.pmean(tree, AXIS))


def on_any_host(flag: bool) -> bool:
  """Whether the flag is up on one host at least: all hosts then act on it together, as collectives need."""
  return flag if jax.process_count() == 1 else bool(multihost_utils.process_allgather(np.array(flag)).any())


def is_writer() -> bool:
  """Whether this process writes files: exactly one of all hosts does."""
  return jax.process_index() == 0
