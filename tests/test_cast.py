"""How networks are called: by name, with whose parameters, and with which random numbers inside."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan.games import Devices, Game, Outcome, Played, Term, Turn
from gan.games.cast import Cast, Network, joined, part, sample_spec
from gan.games.generation import Generation, make_generation
from gan.losses import LOSSES
from gan.optimizers import make_optimizer
from gan.parallel import make_parallel
from gan.randomness import normal, root_key
from gan.rules import RULES, Txs
from gan.state import create_state
from gan.step import initial_memory, make_train_step

B, NUMBERS = 8, {'lr': 0.1, 'b1': 0.0, 'b2': 0.0, 'eps': 1e-8}
HPARAMS = {'train.ema_decay': 0.5} | {f'optimizer.{p}.{k}': v for p in ('gen', 'disc') for k, v in NUMBERS.items()}
REALS = np.random.default_rng(0).normal(size=(1, B, 2)).astype(np.float32)


class Noisy(nn.Module):
  """Adds noise of its own to what it makes of a latent."""

  @nn.compact
  def __call__(self, z, *, train, draw):
    return nn.Dense(2)(z) + draw('noise', normal, (z.shape[0], 2)) + 10 * draw('other', normal, (z.shape[0], 2))


class Linear(nn.Module):
  @nn.compact
  def __call__(self, images, *, train):
    return nn.Dense(1)(jnp.tanh(nn.Dense(3)(images)))[:, 0]


def noisy_game(devices):
  plain = make_generation(Linear(), Linear(), LOSSES['nonsaturating'], 3, (2,), devices=devices)
  noisy = Network(Noisy(), {'z': sample_spec((3,))}, random=True)
  return dataclasses.replace(plain, networks={**plain.networks, 'gen': noisy})


def step_on(strategy, num_devices):
  """The state after two steps, and samples of it."""
  parallel = make_parallel(strategy, jax.devices()[:num_devices])
  game, builder = noisy_game(Devices(parallel.draw, parallel.gather)), make_optimizer('sgd')
  tx = builder(NUMBERS)
  start = game.init(root_key(1))
  state = parallel.place(create_state(root_key(0), start['gen'], start['disc'], (tx, tx)))
  train_step = make_train_step(game, Txs(builder, builder), mean=parallel.mean)

  def one_step(state, data, hparams, number):
    return train_step(state, {'images': jax.vmap(parallel.shard)(data)}, hparams)[0]

  step = parallel.compile(one_step, donate=False)
  for number in range(2):
    state = step(state, parallel.place(REALS), parallel.place(HPARAMS), np.int32(number))
  return jax.device_get((state.gen, state.disc))


def test_networks_that_draw_are_the_same_on_any_number_of_devices():
  expected = step_on('jit', 1)
  for strategy in ('jit', 'pmap'):
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), step_on(strategy, 2), expected)


def test_draws_inside_of_networks_have_names():
  """Two names, two networks and two turns share nothing; the same name is the same draw."""
  drawn = []

  def draw(purpose, sampler, shape):
    assert purpose == 'network'
    return sampler(root_key(0), shape)

  class Probe(nn.Module):
    def __call__(self, *, train, draw):
      drawn.append([np.asarray(draw(name, normal, (4,))) for name in ('a', 'b', 'a')])

  network = Network(Probe(), {}, random=True)
  cast = Cast({'gen': network, 'disc.x': network}, {'gen': {}, 'disc': {'x': {}}}, {'gen': {}, 'disc': {'x': {}}}, draw)
  cast('gen')
  cast('disc.x')
  for a, b, again in drawn:
    np.testing.assert_array_equal(a, again)
    assert not np.any(a == b)
  assert not np.any(drawn[0][0] == drawn[1][0])


def test_parts_of_players():
  trees = {'gen.ab': 1, 'gen.ba': 2, 'disc': 3}
  assert joined(trees) == {'gen': {'ab': 1, 'ba': 2}, 'disc': 3}
  assert all(part(joined(trees), name) == tree for name, tree in trees.items())


class Scale(nn.Module):
  @nn.compact
  def __call__(self, x, *, train):
    return x * self.param('w', nn.initializers.constant(3.0), ())


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Chain(Game):
  """disc(gen.two(gen.one(1))): each player's loss is the product of all weights."""

  def draw(self, draw, batch, count):
    return {}

  def play(self, cast, turn, hparams, memory, needs):
    x, stats = jnp.ones(()), {}
    for name in ('gen.one', 'gen.two', 'disc'):
      x, stats[name] = cast(name, x=x)
    return Played(x, joined(stats))


