"""The vector field of both players at any state of any game, on flat vectors, and products with its Jacobian.

The field points where the players go: minus the gradient of each player's loss in its own parameters. So, as in
Mescheder et al. 2018 (arXiv:1801.04406), an equilibrium is stable for small steps where all eigenvalues of the Jacobian
have negative real parts, and the game circles where they are imaginary.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree

from gan.games import Game, Turn
from gan.rules import Moves, params_of
from gan.state import GanState, PyTree


class Field(NamedTuple):
  """A field on flat parameters x [n]: the generator's come last, as 'disc' comes before 'gen'.

  Attributes:
    at: x [n] -> v(x) [n].
    x: [n], where the state is.
    unravel: x [n] -> {'gen', 'disc'} parameters.
  """

  at: Callable[[Array], Array]
  x: Array
  unravel: Callable[[Array], PyTree]

  def jvp(self, tangent: Array) -> Array:
    """J t [n], forward over reverse: as dear as a few evaluations, whatever n is."""
    return jax.jvp(self.at, (self.x,), (tangent,))[1]

  def vjp(self, cotangent: Array) -> Array:
    """J^T c [n]."""
    return jax.vjp(self.at, self.x)[1](cotangent)[0]

  def jacobian(self) -> Array:
    """J [n, n]; for small games."""
    return jax.jacfwd(self.at)(self.x)


def make_field(game: Game, state: GanState, turn: Turn, hparams: dict[str, Array]) -> Field:
  """The field of `game` around `state`, with the batch and draws of one turn."""
  x, unravel = ravel_pytree(params_of(state))
  moves = Moves(game, None, hparams, deal=lambda state, update: turn, mean=lambda tree: tree)

  def at(x: Array) -> Array:
    grads, _ = moves.local_field(unravel(x), state, update=0)
    return -ravel_pytree(grads)[0]

  return Field(at, x, unravel)


def player_norms(field: Field) -> dict[str, Array]:
  """Norm of each player's part of the field."""
  parts = field.unravel(field.at(field.x))
  return {name: jnp.linalg.norm(ravel_pytree(part)[0]) for name, part in parts.items()}
