"""Games by name: how each is built, and how it is shown."""

from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

from gan.declare import Settings
from gan.games import Game, Setup, generation, plane
from gan.games.show import GENERATION, Show


class Entry(NamedTuple):
  """How to build a game from what a configuration says, how its runs are shown, and its own settings, `game.<name>`."""

  make: Callable[[Setup], Game]
  show: Show
  settings: Settings = MappingProxyType({})


GAMES = {
    'generation': Entry(generation.make, GENERATION),
    'plane': Entry(plane.make, plane.SHOW),
}


def show_of(name: str | None) -> Show:
  """How a game is shown; runs that say nothing of it, because they are older, are those of generation."""
  return GAMES[name].show if name in GAMES else GENERATION
