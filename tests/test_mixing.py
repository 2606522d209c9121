"""Objectives and layers that mix the samples of a batch see the global batch, and every draw is the global one.

Two devices equal one, compiled by jit or by pmap, for all that could know the difference: objectives with means or a
partition sum over the batch, statistics of the batch, running means of logits, the controller of ADA, packing, and
each penalty and augmentation that draws numbers.
"""

import jax
import numpy as np
import pytest

from gan.build import build, make_initial_state
from gan.config import base_config
from gan.config.validate import validate
from gan.data.source import columns_of
from gan.rules import rule_settings
from gan.step import make_train_step

SMALL = {f'model.{player}.{name}': value for player in ('gen', 'disc') for name, value in (('width', 6), ('layers', 1))}
POINTS = SMALL | {'data.name': 'ring', 'model.gen.name': 'mlp', 'model.disc.name': 'mlp'}
IMAGES = SMALL | {'data.name': 'digits', 'data.image_size': 8, 'model.gen.name': 'vanilla',
                  'model.disc.name': 'vanilla'}
# A field in which samples mix, with a slope in it, and as few parameters as can be.
FIELD = {'data.name': 'gaussian', 'model.gen.name': 'linear_quadratic', 'model.disc.name': 'linear_quadratic',
         'model.z_dim': 1, 'loss.name': 'ragan_logistic', 'penalty.r1': 0.05, 'augment.noise': 0.1}
CASES = {
    'means and vectors': POINTS | {'loss.name': 'ragan_logistic', 'model.disc.minibatch': 'stddev',
                                   'penalty.lecam': 0.3, 'model.disc.spectral_norm': True},
    'partition sum and packs': POINTS | {'loss.name': 'softmax', 'model.disc.minibatch': 'discrimination',
                                         'model.disc.pack': 2},
    # Eight images a step: the probability has gone to 2/3 before the last of three steps.
    'ada': IMAGES | {'loss.name': 'hinge', 'augment.policy': 'ada', 'augment.ada_images': 24,
                     'augment.ada_target': -0.999, 'augment.ada_interval': 2},
    'all that is drawn': IMAGES | {
        'penalty.r1': 0.1, 'penalty.r2': 0.2, 'penalty.difference_std': 0.1, 'penalty.gp': 0.1, 'penalty.dragan': 0.1,
        'penalty.zero_gp': 0.1, 'penalty.cr_real': 0.3, 'penalty.cr_fake': 0.3, 'penalty.zcr_disc': 0.3,
        'penalty.zcr_gen': 0.1, 'penalty.zcr_std': 0.5, 'augment.noise': 0.1, 'loss.label_flip': 0.4,
        'augment.policy': 'color+translation+cutout', 'model.disc.pack': 2},
    'consensus': FIELD | {'update.rule': 'consensus', 'update.consensus': 0.5},
    'symplectic': FIELD | {'update.rule': 'symplectic'},
    'extragradient': FIELD | {'update.rule': 'extragradient'},
    'unrolled': FIELD | {'update.rule': 'unrolled', 'update.unroll_steps': 2},
}
UNDER_JIT_TOO = ('means and vectors', 'partition sum and packs')  # Global by construction there: two cases will do.
SLOW = ('symplectic', 'extragradient', 'unrolled')  # Consensus has all that they have: products through the field.
STEPS = 3


def config_of(overrides, strategy='jit'):
  """Small, and SGD, because Adam's first step magnifies rounding."""
  small = {'model.z_dim': 3, 'train.batch_size': 8, 'parallel.strategy': strategy}
  for player in ('gen', 'disc'):
    small |= {f'optimizer.{player}.{name}': value for name, value in (('name', 'sgd'), ('lr', 0.1), ('b1', 0.0))}
  return validate(base_config(), 2, small | overrides)


def train(config, num_devices):
  """The first state and the last one, and the scalars of the last step, on the host."""
  shape = {'ring': (2,), 'gaussian': (1,), 'digits': (8, 8, 1)}[config.data.name]
  built = build(config, columns_of(shape), jax.devices()[:num_devices])
  settings = {**config.update, 'disc_steps': config.train.disc_steps}
  step = make_train_step(built.game, built.txs, config.update.rule, mean=built.parallel.mean,
                         **{name: settings[name] for name in rule_settings(config.update.rule)})

  def one_step(state, data, hparams, number):  # Data lie whole on every device, as a resident data set does.
    return step(state, {'images': jax.vmap(built.parallel.shard)(data[number])}, hparams)

  compiled, place = built.parallel.compile(one_step), built.parallel.place
  images = np.random.default_rng(0).uniform(-1, 1, (STEPS, config.train.disc_steps, 8, *shape)).astype(np.float32)
  state, data, hparams = make_initial_state(built, seed=0), place(images), place(built.hparams)
  first = jax.device_get((state.gen, state.disc))
  for number in range(STEPS):
    state, scalars = compiled(state, data, hparams, np.int32(number))
  return first, jax.device_get((state.gen, state.disc)), jax.device_get(scalars)


@pytest.mark.parametrize('case', [pytest.param(case, marks=pytest.mark.slow if case in SLOW else ()) for case in CASES])
def test_two_devices_equal_one(case):
  first, expected, scalars = train(config_of(CASES[case]), 1)
  for strategy in ('jit', 'pmap') if case in UNDER_JIT_TOO else ('pmap',):
    _, found, found_scalars = train(config_of(CASES[case], strategy), 2)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5), found, expected)
    assert set(found_scalars) == set(scalars)
    for name, value in scalars.items():
      np.testing.assert_allclose(found_scalars[name], value, rtol=1e-4, atol=2e-5, err_msg=f'{strategy}: {name}')
  # Guards against comparing states in which nothing has happened.
  # In kernels, and by several times the tolerance; biases of scores are nothing to most of these objectives.
  for before, after in zip(first, expected, strict=True):
    moved = [float(np.abs(a - b).max()) for a, b in zip(*(jax.tree.leaves((player.params, player.stats))
                                                          for player in (before, after)), strict=True) if a.ndim != 1]
    assert min(moved) > 1e-4
  if case == 'ada':
    ada = expected[1].memory['ada']
    assert ada['probability'] == pytest.approx(2 / 3)
    assert ada['updates'] == 1
    assert ada['signs'] != 0


def test_adam_makes_steps_of_rounding_where_a_gradient_is_zero():
  """The last bias, of which a relativistic objective sees nothing: it walks, and all else agrees to rounding."""
  adam = {f'optimizer.disc.{name}': value for name, value in (('name', 'adam'), ('lr', 0.01), ('b1', 0.5))}
  config, mapped = (config_of(POINTS | {'loss.name': 'ragan_logistic'} | adam, strategy)
                    for strategy in ('jit', 'pmap'))
  _, (_, expected), _ = train(config, 1)
  _, (_, found), _ = train(mapped, 2)
  walked, other = (disc.params['Dense_1'].pop('bias') for disc in (expected, found))
  assert 1e-3 < np.abs(walked) <= STEPS * 0.011  # By its gradient, of some 1e-9, it would move by 1e-11.
  assert np.abs(other) <= STEPS * 0.011
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5), found.params, expected.params)
