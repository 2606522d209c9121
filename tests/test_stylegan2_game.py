"""StyleGAN2 in its game: path length, lazy terms of both players, gradients, devices, populations, settings."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import stylegan2
from gan import build, penalties
from gan.build import images_per_step
from gan.config import ConfigError, flatten
from gan.config.complete import complete
from gan.config.validate import validate
from gan.data import digits
from gan.data.source import columns_of
from gan.games import GameError, Turn
from gan.randomness import normal, root_key
from gan.rules import Moves, Txs
from tests.population.test_compiled import assert_equal, train_alone, train_together

TINY = {f'model.{player}.{name}': value for player in ('gen', 'disc')
        for name, value in (('width', 2), ('max_width', 4))} | {'model.gen.w_dim': 5, 'model.z_dim': 3,
                                                                  'train.batch_size': 8}


def config_of(**changes):
  return complete(stylegan2.get_config(), TINY | {name.replace('__', '.'): value for name, value in changes.items()})


@functools.cache
def game_of(**changes):
  """The game, the state before the first step, a turn, and numbers."""
  config = config_of(**changes)
  built = build.build(config, columns_of((16, 16, 1)), jax.devices()[:1])
  state = build.make_initial_state(built, 0)
  draw = Turn({}, {}, state.rng, state.step, 0).draw(built.game.devices)
  reals = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 1)).astype(np.float32)
  turn = Turn({'images': reals}, built.game.draw(draw, {}, 8), state.rng, state.step, 0)
  return built.game, state, turn, built.hparams


def test_path_length_of_a_linear_map():
  """In closed form: |y A^T| / sqrt(H W), the mean over layers of squares summed over a style; and its gradient."""
  rng = np.random.default_rng(0)
  maps = rng.normal(size=(3, 4, 2, 5, 1))   # Layers, style, and the image.
  ws, noise = rng.normal(size=(6, 3, 4)).astype(np.float32), rng.normal(size=(6, 2, 5, 1)).astype(np.float32)

  def lengths(maps):
    return penalties.path_lengths(lambda ws: jnp.einsum('bnw,nwhvc->bhvc', ws, maps), ws, noise)

  def expected(maps):
    slopes = np.einsum('nwhvc,bhvc->bnw', maps, noise.astype(np.float64)) / np.sqrt(10)
    return np.sqrt((slopes**2).sum(axis=2).mean(axis=1))
  values, pull = jax.vjp(lengths, maps.astype(np.float32))
  np.testing.assert_allclose(values, expected(maps), rtol=1e-5)
  direction, weights = rng.normal(size=maps.shape), rng.normal(size=6)
  difference = (expected(maps + 1e-5 * direction) - expected(maps - 1e-5 * direction)) @ weights / 2e-5
  np.testing.assert_allclose(np.vdot(pull(weights.astype(np.float32))[0], direction), difference, rtol=1e-3)
  flat = jax.grad(lambda a: penalties.path_lengths(lambda ws: a * ws[:, :2, None, :1], ws, noise[:, :2, :1]).sum())(0.0)
  assert np.isfinite(flat)


def test_the_term_of_path_length():
  """Every second sample, fresh noise, 4 times 2 times the mean square about a mean that moved by a hundredth."""
  game, state, turn, hparams = game_of()
  state = state.replace(gen=state.gen.replace(memory={'path_length': {'mean': jnp.float32(0.3)}}))
  assert game.periods('gen', hparams) == (4,)

  @jax.jit
  def both(params):
    value, (kept, _) = game.lazy_loss('gen', 4, params, state, turn, hparams)
    cast = game.cast(state, turn).training('gen', params)
    ws, _ = cast('gen', method='styles', z=turn.inputs['z'][::2])
    noise = normal(jax.random.fold_in(turn.key('penalty'), 3), (4, 16, 16, 1))
    return value, kept, penalties.path_lengths(lambda ws: cast('gen', method='synthesize', ws=ws)[0], ws, noise)

  value, kept, lengths = both(state.gen.params)
  mean = 0.99 * 0.3 + 0.01 * np.mean(lengths)
  np.testing.assert_allclose(kept.memory['path_length']['mean'], mean, rtol=1e-5)
  np.testing.assert_allclose(value, 4 * 2 * np.mean(np.square(lengths - mean)), rtol=1e-4)
  assert_equal(kept.stats, state.gen.stats)   # The pass of a lazy term moves no statistics.


def test_lazy_r1_counts_gamma_half_sixteen_times():
  game, state, turn, hparams = game_of()

  @jax.jit
  def both(params):
    value = game.lazy_loss('disc', 16, params, state, turn, hparams)[0]

    def judge(images):
      return game.networks['disc'].module.apply({'params': params}, images, train=True)

    return value, penalties.zero_centred(judge, turn.batch['images'])

  assert game.periods('disc', hparams) == (16,)
  value, squared = both(state.disc.params)
  np.testing.assert_allclose(value, 16 * 3.0 / 2 * squared, rtol=1e-4)


@pytest.mark.parametrize(('changes', 'expected'), [
    ({}, {'gen': 4 / 5, 'disc': 16 / 17}),
    ({'penalty__path_length': 0.0}, {'gen': 1.0, 'disc': 16 / 17})])
def test_lazy_terms_correct_rate_and_betas(changes, expected):
  """By k / (k + 1), each player by its own period; without path length the generator's are as they are."""
  config = config_of(**changes)
  built = build.build(config, columns_of((16, 16, 1)), jax.devices()[:1])
  seen = Txs(lambda numbers: numbers, lambda numbers: numbers)
  for player, share in expected.items():
    numbers = Moves(built.game, seen, built.hparams, None, None).optimizer(None, player)
    np.testing.assert_allclose([numbers['lr'], numbers['b2']], [0.0025 * share, 0.99**share], rtol=1e-6)
    assert numbers['b1'] == 0


