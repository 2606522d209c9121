"""Update rules: in which order, and along which directions, the players move within one step.

A rule is a pure function (state, moves, **settings) -> (state, scalars) for any game. `Moves` evaluates gradients and
applies optimizers; the rule decides which gradients are evaluated at which parameters. The direction that a rule
computes for a player goes to the optimizer of that player in place of the gradient.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from gan.declare import NOT_NEGATIVE, POSITIVE, SHARE, Setting, Settings, check_numbers, of, one_of
from gan.games import Game, Kept, Turn
from gan.games.cast import PLAYERS
from gan.games.game import NOT_OF_GAMES
from gan.optimizers import OPTIMIZERS, SETTINGS, TxBuilder
from gan.state import GanState, PyTree

Scalars = dict[str, Array]
Result = tuple[GanState, Scalars]
ALIGNMENT = 0.1   # Makes the sign of symplectic adjustment positive where the alignment is near 0 (Balduzzi et al.).
EPS_ROOT = 1e-16  # Added inside the optimizer's root when that is differentiated: its slope at 0 is infinite.


class Txs(NamedTuple):
  """The optimizers of both players."""

  gen: TxBuilder
  disc: TxBuilder


def params_of(state: GanState) -> dict[str, PyTree]:
  """Return the parameters of both players, {'gen': ..., 'disc': ...}."""
  return {name: getattr(state, name).params for name in PLAYERS}


def with_params(state: GanState, params: dict[str, PyTree]) -> GanState:
  """Replace the parameters of a state."""
  return state.replace(**{name: getattr(state, name).replace(params=params[name]) for name in params})


def optimizer_numbers(hparams: dict[str, Array], name: str) -> dict[str, Array]:
  """Select the numbers of one player's optimizer, by the names that a `TxBuilder` expects."""
  prefix = f'optimizer.{name}.'
  return {key.removeprefix(prefix): value for key, value in hparams.items() if key.startswith(prefix)}


@dataclasses.dataclass(frozen=True)
class Moves:
  """The moves of the players within one step: gradients and optimizer updates.

  Attributes:
    game: defines the loss of each player.
    txs: optimizers of both players.
    hparams: numbers of the run at this step.
    deal: (state, update) -> the batch and the draws of an evaluation; the same update gets the same deal.
    mean: averages a tree over devices.
  """

  game: Game
  txs: Txs
  hparams: dict[str, Array]
  deal: Callable[[GanState, int], Turn]
  mean: Callable[[PyTree], PyTree]

  def __post_init__(self):
    check_numbers((name for name in self.hparams if name.partition('.')[0] in NOT_OF_GAMES), NUMBERS)

  def optimizer(self, state: GanState, name: str, **extra: Any) -> optax.GradientTransformation:
    """Build the optimizer of one player at this step."""
    numbers = optimizer_numbers(self.hparams, name) | extra
    # Lazy terms add an update every k steps: k + 1 updates replace k (Karras et al. 2020, 1912.04958, appendix B).
    if periods := self.game.periods(name, self.hparams):
      share = 1.0 / (1.0 + sum(1.0 / period for period in periods))
      numbers |= {'lr': numbers['lr'] * share} | {beta: numbers[beta] ** share for beta in ('b1', 'b2')
                                                  if beta in numbers}
    return getattr(self.txs, name)(numbers)

  def gradient(self, state: GanState, name: str, loss: Callable, update: int) -> tuple[PyTree, Kept, Scalars]:
    """Compute the gradient of one player's loss, the new stats and memory, and scalars.

    Args:
      state: the point at which the gradient is computed.
      name: the player, 'gen' or 'disc'.
      loss: (params, state, turn, hparams) -> (value, (Kept, scalars)).
      update: index of the update within the step.
    """
    loss_fn = functools.partial(loss, state=state, turn=self.deal(state, update), hparams=self.hparams)
    grads, (kept, scalars) = jax.grad(loss_fn, has_aux=True)(getattr(state, name).params)
    return self.mean(grads), self._shared(kept), self.mean(scalars)

  def _shared(self, kept: Kept) -> Kept:
    """Average the floating-point memory over the devices, each of which has seen its part of the batch."""
    leaves, structure = jax.tree.flatten(kept.memory)
    means = [self.mean(leaf) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf for leaf in leaves]
    return kept._replace(memory=jax.tree.unflatten(structure, means))

  def local_field(self, params: dict[str, PyTree], state: GanState,
                  update: int) -> tuple[PyTree, tuple[dict[str, Kept], dict[str, Scalars]]]:
    """Compute both gradients on this device: one forward pass, and one backward pass for each player."""
    loss_fn = functools.partial(self.game.losses, state=state, turn=self.deal(state, update), hparams=self.hparams)
    (disc, gen), pull, aux = jax.vjp(loss_fn, params, has_aux=True)
    one, zero = jnp.ones_like(disc), jnp.zeros_like(gen)
    return {'gen': pull((zero, one))[0]['gen'], 'disc': pull((one, zero))[0]['disc']}, aux

  def field(self, state: GanState, update: int = 0) -> tuple[PyTree, dict[str, Kept], Scalars]:
    """Compute both gradients {'gen', 'disc'}, the new stats and memory of both players, and scalars."""
    grads, (kept, scalars) = self.local_field(params_of(state), state, update)
    kept = {name: self._shared(player_kept) for name, player_kept in kept.items()}
    return self.mean(grads), kept, self.mean(scalars['disc'] | scalars['gen'])

  def descend(self, state: GanState, name: str, grads: PyTree, kept: Kept) -> Result:
    """Apply one optimizer update to one player along `grads`; the other player is unchanged."""
    player = getattr(state, name)
    updates, opt_state = self.optimizer(state, name).update(grads, player.opt_state, player.params)
    params = optax.apply_updates(player.params, updates)
    if name == 'disc' and 'penalty.clip' in self.hparams:
      params = clip_weights(params, self.hparams['penalty.clip'])
    player = player.replace(params=params, opt_state=opt_state, stats=kept.stats, memory=kept.memory)
    return state.replace(**{name: player}), {f'{name}/grad_norm': optax.tree.norm(grads),
                                             f'{name}/update_norm': optax.tree.norm(updates)}

  def descend_both(self, state: GanState, grads: PyTree, kept: dict[str, Kept]) -> Result:
    """Apply one optimizer update to each player."""
    state, gen_scalars = self.descend(state, 'gen', grads['gen'], kept['gen'])
    state, disc_scalars = self.descend(state, 'disc', grads['disc'], kept['disc'])
    return state, gen_scalars | disc_scalars


