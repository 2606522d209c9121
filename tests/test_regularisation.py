"""What each regulariser adds to the losses of a game: with which weight, at which samples, in which steps."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan import augment, randomness
from gan.build import hparams_of
from gan.config import base_config
from gan.config.complete import complete
from gan.games import Devices, Game, Kept, Turn
from gan.games.game import NOT_OF_GAMES
from gan.games.generation import Rules, make_generation
from gan.games.regularisation import PENALTIES, standard_deviation
from gan.losses import LOSSES
from gan.losses.choice import chosen_among
from gan.optimizers import make_optimizer
from gan.rules import NUMBERS as NUMBERS_OF_RULES
from gan.rules import Moves, Txs, alternating
from gan.schedules import Schedule, resolve
from gan.state import Start, create_state
from gan.step import make_train_step

B, Z_DIM, SHAPE, WEIGHT = 6, 3, (4, 4, 1), 0.7
PLAIN = Rules(joint=True)
NUMBERS = {'lr': 0.05, 'b1': 0.5, 'b2': 0.9, 'eps': 1e-8}
HPARAMS = {'train.ema_decay': 0.5} | {f'optimizer.{p}.{k}': v for p in ('gen', 'disc') for k, v in NUMBERS.items()}
IMAGES = np.random.default_rng(0).uniform(-1, 1, (B, *SHAPE)).astype(np.float32)
Z = np.random.default_rng(1).normal(size=(B, Z_DIM)).astype(np.float32)


class Gen(nn.Module):
  @nn.compact
  def __call__(self, z, *, train):
    return jnp.tanh(nn.Dense(16)(z)).reshape(-1, *SHAPE)


class Disc(nn.Module):
  linear: bool = False

  @nn.compact
  def __call__(self, images, *, train):
    x = images.reshape(images.shape[0], -1)
    return nn.Dense(1)(x if self.linear else jnp.tanh(nn.Dense(4, name='hidden')(x)))[:, 0]


@functools.cache
def game_of(rules=PLAIN, linear=False, loss='nonsaturating'):
  return make_generation(Gen(), Disc(linear), LOSSES[loss], Z_DIM, SHAPE, rules)


@functools.cache
def initial(rules=PLAIN, linear=False):
  tx = make_optimizer('sgd')(NUMBERS)
  start = jax.jit(game_of(rules, linear).init)(jax.random.key(1))
  return create_state(randomness.root_key(0), start['gen'], start['disc'], (tx, tx))


def turn_of(state):
  return Turn({'images': IMAGES}, {'z': Z}, state.rng, state.step, 0)


def disc_loss(hparams, rules=PLAIN, state=None, linear=False):
  """The discriminator's loss, its new stats and memory, and the scalars."""
  state = initial(rules, linear) if state is None else state
  value, (kept, scalars) = game_of(rules, linear).loss('disc', state.disc.params, state, turn_of(state), hparams)
  return value, kept.stats | kept.memory, scalars


def judge(x, disc=None):
  return Disc().apply({'params': (disc or initial().disc.params)}, x, train=True)


def generate(z):
  return Gen().apply({'params': initial().gen.params}, z, train=True)


def mean_square(*arrays):
  return np.mean(np.square(np.subtract(*arrays) if len(arrays) == 2 else arrays[0]))


def norms(x):
  slopes = jax.vmap(jax.grad(lambda sample: judge(sample[None])[0]))(x)
  return np.sqrt(np.sum(np.square(slopes), axis=(1, 2, 3)))


def key_of(purpose):
  return turn_of(initial()).key(purpose)


def sub_keys(purpose, number):
  return jax.random.split(jax.random.fold_in(key_of(purpose), number))


def between():
  u = np.asarray(jax.random.uniform(sub_keys('penalty', 2)[0], (B,))).reshape(-1, 1, 1, 1)
  return u * IMAGES + (1 - u) * generate(Z)


def around():
  far, noise = jax.random.split(sub_keys('penalty', 2)[1])
  far = np.asarray(jax.random.uniform(far, (B,))).reshape(-1, 1, 1, 1)
  return IMAGES + far * 0.8 * IMAGES.std() * np.asarray(jax.random.uniform(noise, IMAGES.shape))


def nearby():
  return Z + 0.2 * jax.random.normal(jax.random.fold_in(key_of('consistency'), 2), Z.shape)


def transformed(x, which):
  uniforms = jax.random.uniform(sub_keys('consistency', 1)[which], (B, augment.FLIP_AND_SHIFT_UNIFORMS))
  return augment.flip_and_shift(x, uniforms)


