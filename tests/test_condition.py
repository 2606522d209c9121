"""Classes and codes in the game of generation: terms against NumPy, draws, devices, populations, refusals, pictures."""

import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from configs import dcgan
from gan import build, sampling
from gan.build import describe_data, is_conditional, make_initial_state, make_loop, make_pipeline, open_data
from gan.config import ConfigError
from gan.config.complete import complete
from gan.config.validate import validate
from gan.data.source import Column
from gan.games.condition import KINDS, class_loss, code_loss
from gan.metrics.class_score import accuracy, agreement
from gan.population import compiled
from gan.population.members import member_state
from gan.randomness import root_key
from gan.run import dry_run
from gan.scoring.plan import make_plan
from tests import runs
from tests.test_resume import assert_equal_runs, kill_at

LABELLED = ('concat', 'projection', 'acgan')
CONDITIONS = (*LABELLED, 'infogan')
SGD = {f'optimizer.{player}.{name}': value for player in ('gen', 'disc')
       for name, value in (('name', 'sgd'), ('lr', 0.02), ('b1', 0.0))}


def config_of(condition, **changes):
  small = {'model.condition': condition, 'model.gen.width': 8, 'model.disc.width': 8, 'model.z_dim': 4}
  names = {f'model.{player}.name': 'vanilla' for player in ('gen', 'disc')}
  stated = dcgan.get_config('runlocal')
  return complete(stated, small | names | SGD | {'train.batch_size': 8, 'train.disc_steps': 2} | changes)


def columns_of(config):
  return describe_data(open_data(config), is_conditional(config)).columns


def train(config, num_devices=1, num_steps=3):
  data = open_data(config)
  built = build.build(config, columns_of(config), jax.devices()[:num_devices])
  state = make_initial_state(built, config.seed)
  batches = make_pipeline(config, data, built.parallel, state.rng)
  loop = make_loop(config, built, batches)
  state, scalars, _ = loop(state, batches.feed(0, num_steps), built.parallel.place(built.hparams), np.int32(num_steps))
  return jax.device_get((state.gen, state.disc, state.ema)), jax.device_get(scalars)


def assert_close(one, other, **tolerance):
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), one, other)


def test_class_and_information_terms_against_numpy():
  rng = np.random.default_rng(0)
  logits, labels = rng.standard_normal((6, 4)), np.array([0, 3, 1, 1, 2, 0])
  estimates, codes = rng.standard_normal((6, 2)), rng.uniform(-1, 1, (6, 2))
  inputs = {'category': jnp.asarray(labels), 'uniform': jnp.asarray(codes, jnp.float32)}
  cross_entropy = -log_softmax(logits, axis=1)[np.arange(6), labels].mean()
  value, gradient = jax.value_and_grad(class_loss)(jnp.asarray(logits, jnp.float32), jnp.asarray(labels))
  np.testing.assert_allclose(value, cross_entropy, rtol=1e-5)
  np.testing.assert_allclose(gradient, (np.exp(log_softmax(logits, axis=1)) - np.eye(4)[labels]) / 6, atol=1e-6)
  value, gradient = jax.value_and_grad(code_loss, (0, 1))(jnp.asarray(logits, jnp.float32),
                                                           jnp.asarray(estimates, jnp.float32), inputs)
  np.testing.assert_allclose(value, cross_entropy + 0.5 * np.sum((codes - estimates)**2, axis=1).mean(), rtol=1e-5)
  np.testing.assert_allclose(gradient[1], (estimates - codes) / 6, atol=1e-6)
  np.testing.assert_allclose(code_loss(jnp.asarray(logits, jnp.float32), None, inputs), cross_entropy, rtol=1e-5)


@pytest.mark.parametrize('condition', CONDITIONS)
def test_two_devices_equal_one(condition):
  config = config_of(condition)
  alone = train(config)
  assert_close(train(config, 2), alone, rtol=1e-4, atol=2e-5)
  if condition == 'projection':
    config.parallel.strategy = 'pmap'
    assert_close(train(config, 2), alone, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize('condition', ['projection', 'acgan'])
def test_fakes_have_the_classes_of_the_batch_or_the_shares_of_the_data(condition):
  config = config_of(condition)
  built = build.build(config, columns_of(config), jax.devices()[:1])
  batch = {'labels': jnp.array([3, 1, 4, 1])}

  def draw(purpose, sampler, shape):
    del purpose
    return sampler(root_key(0), shape)

  np.testing.assert_array_equal(built.game.draw(draw, batch, 4)['labels'], batch['labels'])
  columns = {'images': Column((16, 16, 1), 'uint8'), 'labels': Column((), 'int32', (0.7, 0.0, 0.3))}
  game = build.build(config_of(condition, **{'model.fake_labels': 'drawn'}), columns, jax.devices()[:1]).game
  drawn = np.asarray(game.draw(draw, batch, 4000)['labels'])
  assert drawn.dtype == np.int32
  np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 4000, (0.7, 0.0, 0.3), atol=0.03)


