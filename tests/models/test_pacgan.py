"""PacGAN's networks against NumPy, and the configuration that has their protocol."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gan.build import build
from gan.config import ConfigError, base_config
from gan.data.source import columns_of
from gan.models import get_model, pacgan
from gan.validate import validate
from tests import test_config as configs
from tests.models.test_models import leaves, num_parameters

CONFIG = Path(__file__).parents[2] / 'configs' / 'pacgan.py'


def load(arg):
  return configs.load(CONFIG)(arg)


def drawn(net, x):
  """Variables of a network with random numbers in the place of every leaf, variances positive."""
  rng = np.random.default_rng(1)
  shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), x, train=True))
  return jax.tree_util.tree_map_with_path(
      lambda path, leaf: (np.abs if 'var' in str(path) else np.asarray)(rng.normal(size=leaf.shape)).astype(np.float32),
      shapes)


def numpy_generator(variables, z, train):
  """In float64, layer by layer; and the means that each batch norm saw."""
  params, means, x = variables['params'], [], z.astype(np.float64)
  layers = len(params) // 2
  for i in range(layers):
    x = x @ params[f'Dense_{i}']['kernel']
    norm, old = params[f'BatchNorm_{i}']['norm'], variables['batch_stats'][f'BatchNorm_{i}']['norm']
    mean, var = (x.mean(0), x.var(0)) if train else (old['mean'], old['var'])
    means.append(x.mean(0))
    x = np.maximum((x - mean) / np.sqrt(var + 1e-4) * norm['scale'] + norm['bias'], 0.0)
  return x @ params[f'Dense_{layers}']['kernel'] + params[f'Dense_{layers}']['bias'], means


@pytest.mark.parametrize('train', [True, False])
def test_generator_equals_numpy(train):
  net = pacgan.Generator(2, width=5, layers=3)
  z = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
  variables = drawn(net, z)
  apply = jax.jit(lambda v, z: net.apply(v, z, train=train, mutable=['batch_stats'] if train else []))
  samples, changed = apply(variables, z)
  expected, means = numpy_generator(variables, z, train)
  np.testing.assert_allclose(samples, expected, rtol=1e-4, atol=1e-4)
  for i, mean in enumerate(means if train else ()):
    old = variables['batch_stats'][f'BatchNorm_{i}']['norm']['mean']
    np.testing.assert_allclose(changed['batch_stats'][f'BatchNorm_{i}']['norm']['mean'], 0.95 * old + 0.05 * mean,
                               rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('places', [2, 3])
def test_a_batch_norm_for_each_place_of_a_pack(places):
  """Each place's samples as if they were alone; running statistics move to the average of the places' statistics."""
  net = pacgan.Generator(2, width=5, layers=1, places=places)
  z = np.random.default_rng(0).normal(size=(4 * places, 3)).astype(np.float32)
  variables = drawn(net, z)
  assert jax.tree.map(np.shape, variables) == jax.tree.map(np.shape, drawn(pacgan.Generator(2, width=5, layers=1), z))
  samples, changed = jax.jit(lambda v, z: net.apply(v, z, train=True, mutable=['batch_stats']))(variables, z)
  means = []
  for place in range(places):
    expected, [mean] = numpy_generator(variables, z[place::places], True)
    np.testing.assert_allclose(samples[place::places], expected, rtol=1e-4, atol=1e-4)
    means.append(mean)
  old, new = (tree['batch_stats']['BatchNorm_0']['norm']['mean'] for tree in (variables, changed))
  np.testing.assert_allclose(new - 0.95 * old, 0.05 * np.mean(means, axis=0), rtol=0, atol=2e-3 * np.ptp(means))
  np.testing.assert_allclose(net.apply(variables, z, train=False), numpy_generator(variables, z, False)[0], rtol=1e-4,
                             atol=1e-4)


def test_discriminator_equals_numpy():
  """A unit is the largest of its linear pieces, which lie `width` apart; the last layer is linear."""
  net = pacgan.Discriminator(width=4, layers=2, pieces=3)
  x = np.random.default_rng(0).normal(size=(7, 6)).astype(np.float32)
  params = drawn(net, x)['params']
  y = x.astype(np.float64)
  for i in range(2):
    kernel, bias = params[f'Maxout_{i}']['Dense_0']['kernel'], params[f'Maxout_{i}']['Dense_0']['bias']
    y = np.stack([np.max([y @ kernel[:, unit + 4 * piece] + bias[unit + 4 * piece] for piece in range(3)], axis=0)
                  for unit in range(4)], axis=1)
  expected = (y @ params['Dense_0']['kernel'] + params['Dense_0']['bias'])[:, 0]
  np.testing.assert_allclose(jax.jit(lambda p, x: net.apply({'params': p}, x, train=True))(params, x), expected,
                             rtol=1e-4, atol=1e-5)


def test_parameter_counts():
  """By hand, with a scale and an offset for each normalised unit; a pack of m adds m - 1 times the first kernel."""
  gen, disc = get_model('gen', 'pacgan', (2,)), get_model('disc', 'pacgan', (2,))
  assert num_parameters(gen, 2, 2) == 2 * 400 + 3 * 400 * 400 + 4 * 2 * 400 + 400 * 2 + 2 == 484_802
  assert num_parameters(disc, 2, 2) == 2 * 1000 + 1000 + 2 * (200 * 1000 + 1000) + 200 + 1 == 405_201
  assert num_parameters(disc, 2, 8) == 405_201 + 6 * 1000


@pytest.mark.parametrize('player', ['gen', 'disc'])
def test_initial_weights(player):
  """N(0, 0.02) for all kernels, 1 for scales, 0 for the rest; batch norm in the generator only."""
  net = get_model(player, 'pacgan', (2,), width=30)
  variables = jax.jit(lambda: net.init(jax.random.key(3), jnp.zeros((2, 20)), train=True))()
  assert ('batch_stats' in variables) == (player == 'gen')
  params = leaves(variables['params'])
  for name, leaf in params.items():
    if name.endswith('kernel'):
      assert stats.kstest(np.asarray(leaf).ravel() / 0.02, 'norm').pvalue > 1e-3, name
    else:
      np.testing.assert_array_equal(leaf, 1.0 if name.endswith('scale') else 0.0)
  assert any(name.endswith('scale') for name in params) == (player == 'gen')
  assert sum('Dense' in name and name.endswith('bias') for name in params) == (1 if player == 'gen' else 4)


@pytest.mark.parametrize('places', [1, 2])
def test_batch_norm_spans_two_devices(places):
  """Outputs and running statistics of `pmap` over halves of a batch equal those of the whole."""
  one, two = (get_model('gen', 'pacgan', (2,), axis, width=5, layers=2, places=places) for axis in (None, 'data'))
  z = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
  variables = drawn(one, z)
  samples, changed = jax.jit(lambda v, z: one.apply(v, z, train=True, mutable=['batch_stats']))(variables, z)
  halves = jax.pmap(lambda v, z: two.apply(v, z, train=True, mutable=['batch_stats']), axis_name='data',
                    in_axes=(None, 0))
  split_samples, split_changed = halves(variables, z.reshape(2, 4, 3))
  np.testing.assert_allclose(np.asarray(split_samples).reshape(8, 2), samples, rtol=1e-4, atol=1e-5)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, np.stack([b, b]), rtol=1e-4, atol=1e-5),
               split_changed, changed)
  alone = jax.jit(lambda v, z: one.apply(v, z, train=True, mutable=['batch_stats']))(variables, z[:4])[0]
  assert np.abs(alone - samples[:4]).max() > 0.1  # Half of the batch would be another function.


@pytest.mark.parametrize('pac', [1, 4])
def test_config_has_the_published_protocol(pac):
  """A batch of 100 is 100 packs there, and samples here; 400 epochs of 100,000 packs."""
  config = validate(load(f'grid,pac={pac}'))
  assert config.train.batch_size // config.model.disc.pack == 100
  assert config.train.num_steps * 100 == 400 * 100_000
  built = build(config, columns_of((2,)), jax.devices()[:1])
  assert built.game.rules.joint  # Packs are judged one by one: all in one pass, and slopes may be penalised.
  start = jax.eval_shape(built.game.init, jax.random.key(0))
  sizes = [sum(leaf.size for leaf in jax.tree.leaves(start[name].params)) for name in ('gen', 'disc')]
  assert sizes == [484_802, 405_201 + 2000 * (pac - 1)]


def test_validate_knows_the_settings():
  slopes = {'penalty.r1': 1.0, 'penalty.r2': 1.0}
  validate(load(''), overrides=slopes)
  validate(load(''), overrides=slopes | {'model.disc.pack': 2, 'train.batch_size': 200, 'model.gen.places': 2})
  for overrides in ({'model.disc.pieces': 0}, {'model.gen.layers': 0}, {'train.batch_size': 1}, {'model.gen.places': 2},
                    {'train.batch_size': 2, 'model.disc.pack': 2, 'model.gen.places': 2}):
    with pytest.raises(ConfigError, match=next(iter(overrides))):
      validate(load(''), overrides=overrides)
  with pytest.raises(ConfigError, match=r'pieces=5 is no setting of model\.disc\.name=dcgan'):
    validate(base_config(), overrides={'model.disc.pieces': 5})
