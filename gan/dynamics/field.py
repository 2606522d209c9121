"""The vector field of both players at any state of any game, on flat vectors, and products with its Jacobian.

The field points where SGD moves the players: minus the gradient of each player's loss in its parameters, and minus its
parameters times their weight decay, if there is any. (Other optimizers scale the gradient.) So, as in Mescheder et al.
2018 (arXiv:1801.04406), an equilibrium is stable for small steps if all eigenvalues of the Jacobian have negative real
parts, and the game circles if they are imaginary.
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
  """The vector field v on flat parameters x [n], in the order of the players' names: the discriminator's come first.

  Attributes:
    evaluate: (x [n], context) -> v(x) [n].
    x: [n] parameters of the state.
    context: arrays on which the field depends besides x; compiled functions take them as an argument.
    unravel: x [n] -> {'gen', 'disc'} parameters.
  """

  evaluate: Callable[[Array, PyTree], Array]
  x: Array
  context: PyTree
  unravel: Callable[[Array], PyTree]

  def value(self) -> Array:
    """Return v(x) [n]."""
    return jax.jit(self.evaluate)(self.x, self.context)

  def jvp(self) -> Callable[[Array], Array]:
    """Return the product t -> J t [n], forward over reverse; for every n it costs a few evaluations of the field."""
    product = jax.jit(lambda x, context, tangent: jax.jvp(lambda y: self.evaluate(y, context), (x,), (tangent,))[1])
    return lambda tangent: product(self.x, self.context, tangent)

  def vjp(self) -> Callable[[Array], Array]:
    """Return the product c -> J^T c [n]."""
    product = jax.jit(lambda x, context, cotangent: jax.vjp(lambda y: self.evaluate(y, context), x)[1](cotangent)[0])
    return lambda cotangent: product(self.x, self.context, cotangent)

  def jacobian(self) -> Array:
    """Return J [n, n]; for small games."""
    return jax.jit(jax.jacfwd(self.evaluate))(self.x, self.context)


def make_field(game: Game, state: GanState, turn: Turn, hparams: dict[str, Array]) -> Field:
  """Return the field of `game` around `state`, with the batch and draws of one turn."""
  x, unravel = ravel_pytree(params_of(state))
  update = turn.update

  def evaluate(x: Array, context: PyTree) -> Array:
    state, turn, hparams = context
    turn = turn._replace(update=update)
    moves = Moves(game, None, hparams, deal=lambda state, update: turn, mean=lambda tree: tree)
    params = unravel(x)
    grads, _ = moves.local_field(params, state, update)
    decay = {name: hparams.get(f'optimizer.{name}.weight_decay', 0.0) for name in params}
    pulls = {name: jax.tree.map(lambda g, p, d=decay[name]: g + d * p, grads[name], params[name]) for name in params}
    return -ravel_pytree(pulls)[0]

  return Field(evaluate, x, (state, turn, hparams), unravel)


def player_norms(field: Field) -> dict[str, float]:
  """Return the norm of each player's part of the field."""
  parts = field.unravel(field.value())
  return {name: float(jnp.linalg.norm(ravel_pytree(part)[0])) for name, part in parts.items()}
