"""What a run carries from step to step, and nothing else."""

from typing import Any

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


@struct.dataclass
class GanState:
  """All of a run that changes. With the configuration it determines every later step."""

  step: Array                    # int32 []; steps finished so far.
  rng: Array                     # Root key; never consumed, only folded with `step`.
  gen: Player
  disc: Player
  ema: PyTree                    # {'params', 'stats'}: averaged generator.
  memory: PyTree = struct.field(default_factory=dict)   # What the update rule remembers between steps.


def create_state(rng: Array, gen: tuple[PyTree, PyTree], disc: tuple[PyTree, PyTree],
                 txs: tuple[optax.GradientTransformation, optax.GradientTransformation],
                 memory: PyTree | None = None) -> GanState:
  """The state before the first step.

  Args:
    rng: typed root key [].
    gen: initial (params, stats) of the generator.
    disc: the same of the discriminator.
    txs: their optimizers.
    memory: what the update rule remembers; nothing by default.
  """
  players = [Player(params, stats, tx.init(params)) for (params, stats), tx in zip((gen, disc), txs, strict=True)]
  # Copies: an average that shared the generator's buffers would die with them when a step donates its input.
  ema = jax.tree.map(jnp.copy, {'params': gen[0], 'stats': gen[1]})
  return GanState(step=jnp.zeros((), jnp.int32), rng=rng, gen=players[0], disc=players[1], ema=ema,
                  memory=memory or {})
