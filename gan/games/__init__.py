"""The rules of a game: what each player minimises, over parameter pytrees."""

from collections.abc import Callable
from typing import Any, NamedTuple

from gan.state import PyTree

LossFn = Callable[..., tuple[Any, tuple[PyTree, dict[str, Any]]]]


class Game(NamedTuple):
  """Two players and their losses.

  Attributes:
    init: key -> ((gen_params, gen_stats), (disc_params, disc_stats)).
    disc_loss: (disc_params, state, batch, z, hparams) -> (scalar, (disc_stats, scalars)); the generator is frozen.
    gen_loss: (gen_params, state, batch, z, hparams) -> (scalar, (gen_stats, scalars)); the discriminator is frozen.
    sample: ({'params', 'stats'}, z [B, Z]) -> samples [B, ...] of the generator as it is used after training.
  """

  init: Callable[..., tuple[tuple[PyTree, PyTree], tuple[PyTree, PyTree]]]
  disc_loss: LossFn
  gen_loss: LossFn
  sample: Callable[..., Any]