def test_gradients_reach_every_parameter():
  """Those of the objective, and of path length all of the generator's but biases and noise, which no slope needs."""
  game, state, turn, hparams = game_of(penalty__path_length=2.0)
  turn = turn._replace(step=jnp.int32(3))

  @jax.jit
  def slopes(gen, disc):
    return (jax.grad(lambda p: game.loss('gen', p, state, turn, hparams)[0])(gen),
            jax.grad(lambda p: game.loss('disc', p, state, turn, hparams)[0])(disc))

  for tree in slopes(state.gen.params, state.disc.params):
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
      assert np.abs(leaf).max() > 0, jax.tree_util.keystr(path)


@pytest.mark.parametrize('kind', ['concat', 'projection', 'acgan'])
def test_classes_reach_the_mapping_network_under_every_condition(kind):
  columns = columns_of((16, 16, 1)) | {'labels': digits.load(16, 'train').columns['labels']._replace(shares=(0.5, 0.5))}
  built = build.build(config_of(model__condition=kind), columns, jax.devices()[:1])
  params = jax.eval_shape(built.game.init, root_key(0))['gen'].params
  assert params['mapper']['labels']['kernel'].shape == (2, 5)
  assert params['mapper']['layer0']['kernel'].shape == (3 + 5, 5)


def test_the_mean_of_w_belongs_to_the_generator_and_moves_in_its_turn_only():
  game, state, turn, hparams = game_of()
  kept = jax.jit(lambda: (game.loss('gen', state.gen.params, state, turn, hparams)[1][0].stats,
                          game.loss('disc', state.disc.params, state, turn, hparams)[1][0].stats))()
  assert np.abs(kept[0]['averages']['w']).max() > 0
  assert kept[1] == {}


def test_truncation_is_for_networks_with_styles():
  game, state, turn, _ = game_of()
  draw = turn.draw(game.devices)
  gen = {'params': state.gen.params, 'stats': {'averages': {'w': jnp.ones(5)}}}
  sample = jax.jit(lambda z, psi: game.truncated(psi).sample(gen, {'z': z}, draw))
  images = sample(turn.inputs['z'], 0.0)
  assert np.std(images, axis=0).max() < 1e-5          # All images are the mean style's; noise has no strength yet.
  assert np.std(sample(turn.inputs['z'], 0.7), axis=0).max() > 1e-3
  plain = build.build(complete(stylegan2.get_config(), {'model.gen.name': 'dcgan', 'penalty.path_length': 0.0}),
                      columns_of((16, 16, 1)), jax.devices()[:1])
  with pytest.raises(GameError, match=r'needs a generator with styles, such as model.gen.name=stylegan2'):
    plain.game.truncated(0.7)


@pytest.mark.parametrize(('changes', 'message'), [
    ({'model.gen.name': 'dcgan'}, 'penalty.path_length=2.0 needs a generator with styles, and model.gen.name=dcgan has '
     'none; use model.gen.name=stylegan2'),
    ({'train.batch_size': 30}, r'model.disc.group=4 must divide the 30 samples that the discriminator compares; try 2'),
    ({'train.batch_size': 33, 'model.disc.minibatch': 'none'}, 'penalty.path_share=2 must divide the 33 samples'),
    ({'update.rule': 'simultaneous', 'penalty.every': 1}, 'penalty.path_every=4 is for rules in which the players'),
    ({'model.condition': 'infogan'}, r'model.gen.mixing=0.9 gives an image the codes of another latent'),
    ({'model.condition': 'infogan', 'model.gen.mixing': 0.0}, 'does not go with model.condition=infogan'),
    ({'model.gen.mixing': 1.5}, r'model.gen.mixing=1.5 must be in \[0, 1\]'),
    ({'data.image_size': 48}, 'model.gen.name=stylegan2 is built for 16, 32, 64, 128, 256, 512, 1024'),
    ({'train.ema_halflife': 0.0, 'train.ema_rampup': 0.05}, 'train.ema_rampup=0.05 does nothing without train.ema_'),
    ({'penalty.path_length': 0.0, 'penalty.path_every': 8}, 'penalty.path_every=8 does nothing without penalty.path')])
