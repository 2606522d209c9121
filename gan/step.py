"""Update rules: pure functions from a state to the next one, over any game.

Nothing here knows of devices. Two functions are handed in by whoever compiles the step: `shard`, which takes this
device's part of a global draw, and `mean`, which averages over devices.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from gan.games import Game
from gan.optimizers import TxBuilder
from gan.randomness import normal, step_key
from gan.state import GanState, Player, PyTree

Scalars = dict[str, Array]
TrainStep = Callable[[GanState, dict[str, Array], dict[str, Array]], tuple[GanState, Scalars]]


class Txs(NamedTuple):
  """The optimizers of both players."""

  gen: TxBuilder
  disc: TxBuilder


def _identity(tree: PyTree) -> PyTree:
  return tree


def draw_latents(rng: Array, count: int, z_dim: int, distribution: str) -> Array:
  """Latents [count, z_dim], float32: standard normal, or uniform on [-1, 1]."""
  if distribution == 'normal':
    return normal(rng, (count, z_dim))
  if distribution == 'uniform':
    return jax.random.uniform(rng, (count, z_dim), minval=-1.0, maxval=1.0)
  raise ValueError(f'model.z={distribution!r} is unknown; known: normal, uniform')


def update_player(player: Player, loss_fn: Callable, tx: optax.GradientTransformation, name: str,
                  mean: Callable[[PyTree], PyTree] = _identity) -> tuple[Player, Scalars]:
  """One optimizer update.

  Args:
    player: whose turn it is.
    loss_fn: params -> (scalar, (stats, scalars)).
    tx: its optimizer.
    name: 'gen' or 'disc', for the names of the norms.
    mean: averages a tree over devices.

  Returns:
    The player with new params, stats and optimizer state, and the scalars of the update.
  """
  grads, (stats, scalars) = jax.grad(loss_fn, has_aux=True)(player.params)
  grads, scalars = mean((grads, scalars))
  updates, opt_state = tx.update(grads, player.opt_state, player.params)
  scalars |= {f'{name}/grad_norm': optax.tree.norm(grads), f'{name}/update_norm': optax.tree.norm(updates)}
  return Player(optax.apply_updates(player.params, updates), stats, opt_state), scalars


def warmed_up(decay: Array, step: Array) -> Array:
  """Decay of a running average that has seen `step` updates: min(decay, (1 + t) / (10 + t))."""
  return jnp.minimum(decay, (1.0 + step) / (10.0 + step))


def clip_weights(player: Player, bound: Array) -> Player:
  """Every parameter into [-bound, bound] (Arjovsky et al. 2017, arXiv:1701.07875)."""
  return player.replace(params=jax.tree.map(lambda p: jnp.clip(p, -bound, bound), player.params))


def alternating(game: Game, txs: Txs, *, disc_steps: int, batch_size: int, z_dim: int, z: str,
                shard: Callable[[Array], Array] = _identity,
                mean: Callable[[PyTree], PyTree] = _identity) -> TrainStep:
  """`disc_steps` updates of the discriminator, then one of the generator (Goodfellow et al. 2014, algorithm 1).

  Args:
    game: what each player minimises.
    txs: their optimizers.
    disc_steps: discriminator updates for each generator update; fixed when compiled.
    batch_size: global number of latents of an update.
    z_dim: length of a latent.
    z: distribution of latents, 'normal' or 'uniform'.
    shard: takes this device's rows of a global array [B, ...].
    mean: averages a tree over devices.

  Returns:
    train_step(state, batch, hparams) -> (state, scalars), where `batch` holds arrays [disc_steps, B, ...].
  """

  def train_step(state: GanState, batch: dict[str, Array], hparams: dict[str, Array]) -> tuple[GanState, Scalars]:
    latents_rng = step_key(state.rng, 'latents', state.step)

    def latents(update: int) -> Array:  # Fresh for each update.
      return shard(draw_latents(jax.random.fold_in(latents_rng, update), batch_size, z_dim, z))

    def optimizer(name: str) -> optax.GradientTransformation:
      numbers = {key: hparams[f'optimizer.{name}.{key}'] for key in ('lr', 'b1', 'b2', 'eps')}
      return getattr(txs, name)(numbers, state.step)

    def turn(name: str, loss: Callable, update: int, images: int) -> tuple[GanState, Scalars]:
      loss_fn = functools.partial(loss, state=state, batch=jax.tree.map(lambda x: x[images], batch),
                                  z=latents(update), hparams=hparams)
      player, scalars = update_player(getattr(state, name), loss_fn, optimizer(name), name, mean)
      return state.replace(**{name: player}), scalars

    for i in range(disc_steps):  # Unrolled: disc_steps is small and fixed.
      state, disc_scalars = turn('disc', game.disc_loss, update=i, images=i)
      if 'penalty.clip' in hparams:
        state = state.replace(disc=clip_weights(state.disc, hparams['penalty.clip']))
    state, gen_scalars = turn('gen', game.gen_loss, update=disc_steps, images=-1)

    latest = {'params': state.gen.params, 'stats': state.gen.stats}
    decay = warmed_up(hparams['train.ema_decay'], state.step)
    ema = optax.incremental_update(latest, state.ema, 1.0 - decay)
    return state.replace(step=state.step + 1, ema=ema), disc_scalars | gen_scalars

  return train_step


RULES = {'alternating': alternating}


def make_loop(train_step: TrainStep, get_batch: Callable[..., dict[str, Array]]) -> Callable:
  """Many steps in one dispatch.

  The number of steps is an argument, not a constant: one compiled program serves every dispatch, so where dispatches
  end cannot change a bit of the result. The loop ends early at the first step whose scalars are not all finite.

  Args:
    train_step: (state, batch, hparams) -> (state, scalars).
    get_batch: (data, rng, step, i) -> the batch of `step`, which is the i-th of this dispatch.

  Returns:
    loop(state, data, hparams, num_steps) -> (state, scalars, last), where `scalars` are those of the last step and
    `last` is (steps finished, whether all scalars so far were finite).
  """

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
