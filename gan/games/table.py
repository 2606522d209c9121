"""The table of games: how each game is built and shown, by name."""

from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

from gan.declare import Settings
from gan.games import Game, Setup, generation, plane
from gan.games.show import GENERATION, Show


class Entry(NamedTuple):
  """A game: how it is built and shown, and its settings.

  Attributes:
    make: builds the game from a `Setup`.
    show: display of its runs.
    settings: settings of the game, `game.<name>`.
    model: settings that the game adds to those of the networks, `model.<name>`.
  """

  make: Callable[[Setup], Game]
  show: Show
  settings: Settings = MappingProxyType({})
  model: Settings = MappingProxyType({})


GAMES = {
    'generation': Entry(generation.make, GENERATION, model=generation.SETTINGS),
    'plane': Entry(plane.make, plane.SHOW, model=generation.SETTINGS),
}


def show_of(name: str | None) -> Show:
  """Return the display of a game; an older run that names no game played generation."""
  return GAMES[name].show if name in GAMES else GENERATION