def test_what_does_not_go_together_is_refused(changes, message):
  with pytest.raises(ConfigError, match=message):
    validate(stylegan2.get_config(), overrides=changes)


@pytest.mark.parametrize(('arg', 'expected'), [
    ('cifar', (64, 32, 0.002, 0.0025, 0.01, 500_000, 1_562_500)),
    ('auto,size=64', (32, 4, 0.0025, 0.0025, 0.0256, 10_000, 781_250)),
    ('auto,size=1024', (4, 4, 0.002, 0.002, 52.4288, 1_250, 6_250_000)),
    ('paper256', (64, 8, 0.0025, 0.0025, 1.0, 20_000, 390_625)),
    ('stylegan2', (32, 4, 0.002, 0.002, 10.0, 10_000, 781_250))])
def test_published_settings(arg, expected):
  flat = flatten(validate(stylegan2.get_config(arg), overrides={} if arg == 'cifar' else {'data.path': 'x'}))
  fields = ('train.batch_size', 'model.disc.group', 'optimizer.gen.lr', 'optimizer.disc.lr', 'penalty.r1',
            'train.ema_halflife', 'train.num_steps')
  assert tuple(flat[field] for field in fields) == pytest.approx(expected, rel=1e-6)
  cifar = arg == 'cifar'
  assert (flat['penalty.path_length'], flat['model.gen.mixing']) == ((0.0, 0.0) if cifar else (2.0, 0.9))
  assert flat['optimizer.gen.b2'] == pytest.approx(0.99**0.8 if cifar else 0.99)
  assert (flat['penalty.every'], flat['augment.policy']) == (16, 'ada')
  assert flat['optimizer.disc.b2'] == 0.99


@pytest.mark.parametrize(('arg', 'message'), [('cifar,auto', 'names cifar and auto; name one of them'),
                                              ('cifar,size=64', 'size=64 is for auto; cifar has a size of its own')])
def test_arguments_that_do_not_go_together(arg, message):
  with pytest.raises(ConfigError, match=message):
    stylegan2.get_config(arg)


def test_the_half_life_counts_the_images_of_a_step():
  """The step that a configuration builds averages with 2^(-B / h), where B is its batch."""
  config = config_of(train__ema_halflife=8.0, train__ema_rampup=0.0)
  assert images_per_step(config) == 8
  found = []
  real = build.step.make_train_step
  try:
    build.step.make_train_step = lambda *args, **settings: found.append(settings)
    build.make_train_step(config, types.SimpleNamespace(game=None, txs=None, numbers_at=None,
                                                        parallel=types.SimpleNamespace(mean=None)))
  finally:
    build.step.make_train_step = real
  assert found[0]['images_per_step'] == 8


SGD = {f'optimizer__{player}__{name}': value for player in ('gen', 'disc')
       for name, value in (('name', 'sgd'), ('lr', 0.01))}


@pytest.mark.slow
@pytest.mark.parametrize('strategy', ['jit', 'pmap'])
def test_two_devices_equal_one(strategy):
  """Two steps with both lazy terms, noise, mixing, the mean of w and the memory of path length."""
  ends = []
  for how, devices in (('jit', 1), (strategy, 2)):
    config = config_of(**SGD, parallel__strategy=how, augment__policy='ada')
    data = digits.load(16, 'train')
    built = build.build(config, data.columns, jax.devices()[:devices])
    state = build.make_initial_state(built, 0)
    batches = build.make_pipeline(config, data, built.parallel, state.rng)
    loop = build.make_loop(config, built, batches)
    state, scalars, _ = loop(state, batches.feed(0, 2), built.parallel.place(built.hparams), np.int32(2))
    ends.append(jax.device_get((state.gen, state.disc, state.ema, scalars)))
  assert_equal(*ends, rtol=2e-3, atol=2e-5)


@pytest.mark.slow
def test_a_population_equals_its_members_alone():
  members = [config_of(**SGD, seed=seed, penalty__r1=gamma) for seed, gamma in ((0, 3.0), (5, 1.0))]
  _, state = train_together(members, 2)
  for i, config in enumerate(members):
    alone, _, _ = train_alone(config, 2)
    own = jax.tree.map(lambda leaf, i=i: leaf[i], state.members.replace(step=state.stopped_at, rng=None))
    assert_equal((own.gen, own.disc, own.ema), (alone.gen, alone.disc, alone.ema), rtol=2e-3, atol=2e-5)
