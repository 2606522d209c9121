"""Games by name: how each is built, and how it is shown."""

from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

from gan.declare import Settings
from gan.games import Game, Setup, generation, plane
from gan.games.show import GENERATION, Show


class Entry(NamedTuple):
  """A game.

  Attributes:
    make: builds it of what a configuration says.
    show: how its runs are shown.
    settings: its own, `game.<name>`.
    model: what it adds to the settings of the networks, `model.<name>`.
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
  """How a game is shown; runs that say nothing of it, because they are older, are those of generation."""
  return GAMES[name].show if name in GAMES else GENERATION
