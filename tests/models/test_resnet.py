"""The norm-free ResNets: their parts against NumPy, fix-up initialisation, and samples judged one by one."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gan.build import build
from gan.config import ConfigError
from gan.data.source import columns_of
from gan.models import get_model, resnet
from gan.penalties import squared_slope, zero_centred
from gan.validate import validate
from tests import test_config as configs
from tests.models.test_convolution import numpy_3x3
from tests.models.test_models import leaves, num_parameters

CONFIG = Path(__file__).parents[2] / 'configs' / 'stacked_mnist.py'


def load(arg):
  return configs.load(CONFIG)(arg)


def drawn(net, x, **settings):
  """Variables of a network with random numbers in the place of every leaf."""
  rng = np.random.default_rng(1)
  shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), x, **settings))
  return jax.tree.map(lambda leaf: 0.3 * rng.normal(size=leaf.shape).astype(np.float32), shapes)


def test_residual_block_equals_numpy():
  block = resnet.ResidualBlock(depth=4)
  x = np.random.default_rng(0).normal(size=(2, 4, 6, 5)).astype(np.float32)
  variables = drawn(block, x)
  params = variables['params']
  assert params['Conv3x3_0']['kernel'].shape == (3, 3, 3, 3)  # Half of the channels, rounded up.

  def leaky(y):
    return np.where(y > 0, y, 0.2 * y)

  y = leaky(x.astype(np.float64) @ params['Dense_0']['kernel'] + params['Dense_0']['bias'])
  y = numpy_3x3(y, params['Conv3x3_0']['kernel'], np.zeros(y.shape))[0] + params['Conv3x3_0']['bias']
  expected = x + leaky(y) @ params['Dense_1']['kernel']
  np.testing.assert_allclose(jax.jit(block.apply)(variables, x), expected, rtol=1e-4, atol=1e-5)
  assert np.abs(expected - x).max() > 0.1


def test_doubling_is_bilinear_and_halving_takes_means():
  x = np.random.default_rng(0).normal(size=(2, 3, 4, 2)).astype(np.float32)

  def interpolated(x, axis):  # Pixels are where their centres are; np.interp repeats the edges.
    size = x.shape[axis]
    where = (np.arange(2 * size) + 0.5) / 2 - 0.5
    return np.apply_along_axis(lambda line: np.interp(where, np.arange(size), line), axis, x)

  doubled = jax.jit(resnet.double)(x)
  np.testing.assert_allclose(doubled, interpolated(interpolated(x, 1), 2), rtol=1e-5, atol=1e-6)
  means = np.asarray(doubled).reshape(2, 3, 2, 4, 2, 2).mean((2, 4))
  np.testing.assert_allclose(jax.jit(resnet.halve)(doubled), means, rtol=1e-5, atol=1e-6)


def test_parameter_counts():
  """At 32 pixels, by hand: a block of C channels has C C/2 + 9 C/2 C/2 + C/2 C weights and C offsets."""
  blocks = sum(13 * c * c // 4 + c for c in (64, 128, 256, 512))
  between = 64 * 128 + 128 * 256 + 256 * 512
  gen, disc = 100 * 16 * 512 + between + blocks + 64 * 3, 3 * 64 + between + blocks + 16 * 512
  assert (gen, disc) == (2_123_904, 1_312_896)
  assert num_parameters(get_model('gen', 'resnet', (32, 32, 3)), 2, 100) == gen
  assert num_parameters(get_model('disc', 'resnet', (32, 32, 3)), 2, 32, 32, 3) == disc
  assert num_parameters(get_model('disc', 'resnet', (32, 32, 3), blocks=3), 2, 32, 32, 3) == disc + 2 * blocks
  another = 13 * 512 * 512 // 4 + 512  # At 64 pixels there are 8 times the width at 8x8 and at 4x4.
  assert num_parameters(get_model('disc', 'resnet', (64, 64, 3)), 2, 64, 64, 3) == disc + another


@pytest.mark.parametrize('player', ['gen', 'disc'])
def test_initial_weights_are_those_of_fixup(player):
  """Branches end in zeros and begin N^(-1/4) times as large as for a LeakyReLU; all else keeps the variance."""
  net = get_model(player, 'resnet', (16, 16, 3), width=16, blocks=3)
  x = jnp.zeros((2, 20) if player == 'gen' else (2, 16, 16, 3))
  params = leaves(jax.jit(lambda: net.init(jax.random.key(3), x, train=True)['params'])())
  assert sum('ResidualBlock' in name and name.endswith('Dense_1/kernel') for name in params) == 9
  for name, leaf in params.items():
    values, fan_in = np.asarray(leaf).ravel(), np.prod(leaf.shape[:-1])
    branch = 'ResidualBlock' in name
    if name.endswith('bias') or (branch and 'Dense_1' in name):
      assert not values.any(), name
    else:
      std = (np.sqrt(2 / 1.04) * 9 ** -0.25 if branch else 1.0) / np.sqrt(fan_in)
      assert stats.kstest(values / std, 'norm').pvalue > 1e-3, name


def test_at_first_the_discriminator_is_linear():
  """Nothing but the branches bends it: so every sample has one slope, and R1 is its square."""
  disc = get_model('disc', 'resnet', (16, 16, 1), width=4)
  x, y = np.random.default_rng(0).normal(size=(2, 3, 16, 16, 1)).astype(np.float32)
  variables = jax.jit(lambda: disc.init(jax.random.key(1), x, train=True))()
  judge = jax.jit(lambda x: disc.apply(variables, x, train=True))
  np.testing.assert_allclose(judge(2.0 * x - y), 2.0 * judge(x) - judge(y), rtol=1e-3, atol=1e-5)
  slope = jax.jit(lambda x: jax.vjp(judge, x)[1](jnp.ones(3))[0])(x)
  np.testing.assert_allclose(zero_centred(judge, x), np.sum(np.square(slope[0])), rtol=1e-4)
  assert np.sum(np.square(slope[0])) > 1e-4


def test_samples_are_judged_one_by_one():
  disc = get_model('disc', 'resnet', (16, 16, 1), width=4)
  images = np.random.default_rng(0).normal(size=(4, 16, 16, 1)).astype(np.float32)
  variables = drawn(disc, images, train=True)
  assert set(variables) == {'params'}
  judge = jax.jit(lambda x: disc.apply(variables, x, train=True))
  before, after = judge(images), judge(np.concatenate([images[:1], -2.0 * images[1:]]))
  np.testing.assert_allclose(before[0], after[0], rtol=1e-5)
  assert not np.isclose(before[1], after[1], rtol=1e-3)
  alone = [jax.jit(lambda x: squared_slope(judge, x))(images[i:i + 1])[0] for i in range(4)]
  np.testing.assert_allclose(jax.jit(lambda x: squared_slope(judge, x))(images), alone, rtol=1e-4)


def test_config_allows_penalties_on_slopes_in_one_pass():
  config = validate(load('mnist,r1=0.5,r2=0.25'))
  assert (config.penalty.r1, config.penalty.r2, config.data.name) == (0.5, 0.25, 'mnist')
  assert build(config, columns_of((32, 32, 1)), jax.devices()[:1]).game.rules.joint
  assert load('').data.name == 'stacked_mnist'
  assert load('runlocal').data.name == 'digits'


@pytest.mark.parametrize('overrides', [{'model.gen.blocks': 0}, {'model.disc.blocks': -1}, {'data.image_size': 28},
                                       {'model.disc.batch_norm': False}])
def test_validate_knows_the_settings(overrides):
  with pytest.raises(ConfigError, match=next(iter(overrides))):
    validate(load('mnist'), overrides=overrides)
