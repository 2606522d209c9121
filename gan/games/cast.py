"""The networks of a game, bound to parameters: called by name, with named inputs, by whoever plays."""

import dataclasses
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan.models import spectral
from gan.state import PyTree

PLAYERS = ('gen', 'disc')
SPECTRAL = 'spectral_norm'

Sampler = Callable[[Array, tuple[int, ...]], Array]   # (key, shape) -> numbers.
Draw = Callable[[str, Sampler, tuple[int, ...]], Array]   # (purpose, sampler, shape) -> this device's part of one draw.


class Network(NamedTuple):
  """A Flax module, and what it is called with: `module(train=..., **inputs)`.

  Attributes:
    module: returns an array, or anything that has arrays.
    inputs: for each of its inputs the shape and dtype of one sample, without the batch axis.
    spectral_norm: whether its kernels are divided by their largest singular values.
    random: whether it draws numbers while it runs; it is then handed `draw(name, sampler, shape)` too, never a key:
      each device would draw the same from one.
  """

  module: nn.Module
  inputs: Mapping[str, jax.ShapeDtypeStruct]
  spectral_norm: bool = False
  random: bool = False

  def init(self, rng: Array, spectral_rng: Array) -> tuple[PyTree, PyTree]:
    """Initial (params, stats)."""
    inputs = {name: jnp.zeros((2, *one.shape), one.dtype) for name, one in self.inputs.items()}
    if self.random:
      inputs['draw'] = lambda name, sampler, shape: sampler(rng, shape)   # Only shapes matter here.
    stats = dict(self.module.init(rng, train=True, **inputs))
    params = stats.pop('params')
    if self.spectral_norm:
      stats[SPECTRAL] = spectral.init_vectors(spectral_rng, params)
    return params, stats


def only(shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
  """What `Network.inputs` says of one sample of an input."""
  return jax.ShapeDtypeStruct(shape, dtype)


def owner(name: str) -> str:
  """The player of a network: 'gen' of 'gen' and of 'gen.ab'."""
  return name.partition('.')[0]


def part(of_players: Mapping[str, PyTree], name: str) -> PyTree:
  """What belongs to one network: all of a player's 'gen', or its entry 'ab' for 'gen.ab'."""
  player, _, own = name.partition('.')
  return of_players[player][own] if own else of_players[player]


def joined(of_networks: Mapping[str, PyTree]) -> dict[str, PyTree]:
  """Undoes `part`: by network -> by player."""
  found: dict[str, PyTree] = {}
  for name, own in of_networks.items():
    player, _, inner = name.partition('.')
    found[player] = {**found.get(player, {}), inner: own} if inner else own
  return found


@dataclasses.dataclass(frozen=True, eq=False)
class Cast:
  """Networks with the parameters and statistics that they play with.

  Attributes:
    networks: by name, 'gen' or 'gen.ab', where the part before the dot is the player that owns them.
    params: by player.
    stats: by player.
    draw: the draws of the networks that are random.
    player: whose parameters are trained here, the other's being fixed; None if both are.
  """

  networks: Mapping[str, Network]
  params: Mapping[str, PyTree]
  stats: Mapping[str, PyTree]
  draw: Draw | None = None
  player: str | None = None

  def training(self, player: str, params: PyTree) -> 'Cast':
    """The same with other parameters for one player, and everybody else frozen: here and nowhere else."""
    # Parameters only: gradients must still cross the activations.
    frozen = {name: jax.lax.stop_gradient(own) for name, own in self.params.items() if name != player}
    return dataclasses.replace(self, params={**frozen, player: params}, player=player)

  def __call__(self, name: str, *, stats: PyTree | None = None, train: bool = True, method: str | None = None,
               **inputs: Array) -> tuple[Any, PyTree]:
    """Runs a network.

    Args:
      name: of the network.
      stats: its statistics; by default those of the state.
      train: whether batch norm sees the batch, and statistics go on.
      method: of the module, if not its call.
      **inputs: its inputs.

    Returns:
      Its output, and its new statistics, which are the old ones unless `train`.
    """
    network, params = self.networks[name], part(self.params, name)
    stats = part(self.stats, name) if stats is None else stats
    if network.random:
      inputs['draw'] = self._draw_for(name)
    updated = {}
    if SPECTRAL in stats:
      params, updated[SPECTRAL] = spectral.normalize(params, stats[SPECTRAL], update=train)
    collections = {kind: stats[kind] for kind in stats if kind != SPECTRAL}
    variables = {'params': params, **collections}
    if train and collections:
      output, changed = network.module.apply(variables, train=True, method=method, mutable=list(collections), **inputs)
      return output, {**stats, **updated, **changed}
    return network.module.apply(variables, train=train, method=method, **inputs), {**stats, **updated}

  def _draw_for(self, network: str) -> Draw:
    """Draws by name, of which no two networks and no two names share one."""
    def draw(name: str, sampler: Sampler, shape: tuple[int, ...]) -> Array:
      number = zlib.crc32(f'{network}/{name}'.encode())
      return self.draw('network', lambda key, shape: sampler(jax.random.fold_in(key, number), shape), shape)
    return draw
