"""Layers that see a batch: against NumPy, in the discriminators, and on two devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan.models import dcgan, get_model
from gan.models.minibatch import MINIBATCH, MinibatchDiscrimination, MinibatchStddev

BATCH = 8
SHAPES = {'dcgan': (16, 16, 1), 'vanilla': (4, 4, 1), 'mlp': (2,)}
LAYERS = [name for name in MINIBATCH if name != 'none']


def samples(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def leaves(tree):
  return {jax.tree_util.keystr(path, simple=True, separator='/'): np.asarray(leaf)
          for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def make_disc(name, minibatch, axis_name=None, **settings):
  if name == 'dcgan':
    settings = {'batch_norm': False} | settings
  return get_model('disc', name, SHAPES[name], axis_name, width=4, minibatch=minibatch, **settings)


def init(disc, x, seed=0):
  """Weights large enough that samples differ in what the last layer sees."""
  variables = jax.jit(lambda: disc.init(jax.random.key(seed), x[:2], train=True))()
  return jax.tree.map(lambda leaf: 5.0 * leaf if leaf.ndim == 4 else leaf, variables)


@pytest.mark.parametrize('shape', [(8, 3, 5, 4), (8, 6)])
@pytest.mark.parametrize(('group_size', 'groups'), [
    (None, [range(8)]), (8, [range(8)]), (100, [range(8)]), (4, [(0, 2, 4, 6), (1, 3, 5, 7)]),
    (2, [(0, 4), (1, 5), (2, 6), (3, 7)]), (1, [(i,) for i in range(8)])])
def test_stddev_equals_numpy(shape, group_size, groups):
  x = samples(*shape)
  y = jax.jit(lambda x: MinibatchStddev(group_size).apply({}, x))(x)
  assert y.shape == (*shape[:-1], shape[-1] + 1)
  np.testing.assert_array_equal(y[..., :-1], x)
  for group in groups:
    variance = np.var(x[list(group)].astype(np.float64), axis=0)
    np.testing.assert_allclose(y[list(group), ..., -1], np.sqrt(variance + 1e-8).mean(), rtol=1e-5)


def test_discrimination_equals_numpy():
  """The paper's sum, which has the sample itself in it, divided by the size of the batch."""
  x = samples(5, 6)
  layer = MinibatchDiscrimination(features=3, dims=2)
  variables = layer.init(jax.random.key(0), x)
  [kernel] = jax.tree.leaves(variables)
  y = jax.jit(layer.apply)(variables, x)
  assert y.shape == (5, 9)
  np.testing.assert_array_equal(y[:, :6], x)
  M = (x.astype(np.float64) @ kernel).reshape(5, 3, 2)
  for i in range(5):
    for b in range(3):
      expected = np.mean([np.exp(-np.abs(M[i, b] - M[j, b]).sum()) for j in range(5)])
      np.testing.assert_allclose(y[i, 6 + b], expected, rtol=1e-5)


@pytest.mark.parametrize('layer', [MinibatchStddev(), MinibatchDiscrimination(3, 2)])
def test_equal_samples_have_a_finite_gradient(layer):
  """As a collapsed generator sends them."""
  x = np.ones((4, 6), np.float32)
  variables = layer.init(jax.random.key(0), x)
  value, gradient = jax.jit(jax.value_and_grad(lambda x: jnp.sum(layer.apply(variables, x)[:, 6:])))(x)
  np.testing.assert_allclose(value, 4 * 1e-4 if isinstance(layer, MinibatchStddev) else 4 * 3, rtol=1e-5)
  np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize('group_size', [3, 0])
def test_stddev_refuses_groups_that_do_not_fit(group_size):
  with pytest.raises(ValueError, match=f'group_size={group_size} must divide the batch of 8'):
    MinibatchStddev(group_size).apply({}, samples(8, 2))


@pytest.mark.parametrize('name', SHAPES)
def test_a_discriminator_sees_its_batch_if_it_is_told_to(name):
  x = samples(BATCH, *SHAPES[name])
  others = np.concatenate([x[:1], x[:1], 3.0 * x[2:]])
  for minibatch in MINIBATCH:
    disc = make_disc(name, minibatch)
    variables = init(disc, x)
    judge = jax.jit(lambda x, disc=disc, variables=variables: disc.apply(variables, x, train=False))
    assert np.isclose(judge(x)[0], judge(others)[0], rtol=1e-4) == (minibatch == 'none')