def differences(x, which):
  noise = np.asarray(jax.random.normal(sub_keys('penalty', 1)[which], (B * 16,))).reshape(x.shape)
  return mean_square(judge(x + 0.1 * noise), judge(x)) / 0.1**2


def angles(params):
  grams = [np.asarray(leaf).T @ np.asarray(leaf) for leaf in jax.tree.leaves(params) if leaf.ndim == 2]
  return sum(np.sum(np.square(gram - np.diag(np.diag(gram)))) for gram in grams)


# name -> (other settings, factor on the weight, the penalty).
DISC_TERMS = {
    'r1': ({}, 0.5, lambda: mean_square(norms(IMAGES))),
    'r2': ({}, 0.5, lambda: mean_square(norms(generate(Z)))),
    'r1 by differences': ({'difference_std': 0.1}, 0.5, lambda: differences(IMAGES, 0)),
    'r2 by differences': ({'difference_std': 0.1}, 0.5, lambda: differences(generate(Z), 1)),
    'gp': ({'target': 1.0}, 1.0, lambda: mean_square(norms(between()) - 1)),
    'gp without target': ({}, 1.0, lambda: mean_square(norms(between()))),
    'dragan': ({'target': 0.5, 'dragan_std': 0.8}, 1.0, lambda: mean_square(norms(around()) - 0.5)),
    'zero_gp': ({}, 1.0, lambda: mean_square(norms(between()))),
    'cr_real': ({}, 1.0, lambda: mean_square(judge(IMAGES), judge(transformed(IMAGES, 0)))),
    'cr_fake': ({}, 1.0, lambda: mean_square(judge(generate(Z)), judge(transformed(generate(Z), 1)))),
    'zcr_disc': ({'zcr_std': 0.2}, 1.0, lambda: mean_square(judge(generate(Z)), judge(generate(nearby())))),
    'orthogonal': ({}, 1.0, lambda: angles(initial().disc.params)),
}


@pytest.mark.parametrize('case', DISC_TERMS)
def test_terms_of_the_discriminator(case):
  """Weight times penalty on top of the plain loss: gamma / 2 for R1 and R2, lambda without a half for all others."""
  settings, factor, expected = DISC_TERMS[case]
  name, penalty = case.partition(' ')[0], expected()
  plain, _, _ = disc_loss({})
  hparams = {f'penalty.{name}': WEIGHT} | {f'penalty.{key}': value for key, value in settings.items()}
  value, _, scalars = disc_loss(hparams)
  assert penalty > 1e-3
  assert scalars[f'penalty/{name}'] == pytest.approx(penalty, rel=1e-4)
  assert value - plain == pytest.approx(factor * WEIGHT * penalty, rel=1e-3)
  assert scalars['disc/loss'] == plain  # The objective alone is what is logged under this name.


def test_noise_of_dragan_is_scaled_by_all_devices_samples():
  """Of samples whose halves differ: neither half has the standard deviation of the whole."""
  halves = np.stack([IMAGES[:3] + 4, 0.1 * IMAGES[3:]])
  on_each = jax.vmap(lambda half: standard_deviation(
      half, Devices(gather=lambda x: jax.lax.all_gather(x, 'data', tiled=True))),
                     axis_name='data')(halves)
  np.testing.assert_allclose(on_each, [halves.std()] * 2, rtol=1e-5)
  np.testing.assert_allclose(standard_deviation(halves[0], Devices()), halves[0].std(), rtol=1e-5)


@pytest.mark.parametrize(('name', 'sign', 'expected'), [
    ('zcr_gen', -1.0, lambda: mean_square(generate(Z), generate(nearby()))),
    ('gen_orthogonal', 1.0, lambda: angles(initial().gen.params))])
def test_terms_of_the_generator(name, sign, expected):
  """ZCR rewards samples that differ at nearby latents: the one term with a minus."""
  state = initial()

  def gen_loss(hparams):
    value, (_, scalars) = game_of().loss('gen', state.gen.params, state, turn_of(state), hparams)
    return value, scalars

  hparams = {f'penalty.{name}': WEIGHT, 'penalty.zcr_std': 0.2}
  (plain, _), (value, scalars) = gen_loss({}), gen_loss(hparams)
  assert scalars[f'penalty/{name}'] == pytest.approx(expected(), rel=1e-4)
  assert value - plain == pytest.approx(sign * WEIGHT * expected(), rel=1e-3)
  assert disc_loss(hparams)[0] == disc_loss({})[0]


