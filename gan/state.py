"""The state that a run carries from step to step."""

from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array

PyTree = Any


class Player(struct.PyTreeNode):
  """One player of the game. A player may own several networks: `params` is any pytree."""

  params: PyTree                 # Trainable leaves.
  stats: PyTree                  # Mutable Flax collections (batch norm); {} if the networks have none.
  opt_state: optax.OptState
  memory: PyTree = struct.field(default_factory=dict)   # State of the terms of its loss, by name.


class Start(NamedTuple):
  """The initial values of a player."""

  params: PyTree
  stats: PyTree
  memory: PyTree = MappingProxyType({})


class GanState(struct.PyTreeNode):
  """Everything in a run that changes. Together with the configuration it determines every later step."""

  step: Array                    # int32 []; steps finished so far.
  rng: Array                     # Root key; never consumed, only folded with `step`.
  gen: Player
  disc: Player
  ema: PyTree                    # {'params', 'stats'}: averaged generator.
  memory: PyTree = struct.field(default_factory=dict)   # State of the update rule, and the last movement of parameters.


def create_state(rng: Array, gen: Start, disc: Start,
                 txs: tuple[optax.GradientTransformation, optax.GradientTransformation],
                 memory: PyTree | None = None) -> GanState:
  """Create the state before the first step.

  Args:
    rng: typed root key [].
    gen: initial values of the generator.
    disc: initial values of the discriminator.
    txs: optimizers of the generator and the discriminator.
    memory: initial `GanState.memory`; empty by default.
  """
  players = [Player(start.params, start.stats, tx.init(start.params), dict(start.memory))
             for start, tx in zip((gen, disc), txs, strict=True)]
  # The average needs copies: buffers shared with the generator would be deleted when a step donates its input.
  ema = jax.tree.map(jnp.copy, {'params': gen.params, 'stats': gen.stats})
  return GanState(step=jnp.zeros((), jnp.int32), rng=rng, gen=players[0], disc=players[1], ema=ema,
                  memory=memory or {})
