"""One step of training, and a loop of steps in one dispatch.

The step does not depend on devices. Two objects that do are passed in: the game's `devices`, which return this device's
part of a draw, and `mean`, which averages over devices. rules.py decides the order in which the players move.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from gan.declare import nearest
from gan.games import Game, Turn
from gan.games.cast import PLAYERS
from gan.rules import RULES, Moves, Scalars, Txs, memory_of, params_of, rule_settings
from gan.state import GanState, PyTree

TrainStep = Callable[[GanState, dict[str, Array], dict[str, Array]], tuple[GanState, Scalars]]


def _identity(tree: PyTree) -> PyTree:
  return tree


def _constant(hparams: dict[str, Array], step: Array) -> dict[str, Array]:
  del step
  return hparams


def warmed_up(decay: ArrayLike, step: Array) -> Array:
  """Warm up the decay of a running average after `step` updates: min(decay, (1 + step) / (10 + step))."""
  updates = jnp.asarray(step, jnp.float32)
  return jnp.minimum(decay, (1.0 + updates) / (10.0 + updates))


def average_decay(hparams: dict[str, Array], step: Array, images_per_step: int) -> Array:
  """Return the decay [] of the averaged generator after `step` finished steps.

  It is `train.ema_decay`, warmed up; or, with a half-life of h images, 2^(-B / h) for steps of B images (Karras et al.
  2020, arXiv:1912.04958 and arXiv:2006.06676). With a ramp-up r, the half-life is at most r times the images seen
  before this step, so that the first step forgets the initial weights.
  """
  if 'train.ema_halflife' not in hparams:
    return warmed_up(hparams.get('train.ema_decay', 0.0), step)
  halflife = hparams['train.ema_halflife']
  if 'train.ema_rampup' in hparams:
    halflife = jnp.minimum(halflife, hparams['train.ema_rampup'] * images_per_step * jnp.asarray(step, jnp.float32))
  return jnp.exp2(-images_per_step / jnp.maximum(halflife, 1e-8))


def make_deal(game: Game) -> Callable[..., Turn]:
  """Build deal(batch [N, B, ...], state, update) -> Turn.

  Update i gets batch min(i, N - 1) and fresh latents.
  """
  def deal(batch: dict[str, Array], state: GanState, update: int) -> Turn:
    row = min(update, next(iter(batch.values())).shape[0] - 1)
    turn = Turn(jax.tree.map(lambda x: x[row], batch), {}, state.rng, state.step, update)
    count = next(iter(turn.batch.values())).shape[0]
    return turn._replace(inputs=game.draw(turn.draw(game.devices), turn.batch, count))

  return deal


def _checked(deal: Callable[..., Turn], disc_steps: int) -> Callable[..., Turn]:
  """Wrap a deal with a check of the number of batches: one for each update of the discriminator."""
  def checked(batch: dict[str, Array], state: GanState, update: int) -> Turn:
    for name, column in batch.items():
      if column.ndim < 2 or column.shape[0] != disc_steps:
        raise ValueError(f'batch[{name!r}] has shape {column.shape}; it must be [{disc_steps}, batch, ...], one batch '
                         'for each update of the discriminator in a step (disc_steps)')
    return deal(batch, state, update)
  return checked


def make_train_step(game: Game, txs: Txs, rule: str = 'alternating', *, mean: Callable[[PyTree], PyTree] = _identity,
                    deal: Callable[..., Turn] | None = None, images_per_step: int = 1,
                    numbers_at: Callable[[dict[str, Array], Array], dict[str, Array]] = _constant,
                    **settings: Any) -> TrainStep:
  """Build a step: the players move by a rule, then the generator is averaged.

  Args:
    game: defines the loss of each player.
    txs: optimizers of both players.
    rule: key of RULES.
    mean: averages a tree over devices.
    deal: (batch, state, update) -> Turn, to replace the draws of `state.rng` by others.
    images_per_step: real images in a step, over all devices; only the half-life of the average needs it.
    numbers_at: (hparams, steps finished) -> numbers at this step, for schedules.
    **settings: settings of the rule.

  Returns:
    train_step(state, batch, hparams) -> (state, scalars). `batch` holds arrays [N, B, ...] with N = disc_steps, one
    batch for each update of the discriminator. Every update of the generator sees the last one of them.

  Raises:
    ValueError: if the rule or a setting is unknown; the step raises it if the batch has a wrong shape.
  """
  if rule not in RULES:
    raise ValueError(f'rule {rule!r} is unknown{nearest(rule, RULES)}')
  if unknown := set(settings) - set(rule_settings(rule)):
    raise ValueError(f'{", ".join(sorted(unknown))} is no setting of the rule {rule}, which has '
                     f'{", ".join(rule_settings(rule)) or "none"}')
  move = functools.partial(RULES[rule].move, **settings)
  deal = deal or _checked(make_deal(game), settings.get('disc_steps', 1))

  def train_step(state: GanState, batch: dict[str, Array], hparams: dict[str, Array]) -> tuple[GanState, Scalars]:
    before, hparams = state, numbers_at(hparams, state.step)
    state, scalars = move(state, Moves(game, txs, hparams, functools.partial(deal, batch), mean))
    scalars |= position(state)
    scalars |= {f'{name}/weight_norm': optax.tree.norm(params) for name, params in params_of(state).items()}
    if 'moved' in state.memory:
      moved = jax.tree.map(jnp.subtract, params_of(state), params_of(before))
      scalars |= {f'{name}/update_cosine': cosine(moved[name], before.memory['moved'][name]) for name in PLAYERS}
      state = state.replace(memory={**state.memory, 'moved': moved})

    latest = {'params': state.gen.params, 'stats': state.gen.stats}
    decay = average_decay(hparams, state.step, images_per_step)
    ema = optax.incremental_update(latest, state.ema, 1.0 - decay)
    return state.replace(step=state.step + 1, ema=ema), scalars

  return train_step


def initial_memory(rule: str, params: dict[str, PyTree], angles: bool) -> PyTree:
  """Create the memory before the first step: that of the rule and, if angles are logged, the last movement."""
  moved = {'moved': jax.tree.map(jnp.zeros_like, params)} if angles else {}
  return memory_of(rule, params) | moved


def cosine(one: PyTree, other: PyTree) -> Array:
  """Compute the cosine [] of the angle between two trees; 0 if one of them is zero."""
  scale = optax.tree.norm(one) * optax.tree.norm(other)
  return jnp.divide(optax.tree.vdot(one, other), jnp.where(scale > 0.0, scale, 1.0))


def position(state: GanState) -> Scalars:
  """Return the parameter of each player that has only one: its coordinate in the plane of the game."""
  players = {name: jax.tree.leaves(getattr(state, name).params) for name in PLAYERS}
  return {f'{name}/parameter': leaves[0].reshape(()) for name, leaves in players.items()
          if sum(leaf.size for leaf in leaves) == 1}


def make_loop(train_step: TrainStep, get_batch: Callable[..., dict[str, Array]]) -> Callable:
  """Build a loop that runs many steps in one dispatch.

  The number of steps is an argument, not a constant: every dispatch runs the same compiled program, so the division of
  a run into dispatches does not change a bit of the result. The loop ends early after the first step whose scalars are
  not all finite.

  Args:
    train_step: (state, batch, hparams) -> (state, scalars).
    get_batch: (data, rng, step, i) -> the batch of `step`, which is step i of this dispatch.

  Returns:
    loop(state, data, hparams, num_steps) -> (state, scalars, last), where `scalars` are those of the last step and
    `last` is (steps finished, whether all scalars of the last step are finite).
  """
  train_step = jax.jit(train_step, inline=True)  # Traced once, although its shapes and its program are both needed.

  def loop(state: GanState, data: PyTree, hparams: dict[str, Array],
           num_steps: Array) -> tuple[GanState, Scalars, tuple[Array, Array]]:
    first = state.step

    def one_step(state: GanState) -> tuple[GanState, Scalars]:
      return train_step(state, get_batch(data, state.rng, state.step, state.step - first), hparams)

    def body(carry: tuple) -> tuple:
      state, scalars = one_step(carry[0])
      return state, scalars, jnp.all(jnp.isfinite(jnp.stack(list(scalars.values()))))

    def unfinished(carry: tuple) -> Array:
      return (carry[0].step - first < num_steps) & carry[2]

    no_scalars = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(one_step, state)[1])
    state, scalars, finite = jax.lax.while_loop(unfinished, body, (state, no_scalars, jnp.bool_(True)))
    return state, scalars, (state.step, finite)

  return loop
