"""JAX_ENABLE_X64 changes no number of ours: dtypes are named in the code, not left to JAX's default."""

import functools

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import pytest
from jax import ShapeDtypeStruct as Shape

from configs import dirac, toy, vanilla
from gan import augment, build, randomness, sampling
from gan.config.complete import complete
from gan.data import digits, pipeline
from gan.data import toy as mixtures
from gan.data.source import columns_of
from gan.dynamics.field import make_field
from gan.features import classifier, inception, simple, training
from gan.games.regularisation import PENALTIES
from gan.losses import LOSSES
from gan.metrics import neighbours
from gan.metrics.ms_ssim import ms_ssim
from gan.models import MODELS, get_model
from gan.models.minibatch import MINIBATCH
from gan.optimizers import OPTIMIZERS, make_optimizer
from gan.parallel import make_parallel
from gan.population import compiled
from gan.rules import RULES, rule_settings
from gan.schedules import PREFIX, SCHEDULES, UNITS, Schedule, numbers_of, resolve
from gan.scoring.collect import to_bytes
from gan.step import make_deal

KEY, FLOAT, INT = randomness.root_key(0), Shape((), jnp.float32), Shape((), jnp.int32)
PENALTY_WEIGHTS = {f'penalty__{name}': 0.1 for name in PENALTIES if name != 'path_length'}   # That needs styles.


def wide_floats(jaxpr):
  """(primitive, dtype) of each number of 64 bits that a program computes; integers are exact at any width."""
  for equation in jaxpr.eqns:
    for variable in equation.outvars:
      if str(getattr(variable.aval, 'dtype', '')) in ('float64', 'complex128'):
        yield equation.primitive.name, str(variable.aval)
    for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, 'eqns')):
      if isinstance(inner, jax.extend.core.Jaxpr | jax.extend.core.ClosedJaxpr):
        yield from wide_floats(getattr(inner, 'jaxpr', inner))


def assert_narrow(function, *arguments, **named):
  """Checks a function of arrays or shapes where JAX's default is wide; returns the shapes of what it returns."""
  with jax.enable_x64(True):
    traced, found = jax.make_jaxpr(functools.partial(function, **named), return_shape=True)(*arguments)
  assert not sorted(set(wide_floats(traced.jaxpr)))
  assert not [leaf for leaf in jax.tree.leaves(found) if str(leaf.dtype) in ('float64', 'int64', 'uint64')]
  return found


def assert_narrow_step(config, shape):
  """The first state of a configuration, and a step of its training."""
  with jax.enable_x64(True):
    built = build.build(config, columns_of(shape), jax.devices()[:1])
    step = build.make_train_step(config, built)
  state = assert_narrow(functools.partial(build.initial_state, built), Shape((), jnp.uint32))
  batch = {'images': Shape((config.train.disc_steps, config.train.batch_size, *shape), jnp.float32)}
  assert_narrow(step, state, batch, built.hparams)
  return built, state, batch


def small(file, arg='', **overrides):
  return complete(file.get_config(arg), {name.replace('__', '.'): value for name, value in overrides.items()})


@pytest.mark.parametrize('rule', RULES)
def test_update_rules(rule):
  lazy = {'penalty__r1': 0.1, 'penalty__r2': 0.1, 'penalty__difference_std': 0.1, 'penalty__every': 2}
  disc_steps = 2 if 'disc_steps' in rule_settings(rule) else 1
  assert_narrow_step(small(dirac, update__rule=rule, train__disc_steps=disc_steps, model__z='uniform',
                           **lazy if rule == 'alternating' else {}), (1,))


@pytest.mark.parametrize('loss', LOSSES)
def test_losses(loss):
  logits = Shape((8,), jnp.float32)
  pair = LOSSES[loss].bind({name: np.float32(setting.default) for name, setting in LOSSES[loss].settings.items()})
  for function in (pair.disc, pair.gen, pair.probability, jax.grad(pair.disc, has_aux=True)):
    assert_narrow(function, logits, logits)


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_optimizers(name):
  numbers = {name: FLOAT for name in ('lr', 'b1', 'b2', 'eps', 'weight_decay')}
  params = {'kernel': Shape((2, 3), jnp.float32)}
  make = make_optimizer(name, optimistic=True)
  state = assert_narrow(lambda numbers, params: make(numbers).init(params), numbers, params)
  assert_narrow(lambda numbers, grads, state, params: make(numbers).update(grads, state, params),
                numbers, params, state, params)


@pytest.mark.parametrize('kind', SCHEDULES)
@pytest.mark.parametrize('unit', UNITS)
def test_schedules(kind, unit):
  hparams = {'x': FLOAT} | {f'{PREFIX}x.{name}': FLOAT for name in numbers_of(kind)}
  assert_narrow(resolve, hparams, INT, schedules={'x': Schedule(kind, unit)}, images_per_step=64)


