"""The rules of a game: what each player minimises, over parameter pytrees."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import Array

from gan.randomness import step_key
from gan.state import PyTree

LossFn = Callable[..., tuple[Any, tuple[PyTree, dict[str, Any]]]]


class Turn(NamedTuple):
  """What is dealt for one evaluation of the losses.

  Attributes:
    batch: real samples, {'images': [B, ...], 'labels': [B]}: this device's part.
    z: latents [B, Z], this device's part.
    rng: root key of the run.
    step: steps finished so far.
    update: which update of the step this is; no two share their draws.
  """

  batch: dict[str, Array]
  z: Array
  rng: Array
  step: Array
  update: int

  def key(self, purpose: str) -> Array:
    """Key [] of one purpose in this turn."""
    return jax.random.fold_in(step_key(self.rng, purpose, self.step), self.update)


class Game(NamedTuple):
  """Two players and their losses.

  Attributes:
    init: key -> ((gen_params, gen_stats), (disc_params, disc_stats)).
    disc_loss: (disc_params, state, turn, hparams) -> (scalar, (disc_stats, scalars)); the generator is frozen.
    gen_loss: (gen_params, state, turn, hparams) -> (scalar, (gen_stats, scalars)); the discriminator is frozen.
    losses: ({'gen', 'disc'} params, state, turn, hparams) -> ((disc, gen) scalars, ({'gen', 'disc'} stats, scalars)):
      both losses from one forward pass, nobody frozen, for rules that follow the vector field of the game.
    lazy_penalty: (disc_params, state, turn, hparams) -> (scalar, (disc_stats, scalars)): what `disc_loss`, but not
      `losses`, leaves out because it is added after every `lazy_every`-th update of the discriminator only; None
      where nothing is.
    lazy_every: its period in updates of the discriminator.
    slopes: (state, turn, hparams) -> scalars: how steep the discriminator is where it is used; None where samples are
      not judged one by one.
    sample: ({'params', 'stats'}, z [B, Z]) -> samples [B, ...] of the generator as it is used after training.
  """

  init: Callable[..., tuple[tuple[PyTree, PyTree], tuple[PyTree, PyTree]]]
  disc_loss: LossFn
  gen_loss: LossFn
  losses: LossFn
  sample: Callable[..., Any]
  lazy_penalty: LossFn | None = None
  lazy_every: int = 1
  slopes: Callable[..., dict[str, Array]] | None = None
