"""Update rules: in which order, and along which directions, the players move within one step.

Pure functions (state, moves, **settings) -> (state, scalars) over any game: `Moves` evaluates gradients and applies
optimizers, a rule decides what is evaluated where. A direction that a rule makes is handed to each player's own
optimizer in the place of its gradient.
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

from gan.declare import NOT_NEGATIVE, POSITIVE, SHARE, Setting, Settings, check_known, of, one_of
from gan.games import NOT_OF_GAMES, Game, Kept, Turn
from gan.games.cast import PLAYERS
from gan.optimizers import OPTIMIZERS, SETTINGS, TxBuilder
from gan.state import GanState, PyTree

Scalars = dict[str, Array]
Result = tuple[GanState, Scalars]
ALIGNMENT = 0.1   # Keeps the sign of symplectic adjustment positive where there is nothing to choose (Balduzzi et al.).
EPS_ROOT = 1e-16  # Inside the optimizer's root when it is differentiated: its slope at a zero gradient is infinite.


class Txs(NamedTuple):
  """The optimizers of both players."""

  gen: TxBuilder
  disc: TxBuilder


def params_of(state: GanState) -> dict[str, PyTree]:
  """{'gen', 'disc'} parameters."""
  return {name: getattr(state, name).params for name in PLAYERS}


def with_params(state: GanState, params: dict[str, PyTree]) -> GanState:
  """The state with other parameters."""
  return state.replace(**{name: getattr(state, name).replace(params=params[name]) for name in params})


def optimizer_numbers(hparams: dict[str, Array], name: str) -> dict[str, Array]:
  """Those of one player's optimizer, by the names that a `TxBuilder` knows."""
  prefix = f'optimizer.{name}.'
  return {key.removeprefix(prefix): value for key, value in hparams.items() if key.startswith(prefix)}


@dataclasses.dataclass(frozen=True)
class Moves:
  """What the players can do within one step.

  Attributes:
    game: what each player minimises.
    txs: their optimizers.
    hparams: numbers of the run at this step.
    deal: (state, update) -> the batch and draws of an evaluation; equal numbers get equal deals.
    mean: averages a tree over devices.
  """

  game: Game
  txs: Txs
  hparams: dict[str, Array]
  deal: Callable[[GanState, int], Turn]
  mean: Callable[[PyTree], PyTree]

  def __post_init__(self):
    check_known((name for name in self.hparams if name.partition('.')[0] in NOT_OF_GAMES), NUMBERS)

  def optimizer(self, state: GanState, name: str, **extra: Any) -> optax.GradientTransformation:
    """The optimizer of one player at this step."""
    numbers = optimizer_numbers(self.hparams, name) | extra
    if periods := self.game.periods(name, self.hparams):  # k + 1 updates for k (Karras et al. 2020, 1912.04958, B).
      share = 1.0 / (1.0 + sum(1.0 / period for period in periods))
      numbers |= {'lr': numbers['lr'] * share} | {beta: numbers[beta] ** share for beta in ('b1', 'b2')
                                                  if beta in numbers}
    return getattr(self.txs, name)(numbers)

  def gradient(self, state: GanState, name: str, loss: Callable, update: int) -> tuple[PyTree, Kept, Scalars]:
    """One player's gradient, what its update leaves, and scalars.

    Args:
      state: where it is taken.
      name: of the player.
      loss: (params, state, turn, hparams) -> (value, (Kept, scalars)).
      update: which update of the step this is.
    """
    loss_fn = functools.partial(loss, state=state, turn=self.deal(state, update), hparams=self.hparams)
    grads, (kept, scalars) = jax.grad(loss_fn, has_aux=True)(getattr(state, name).params)
    return self.mean(grads), self._shared(kept), self.mean(scalars)

  def _shared(self, kept: Kept) -> Kept:
    """Memory that is the same on all devices: what each found in its part of the batch is averaged."""
    leaves, structure = jax.tree.flatten(kept.memory)
    means = [self.mean(leaf) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf for leaf in leaves]
    return kept._replace(memory=jax.tree.unflatten(structure, means))

  def local_field(self, params: dict[str, PyTree], state: GanState,
                  update: int) -> tuple[PyTree, tuple[dict[str, Kept], dict[str, Scalars]]]:
    """Both gradients on this device, from one forward pass that is pulled back once for each player."""
    loss_fn = functools.partial(self.game.losses, state=state, turn=self.deal(state, update), hparams=self.hparams)
    (disc, gen), pull, aux = jax.vjp(loss_fn, params, has_aux=True)
    one, zero = jnp.ones_like(disc), jnp.zeros_like(gen)
    return {'gen': pull((zero, one))[0]['gen'], 'disc': pull((one, zero))[0]['disc']}, aux

  def field(self, state: GanState, update: int = 0) -> tuple[PyTree, dict[str, Kept], Scalars]:
    """Both gradients {'gen', 'disc'}, what both updates leave, and scalars."""
    grads, (kept, scalars) = self.local_field(params_of(state), state, update)
    kept = {name: self._shared(own) for name, own in kept.items()}
    return self.mean(grads), kept, self.mean(scalars['disc'] | scalars['gen'])

  def descend(self, state: GanState, name: str, grads: PyTree, kept: Kept) -> Result:
    """One optimizer update of one player along `grads`; the other is untouched."""
    player = getattr(state, name)
    updates, opt_state = self.optimizer(state, name).update(grads, player.opt_state, player.params)
    params = optax.apply_updates(player.params, updates)
    if name == 'disc' and 'penalty.clip' in self.hparams:
      params = clip_weights(params, self.hparams['penalty.clip'])
    player = player.replace(params=params, opt_state=opt_state, stats=kept.stats, memory=kept.memory)
    return state.replace(**{name: player}), {f'{name}/grad_norm': optax.tree.norm(grads),
                                             f'{name}/update_norm': optax.tree.norm(updates)}

  def descend_both(self, state: GanState, grads: PyTree, kept: dict[str, Kept]) -> Result:
    """One optimizer update of each player."""
    state, gen_scalars = self.descend(state, 'gen', grads['gen'], kept['gen'])
    state, disc_scalars = self.descend(state, 'disc', grads['disc'], kept['disc'])
    return state, gen_scalars | disc_scalars