def test_the_share_of_each_class_is_that_of_the_data():
  data = open_data(config_of('projection'))
  shares = columns_of(config_of('projection'))['labels'].shares
  np.testing.assert_allclose(shares, np.bincount(data.read(np.arange(data.num_examples))['labels']) / 1500)
  assert columns_of(config_of('infogan'))['labels'].shares == ()


def test_a_member_of_a_population_equals_the_run_alone():
  members = [config_of('acgan', seed=seed, **{'train.disc_steps': 1, 'game.class_weight': weight})
             for seed, weight in ((0, 1.0), (5, 0.5))]
  population = compiled.make_population(members, columns_of(members[0]), jax.devices()[:1])
  data = open_data(members[0])
  batches = make_pipeline(members[0], data, population.built.parallel, root_key(0))
  state = compiled.make_loop(population, batches)(compiled.initial_state(population), batches.feed(0, 10),
                                                  population.place(population.hparams), np.int32(10))
  for i, config in enumerate(members):
    (gen, disc, ema), scalars = train(config, num_steps=10)
    own = member_state(state, i)
    assert_close((own.gen, own.disc, own.ema), (gen, disc, ema), atol=1e-5)
    for name in ('disc/class_loss', 'gen/class_loss', 'disc/class_accuracy'):
      np.testing.assert_allclose(state.scalars[name][i], scalars[name], rtol=1e-4)


def test_both_players_receive_the_information_gradient():
  """The head, the discriminator's features below it, and the generator: without weight on it, only the head rests."""
  config = config_of('infogan', **{'train.disc_steps': 1})
  still = train(config_of('infogan', **{'train.disc_steps': 1, 'game.info_weight': 0.0}), num_steps=1)[0]
  moved = train(config, num_steps=1)[0]
  assert_close(still[1].params['codes'], make_initial_state(
      build.build(config, columns_of(config), jax.devices()[:1]), 0).disc.params['codes'], atol=1e-7)
  for player in (0, 1):
    differences = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), still[player].params, moved[player].params)
    assert max(jax.tree.leaves(differences)) > 1e-5


@pytest.mark.parametrize('condition', CONDITIONS)
def test_rows_of_a_picture_have_a_class_each(condition):
  config = config_of(condition)
  built = build.build(config, columns_of(config), jax.devices()[:1])
  state = make_initial_state(built, 0)
  inputs, length = sampling.class_rows(built.game, 32)
  assert length == 3
  np.testing.assert_array_equal(inputs[built.game.classes[0]], np.repeat(np.arange(10), 3))
  samples = sampling.make_sampler(sampling.make_stream(built.game, conditions=sampling.given(inputs)))(
      state.ema, root_key(1), 30)
  assert samples.shape == (30, 16, 16, 1)
  walk = sampling.interpolate(built.game, state.ema, root_key(1), 2, 5, (3, 5) if condition in LABELLED else None)
  assert walk.shape == (10, 16, 16, 1)
  assert np.isfinite(walk).all()
  drawn = sampling.classes_of(built.game, root_key(1), 300)
  assert drawn.shape == (300,)
  assert set(drawn) == set(range(10))
  np.testing.assert_array_equal(drawn[:20], sampling.classes_of(built.game, root_key(1), 20))


def test_rows_of_codes_sweep_one_code():
  built = build.build(config := config_of('infogan'), columns_of(config), jax.devices()[:1])
  inputs, length = sampling.code_rows(built.game, root_key(1), 30)
  category, codes = inputs['category'].reshape(3, length), inputs['uniform'].reshape(3, length, 2)
  np.testing.assert_array_equal(category[0], np.arange(10))
  assert (category[1:] == category[1, 0]).all()
  np.testing.assert_allclose(codes[1, :, 0], np.linspace(-1, 1, 10), rtol=1e-6)
  np.testing.assert_allclose(codes[2, :, 1], np.linspace(-1, 1, 10), rtol=1e-6)
  assert (codes[1, :, 1] == codes[0, 0, 1]).all()
  assert (inputs['z'] == inputs['z'][0]).all()


def test_scores_of_classes():
  logits = np.eye(3)[[0, 1, 2, 2]]
  assert accuracy(logits, np.array([0, 1, 2, 0])) == (0.75, pytest.approx((0.75 * 0.25 / 4)**0.5))
  assert agreement(logits, np.array([4, 0, 1, 1]))[0] == 1.0   # The names of codes do not matter.
  assert agreement(logits, np.array([4, 0, 1, 0]))[0] == 0.75