def remembering(moment, memory):
  return Outcome(moment.scene, memory={'calls': memory['calls'] + 1, 'sum': memory['sum'] + moment.scene})


def chain(**lazy):
  one = Network(Scale(), {'x': sample_spec(())})
  terms = [Term(f'{player}/loss', player, lambda moment, memory: Outcome(moment.scene)) for player in ('gen', 'disc')]
  terms.append(Term('term/mine', 'gen', remembering, 'term.mine', scale=0.5, memory=lambda: {
      'calls': jnp.int32(0), 'sum': jnp.float32(0.0)}, **lazy))
  return Chain(networks={'gen.one': one, 'gen.two': one, 'disc': one}, terms=tuple(terms))


def stepper(game, rule='alternating', **settings):
  builder = make_optimizer('sgd', optimistic=rule == 'optimistic')
  tx, start = builder(NUMBERS), game.init(root_key(0))
  memory = initial_memory(rule, {name: own.params for name, own in start.items()}, angles=False)
  state = create_state(root_key(0), start['gen'], start['disc'], (tx, tx), memory)
  return state, jax.jit(make_train_step(game, Txs(builder, builder), rule, **settings))


def test_a_player_may_own_several_networks():
  """Its gradient reaches all of them, and none of the other's."""
  game = chain()
  state, _ = stepper(game)
  turn = Turn({}, {}, state.rng, state.step, 0)
  for player, expected in (('gen', {'one': {'w': 9.0}, 'two': {'w': 9.0}}), ('disc', {'w': 9.0})):
    grads = jax.grad(lambda params, p=player: game.loss(p, params, state, turn, {})[0])(
        getattr(state, player).params)
    assert jax.tree.map(float, grads) == expected


@pytest.mark.parametrize('rule', RULES)
def test_a_term_remembers_once_per_update_of_its_player(rule):
  """Whatever a rule evaluates besides: what it foresees, looks ahead to or differentiates again is not remembered."""
  state, step = stepper(chain(), rule)
  batch = {'images': np.zeros((1, 2, 1), np.float32)}
  hparams = HPARAMS | {'term.mine': np.float32(0.1), 'update.lookahead': np.float32(0.5)}
  for number in range(3):
    state, scalars = step(state, batch, hparams)
    assert int(state.gen.memory['mine']['calls']) == number + 1
  assert state.disc.memory == {}
  assert float(scalars['term/mine']) == pytest.approx(float(scalars['gen/loss']))


def test_lazy_terms_of_both_players_come_when_they_are_due():
  """Every third update of the generator, and what they remember is untouched in between."""
  state, step = stepper(chain(every=3), gen_steps=2)
  batch, calls = {'images': np.zeros((1, 2, 1), np.float32)}, []
  for _ in range(6):
    state, _ = step(state, batch, HPARAMS | {'term.mine': np.float32(0.1)})
    calls.append(int(state.gen.memory['mine']['calls']))
  assert calls == [1, 2, 2, 3, 4, 4]   # Updates 0, 3, 6, 9 of twelve.


def test_games_that_walk_say_so():
  """`gan.sample --interpolate` asks before it walks."""
  assert all(game.walks == (game.walk is not Game.walk) for game in (Game, Chain, Generation))
  assert Generation.walks
  assert not Chain.walks


def test_a_term_without_weight_is_no_part_of_the_program():
  state, step = stepper(chain())
  after, scalars = step(state, {'images': np.zeros((1, 2, 1), np.float32)}, HPARAMS)
  assert 'term/mine' not in scalars
  assert int(after.gen.memory['mine']['calls']) == 0
