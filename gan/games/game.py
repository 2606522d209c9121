"""The base class of games: each game supplies networks, draws and forward passes; both losses are derived here.

Only this file decides what is held fixed in each loss, how lazy terms are added, and how terms remember.
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
  """A game that cannot be built from the chosen settings; the message says what to change."""


class Setup(NamedTuple):
  """Everything that a game is built from.

  Attributes:
    settings: settings of the run by field, such as 'penalty.every'.
    columns: columns of the data by name: shape and dtype of one example as networks see it.
    network: (player, shape of one sample) -> the module that `model.<player>` chooses.
    objective: objective on logits.
    devices: draws and gathers over all devices.
    shares: share of each class in the data; () where the run needs no classes.
  """

  settings: Mapping[str, Any]
  columns: Mapping[str, jax.ShapeDtypeStruct]
  network: Callable[[str, tuple[int, ...]], nn.Module]
  objective: Any
  devices: Devices
  shares: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Game:
  """Two players, 'gen' and 'disc', each with networks and a loss.

  Attributes:
    networks: networks by name: 'gen', or 'gen.ab' and 'gen.ba' where a player has several.
    terms: terms of both losses. A term whose weight is not among the numbers of a run is not part of its program.
    devices: draws and gathers over all devices.
    conditions: columns of the data that samples are made from, besides what `draw` returns.
    walks: whether the game has a `walk`, which `gan.sample --interpolate` needs.
  """

  networks: Mapping[str, Network]
  terms: tuple[Term, ...]
  devices: Devices = ONE_DEVICE

  conditions: ClassVar[tuple[str, ...]] = ()
  walks: ClassVar[bool] = False

  @property
  def slopes(self) -> Callable[[GanState, Turn, HParams], Scalars] | None:
    """Return (state, turn, hparams) -> scalars, the discriminator's slopes at its inputs; None if there are none."""
    return None

  @property
  def classes(self) -> tuple[str, int] | None:
    """Return the generator's input that chooses a class (or a categorical code), and its number of values."""
    return None

  @property
  def numbers(self) -> frozenset[str]:
    """Return the names of all numbers that the game may read; by default, those that its terms read."""
    return frozenset().union(*({term.weight} | term.numbers for term in self.terms))

  def draw(self, draw: Draw, batch: dict[str, Array], count: int) -> Inputs:
    """Draw the inputs that are not data, such as latents: `count` samples of each."""
    raise NotImplementedError

  def play(self, cast: Cast, turn: Turn, hparams: HParams, memory: Memories, needs: frozenset[str]) -> Played:
    """Run the forward passes that the terms share.

    Args:
      cast: the networks; `cast.player` is the player that is trained, None if both are.
      turn: batch and draws.
      hparams: numbers of the run.
      memory: memory of both players.
      needs: names of the extra quantities that terms need in the scene (`Term.needs`).
    """
    raise NotImplementedError

  def sample(self, gen: PyTree, inputs: Inputs, draw: Draw | None = None) -> Array:
    """Return samples [B, ...] of the generator as it is used after training.

    Args:
      gen: {'params', 'stats'} of the generator's networks.
      inputs: inputs that the samples are made from.
      draw: draws for networks that are random.
    """
    raise NotImplementedError

  def truncated(self, truncation: float) -> 'Game':
    """Return the game whose samples are less varied and more typical: 1 leaves them, 0 makes all of them the mean.

    Raises:
      GameError: if its generator has no mean to pull samples to; the message ends a sentence.
    """
    raise GameError('needs a game with a generator of styles')

  def walk(self, start: Inputs, end: Inputs, t: ArrayLike) -> Inputs:
    """Interpolate between `start` (t = 0) and `end` (t = 1) through likely inputs; games without `walks` cannot."""
    raise NotImplementedError

  def describe(self, state: GanState, batch: dict[str, jax.ShapeDtypeStruct]) -> list[str]:
    """Return lines, for people, on the shapes that a batch takes; `state` and `batch` are shapes."""
    shapes = ', '.join(f'{name} {list(column.shape)}' for name, column in batch.items())
    return [f'batch: {shapes}']

  def first_memory(self, player: str) -> dict[str, PyTree]:
    """Return a player's memory before the first update, by name; a game whose `play` has memory adds to it."""
    return {term.key: term.memory() for term in self.terms if term.player == player and term.memory}

  def init(self, rng: Array) -> dict[str, Start]:
    """Return each player's initial parameters, stats and memory; they depend on the key alone."""
    keys = dict(zip(PLAYERS, jax.random.split(rng), strict=True))
    names_of = {player: [name for name in self.networks if owner(name) == player] for player in PLAYERS}
    params, stats, normed = {}, {}, 0
    for name in (*names_of['disc'], *names_of['gen']):
      player = owner(name)
      names = names_of[player]
      key = keys[player] if len(names) == 1 else jax.random.fold_in(keys[player], names.index(name))
      # Keys of spectral norm are numbered from 2: the split above has made the keys 0 and 1.
      params[name], stats[name] = self.networks[name].init(key, jax.random.fold_in(rng, 2 + normed))
      normed += self.networks[name].spectral_norm
    params, stats = joined(params), joined(stats)
    return {player: Start(params[player], stats[player], self.first_memory(player)) for player in PLAYERS}

  def cast(self, state: GanState, turn: Turn) -> Cast:
    """Return the networks with the parameters and stats of a state."""
    players = {name: getattr(state, name) for name in PLAYERS}
    return Cast(self.networks, {name: player.params for name, player in players.items()},
                {name: player.stats for name, player in players.items()}, turn.draw(self.devices))

  def loss(self, player: str, params: PyTree, state: GanState, turn: Turn,
           hparams: HParams) -> tuple[Array, tuple[Kept, Scalars]]:
    """Return a player's loss at `params` without its lazy terms, and (what its update keeps, scalars).

    The other player is frozen.
    """
    cast = self.cast(state, turn).training(player, params)
    terms = [term for term in self._terms(hparams, [player]) if term.every == 1]
    values, kept, scalars = self._evaluate(cast, terms, state, turn, hparams)
    return values[player], (kept[player], scalars[player])

  def lazy_loss(self, player: str, every: int, params: PyTree, state: GanState, turn: Turn,
                hparams: HParams) -> tuple[Array, tuple[Kept, Scalars]]:
    """Return `every` times the player's lazy terms of this period, and (what its update keeps, scalars).

    `loss` leaves these terms out, so the factor makes up for the other updates of the period. Stats do not change.
    """
    cast = self.cast(state, turn).training(player, params)
    terms = [term for term in self._terms(hparams, [player]) if term.every == every]
    values, kept, scalars = self._evaluate(cast, terms, state, turn, hparams)
    before = getattr(state, player)
    memory = before.memory | {term.key: kept[player].memory[term.key] for term in terms if term.memory}
    return every * values[player], (Kept(before.stats, memory), scalars[player])

  def losses(self, params: dict[str, PyTree], state: GanState, turn: Turn,
             hparams: HParams) -> tuple[tuple[Array, Array], tuple[dict[str, Kept], dict[str, Scalars]]]:
    """Return both losses (disc, gen) at {'gen', 'disc'} parameters, and (what is kept, scalars) by player.

    Lazy terms are included, and no player is frozen: this is for rules that follow the vector field of the game. Both
    losses come from one play.
    """
    cast = dataclasses.replace(self.cast(state, turn), params=params)
    values, kept, scalars = self._evaluate(cast, self._terms(hparams, PLAYERS), state, turn, hparams)
    return (values['disc'], values['gen']), (kept, scalars)

  def periods(self, player: str, hparams: HParams) -> tuple[int, ...]:
    """Return the periods of a player's lazy terms, counted in updates of this player."""
    return tuple(sorted({term.every for term in self._terms(hparams, [player])} - {1}))

  def _terms(self, hparams: HParams, players: Iterable[str]) -> list[Term]:
    check_numbers((name for name in hparams if name.partition('.')[0] not in NOT_OF_GAMES), self.numbers)
    return [term for term in self.terms if term.player in players and term.is_in(hparams)]

  def _evaluate(self, cast: Cast, terms: list[Term], state: GanState, turn: Turn,
                hparams: HParams) -> tuple[dict[str, Array], dict[str, Kept], dict[str, Scalars]]:
    """Return the weighted sum of each player's terms, what each player keeps, and its scalars."""
    needs = frozenset().union(*(term.needs(hparams) for term in terms))
    played = self.play(cast, turn, hparams, memories(state), needs)
    moment = Moment(cast, played.scene, turn, hparams, self.devices)
    memory = {player: entries | played.memory.get(player, {}) for player, entries in memories(state).items()}
    values = dict.fromkeys(PLAYERS, jnp.zeros((), jnp.float32))
    scalars = {player: dict(played.scalars.get(player, {})) for player in PLAYERS}
    for term in terms:
      value, term_scalars, remembered = term.value(moment, memory[term.player].get(term.key))
      values[term.player] += term.weighted(value, hparams, state.step)
      scalars[term.player] |= {term.name: value, **term_scalars}
      if term.memory:
        memory[term.player][term.key] = remembered
    kept = {player: Kept(played.stats[player], jax.lax.stop_gradient(memory[player])) for player in PLAYERS}
    return values, kept, scalars


def memories(state: GanState) -> Memories:
  """Return the memory of both players."""
  return {player: getattr(state, player).memory for player in PLAYERS}
