"""Who changes what under every rule: each player's own gradient moves it, and nothing of the other's is touched.

Many objectives go through one compiled program: their sum, with traced weights of which one is 1 and the others are 0.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan import randomness
from gan.games import Kept, Turn
from gan.games.generation import Rules, make_generation
from gan.losses import LOSSES, LossPair
from gan.optimizers import make_optimizer
from gan.rules import RULES, Moves, Txs
from gan.state import create_state
from gan.step import initial_memory, make_train_step

BATCH, Z_DIM = 4, 2
# A term for each sample; zero-sum; means within the terms; a slope of its own.
KINDS = ('nonsaturating', 'wasserstein', 'ragan_logistic', 'alpha_saturating')
HPARAMS = {'train.ema_decay': 0.5, 'update.consensus': 0.5, 'update.adjustment': 0.5, 'update.lookahead': 0.5}
HPARAMS |= {f'optimizer.{player}.{number}': value for player in ('gen', 'disc')
            for number, value in {'lr': 0.05, 'b1': 0.5, 'b2': 0.9, 'eps': 1e-8}.items()}
HPARAMS = {name: np.float32(value) for name, value in HPARAMS.items()}
QUICK = {'xla_backend_optimization_level': 0}  # Tiny programs: compiling them is all the cost.
IMAGES = np.random.default_rng(0).normal(size=(1, BATCH, 2)).astype(np.float32)
# Rules in which nobody hears, within a step, of what the other has just done.
AT_ONCE = ('simultaneous', 'optimistic', 'consensus', 'symplectic')


class Dense(nn.Module):
  """One hidden layer, with batch norm or without."""

  out: int
  batch_norm: bool

  @nn.compact
  def __call__(self, z=None, images=None, *, train):
    x = images if z is None else z
    x = nn.Dense(3)(x)
    if self.batch_norm:
      x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
    x = nn.Dense(self.out)(jnp.tanh(x))
    return x[:, 0] if self.out == 1 else x


def any_of(names):
  """The sum of objectives that the setting `weights` chooses from."""
  def weighted(player):
    def objective(real_logits, fake_logits, *, weights=0.0):
      values, parts = zip(*(getattr(LOSSES[name], player)(real_logits, fake_logits) for name in names), strict=True)
      return weights @ jnp.stack(values), {key: weights @ jnp.stack([part[key] for part in parts]) for key in parts[0]}
    return objective
  return LossPair(weighted('disc'), weighted('gen'), zero_sum=False, paper='', chance=None)


@functools.cache
def setting(batch_norm=True, names=KINDS):
  game = make_generation(Dense(2, batch_norm), Dense(1, batch_norm), any_of(names), Z_DIM, (2,), Rules(not batch_norm))
  return game, jax.jit(game.init)(jax.random.key(1))


def initial(rule, builder, batch_norm=True, names=KINDS):
  _, start = setting(batch_norm, names)
  tx = builder({k: HPARAMS[f'optimizer.gen.{k}'] for k in ('lr', 'b1')})
  return create_state(randomness.root_key(0), start['gen'], start['disc'], (tx, tx),
                      initial_memory(rule, {name: own.params for name, own in start.items()}, angles=False))


@functools.cache
def lanes(rule, names):
  """One step with each kind of objective: as it is, with learning rate 0 of the generator, and of the discriminator."""
  builder = make_optimizer('sgd', optimistic=rule == 'optimistic')
  state = initial(rule, builder, names=names)
  settings = {'unrolled': {'unroll_steps': 1}, 'lookahead': {'lookahead_steps': 2}}.get(rule, {})
  step = make_train_step(setting(names=names)[0], Txs(builder, builder), rule, **settings)

  run, batch = jax.jit(step, compiler_options=QUICK), {'images': IMAGES}
  of_loss = []
  for weights in np.eye(len(names), dtype=np.float32):
    hparams = HPARAMS | {'loss.weights': weights}
    rates = ({}, {'optimizer.gen.lr': np.float32(0.0)}, {'optimizer.disc.lr': np.float32(0.0)})
    stepped = [run(state, batch, hparams | rate) for rate in rates]
    assert all(np.isfinite(value) for _, scalars in stepped for value in scalars.values())
    of_loss.append([(after.gen, after.disc) for after, _ in stepped])
  return state, of_loss


def same(one, other):
  """Bit for bit."""
  return all(jax.tree.leaves(jax.tree.map(np.array_equal, one, other)))


@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('names', [pytest.param(KINDS, id='kinds'),
                                   pytest.param(tuple(LOSSES), id='all', marks=pytest.mark.slow)])
def test_a_player_that_does_not_move_is_not_touched(rule, names):
  """And the one that does move hears of the other only where the rule says so."""
  state, of_loss = lanes(rule, names)
  for name, (both, gen_stands, disc_stands) in zip(names, of_loss, strict=True):
    message = f'{rule}, {name}'
    assert same(gen_stands[0].params, state.gen.params), message
    assert same(disc_stands[1].params, state.disc.params), message
    for player, lane in ((0, both), (1, both), (1, gen_stands), (0, disc_stands)):
      assert not same(lane[player].params, (state.gen, state.disc)[player].params), message
      assert not same(lane[player].stats, (state.gen, state.disc)[player].stats), message
    if rule == 'extragradient':  # Either player steps by what is seen where both have looked ahead to.
      assert not same(both[0].opt_state, disc_stands[0].opt_state), message
      continue
    # The discriminator moves first: it never hears of the generator's move of this step.
    assert same(both[1], gen_stands[1]), message
    # Its own optimizer and statistics go on as if the other had moved.
    assert same(both[0], disc_stands[0]) == (rule in AT_ONCE), message


@pytest.mark.parametrize(('batch_norm', 'names'), [(False, tuple(LOSSES)), (True, KINDS)])
def test_the_field_is_the_two_frozen_gradients(batch_norm, names):
  """From one forward pass, with both players' statistics and scalars, whatever the objective."""
  game, _ = setting(batch_norm, names)
  builder = make_optimizer('sgd')
  state = initial('simultaneous', builder, batch_norm)
  z = np.random.default_rng(1).normal(size=(BATCH, Z_DIM)).astype(np.float32)

  def both(weights):
    moves = Moves(game, Txs(builder, builder), HPARAMS | {'loss.weights': weights},
                  lambda state, update: Turn({'images': IMAGES[0]}, {'z': z}, state.rng, state.step, update),
                  lambda tree: tree)
    (gen, gen_stats, gen_scalars), (disc, disc_stats, disc_scalars) = (
        moves.gradient(state, name, functools.partial(game.loss, name), 0) for name in ('gen', 'disc'))
    frozen = {'gen': gen, 'disc': disc}, {'gen': gen_stats, 'disc': disc_stats}, gen_scalars | disc_scalars
    return moves.field(state), frozen

  compiled = jax.jit(lambda weights: jax.lax.map(both, weights), compiler_options=QUICK)
  field, frozen = jax.device_get(compiled(np.eye(len(names), dtype=np.float32)))
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), field, frozen)
  for i, name in enumerate(names):
    for player in ('gen', 'disc'):
      assert max(np.abs(leaf[i]).max() for leaf in jax.tree.leaves(field[0][player])) > 1e-4, (name, player)


@pytest.mark.parametrize('name', ['gen', 'disc'])
def test_a_descent_changes_one_player(name):
  """All else of the state is the very same, stats and optimizer included; the given stats become the player's."""
  state, builder = initial('lookahead', make_optimizer('sgd')), make_optimizer('sgd')
  moves = Moves(setting()[0], Txs(builder, builder), HPARAMS, None, lambda tree: tree)
  player, other = getattr(state, name), 'disc' if name == 'gen' else 'gen'
  after, _ = moves.descend(state, name, jax.tree.map(jnp.ones_like, player.params), Kept({'new': 1.0}, {'newer': 2.0}))
  moved = jax.tree.map(lambda a, b: np.asarray(a) - np.asarray(b), player.params, getattr(after, name).params)
  for leaf in jax.tree.leaves(moved):
    np.testing.assert_allclose(leaf, 0.05, rtol=1e-5)
  assert (getattr(after, name).stats, getattr(after, name).memory) == ({'new': 1.0}, {'newer': 2.0})
  assert same(getattr(after, other), getattr(state, other))
  assert same((after.step, after.ema, after.memory), (state.step, state.ema, state.memory))