def test_without_weights_there_is_the_objective_alone():
  """Settings of penalties that are absent change no bit; clipping is no part of a loss."""
  real, fake = np.asarray(judge(IMAGES), np.float64), np.asarray(judge(generate(Z)), np.float64)
  plain, stats, scalars = disc_loss({})
  assert plain == pytest.approx(np.mean(np.log1p(np.exp(-real))) + np.mean(np.log1p(np.exp(fake))), rel=1e-5)
  assert stats == {}
  assert not any(name.startswith('penalty/') for name in scalars)
  unused = {f'penalty.{name}': 0.3 for name in ('clip', 'target', 'difference_std', 'dragan_std', 'zcr_std')}
  assert disc_loss(unused)[0] == plain


@pytest.mark.parametrize('names', [('r1', 'r2'), ('r1',)])
def test_one_pass_with_both_slopes_equals_two(names):
  hparams = {f'penalty.{name}': WEIGHT for name in names}
  state = initial()
  one, two = (jax.value_and_grad(functools.partial(game_of(Rules(joint)).loss, 'disc'), has_aux=True)(
      state.disc.params, state, turn_of(state), hparams) for joint in (True, False))
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), one, two)


def test_lazy_gradients_sum_to_those_of_every_step():
  """At fixed parameters: k losses without R1 and R2, and k times these once, are k whole losses."""
  lazy, every, state = game_of(Rules(joint=True, lazy_every=4)), game_of(), initial()
  hparams = {'penalty.r1': WEIGHT, 'penalty.r2': 0.3, 'penalty.cr_real': 0.2}

  def gradient(loss):
    return jax.grad(lambda params: loss(params, state, turn_of(state), hparams)[0])(state.disc.params)

  without, heavy, whole = (gradient(functools.partial(*loss)) for loss in (
      (lazy.loss, 'disc'), (lazy.lazy_loss, 'disc', 4), (every.loss, 'disc')))
  jax.tree.map(lambda a, b, c: np.testing.assert_allclose(4 * a + b, 4 * c, rtol=1e-3, atol=1e-5),
               without, heavy, whole)
  assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(heavy)) > 1e-2
  assert [game.periods('disc', hparams) for game in (every, lazy)] == [(), (4,)]


def test_lazy_penalty_comes_in_every_kth_step():
  """In the others its weight is nothing to the result, and with it there is one update more."""
  rules = Rules(joint=True, lazy_every=4)
  step = jax.jit(make_train_step(game_of(rules), Txs(make_optimizer('sgd'), make_optimizer('sgd'))))
  for number in (0, 1, 3, 4, 8):
    state = initial(rules).replace(step=jnp.int32(number))
    light, heavy = (step(state, {'images': IMAGES[None]}, HPARAMS | {'penalty.r1': weight})[0].disc.params
                    for weight in (0.0, 5.0))
    assert jax.tree.all(jax.tree.map(np.array_equal, light, heavy)) == (number % 4 != 0)


@pytest.mark.parametrize('first', ['disc', 'gen'])
@pytest.mark.parametrize(('disc_steps', 'every', 'expected'), [
    (1, 4, [1, 0, 0, 0, 1, 0, 0, 0, 1]), (3, 4, [1, 1, 1, 0, 1, 1, 1, 0, 1]), (5, 2, [3, 2, 3, 2, 3, 2, 3, 2, 3]),
    (2, 5, [1, 0, 1, 0, 0, 1, 0, 1, 0])])
def test_lazy_penalty_is_spread_out_over_the_updates_of_the_discriminator(disc_steps, every, expected, first):
  """Each k-th of all, however many a step has. Here the penalty alone moves the discriminator, by 1 each time."""
  class Still(Game):
    def loss(self, player, params, state, turn, hparams):
      return 0.0 * params, (Kept({}, {}), {})

    def lazy_loss(self, player, every, params, state, turn, hparams):
      return -params, (Kept({}, {}), {})

    def periods(self, player, hparams):
      return (every,) if player == 'disc' else ()

  numbers = {'lr': (every + 1) / every, 'b1': 0.0, 'b2': 0.0, 'eps': 1e-8}
  hparams = {f'optimizer.{player}.{name}': value for player in ('gen', 'disc') for name, value in numbers.items()}
  txs = Txs(make_optimizer('sgd'), make_optimizer('sgd'))
  moves = Moves(Still(networks={}, terms=()), txs, hparams, lambda state, update: None, lambda tree: tree)
  step = jax.jit(lambda state: alternating(state, moves, first=first, disc_steps=disc_steps)[0])
  tx, zero = make_optimizer('sgd')(numbers), Start(jnp.zeros(()), {})
  state, found = create_state(jax.random.key(0), zero, zero, (tx, tx)), [0.0]
  for number in range(len(expected)):
    state = step(state.replace(step=jnp.int32(number)))
    found.append(float(state.disc.params))
  np.testing.assert_allclose(np.diff(found), expected, atol=1e-5)