def clip_weights(params: PyTree, bound: Array) -> PyTree:
  """Every parameter into [-bound, bound] (Arjovsky et al. 2017, arXiv:1701.07875)."""
  return jax.tree.map(lambda p: jnp.clip(p, -bound, bound), params)


def _take_turn(state: GanState, moves: Moves, name: str, update: int, count: Array,
               loss: Callable | None = None) -> Result:
  """One update of one player; then, where they are due, one more for each period of its lazy terms.

  Args:
    state: before it.
    moves: what the players can do.
    name: of the player.
    update: which update of the step this is.
    count: [] updates of this player before this one, all of them regular.
    loss: the player's loss, if it is not the game's.
  """
  game = moves.game
  grads, kept, scalars = moves.gradient(state, name, loss or functools.partial(game.loss, name), update)
  state, norms = moves.descend(state, name, grads, kept)
  for every in game.periods(name, moves.hparams):
    def lazily(state: GanState, every: int = every) -> GanState:
      grads, kept, _ = moves.gradient(state, name, functools.partial(game.lazy_loss, name, every), update)
      return moves.descend(state, name, grads, kept)[0]
    # Depends on the step alone: under `vmap` a condition that differs between members would compute both branches.
    state = jax.lax.cond(count % every == 0, lazily, lambda state: state, state)
  return state, scalars | norms


def alternating(state: GanState, moves: Moves, *, first: str = 'disc', disc_steps: int = 1, gen_steps: int = 1,
                gen_loss: Callable | None = None) -> Result:
  """`disc_steps` updates of one player and `gen_steps` of the other (Goodfellow et al. 2014, algorithm 1).

  Args:
    state: before the step.
    moves: what the players can do.
    first: who begins, 'disc' or 'gen'.
    disc_steps: updates of the discriminator, each with a batch of its own.
    gen_steps: updates of the generator, each with latents of its own.
    gen_loss: the generator's loss, if it is not the game's.
  """
  updates = {'disc': range(disc_steps), 'gen': range(disc_steps, disc_steps + gen_steps)}
  losses = {'disc': None, 'gen': gen_loss}
  scalars = {}
  for name in (first, 'gen' if first == 'disc' else 'disc'):
    for i, update in enumerate(updates[name]):  # Unrolled: few, and fixed when compiled.
      count = state.step * len(updates[name]) + i
      state, found = _take_turn(state, moves, name, update, count, losses[name])
      scalars |= found
  return state, scalars


def simultaneous(state: GanState, moves: Moves) -> Result:
  """Both players move from the same point; both gradients come from one forward pass."""
  grads, kept, scalars = moves.field(state)
  state, norms = moves.descend_both(state, grads, kept)
  return state, scalars | norms


def extragradient(state: GanState, moves: Moves) -> Result:
  """A look ahead, and a step from where one was with the gradients seen there (Korpelevich 1976).

  As in Gidel et al. 2019 (arXiv:1802.10551, algorithm 4) the optimizers' moments see both gradients; unlike there,
  both are taken on one batch (the same-sample form of Mishchenko et al. 2020, arXiv:1905.11373).
  """
  ahead, _ = simultaneous(state, moves)
  grads, kept, scalars = moves.field(with_params(state, params_of(ahead)))  # Stats see the batch once.
  state, norms = moves.descend_both(with_params(ahead, params_of(state)), grads, kept)
  return state, scalars | norms


