"""The terms of a loss, their inputs and their results."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from jax import Array

from gan.games.cast import Cast
from gan.games.turn import Devices, Turn
from gan.state import PyTree

HParams = Mapping[str, Array]
Scalars = dict[str, Array]
Memories = dict[str, dict[str, PyTree]]   # Player -> name of an entry of its memory -> the arrays of the entry.


class Played(NamedTuple):
  """The result of one play.

  Attributes:
    scene: input of the terms; each game has its own type of scene.
    stats: new stats of each player's networks.
    memory: entries of each player's memory that the play changes.
    scalars: scalars of each player for the log.
  """

  scene: Any
  stats: dict[str, PyTree]
  memory: Mapping[str, dict[str, PyTree]] = MappingProxyType({})
  scalars: Mapping[str, Scalars] = MappingProxyType({})


class Kept(NamedTuple):
  """The stats and the memory that a player has after an update; no gradient flows through them.

  Attributes:
    stats: stats of its networks.
    memory: memory of its terms and of its part in the play, by name.
  """

  stats: PyTree
  memory: dict[str, PyTree]


class Moment(NamedTuple):
  """The input of a term.

  Attributes:
    cast: the networks, with the parameters of this evaluation.
    scene: result of `play`; each game has its own type of scene.
    turn: batch and draws.
    hparams: numbers of the run.
    devices: draws and gathers over all devices.
  """

  cast: Cast
  scene: Any
  turn: Turn
  hparams: HParams
  devices: Devices


class Outcome(NamedTuple):
  """The result of a term.

  Attributes:
    value: [] value without its weight.
    scalars: scalars for the log, besides the value.
    memory: new memory of the term; None if it has no memory.
  """

  value: Array
  scalars: Mapping[str, Array] = MappingProxyType({})
  memory: PyTree = None


def _nothing(hparams: HParams) -> frozenset[str]:
  del hparams
  return frozenset()


class Term(NamedTuple):
  """One summand of a player's loss.

  Attributes:
    name: name of its scalar, such as 'penalty/r1'; the part after the slash also names its memory.
    player: the player whose loss it belongs to, 'gen' or 'disc'.
    value: (moment, memory) -> Outcome.
    weight: field of `hparams`. A run without this field leaves the term out of its program. '' stands for a term that
      is always present, with weight 1.
    scale: factor of the weight: a number, or a function of (hparams, steps finished).
    needs: hparams -> names of the extra quantities that `play` must compute for it.
    every: the term is added only after every k-th update of its player, k times as heavy.
    memory: () -> its memory before the first update; None: it has no memory.
    numbers: other fields of `hparams` that it reads.
  """

  name: str
  player: str
  value: Callable[[Moment, PyTree], Outcome]
  weight: str = ''
  scale: float | Callable[[HParams, Array], Array] = 1.0
  needs: Callable[[HParams], frozenset[str]] = _nothing
  every: int = 1
  memory: Callable[[], PyTree] | None = None
  numbers: frozenset[str] = frozenset()

  @property
  def key(self) -> str:
    """Return the name of its entry in the player's memory."""
    return self.name.partition('/')[2]

  def is_in(self, hparams: HParams) -> bool:
    """Return whether it is part of the program of a run with these numbers."""
    return not self.weight or self.weight in hparams

  def weighted(self, value: Array, hparams: HParams, step: Array) -> Array:
    """Return the weighted value, the summand of the loss."""
    scale = self.scale(hparams, step) if callable(self.scale) else self.scale
    return scale * hparams[self.weight] * value if self.weight else value
