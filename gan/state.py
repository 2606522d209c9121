"""What a run carries from step to step, and nothing else."""

from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array

PyTree = Any


@struct.dataclass
class Player:
  """One side of the game. It may own several networks: `params` is any pytree."""

  params: PyTree                 # Trainable leaves.
  stats: PyTree                  # Mutable Flax collections (batch norm); {} if the networks have none.
  opt_state: optax.OptState
  memory: PyTree = struct.field(default_factory=dict)   # What the terms of its loss remember, by name.


class Start(NamedTuple):
  """What a player begins with."""

  params: PyTree
  stats: PyTree
  memory: PyTree = MappingProxyType({})


@struct.dataclass
class GanState:
  """All of a run that changes. With the configuration it determines every later step."""

  step: Array                    # int32 []; steps finished so far.
  rng: Array                     # Root key; never consumed, only folded with `step`.
  gen: Player
  disc: Player
  ema: PyTree                    # {'params', 'stats'}: averaged generator.
  memory: PyTree = struct.field(default_factory=dict)   # What the update rule remembers between steps.


def create_state(rng: Array, gen: Start, disc: Start,
                 txs: tuple[optax.GradientTransformation, optax.GradientTransformation],
                 memory: PyTree | None = None) -> GanState:
  """The state before the first step.

  Args:
    rng: typed root key [].
    gen: what the generator begins with.
    disc: the same of the discriminator.
    txs: their optimizers.
    memory: what the update rule remembers; nothing by default.
  """
  players = [Player(start.params, start.stats, tx.init(start.params), dict(start.memory))
             for start, tx in zip((gen, disc), txs, strict=True)]
  # Copies: an average that shared the generator's buffers would die with them when a step donates its input.
  ema = jax.tree.map(jnp.copy, {'params': gen.params, 'stats': gen.stats})
  return GanState(step=jnp.zeros((), jnp.int32), rng=rng, gen=players[0], disc=players[1], ema=ema,
                  memory=memory or {})