def test_lazy_regularisation_rescales_the_numbers_of_the_optimizer():
  """A rate times k / (k + 1), and decays to that power, for k + 1 updates in k steps (arXiv:1912.04958, B)."""
  found = {}

  def spy(name):
    return lambda numbers: found.update({name: numbers})

  for every, share in ((4, 0.8), (1, 1.0)):
    moves = Moves(game_of(Rules(joint=True, lazy_every=every)), Txs(spy('gen'), spy('disc')),
                  HPARAMS | {'penalty.r1': 1.0}, None, None)
    for name in ('gen', 'disc'):
      moves.optimizer(initial(), name)
    assert found['gen'] == NUMBERS
    assert found['disc'] == pytest.approx(
        NUMBERS | {'lr': 0.05 * share, 'b1': 0.5**share, 'b2': 0.9**share}, rel=1e-6)


def test_flipped_labels_swap_the_roles():
  """All of them: real for fake. A share of them: that share of pairs, on average."""
  real, fake = judge(IMAGES), judge(generate(Z))
  value, _, scalars = disc_loss({'loss.label_flip': 1.0})
  assert value == pytest.approx(float(LOSSES['nonsaturating'].disc(fake, real)[0]), rel=1e-5)
  assert scalars['disc/logit_gap'] == pytest.approx(float(jnp.mean(real) - jnp.mean(fake)), rel=1e-4)
  assert disc_loss({'loss.label_flip': 0.0})[0] == disc_loss({})[0]
  state = initial()
  some = [float(game_of().loss('disc', state.disc.params, state, turn_of(state)._replace(update=i),
                                    {'loss.label_flip': 0.5})[0]) for i in range(8)]
  assert len(set(some)) > 3


def test_instance_noise_falls_to_exactly_nothing():
  numbers = {'augment.noise': 0.5} | {f'schedule.augment.noise.{k}': v for k, v in
                                      (('over', 10.0), ('end', 0.0), ('warmup', 0.0))}
  def loss_at(t, noisy):
    hparams = resolve(numbers, t, schedules={'augment.noise': Schedule('linear')}, images_per_step=B) if noisy else {}
    return float(disc_loss(hparams, state=initial().replace(step=jnp.int32(t)))[0])
  at = [[loss_at(t, noisy) for noisy in (True, False)] for t in (0, 5, 10, 99)]
  assert at[0][0] != at[0][1]
  assert at[1][0] != at[1][1]
  assert at[2][0] == at[2][1]
  assert at[3][0] == at[3][1]
  draws = [np.asarray(jax.random.normal(key, (B * 16,))).reshape(IMAGES.shape)
           for key in jax.random.split(key_of('noise'))]
  real, fake = judge(IMAGES + 0.5 * draws[0]), judge(generate(Z) + 0.5 * draws[1])
  assert at[0][0] == pytest.approx(float(LOSSES['nonsaturating'].disc(real, fake)[0]), rel=1e-5)


@pytest.mark.parametrize(('name', 'meant'), [
    ('penalty.r_1', 'penalty.r1'), ('penality.r1', 'penalty.r1'), ('loss.label_flipp', 'loss.label_flip'),
    ('augment.nois', 'augment.noise'), ('optimizer.gen.l', 'optimizer.gen.lr'), ('update.consensu', 'update.consensus'),
    ('train.ema', 'train.ema_decay')])
def test_numbers_that_nothing_would_read_are_refused(name, meant):
  """A game refuses its own, a rule all others: a penalty that is not there would go unnoticed."""
  message = rf"'{name}' is not a number of this run \(did you mean {meant}\?\); it would change nothing"
  moves = functools.partial(Moves, game_of(), Txs(None, None), deal=None, mean=None)
  with pytest.raises(ValueError, match=message):
    disc_loss({name: 1.0}) if name.partition('.')[0] not in NOT_OF_GAMES else moves({name: 1.0})


def test_all_numbers_of_a_run_are_known_to_its_game_and_rules():
  """As `gan.build` gathers them: of every penalty, and of an objective that is any of several."""
  weights = {f'penalty.{name}': 1.0 for name in PENALTIES}
  config = complete(base_config(), weights | {'augment.policy': 'ada', 'augment.noise': 0.1, 'loss.label_flip': 0.1})
  found = hparams_of(config, (config.loss.name, *LOSSES))
  game = make_generation(Gen(), Disc(), chosen_among(list(LOSSES.values())), Z_DIM, SHAPE)
  assert found.keys() <= game.numbers | NUMBERS_OF_RULES
  assert {*weights, 'penalty.target', 'loss.margin', 'loss.index', 'augment.ada_target'} <= found.keys()