@pytest.mark.parametrize(('changes', 'message'), [
    ({'model.condition': 'nonesuch'}, r"model.condition='nonesuch' is unknown; known: acgan, concat, infogan, none"),
    ({'model.condition': 'projection', 'model.disc.pack': 2}, 'judges the class or the codes of each'),
    ({'model.condition': 'acgan', 'data.name': 'ring', 'model.gen.name': 'mlp', 'model.disc.name': 'mlp'},
     'needs labels, and the points of data.name=ring have none'),
    ({'model.condition': 'projection', 'model.fake_labels': 'drawn', 'penalty.gp': 10.0,
      'model.disc.batch_norm': False}, 'penalty.gp=10.0 is taken between a real and a generated sample'),
    ({'model.condition': 'none', 'model.fake_labels': 'drawn'}, 'is no setting of model.condition=none'),
    ({'model.condition': 'none', 'eval.metrics': 'class_accuracy'}, 'needs features=classifier, and a run with '
     'model.condition=concat or projection or acgan'),
])
def test_what_does_not_go_together_is_refused(changes, message):
  with pytest.raises(ConfigError, match=message):
    validate(dcgan.get_config(), overrides=changes)


@pytest.mark.parametrize(('shares', 'have'), [((), 'no classes'), ((1.0,), 'a single class')])
def test_data_without_classes_are_refused(shares, have):
  columns = {'images': Column((16, 16, 1), 'uint8'), 'labels': Column((), 'int32', shares)}
  with pytest.raises(ConfigError, match=f'needs data with two classes or more, and data.name=digits has {have}; use'):
    build.build(config_of('acgan'), columns, jax.devices()[:1])


def test_the_default_scores_depend_on_the_condition():
  def metrics(condition):
    return set(make_plan('', '', True, False, condition).metrics)
  assert metrics('acgan') - metrics('none') == {'class_accuracy'}
  assert metrics('infogan') - metrics('none') == {'code_agreement'}


@pytest.mark.parametrize('condition', KINDS)
@pytest.mark.parametrize('network', ['dcgan', 'vanilla', 'resnet', 'stylegan2'])
def test_every_image_network_takes_every_condition(condition, network):
  config = dcgan.get_config(f'condition={condition}')
  text = dry_run.describe(complete(config, {f'model.{player}.name': network for player in ('gen', 'disc')} | (
      {'dcgan': {'model.disc.batch_norm': False}, 'stylegan2': {'model.gen.mixing': 0.0}}.get(network, {}))))
  assert ('labels [64]' in text) == (condition in LABELLED)


def test_commands_of_classes(tmp_path):
  """--label and --codes: a picture, or one sentence."""
  workdir = tmp_path / 'run'
  code, _, err = runs.run('gan.main', '--config=configs/dcgan.py:runlocal,condition=projection',
                          '--config.train.num_steps=2', f'--workdir={workdir}')
  assert code == 0, err
  for flags, expected in ((('--label=all',), '60 samples'), (('--label=7', '--num=4'), '4 samples'),
                          (('--label=3,5', '--interpolate', '--num=2'), '16 samples')):
    code, out, err = runs.run('gan.sample', f'--workdir={workdir}', *flags, f'--out={tmp_path}/out.png')
    assert code == 0, err
    assert expected in out
  for flags, message in ((('--label=12',), '--label=12 is no class: classes are 0 to 9'),
                         (('--label=3', '--interpolate'), 'must be two classes'),
                         (('--codes',), '--codes needs a run with model.condition=infogan')):
    code, _, err = runs.run('gan.sample', f'--workdir={workdir}', *flags, f'--out={tmp_path}/out.png')
    assert code == 2
    assert message in err


@pytest.mark.slow
@pytest.mark.parametrize('condition', CONDITIONS)
def test_a_killed_run_equals_an_undisturbed_one(condition, tmp_path):
  settings = (f'--config=configs/dcgan.py:runlocal,condition={condition}', '--config.train.num_steps=144',
              '--config.train.save_every=12', '--config.train.log_every=7', '--config.train.eval_every=48')
  code, _, err = runs.run('gan.main', *settings, f'--workdir={tmp_path}/straight')
  assert code == 0, err
  kill_at(tmp_path / 'killed', 40, signal.SIGKILL, *settings)
  code, _, err = runs.run('gan.main', *settings, f'--workdir={tmp_path}/killed')
  assert code == 0, err
  assert_equal_runs(tmp_path / 'straight', tmp_path / 'killed')