def clip_weights(params: PyTree, bound: Array) -> PyTree:
  """Clip every parameter to [-bound, bound] (Arjovsky et al. 2017, arXiv:1701.07875)."""
  return jax.tree.map(lambda p: jnp.clip(p, -bound, bound), params)


def _take_turn(state: GanState, moves: Moves, name: str, update: int, count: Array,
               loss: Callable | None = None) -> Result:
  """Update one player; then, for each period of its lazy terms that is due, update it once more with those terms.

  Args:
    state: the state before the update.
    moves: gradients and optimizer updates.
    name: the player, 'gen' or 'disc'.
    update: index of the update within the step.
    count: [] regular updates of this player before this one.
    loss: the player's loss; by default that of the game.
  """
  game = moves.game
  grads, kept, scalars = moves.gradient(state, name, loss or functools.partial(game.loss, name), update)
  state, norms = moves.descend(state, name, grads, kept)
  for every in game.periods(name, moves.hparams):
    def lazily(state: GanState, every: int = every) -> GanState:
      grads, kept, _ = moves.gradient(state, name, functools.partial(game.lazy_loss, name, every), update)
      return moves.descend(state, name, grads, kept)[0]
    # The condition depends on the step alone: if it differed between members, `vmap` would compute both branches.
    state = jax.lax.cond(count % every == 0, lazily, lambda state: state, state)
  return state, scalars | norms


def alternating(state: GanState, moves: Moves, *, first: str = 'disc', disc_steps: int = 1, gen_steps: int = 1,
                gen_loss: Callable | None = None) -> Result:
  """Update the players in turn, each one several times (Goodfellow et al. 2014, arXiv:1406.2661, algorithm 1).

  Args:
    state: the state before the step.
    moves: gradients and optimizer updates.
    first: the player that moves first, 'disc' or 'gen'.
    disc_steps: updates of the discriminator; each has a separate batch.
    gen_steps: updates of the generator; each has fresh latents.
    gen_loss: loss of the generator; by default that of the game.
  """
  updates = {'disc': range(disc_steps), 'gen': range(disc_steps, disc_steps + gen_steps)}
  losses = {'disc': None, 'gen': gen_loss}
  scalars = {}
  for name in (first, 'gen' if first == 'disc' else 'disc'):
    for i, update in enumerate(updates[name]):  # Unrolled: the updates are few, and their number is fixed.
      count = state.step * len(updates[name]) + i
      state, turn_scalars = _take_turn(state, moves, name, update, count, losses[name])
      scalars |= turn_scalars
  return state, scalars