@pytest.mark.parametrize('name', SHAPES)
def test_only_the_last_layer_has_other_parameters(name):
  """All others keep their names and initial values."""
  trees = {}
  for minibatch in MINIBATCH:
    variables = init(make_disc(name, minibatch), samples(2, *SHAPES[name]))
    trees[minibatch] = leaves(variables['params'])
  last = 'Dense_0/kernel' if name == 'dcgan' else 'Dense_2/kernel'
  pixels, (inputs, _) = 16 if name == 'dcgan' else 1, trees['none'][last].shape
  assert not any('Minibatch' in path for path in trees['none'])
  assert set(trees['stddev']) == set(trees['none'])
  assert set(trees['discrimination']) == {*trees['none'], 'MinibatchDiscrimination_0/Dense_0/kernel'}
  assert trees['stddev'][last].shape == (inputs + pixels, 1)
  assert trees['discrimination'][last].shape == (inputs + 16, 1)
  for minibatch in LAYERS:
    for path in set(trees['none']) - {last}:
      np.testing.assert_array_equal(trees[minibatch][path], trees['none'][path])


@pytest.mark.parametrize('minibatch', LAYERS)
def test_half_precision_is_for_computation_only(minibatch):
  disc = dcgan.Discriminator(16, width=4, minibatch=minibatch, dtype=jnp.bfloat16)
  out, variables = jax.eval_shape(lambda: disc.init_with_output(
      jax.random.key(0), jnp.zeros((2, 16, 16, 1)), train=True))
  assert {leaf.dtype for leaf in jax.tree.leaves((out, variables))} == {jnp.dtype('float32')}


@pytest.mark.parametrize('layer', [MinibatchStddev(3, 'data'), MinibatchDiscrimination(3, 2, 'data')])
def test_layers_on_two_devices_see_the_global_batch(layer):
  x = samples(12, 6)  # In groups of 3: their order 0, 1, 2, 3, 0, 1 | 2, 3, 0, 1, 2, 3 differs on the devices.
  variables = layer.init(jax.random.key(0), x)  # Outside of the axis nothing is gathered.
  one = jax.jit(layer.apply)(variables, x)
  two = jax.pmap(layer.apply, axis_name='data', in_axes=(None, 0))(variables, x.reshape(2, 6, 6))
  np.testing.assert_allclose(two.reshape(one.shape), one, rtol=1e-6)
  local = jnp.concatenate([layer.apply(variables, x[:6]), layer.apply(variables, x[6:])])
  assert np.abs(local - one).max() > 1e-2


@pytest.mark.parametrize(('name', 'minibatch', 'settings'), [
    ('dcgan', 'stddev', {}), ('dcgan', 'discrimination', {'batch_norm': True}), ('mlp', 'stddev', {}),
    ('mlp', 'discrimination', {})])
def test_two_devices_have_the_gradients_of_one(name, minibatch, settings):
  """The mean over devices of the gradients of local means is the gradient of the global mean, for both players."""
  x, targets = samples(BATCH, *SHAPES[name]), samples(BATCH, seed=1)
  mapped, whole = (make_disc(name, minibatch, axis_name, **settings) for axis_name in ('data', None))
  variables = init(mapped, x)
  params = variables.pop('params')

  def loss(disc):
    def value(both, x, targets):
      params, bend = both  # The bend stands for a generator: its gradient comes through the samples.
      x = x + bend * x**2
      logits, _ = disc.apply({'params': params, **variables}, x, train=True, mutable=['batch_stats'])
      return jnp.mean((logits - targets)**2), logits
    return jax.value_and_grad(value, has_aux=True)

  both = (params, np.float32(0.5))
  (value, logits), gradient = jax.jit(loss(whole))(both, x, targets)
  halves = [array.reshape(2, BATCH // 2, *array.shape[1:]) for array in (x, targets)]
  (values, parts), gradients = jax.pmap(loss(mapped), axis_name='data', in_axes=(None, 0, 0))(both, *halves)
  np.testing.assert_allclose(parts.reshape(-1), logits, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(values.mean(), value, rtol=1e-5)
  mean = leaves(jax.tree.map(lambda leaf: leaf.mean(axis=0), gradients))
  for path, leaf in leaves(gradient).items():
    scale = np.abs(leaf).max()
    assert scale > 1e-4, path
    np.testing.assert_allclose(mean[path], leaf, rtol=1e-3, atol=1e-4 * scale, err_msg=path)


@pytest.mark.parametrize('minibatch', LAYERS)
def test_under_vmap(minibatch):
  """A population: members do not see each other."""
  disc, x = make_disc('mlp', minibatch), samples(2, BATCH, 2)
  members = [init(disc, x[0], seed) for seed in range(2)]
  stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *members)
  together = jax.jit(jax.vmap(lambda v, x: disc.apply(v, x, train=True)))(stacked, x)
  alone = jax.jit(lambda v, x: disc.apply(v, x, train=True))
  for i in range(2):
    np.testing.assert_allclose(together[i], alone(members[i], x[i]), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('name', SHAPES)
def test_unknown_settings(name):
  with pytest.raises(ValueError, match=rf"minibatch='std' is unknown; known: {', '.join(MINIBATCH)}"):
    init(make_disc(name, 'std'), samples(2, *SHAPES[name]))
