"""What a game is: networks, draws, one play of them, and the terms of which each player's loss is the sum.

A game says what is particular to it (`draw`, `play`, `sample`, its terms). The losses of both players, what is held
fixed in each, lazy terms and what terms remember are derived here, once for every game.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from gan.declare import check_known
from gan.games.cast import PLAYERS, Cast, Draw, Network, Sampler, joined, owner
from gan.randomness import step_key
from gan.state import GanState, PyTree, Start

HParams = Mapping[str, Array]
NOT_OF_GAMES = ('optimizer', 'train', 'update', 'schedule')   # Groups of numbers that the rules read.
Scalars = dict[str, Array]
Inputs = dict[str, Array]
Memories = dict[str, dict[str, PyTree]]   # Of each player, by name.


class Devices(NamedTuple):
  """What a game has to know of devices: nothing, by default.

  Attributes:
    draw: (sampler, key, shape [B, ...]) -> this device's part, of that shape, of one draw for all devices.
    gather: this device's vector [L] -> that of all devices.
  """

  draw: Callable[[Sampler, Array, tuple[int, ...]], Array] = lambda sampler, key, shape: sampler(key, shape)
  gather: Callable[[Array], Array] = lambda x: x


ONE_DEVICE = Devices()


class GameError(ValueError):
  """A game that cannot be built from what a person has chosen; the message says what to change."""


class Setup(NamedTuple):
  """What a game is built from.

  Attributes:
    settings: of the run, by field: 'penalty.every', ...
    columns: of the data, by name: shape and dtype of one example as networks see it.
    network: (player, shape of one sample) -> the module that `model.<player>` chooses.
    objective: on logits.
    devices: what the game has to know of them.
  """

  settings: Mapping[str, Any]
  columns: Mapping[str, jax.ShapeDtypeStruct]
  network: Callable[[str, tuple[int, ...]], nn.Module]
  objective: Any
  devices: Devices


class Turn(NamedTuple):
  """What is dealt for one evaluation of the losses.

  Attributes:
    batch: columns of the data, by name, [B, ...]: this device's part.
    inputs: what the game draws beside them, such as latents {'z': [B, Z]}: this device's part.
    rng: root key of the run.
    step: steps finished so far.
    update: which update of the step this is; no two share their draws.
  """

  batch: dict[str, Array]
  inputs: Inputs
  rng: Array
  step: Array
  update: int

  def key(self, purpose: str) -> Array:
    """Key [] of one purpose in this turn."""
    return jax.random.fold_in(step_key(self.rng, purpose, self.step), self.update)

  def draw(self, devices: Devices) -> Draw:
    """The draws of this turn."""
    return lambda purpose, sampler, shape: devices.draw(sampler, self.key(purpose), shape)


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


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Game:
  """Two players, 'gen' and 'disc', each with networks and a loss.

  Attributes:
    networks: by name: 'gen', or 'gen.ab' and 'gen.ba' where a player has several.
    terms: of both losses. Those whose weight is not among the numbers of a run are not part of its program.
    devices: what it has to know of them.
    conditions: columns of the data that samples are made of, beside what `draw` returns.
  """

  networks: Mapping[str, Network]
  terms: tuple[Term, ...]
  devices: Devices = ONE_DEVICE

  conditions: ClassVar[tuple[str, ...]] = ()

  @property
  def slopes(self) -> Callable[[GanState, Turn, HParams], Scalars] | None:
    """(state, turn, hparams) -> scalars: how steep the discriminator is where it is used; None if not to be had."""
    return None

  @property
  def numbers(self) -> frozenset[str]:
    """Names of all numbers that the game may read: those of its terms, unless a game has more."""
    return frozenset().union(*({term.weight} | term.numbers for term in self.terms))

  def draw(self, draw: Draw, batch: dict[str, Array], count: int) -> Inputs:
    """Draws what is not data: `count` samples' worth of each of the inputs that this game makes up."""
    raise NotImplementedError

  def play(self, cast: Cast, turn: Turn, hparams: HParams, memory: Memories, needs: frozenset[str]) -> Played:
    """Runs the forward passes that the terms share.

    Args:
      cast: the networks; `cast.player` is the one that is trained, None if both are.
      turn: batch and draws.
      hparams: numbers of the run.
      memory: what the players remember.
      needs: what the terms need of the scene.
    """
    raise NotImplementedError

  def sample(self, gen: PyTree, inputs: Inputs, draw: Draw | None = None) -> Array:
    """Samples [B, ...] of the generator {'params', 'stats'} as it is used after training.

    Args:
      gen: parameters and stats of its networks.
      inputs: what it makes them of.
      draw: for networks that are random.
    """
    raise NotImplementedError

  def walk(self, start: Inputs, end: Inputs, t: ArrayLike) -> Inputs:
    """Inputs between `start` (t = 0) and `end` (t = 1), as likely as these; for games in which it makes sense."""
    raise NotImplementedError

  def describe(self, state: GanState, batch: dict[str, jax.ShapeDtypeStruct]) -> list[str]:
    """Lines on what becomes of a batch, for people; `state` and `batch` are shapes."""
    shapes = ', '.join(f'{name} {list(column.shape)}' for name, column in batch.items())
    return [f'batch: {shapes}']

  def first_memory(self, player: str) -> dict[str, PyTree]:
    """What is remembered for a player before the first update, by name; a game that plays with memory adds its own."""
    return {term.key: term.memory() for term in self.terms if term.player == player and term.memory}

  def init(self, rng: Array) -> dict[str, Start]:
    """What each player begins with; a function of the key alone."""
    keys = dict(zip(PLAYERS, jax.random.split(rng), strict=True))
    own = {player: [name for name in self.networks if owner(name) == player] for player in PLAYERS}
    params, stats, normed = {}, {}, 0
    for name in (*own['disc'], *own['gen']):
      player = owner(name)
      key = keys[player] if len(own[player]) == 1 else jax.random.fold_in(keys[player], own[player].index(name))
      # 2: the split above has the keys 0 and 1.
      params[name], stats[name] = self.networks[name].init(key, jax.random.fold_in(rng, 2 + normed))
      normed += self.networks[name].spectral_norm
    params, stats = joined(params), joined(stats)
    return {player: Start(params[player], stats[player], self.first_memory(player)) for player in PLAYERS}

  def cast(self, state: GanState, turn: Turn) -> Cast:
    """The networks with the parameters of a state."""
    players = {name: getattr(state, name) for name in PLAYERS}
    return Cast(self.networks, {name: player.params for name, player in players.items()},
                {name: player.stats for name, player in players.items()}, turn.draw(self.devices))

  def loss(self, player: str, params: PyTree, state: GanState, turn: Turn,
           hparams: HParams) -> tuple[Array, tuple[Kept, Scalars]]:
    """Loss of one player at `params`, without its lazy terms, and what its update leaves; everybody else is frozen."""
    cast = self.cast(state, turn).training(player, params)
    terms = [term for term in self._terms(hparams, [player]) if term.every == 1]
    values, kept, scalars = self._evaluate(cast, terms, state, turn, hparams)
    return values[player], (kept[player], scalars[player])

  def lazy_loss(self, player: str, every: int, params: PyTree, state: GanState, turn: Turn,
                hparams: HParams) -> tuple[Array, tuple[Kept, Scalars]]:
    """What `loss` leaves out of one period: the terms of that many updates at once. Stats stay as they are."""
    cast = self.cast(state, turn).training(player, params)
    terms = [term for term in self._terms(hparams, [player]) if term.every == every]
    values, kept, scalars = self._evaluate(cast, terms, state, turn, hparams)
    before = getattr(state, player)
    memory = before.memory | {term.key: kept[player].memory[term.key] for term in terms if term.memory}
    return every * values[player], (Kept(before.stats, memory), scalars[player])

  def losses(self, params: dict[str, PyTree], state: GanState, turn: Turn,
             hparams: HParams) -> tuple[tuple[Array, Array], tuple[dict[str, Kept], dict[str, Scalars]]]:
    """Both losses (disc, gen) at {'gen', 'disc'} parameters, lazy terms and all; what is kept and scalars by player.

    From one play, with nobody frozen, for rules that follow the vector field of the game.
    """
    cast = dataclasses.replace(self.cast(state, turn), params=params)
    values, kept, scalars = self._evaluate(cast, self._terms(hparams, PLAYERS), state, turn, hparams)
    return (values['disc'], values['gen']), (kept, scalars)

  def periods(self, player: str, hparams: HParams) -> tuple[int, ...]:
    """Periods of a player's lazy terms, in updates of its own."""
    return tuple(sorted({term.every for term in self._terms(hparams, [player])} - {1}))

  def _terms(self, hparams: HParams, players: Iterable[str]) -> list[Term]:
    check_known((name for name in hparams if name.partition('.')[0] not in NOT_OF_GAMES), self.numbers)
    return [term for term in self.terms if term.player in players and term.is_in(hparams)]

  def _evaluate(self, cast: Cast, terms: list[Term], state: GanState, turn: Turn,
                hparams: HParams) -> tuple[dict[str, Array], dict[str, Kept], dict[str, Scalars]]:
    """The sum of each player's terms, what it keeps, and its scalars."""
    needs = frozenset().union(*(term.needs(hparams) for term in terms))
    played = self.play(cast, turn, hparams, memories(state), needs)
    moment = Moment(cast, played.scene, turn, hparams, self.devices)
    memory = {player: own | played.memory.get(player, {}) for player, own in memories(state).items()}
    values = dict.fromkeys(PLAYERS, jnp.zeros((), jnp.float32))
    scalars = {player: dict(played.scalars.get(player, {})) for player in PLAYERS}
    for term in terms:
      value, found, remembered = term.value(moment, memory[term.player].get(term.key))
      values[term.player] += term.weighted(value, hparams, state.step)
      scalars[term.player] |= {term.name: value, **found}
      if term.memory:
        memory[term.player][term.key] = remembered
    kept = {player: Kept(played.stats[player], jax.lax.stop_gradient(memory[player])) for player in PLAYERS}
    return values, kept, scalars


def memories(state: GanState) -> Memories:
  """What both players remember."""
  return {player: getattr(state, player).memory for player in PLAYERS}