@pytest.mark.parametrize('name', MODELS)
def test_models(name):
  model = MODELS[name]
  shape = (16, 16, 1) if model.images else (model.sample_dim or 2,)
  for player, x in (('gen', (4, 1)), ('disc', (4, *shape))):
    width = {'width': 2} if 'width' in getattr(model, f'{player}_settings') else {}
    net, x = get_model(player, name, shape, **width), Shape(x, jnp.float32)
    draw = {'draw': lambda name, sampler, shape: sampler(KEY, shape)} if getattr(net, 'random', False) else {}
    weights = assert_narrow(net.init, KEY, x, train=True, **draw)
    stats = [collection for collection in weights if collection != 'params']
    assert_narrow(net.apply, weights, x, train=True, mutable=stats, **draw)
    assert_narrow(net.apply, weights, x, train=False, **draw)


@pytest.mark.parametrize('minibatch', MINIBATCH)
def test_discriminators_that_see_the_batch(minibatch):
  x = Shape((4, 16, 16, 1), jnp.float32)
  net = get_model('disc', 'dcgan', (16, 16, 1), width=2, minibatch=minibatch)
  assert_narrow(net.init_with_output, KEY, x, train=True)


@pytest.mark.parametrize('channels', [1, 3])
def test_augmentations(channels):
  images = Shape((2, 8, 8, channels), jnp.float32)
  assert_narrow(augment.ada_augment, images, Shape((2, augment.ADA_UNIFORMS), jnp.float32), FLOAT)
  assert_narrow(augment.diff_augment, images, Shape((2, augment.DIFF_AUGMENT_UNIFORMS), jnp.float32),
                policy=tuple(augment.DIFF_AUGMENT))
  assert_narrow(augment.flip_and_shift, images, Shape((2, augment.FLIP_AND_SHIFT_UNIFORMS), jnp.float32))


def test_everything_at_once():
  """All penalties, augmentations and noise, normalised kernels, packs; then the samples and the field of its game."""
  config = small(vanilla, augment__policy='ada', augment__noise=0.1, loss__label_flip=0.1,
                 schedule__augment__noise='linear,over=10', schedule__penalty__r1='cosine,over=9,unit=images',
                 model__disc__spectral_norm=True, model__disc__pack=2, model__gen__width=2, model__disc__width=2,
                 **PENALTY_WEIGHTS)
  built, state, batch = assert_narrow_step(config, (8, 8, 1))

  def field(state, batch, hparams):
    numbers = built.numbers_at(hparams, state.step)
    return make_field(built.game, state, make_deal(built.game)(batch, state, 0), numbers).value()
  assert_narrow(field, state, batch, built.hparams)
  stream = sampling.make_stream(built.game)
  assert_narrow(lambda gen, rng: next(stream(gen, rng, sampling.CHUNK))[0], state.ema, KEY)


def test_batches():
  parallel, shape = make_parallel('jit', jax.devices()[:1]), (2, 4)
  source = digits.load(16, 'train')
  for batches in (pipeline.Drawn(mixtures.ring(), *shape, parallel.shard),
                  pipeline.Points(mixtures.ring()._replace(num_points=50), *shape, parallel.shard, parallel.place),
                  pipeline.Resident(source, *shape, parallel.shard, parallel.place, True),
                  pipeline.Streamed(source, *shape, parallel.shard, parallel.place_batch, True, KEY, 2, slice(0, 4))):
    assert_narrow(batches.batch, batches.feed(0, 2), KEY, INT, INT)


def test_populations():
  config = small(toy, model__gen__width=2, model__disc__width=2)
  population = compiled.make_population([config, config], columns_of((2,)), jax.devices()[:1])
  batches = pipeline.Drawn(mixtures.ring(), config.train.disc_steps, config.train.batch_size, lambda x: x)
  state = assert_narrow(lambda: compiled.initial_state(population))
  assert_narrow(compiled.make_step(population, batches.batch), state.members, (), population.hparams)


def test_features_and_scores():
  images = Shape((4, 16, 16, 1), jnp.uint8)
  net = classifier.Classifier(3, 2)
  weights = assert_narrow(net.init, KEY, Shape((1, 16, 16, 1), jnp.float32), train=False)
  assert_narrow(classifier.make_features(weights, '').extract, weights, images)
  features = simple.random((16, 16, 1))
  assert_narrow(features.extract, features.weights, images)
  large, net = Shape((1, 299, 299, 3), jnp.float32), inception.InceptionV3()
  assert_narrow(net.apply, jax.eval_shape(net.init, KEY, large), large)
  assert_narrow(lambda x: ms_ssim(x, x), images)
  assert_narrow(to_bytes, Shape((4, 16, 16, 1), jnp.float32))
  rows, numbers = Shape((neighbours.TILE, 7), jnp.float32), Shape((neighbours.TILE,), jnp.float32)
  best = Shape((neighbours.TILE, 2), jnp.float32), Shape((neighbours.TILE, 2), jnp.int32)
  assert_narrow(neighbours._nearer, best, rows, numbers, rows, numbers, INT, k=2)
  assert_narrow(neighbours._held, rows, numbers, numbers, rows, numbers, numbers)


def test_a_classifier_is_the_same_under_64_bits(monkeypatch):
  monkeypatch.setattr(training, 'num_steps', lambda num_images, channels: 2)
  source = digits.load(16, 'train')
  expected = training.train(source, None).weights
  with jax.enable_x64(True):
    found = training.train(source, None).weights
  jax.tree.map(np.testing.assert_array_equal, expected, found)
