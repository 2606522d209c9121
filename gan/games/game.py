"""A game: what is particular to it is said by each, and the losses of both players are derived here, once for all.

What is held fixed in each loss, lazy terms, and what terms remember are decided nowhere else.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from gan.declare import check_numbers
from gan.games.cast import PLAYERS, Cast, Draw, Network, joined, owner
from gan.games.term import HParams, Kept, Memories, Moment, Played, Scalars, Term
from gan.games.turn import ONE_DEVICE, Devices, Inputs, Turn
from gan.state import GanState, PyTree, Start

NOT_OF_GAMES = ('optimizer', 'train', 'update', 'schedule')   # Groups of numbers that the rules read.


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


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Game:
  """Two players, 'gen' and 'disc', each with networks and a loss.

  Attributes:
    networks: by name: 'gen', or 'gen.ab' and 'gen.ba' where a player has several.
    terms: of both losses. Those whose weight is not among the numbers of a run are not part of its program.
    devices: what it has to know of them.
    conditions: columns of the data that samples are made of, beside what `draw` returns.
    walks: whether `walk` is there, so that `gan.sample --interpolate` makes sense.
  """

  networks: Mapping[str, Network]
  terms: tuple[Term, ...]
  devices: Devices = ONE_DEVICE

  conditions: ClassVar[tuple[str, ...]] = ()
  walks: ClassVar[bool] = False

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
    """Inputs between `start` (t = 0) and `end` (t = 1), as likely as these; for games with `walks`."""
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
    check_numbers((name for name in hparams if name.partition('.')[0] not in NOT_OF_GAMES), self.numbers)
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
