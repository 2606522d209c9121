"""Devices: the mesh, the placement of arrays, and the compilation of a loop of steps.

The step is written for one device and global arrays. With `jit` it stays that way: the compiler splits the batch over
the mesh, and batch norm and latents span the global batch. With `pmap` each device runs the same step on its part of
the batch: `shard` takes this device's slice of every global random draw, and `mean` averages the gradients. Both
strategies agree to rounding, on any number of devices.

There is one exception: Adam and RMSProp, where the exact gradient is zero and only rounding is left. They divide the
gradient by its own size, so each step moves the parameter by up to the learning rate, in a direction that depends on
the rounding. Such parameters differ by several learning rates between strategies, numbers of devices and machines. The
loss does not depend on them to first order, because their gradient is zero. Examples are a bias before batch norm, and
the last bias of the discriminator under a relativistic objective, which sees only differences of logits.
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
SETTINGS = {'strategy': Setting('jit', 'How a step is compiled; jit and pmap agree to rounding.', one_of(STRATEGIES))}


class Parallel(NamedTuple):
  """The use of devices by a run.

  Attributes:
    strategy: 'jit', 'pmap', or 'members' for a population.
    mesh: all devices, along the axis 'data'; for a population along the axes 'member' and 'data'.
    axis_name: axis over which batch norm averages: 'data' where each device runs the step on its part, else None.
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
    """Return, inside the step, this device's part [B, ...], of `shape`, of one global draw by `sampler`."""
    parts = 1 if self.axis_name is None else self.mesh.shape[AXIS]
    return self.shard(sampler(key, (shape[0] * parts, *shape[1:])))

  @property
  def replicated(self) -> NamedSharding:
    """The sharding that puts a whole copy on each device."""
    return NamedSharding(self.mesh, PartitionSpec())

  def place(self, tree: PyTree) -> PyTree:
    """Put a copy of a tree, which is equal on every host, on each device."""
    return jax.tree.map(lambda x: jax.device_put(x, self.replicated), tree)

  def place_batch(self, local: np.ndarray, axis: int) -> Array:
    """Make a global array from the rows of each host (`host_rows`) along `axis`."""
    if self.strategy == 'pmap':
      return jax.device_put(local, self.replicated)  # Each device takes its slice inside the step.
    sharding = NamedSharding(self.mesh, PartitionSpec(*[None] * axis, AXIS))
    return jax.make_array_from_process_local_data(sharding, local)

  def host_rows(self, batch: int) -> slice:
    """Return the rows of a batch that this host has to load."""
    rows = batch // jax.process_count()
    return slice(jax.process_index() * rows, (jax.process_index() + 1) * rows)

  def compile(self, function: Callable, *, donate: bool = True) -> Callable:
    """Compile function(state, data, hparams, number); the result must be equal on all devices.

    Args:
      function: uses `shard`, `gather` and `mean` as described above.
      donate: whether the buffers of the state are donated.
    """
    if self.strategy == 'pmap':
      # `pmap` needs an argument to map over. The other arguments go whole to each device; `shard` slices them inside.
      mapped = jax.pmap(lambda _, *args: function(*args), axis_name=AXIS, in_axes=(0, None, None, None, None),
                        out_axes=None, devices=list(self.mesh.devices.flat), donate_argnums=(1,) if donate else ())
      return functools.partial(mapped, np.arange(self.mesh.size))
    # Data keep the sharding with which they were placed: replicated if resident, split along the batch if streamed.
    return jax.jit(function, out_shardings=self.replicated, donate_argnums=(0,) if donate else ())


def make_parallel(strategy: str, devices: list[jax.Device] | None = None) -> Parallel:
  """Plan the use of `devices` (default: all devices of all hosts).

  Raises:
    ValueError: if the strategy is unknown.
  """
  # Sorted by host, so that the rows of a host are contiguous (`host_rows`).
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
  """Return the least number of devices that train a population as fast as all `num_devices` would.

  Args:
    num_members: members of the population.
    num_devices: available devices; at least `devices_per_member`.
    devices_per_member: devices that share the batch of each member.
  """
  most = math.ceil(num_members / (num_devices // devices_per_member))   # Members on the fullest device.
  return math.ceil(num_members / most) * devices_per_member


def make_member_parallel(devices: list[jax.Device], devices_per_member: int = 1) -> Parallel:
  """Plan the use of `devices` by a population: members along one axis, the batch of each along another.

  Its programs run under `shard_map` over MEMBERS and AXIS; `pmap` is implemented by `shard_map` too.

  Args:
    devices: devices of this host.
    devices_per_member: devices that share the batch of each member; must divide the number of devices.
  """
  grid = np.array(devices).reshape(-1, devices_per_member)
  mesh = jax.sharding.Mesh(grid, (MEMBERS, AXIS), axis_types=(AxisType.Auto, AxisType.Auto))
  if devices_per_member == 1:
    return Parallel('members', mesh, None, lambda x: x, lambda x: x, lambda tree: tree)
  return _mapped('members', mesh)


def _mapped(strategy: str, mesh: jax.sharding.Mesh) -> Parallel:
  """Make a plan in which the step sees only this device's part along AXIS."""
  def shard(x: Array) -> Array:
    rows = x.shape[0] // mesh.shape[AXIS]
    return jax.lax.dynamic_slice_in_dim(x, jax.lax.axis_index(AXIS) * rows, rows)
  return Parallel(strategy, mesh, AXIS, shard, lambda x: jax.lax.all_gather(x, AXIS, tiled=True),
                  lambda tree: jax.lax.pmean(tree, AXIS))


def on_any_host(flag: bool) -> bool:
  """Return whether the flag is set on any host, so that all hosts act together, as collectives require."""
  return flag if jax.process_count() == 1 else bool(multihost_utils.process_allgather(np.array(flag)).any())


def is_writer() -> bool:
  """Return whether this process writes files: exactly one process of all hosts does."""
  return jax.process_index() == 0
