"""The networks of a game together with their parameters; a game calls them by name, with named inputs."""

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
  """A Flax module and the inputs that it is called with: `module(train=..., **inputs)`.

  Attributes:
    module: Flax module; it returns an array or a tree of arrays.
    inputs: shape and dtype of one sample of each input, without the batch axis.
    spectral_norm: whether its kernels are divided by their largest singular values.
    random: whether the module draws random numbers while it runs. It then receives the function
      `draw(name, sampler, shape)`, too. It never receives a key, with which all devices would draw the same numbers.
  """

  module: nn.Module
  inputs: Mapping[str, jax.ShapeDtypeStruct]
  spectral_norm: bool = False
  random: bool = False

  def init(self, rng: Array, spectral_rng: Array) -> tuple[PyTree, PyTree]:
    """Return the initial (params, stats)."""
    inputs: dict[str, Any] = {name: jnp.zeros((2, *sample.shape), sample.dtype)
                              for name, sample in self.inputs.items()}
    if self.random:
      inputs['draw'] = lambda name, sampler, shape: sampler(rng, shape)   # Only the shapes of draws matter here.
    stats = dict(self.module.init(rng, train=True, **inputs))
    params = stats.pop('params')
    if self.spectral_norm:
      stats[SPECTRAL] = spectral.init_vectors(spectral_rng, params)
    return params, stats


def sample_spec(shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
  """Return the entry of `Network.inputs` for an input whose samples have this shape and dtype."""
  return jax.ShapeDtypeStruct(shape, dtype)


def owner(name: str) -> str:
  """Return the player that owns a network: 'gen' for the networks 'gen' and 'gen.ab'."""
  return name.partition('.')[0]


def part(of_players: Mapping[str, PyTree], name: str) -> PyTree:
  """Return one network's part of {player: tree}: the whole tree of 'gen' for 'gen', its entry 'ab' for 'gen.ab'."""
  player, _, inner = name.partition('.')
  return of_players[player][inner] if inner else of_players[player]


def joined(of_networks: Mapping[str, PyTree]) -> dict[str, PyTree]:
  """Join {network: tree} to {player: tree}; `part` undoes this."""
  of_players: dict[str, PyTree] = {}
  for name, tree in of_networks.items():
    player, _, inner = name.partition('.')
    of_players[player] = {**of_players.get(player, {}), inner: tree} if inner else tree
  return of_players


@dataclasses.dataclass(frozen=True, eq=False)
class Cast:
  """The networks of a game with their parameters and statistics.

  Attributes:
    networks: networks by name, 'gen' or 'gen.ab'; the part before the dot is the player that owns the network.
    params: parameters by player.
    stats: statistics (mutable Flax collections) by player.
    draw: draws for networks that are random.
    player: the player that is trained while the other one is frozen; None if both are trained.
  """

  networks: Mapping[str, Network]
  params: Mapping[str, PyTree]
  stats: Mapping[str, PyTree]
  draw: Draw | None = None
  player: str | None = None

  def training(self, player: str, params: PyTree) -> 'Cast':
    """Return a cast in which `player` has the parameters `params` and the other player is frozen.

    A player is frozen here and nowhere else.
    """
    # Only parameters are frozen: gradients must still cross the activations.
    frozen = {name: jax.lax.stop_gradient(tree) for name, tree in self.params.items() if name != player}
    return dataclasses.replace(self, params={**frozen, player: params}, player=player)

  def __call__(self, name: str, *, stats: PyTree | None = None, train: bool = True, method: str | None = None,
               **inputs: Any) -> tuple[Any, PyTree]:
    """Run a network.

    Args:
      name: name of the network.
      stats: its statistics; by default those of this cast.
      train: whether batch norm normalises with the batch's statistics, and statistics are updated.
      method: method of the module to run instead of `__call__`.
      **inputs: its inputs by name.

    Returns:
      Its output and its new statistics; without `train` the statistics stay as they are.
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
    """Return the draws of one network, by name; no two networks and no two names share a draw."""
    given = self.draw
    if given is None:
      raise ValueError(f'the network {network} draws random numbers while it runs: give its Cast a `draw`')

    def draw(name: str, sampler: Sampler, shape: tuple[int, ...]) -> Array:
      number = zlib.crc32(f'{network}/{name}'.encode())
      return given('network', lambda key, shape: sampler(jax.random.fold_in(key, number), shape), shape)
    return draw
