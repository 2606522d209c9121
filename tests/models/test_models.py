"""Shapes, ranges, initial weights and batch norm of the architectures."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gan.models import MODELS, dcgan, get_model, layers, resnet
from tests.xla_flags import WELL

IMAGES = [(size, size, channels) for size in dcgan.IMAGE_SIZES for channels in (1, 3)]
CASES = [(name, shape) for name in ('dcgan', 'resnet') for shape in IMAGES] + [
    ('vanilla', (28, 28, 1)), ('vanilla', (16, 16, 3)), ('mlp', (2,)), ('pacgan', (2,))]


def leaves(tree):
  return {jax.tree_util.keystr(path, simple=True, separator='/'): leaf
          for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def num_parameters(module, *shape):
  variables = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(shape), train=True))
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables['params']))


@pytest.mark.parametrize('train', [True, False])
@pytest.mark.parametrize(('name', 'shape'), CASES)
def test_shapes_and_dtypes(name, shape, train):
  """Samples [B, ...] and logits [B], float32 like all parameters; traced, not run."""
  gen, disc = (get_model(player, name, shape, width=4) for player in ('gen', 'disc'))

  def run(z):
    results = []
    for net, x in ((gen, z), (disc, jnp.zeros((5, *shape)))):
      variables = net.init(jax.random.key(0), x, train=True)
      out = net.apply(variables, x, train=train, mutable=['batch_stats'])[0]
      results.append((out, variables['params']))
    return results

  (samples, gen_params), (logits, disc_params) = jax.eval_shape(run, jnp.zeros((5, 7)))
  assert samples.shape == (5, *shape)
  assert logits.shape == (5,)
  assert {leaf.dtype for leaf in jax.tree.leaves((samples, logits, gen_params, disc_params))} == {jnp.dtype('float32')}


@pytest.mark.parametrize('module', [dcgan, resnet])
@pytest.mark.parametrize('player', ['gen', 'disc'])
def test_half_precision_is_for_computation_only(module, player):
  settings = {'width': 4, 'dtype': jnp.bfloat16}
  net = module.Generator(16, 1, **settings) if player == 'gen' else module.Discriminator(16, **settings)
  x = jnp.zeros((2, 7) if player == 'gen' else (2, 16, 16, 1))
  out, variables = jax.eval_shape(lambda: net.init_with_output(jax.random.key(0), x, train=True))
  assert {leaf.dtype for leaf in jax.tree.leaves((out, variables))} == {jnp.dtype('float32')}


@pytest.mark.parametrize(('name', 'shape', 'bounded'), [('dcgan', (16, 16, 1), True), ('vanilla', (4, 4, 1), True),
                                                        ('mlp', (2,), False), ('resnet', (16, 16, 1), True),
                                                        ('pacgan', (2,), False)])
def test_images_are_bounded_and_points_are_not(name, shape, bounded):
  gen = get_model('gen', name, shape, width=4)
  z = 10.0 * jax.random.normal(jax.random.key(1), (8, 7))

  @jax.jit
  def run():
    variables = gen.init(jax.random.key(0), z, train=True)
    large = variables | {'params': jax.tree.map(lambda p: 30.0 * p, variables['params'])}
    return gen.apply(large, z, train=True, mutable=['batch_stats'])[0]

  samples = np.asarray(run())
  assert np.isfinite(samples).all()
  assert np.ptp(samples) > 1.0
  assert (np.abs(samples).max() <= 1.0) == bounded


def test_parameter_counts_of_dcgan_32():
  """Counted by hand for CIFAR-10: kernels, and a scale and a bias for each channel of a batch norm."""
  gen = 100 * 16 * 256 + 2 * 256 + 16 * 256 * 128 + 2 * 128 + 16 * 128 * 64 + 2 * 64 + 16 * 64 * 3
  disc = 16 * 3 * 64 + 16 * 64 * 128 + 2 * 128 + 16 * 128 * 256 + 2 * 256 + 16 * 256
  assert (gen, disc) == (1_068_928, 663_296)
  assert num_parameters(get_model('gen', 'dcgan', (32, 32, 3)), 2, 100) == gen
  assert num_parameters(get_model('disc', 'dcgan', (32, 32, 3)), 2, 32, 32, 3) == disc
  plain = get_model('disc', 'dcgan', (32, 32, 3), batch_norm=False)
  assert num_parameters(plain, 2, 32, 32, 3) == disc - 2 * 128 - 2 * 256 + 64 + 128 + 256 + 1   # Biases.


def test_parameter_counts_of_the_dense_networks():
  assert num_parameters(get_model('gen', 'mlp', (2,), width=8, layers=3), 2, 5) == 5 * 8 + 8 + 2 * (64 + 8) + 8 * 2 + 2
  assert num_parameters(get_model('disc', 'mlp', (2,), width=8, layers=1), 2, 2) == 2 * 8 + 8 + 8 + 1
  assert num_parameters(get_model('gen', 'vanilla', (4, 4, 1), width=8), 2, 5) == 5 * 8 + 8 + 72 + 8 * 16 + 16


@pytest.mark.parametrize('player', ['gen', 'disc'])
def test_initial_weights_of_dcgan(player):
  """N(0, 0.02) for kernels, N(1, 0.02) for the scales of batch norm, 0 for its biases."""
  net = get_model(player, 'dcgan', (16, 16, 1), width=16)
  x = jnp.zeros((2, 20) if player == 'gen' else (2, 16, 16, 1))
  params = leaves(jax.jit(lambda: net.init(jax.random.key(3), x, train=True)['params'])())
  for name, leaf in params.items():
    values = np.asarray(leaf).ravel()
    if name.endswith('bias'):
      assert not values.any()
    else:
      mean = 1.0 if name.endswith('scale') else 0.0
      assert stats.kstest((values - mean) / 0.02, 'norm').pvalue > 1e-3, name
  assert any(name.endswith('scale') for name in params)


@pytest.mark.parametrize(('name', 'shape'), [('resnet', (16, 16, 1)), ('resnet', (32, 32, 3)), ('pacgan', (2,))])
def test_the_first_samples_and_slopes_are_neither_nothing_nor_too_large(name, shape):
  """No sample is saturated, and there is a slope for the generator to follow."""
  gen, disc = (get_model(player, name, shape, width=16) for player in ('gen', 'disc'))
  z = np.random.default_rng(0).normal(size=(16, 20)).astype(np.float32)

  @jax.jit
  def run():
    samples = gen.init_with_output(jax.random.key(1), z, train=True)[0]
    variables = disc.init(jax.random.key(2), samples, train=True)
    logits, pull = jax.vjp(lambda x: disc.apply(variables, x, train=True), samples)
    return samples, logits, pull(jnp.ones_like(logits))[0]

  samples, logits, slopes = run()
  assert 0.05 < np.std(samples) < 0.9
  assert np.isfinite(logits).all()
  assert np.abs(logits).max() < 10.0
  assert (np.abs(slopes).max(axis=tuple(range(1, slopes.ndim))) > 1e-9).all()


@pytest.mark.parametrize(('name', 'shape'), [('resnet', (16, 16, 1)), ('pacgan', (2,))])
@pytest.mark.parametrize('player', ['gen', 'disc'])
def test_a_population_of_parameters_equals_each_alone(name, shape, player):
  """Outputs, and the slope of parameters, under `vmap` over parameters and one by one."""
  net = get_model(player, name, shape, width=4)
  rng = np.random.default_rng(0)
  x = rng.normal(size=(6, 3) if player == 'gen' else (6, *shape)).astype(np.float32)
  shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), x, train=True))
  members = jax.tree.map(lambda leaf: 0.5 * rng.normal(size=(3, *leaf.shape)).astype(np.float32), shapes['params'])
  stats = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), {k: v for k, v in shapes.items() if k != 'params'})

  def value_and_slope(params):
    def value(params):
      out = net.apply({'params': params, **stats}, x, train=True, mutable=['batch_stats'])[0]
      return jnp.sum(jnp.sin(out)), out
    return jax.value_and_grad(value, has_aux=True)(params)

  options = WELL | {'xla_backend_optimization_level': 0}  # The plain emitters round more than is allowed here.
  compile_ = functools.partial(jax.jit, compiler_options=options)
  together, alone = compile_(jax.vmap(value_and_slope))(members), compile_(value_and_slope)
  for i in range(3):
    each = alone(jax.tree.map(lambda leaf, i=i: leaf[i], members))
    for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(each), strict=True):
      np.testing.assert_allclose(a[i], b, rtol=0, atol=1e-4 * np.abs(b).max())
  assert np.ptp(together[0][1], axis=0).max() > 1e-2  # They differ.


def test_batch_norm_normalises_over_the_batch_and_keeps_running_statistics():
  norm = layers.BatchNorm()
  x = np.random.default_rng(0).normal(3.0, 2.0, (64, 4, 4, 5)).astype(np.float32)
  variables = jax.jit(lambda x: norm.init(jax.random.key(1), x, train=True))(x)
  y, updated = jax.jit(lambda v, x: norm.apply(v, x, train=True, mutable=['batch_stats']))(variables, x)
  before, after = leaves(variables), leaves(updated)
  mean, var = np.mean(x, (0, 1, 2)), np.var(x, (0, 1, 2))
  np.testing.assert_allclose(np.mean(y, (0, 1, 2)), 0.0, atol=1e-5)
  np.testing.assert_allclose(np.std(y, (0, 1, 2)), before['params/norm/scale'], rtol=1e-4)
  np.testing.assert_allclose(after['batch_stats/norm/mean'], 0.1 * mean, rtol=1e-5)
  np.testing.assert_allclose(after['batch_stats/norm/var'], 0.9 + 0.1 * var, rtol=1e-4)
  # Evaluation uses the running statistics, and nothing of its own batch.
  out = jax.jit(lambda v, x: norm.apply(v, x, train=False))(variables | updated, x[:2])
  expected = (x[:2] - 0.1 * mean[None, None, None]) / np.sqrt(0.9 + 0.1 * var + 1e-5)[None, None, None]
  np.testing.assert_allclose(out, expected * before['params/norm/scale'][None, None, None], rtol=1e-3, atol=1e-5)


def test_without_batch_norm_samples_are_judged_one_by_one():
  rng = np.random.default_rng(0)
  images = rng.normal(size=(4, 16, 16, 1)).astype(np.float32)
  others = np.concatenate([images[:1], -2.0 * images[1:]])
  for batch_norm in (True, False):
    disc = get_model('disc', 'dcgan', (16, 16, 1), width=4, batch_norm=batch_norm)
    shapes = jax.eval_shape(lambda disc=disc: disc.init(jax.random.key(1), images, train=True))
    assert ('batch_stats' in shapes) == batch_norm
    variables = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)
    judge = jax.jit(lambda x, v=variables, disc=disc: disc.apply(v, x, train=True, mutable=['batch_stats'])[0])
    before, after = judge(images), judge(others)
    assert np.isclose(before[0], after[0], rtol=1e-5) != batch_norm
    assert not np.isclose(before[1], after[1], rtol=1e-3)


def test_unknown_names_and_sizes():
  known = f"'dcgann' is unknown; known: {', '.join(sorted(MODELS))}"
  with pytest.raises(ValueError, match=known):
    get_model('gen', 'dcgann', (16, 16, 1))
  for name, title in (('dcgan', 'DCGAN'), ('resnet', 'the ResNet')):
    for player, x in (('gen', (2, 7)), ('disc', (2, 28, 28, 1))):
      with pytest.raises(ValueError, match=f'image_size=28: {title} is built for 16, 32, 64 pixels'):
        get_model(player, name, (28, 28, 1)).init(jax.random.key(0), jnp.zeros(x), train=True)


def test_settings_of_the_table_are_those_of_the_modules():
  """Every setting a configuration may give is accepted, and its default is what the architecture has without it."""
  for name, architecture in MODELS.items():
    shape = (16, 16, 1) if architecture.images else (architecture.sample_dim or 2,)
    for player, settings in (('gen', architecture.gen_settings), ('disc', architecture.disc_settings)):
      defaults = {key: setting.default for key, setting in settings.items()}
      net = get_model(player, name, shape, **defaults)
      assert {key: getattr(net, key) for key in settings} == defaults
      assert get_model(player, name, shape) == net
