"""The small game of generation: each player has one parameter; a run is shown as a path over the vector field."""

import jax

from gan.games import Game, GameError, Setup, generation
from gan.games.show import GENERATION
from gan.randomness import root_key

SHOW = GENERATION._replace(frame='path')


def make(setup: Setup) -> Game:
  """Build the game.

  Raises:
    GameError: if a player has more than one parameter.
  """
  game = generation.make(setup)
  for player, start in jax.eval_shape(game.init, root_key(0)).items():
    if (size := sum(leaf.size for leaf in jax.tree.leaves(start.params))) != 1:
      raise GameError(f'game.name=plane is for players of one parameter each, and model.{player}.name='
                      f'{setup.settings[f"model.{player}.name"]} has {size:,}; use --config.game.name=generation')
  return game