def simultaneous(state: GanState, moves: Moves) -> Result:
  """Move both players from the same point; both gradients come from one forward pass."""
  grads, kept, scalars = moves.field(state)
  state, norms = moves.descend_both(state, grads, kept)
  return state, scalars | norms


def extragradient(state: GanState, moves: Moves) -> Result:
  """Extrapolate with a step, then step from the old point along the gradients of the new one (Korpelevich 1976).

  As in Gidel et al. 2019 (arXiv:1802.10551, algorithm 4), the moments of the optimizers are updated with both
  gradients. Unlike there, both gradients use the same batch (the same-sample form of Mishchenko et al. 2020,
  arXiv:1905.11373).
  """
  ahead, _ = simultaneous(state, moves)
  grads, kept, scalars = moves.field(with_params(state, params_of(ahead)))  # Old stats: they see the batch once.
  state, norms = moves.descend_both(with_params(ahead, params_of(state)), grads, kept)
  return state, scalars | norms


def consensus(state: GanState, moves: Moves) -> Result:
  """Descend along the field v plus gamma times the gradient of |v|^2 / 2 (Mescheder et al. 2017, arXiv:1705.10461).

  gamma is hparams['update.consensus'].
  """
  grads, kept, scalars = moves.field(state)
  transposed = _transposed_product(state, moves, grads)
  strength = moves.hparams.get('update.consensus', 0.0)
  state, norms = moves.descend_both(state, jax.tree.map(lambda v, t: v + strength * t, grads, transposed), kept)
  return state, scalars | norms


def symplectic(state: GanState, moves: Moves) -> Result:
  """Descend along v + lambda A^T v, where A is the antisymmetric part of the Jacobian of the field v.

  This is symplectic gradient adjustment (Balduzzi et al. 2018, arXiv:1802.05642) with the authors' choice of the sign
  of lambda: the adjustment pulls towards stable points and away from unstable ones. |lambda| is
  hparams['update.adjustment'].
  """
  grads, kept, scalars = moves.field(state)
  transposed = _transposed_product(state, moves, grads)
  _, forward = jax.jvp(lambda params: moves.local_field(params, state, 0)[0], (params_of(state),), (grads,))
  adjustment = jax.tree.map(lambda t, f: 0.5 * (t - f), transposed, moves.mean(forward))
  size = sum(leaf.size for leaf in jax.tree.leaves(grads))
  aligned = optax.tree.vdot(grads, transposed) * optax.tree.vdot(adjustment, transposed) / size + ALIGNMENT
  strength = moves.hparams.get('update.adjustment', 0.0) * jnp.sign(aligned)
  state, norms = moves.descend_both(state, jax.tree.map(lambda v, a: v + strength * a, grads, adjustment), kept)
  return state, scalars | norms


def _transposed_product(state: GanState, moves: Moves, vector: PyTree) -> PyTree:
  """Compute J^T v, where J is the Jacobian of the field; for the field v itself this is the gradient of |v|^2 / 2."""
  _, pull = jax.vjp(lambda params: moves.local_field(params, state, 0)[0], params_of(state))
  return moves.mean(pull(vector)[0])


def unrolled(state: GanState, moves: Moves, *, first: str = 'disc', disc_steps: int = 1, gen_steps: int = 1,
             unroll_steps: int = 5) -> Result:
  """Alternate; the generator differentiates through the next `unroll_steps` updates of the discriminator.

  Unrolled GAN (Metz et al. 2017, arXiv:1611.02163). The unrolled discriminator starts from the present discriminator
  and its optimizer state, is updated on the generator's batch, and is discarded afterwards.
  """
  def gen_loss(gen_params: PyTree, state: GanState, turn: Turn, hparams: dict[str, Array]):
    tx = moves.optimizer(state, 'disc', eps_root=EPS_ROOT)

    def disc_loss(disc_params: PyTree) -> Array:
      return moves.game.losses({'gen': gen_params, 'disc': disc_params}, state, turn, hparams)[0][0]

    def foresee(carry: tuple, _: None) -> tuple:
      params, opt_state = carry
      updates, opt_state = tx.update(moves.mean(jax.grad(disc_loss)(params)), opt_state, params)
      params = optax.apply_updates(params, updates)
      return (clip_weights(params, hparams['penalty.clip']) if 'penalty.clip' in hparams else params, opt_state), None

    (disc_params, _), _ = jax.lax.scan(foresee, (state.disc.params, state.disc.opt_state), length=unroll_steps)
    (_, value), (kept, scalars) = moves.game.losses({'gen': gen_params, 'disc': disc_params}, state, turn, hparams)
    return value, (kept['gen'], scalars['gen'])

  return alternating(state, moves, first=first, disc_steps=disc_steps, gen_steps=gen_steps, gen_loss=gen_loss)


