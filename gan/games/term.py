"""The terms of a loss, what they look at, and what comes of it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from jax import Array

from gan.games.cast import Cast
from gan.games.turn import Devices, Turn
from gan.state import PyTree

HParams = Mapping[str, Array]
Scalars = dict[str, Array]
Memories = dict[str, dict[str, PyTree]]   # Player -> name of what is remembered -> its arrays.


class Played(NamedTuple):
  """What comes of one play.

  Attributes:
    scene: what the terms look at; each game has a scene of its own.
    stats: new ones of each player's networks.
    memory: what this changes of each player's memory, by name.
    scalars: of each player, to be logged.
  """

  scene: Any
  stats: dict[str, PyTree]
  memory: Memories = MappingProxyType({})
  scalars: Mapping[str, Scalars] = MappingProxyType({})


class Kept(NamedTuple):
  """What an update of a player leaves behind, beside its parameters: no gradient flows through it.

  Attributes:
    stats: of its networks.
    memory: of its terms, and of its part in the play, by name.
  """

  stats: PyTree
  memory: dict[str, PyTree]


class Moment(NamedTuple):
  """What a term looks at.

  Attributes:
    cast: the networks, with the parameters of this evaluation.
    scene: what `play` made with them; each game has a scene of its own.
    turn: batch and draws.
    hparams: numbers of the run.
    devices: for draws, and for what looks across the batch.
  """

  cast: Cast
  scene: Any
  turn: Turn
  hparams: HParams
  devices: Devices


class Outcome(NamedTuple):
  """What a term finds.

  Attributes:
    value: [], without its weight.
    scalars: what is to be logged beside it.
    memory: what the term remembers from now on, if it remembers anything.
  """

  value: Array
  scalars: Scalars = MappingProxyType({})
  memory: PyTree = None


def _nothing(hparams: HParams) -> frozenset[str]:
  del hparams
  return frozenset()


class Term(NamedTuple):
  """One summand of a player's loss.

  Attributes:
    name: of its scalar, 'penalty/r1'; what is behind the slash also names its memory.
    player: whose loss it is in, 'gen' or 'disc'.
    value: (moment, memory) -> Outcome.
    weight: field of `hparams`; where that is absent, the term is no part of the program. '' is always there, with
      weight 1.
    scale: what the weight is multiplied by: a number, or a function of (hparams, steps finished).
    needs: hparams -> what `play` must prepare for it.
    every: it is added after every k-th update of its player only, k times as heavy.
    memory: what it remembers before the first update; None: it remembers nothing.
    numbers: fields of `hparams` that it reads besides.
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
    """Of its memory."""
    return self.name.partition('/')[2]

  def is_in(self, hparams: HParams) -> bool:
    """Whether it is part of the program."""
    return not self.weight or self.weight in hparams

  def weighted(self, value: Array, hparams: HParams, step: Array) -> Array:
    """The summand."""
    scale = self.scale(hparams, step) if callable(self.scale) else self.scale
    return scale * hparams[self.weight] * value if self.weight else value