def consensus(state: GanState, moves: Moves) -> Result:
  """Descends the field v plus gamma times the gradient of |v|^2 / 2 (Mescheder et al. 2017, arXiv:1705.10461).

  gamma is hparams['update.consensus'].
  """
  grads, kept, scalars = moves.field(state)
  transposed = _transposed_product(state, moves, grads)
  strength = moves.hparams.get('update.consensus', 0.0)
  state, norms = moves.descend_both(state, jax.tree.map(lambda v, t: v + strength * t, grads, transposed), kept)
  return state, scalars | norms


def symplectic(state: GanState, moves: Moves) -> Result:
  """Symplectic gradient adjustment v + lambda A^T v, A the rotational part of v's Jacobian.

  Balduzzi et al. 2018 (arXiv:1802.05642), with their choice of the sign of lambda, which lets the adjustment pull
  towards stable points and away from unstable ones. |lambda| is hparams['update.adjustment'].
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
  """J^T v, the gradient of |v|^2 / 2 where v is the field itself."""
  _, pull = jax.vjp(lambda params: moves.local_field(params, state, 0)[0], params_of(state))
  return moves.mean(pull(vector)[0])


def unrolled(state: GanState, moves: Moves, *, first: str = 'disc', disc_steps: int = 1, gen_steps: int = 1,
             unroll_steps: int = 5) -> Result:
  """Alternating, where the generator differentiates through the discriminator's next `unroll_steps` updates.

  Metz et al. 2017 (arXiv:1611.02163): the discriminator foreseen is moved by its own optimizer from its present state,
  on the generator's batch; it is thrown away afterwards.
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
  """Alternating; every `lookahead_steps` steps both players go back towards where they were (LA-minimax).

  Chavdarova et al. 2021 (arXiv:2006.14567): slow + alpha (fast - slow) for both at once, alpha being
  hparams['update.lookahead']. The slow weights are `state.memory['slow']`. They begin as the initial parameters, as in
  the paper's algorithm; in the authors' code for images they begin as the fast ones of step `lookahead_steps`, so that
  its first return moves nothing.
  """
  state, scalars = alternating(state, moves, first=first, disc_steps=disc_steps, gen_steps=gen_steps)
  slow, fast = state.memory['slow'], params_of(state)
  back = (state.step + 1) % lookahead_steps == 0
  moved = jax.tree.map(lambda s, f: s + moves.hparams['update.lookahead'] * (f - s), slow, fast)
  slow, fast = (jax.tree.map(functools.partial(jnp.where, back), moved, kept) for kept in (slow, fast))
  return with_params(state, fast).replace(memory={**state.memory, 'slow': slow}), scalars


class Rule(NamedTuple):
  """An update rule, and what a configuration may set of it in `update`.

  Attributes:
    move: (state, moves, **settings) -> (state, scalars).
    settings: ints and names, which are parameters of `move`; floats, which it finds in hparams as 'update.<name>'.
  """

  move: Callable[..., Result]
  settings: Settings = MappingProxyType({})


_TURNS = {'first': ('Who moves first, disc or gen.', one_of(('disc', 'gen'))),
          'gen_steps': ('Updates of the generator in a step.', POSITIVE)}
RULES = {
    'alternating': Rule(alternating, of(alternating, _TURNS)),
    'simultaneous': Rule(simultaneous),
    'extragradient': Rule(extragradient),
    'optimistic': Rule(simultaneous),    # The correction is the optimizers' (`make_optimizer(optimistic=True)`).
    'consensus': Rule(consensus, {
        'consensus': Setting(1.0, 'gamma, the weight of the gradient of |field|^2 / 2.', NOT_NEGATIVE)}),
    'symplectic': Rule(symplectic, {'adjustment': Setting(1.0, '|lambda|, the size of the adjustment.', NOT_NEGATIVE)}),
    'lookahead': Rule(lookahead, of(lookahead, _TURNS | {
        'lookahead_steps': ('Steps between two returns towards the slow weights.', POSITIVE)}) | {
            'lookahead': Setting(0.5, 'Share of the way from slow to fast weights that is kept.', SHARE)}),
    'unrolled': Rule(unrolled, of(unrolled, _TURNS | {
        'unroll_steps': ('Updates of the discriminator that the generator foresees.', POSITIVE)})),
}

# Names of all numbers of a run that the rules and the step read.
NUMBERS = frozenset({'train.ema_decay', *(f'update.{name}' for rule in RULES.values() for name in rule.settings),
                     *(f'optimizer.{player}.{name}' for player in PLAYERS
                       for settings in (SETTINGS, *(own.settings for own in OPTIMIZERS.values()))
                       for name in settings)})


def rule_settings(rule: str) -> tuple[str, ...]:
  """What a rule may be told, beside its numbers in `hparams`."""
  return tuple(name for name, p in inspect.signature(RULES[rule].move).parameters.items()
               if p.kind is p.KEYWORD_ONLY and name != 'gen_loss')


def memory_of(rule: str, params: dict[str, PyTree]) -> PyTree:
  """What a rule remembers before the first step."""
  return {'slow': jax.tree.map(jnp.copy, params)} if rule == 'lookahead' else {}