def lookahead(state: GanState, moves: Moves, *, first: str = 'disc', disc_steps: int = 1, gen_steps: int = 1,
              lookahead_steps: int = 5) -> Result:
  """Alternate; every `lookahead_steps` steps both players go back towards their slow weights (lookahead-minimax).

  Both players return at once, to slow + alpha (fast - slow), where alpha is hparams['update.lookahead'] (Chavdarova et
  al. 2021, arXiv:2006.14567). The slow weights are `state.memory['slow']`. They begin as the initial parameters, as in
  the algorithm of the paper; in the authors' code for images they begin as the fast weights of step `lookahead_steps`,
  so the first return there changes nothing.
  """
  state, scalars = alternating(state, moves, first=first, disc_steps=disc_steps, gen_steps=gen_steps)
  slow, fast = state.memory['slow'], params_of(state)
  back = (state.step + 1) % lookahead_steps == 0
  moved = jax.tree.map(lambda s, f: s + moves.hparams['update.lookahead'] * (f - s), slow, fast)
  slow, fast = (jax.tree.map(functools.partial(jnp.where, back), moved, kept) for kept in (slow, fast))
  return with_params(state, fast).replace(memory={**state.memory, 'slow': slow}), scalars


class Rule(NamedTuple):
  """An update rule and its settings, which a configuration has in the group `update`.

  Attributes:
    move: (state, moves, **settings) -> (state, scalars).
    settings: ints and names are parameters of `move`; `move` reads floats from hparams['update.<name>'].
  """

  move: Callable[..., Result]
  settings: Settings = MappingProxyType({})


_TURNS = {'first': ('The player that moves first, disc or gen.', one_of(('disc', 'gen'))),
          'gen_steps': ('Updates of the generator in a step.', POSITIVE)}
RULES = {
    'alternating': Rule(alternating, of(alternating, _TURNS)),
    'simultaneous': Rule(simultaneous),
    'extragradient': Rule(extragradient),
    'optimistic': Rule(simultaneous),    # The optimizers make the correction (`make_optimizer(optimistic=True)`).
    'consensus': Rule(consensus, {
        'consensus': Setting(1.0, 'gamma, the weight of the gradient of |field|^2 / 2.', NOT_NEGATIVE)}),
    'symplectic': Rule(symplectic, {
        'adjustment': Setting(1.0, '|lambda|, the weight of the adjustment.', NOT_NEGATIVE)}),
    'lookahead': Rule(lookahead, of(lookahead, _TURNS | {
        'lookahead_steps': ('Steps between two returns towards the slow weights.', POSITIVE)}) | {
            'lookahead': Setting(0.5, 'alpha, the share of the way from slow to fast weights that is kept.', SHARE)}),
    'unrolled': Rule(unrolled, of(unrolled, _TURNS | {
        'unroll_steps': ('Updates of the discriminator through which the generator differentiates.', POSITIVE)})),
}

# Names of all numbers of a run that the rules and the step read.
NUMBERS = frozenset({'train.ema_decay', 'train.ema_halflife', 'train.ema_rampup',
                     *(f'update.{name}' for rule in RULES.values() for name in rule.settings),
                     *(f'optimizer.{player}.{name}' for player in PLAYERS
                       for settings in (SETTINGS, *(optimizer.settings for optimizer in OPTIMIZERS.values()))
                       for name in settings)})


def rule_settings(rule: str) -> tuple[str, ...]:
  """List the settings of a rule that are keyword arguments of its function; its numbers are in `hparams`."""
  return tuple(name for name, p in inspect.signature(RULES[rule].move).parameters.items()
               if p.kind is p.KEYWORD_ONLY and name != 'gen_loss')


def memory_of(rule: str, params: dict[str, PyTree]) -> PyTree:
  """Create the memory of a rule before the first step."""
  return {'slow': jax.tree.map(jnp.copy, params)} if rule == 'lookahead' else {}
