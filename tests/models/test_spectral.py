"""Spectral normalisation against NumPy's singular values, and its gradients against finite differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan.models import get_model
from gan.models.spectral import init_vectors, normalize

CONVERGED = 500  # Steps of the power iteration after which the test kernels' estimates stand still.
TREE = {'conv': {'kernel': (4, 4, 3, 8)}, 'norm': {'scale': (8,), 'bias': (8,)},
        'wide': {'kernel': (3, 10), 'bias': (10,)}, 'tall': {'kernel': (10, 3)}, 'last': {'kernel': (7, 1)}}


def random_tree(seed=0, dtype=np.float32):
  rng = np.random.default_rng(seed)
  return jax.tree.map(lambda shape: rng.normal(size=shape).astype(dtype), TREE, is_leaf=lambda x: isinstance(x, tuple))


def leaves(tree):
  return {jax.tree_util.keystr(path, simple=True, separator='/'): np.asarray(leaf)
          for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def spectral_norm(kernel):
  return np.linalg.svd(np.asarray(kernel, np.float64).reshape(-1, kernel.shape[-1]), compute_uv=False)[0]


@functools.partial(jax.jit, static_argnums=(2, 3))
def run(params, vectors, update, iterations=1):
  return normalize(params, vectors, update=update, iterations=iterations)


def test_vectors_are_unit_estimates_for_kernels_only():
  vectors = leaves(init_vectors(jax.random.key(0), random_tree()))
  assert {name: u.shape for name, u in vectors.items()} == {
      'conv/kernel': (8,), 'wide/kernel': (10,), 'tall/kernel': (3,), 'last/kernel': (1,)}
  for u in vectors.values():
    assert u.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(u), 1.0, rtol=1e-6)
  twins = init_vectors(jax.random.key(0), {name: {'kernel': jnp.ones((5, 6))} for name in 'ab'})
  assert not np.allclose(twins['a']['kernel'], twins['b']['kernel'])


def test_sigma_converges_to_the_largest_singular_value():
  params = random_tree()
  vectors = init_vectors(jax.random.key(0), params)
  errors = []
  for _ in range(60):  # One step each: the vectors carry the progress.
    normalized, vectors = run(params, vectors, True)
    sigma = {name: np.linalg.norm(params[name]['kernel']) / np.linalg.norm(normalized[name]['kernel'])
             for name in ('conv', 'wide', 'tall', 'last')}
    errors.append(max(abs(sigma[name] / spectral_norm(params[name]['kernel']) - 1.0) for name in sigma))
  assert errors[0] > 0.05
  assert errors[-1] < 1e-4
  for name in sigma:
    left = np.linalg.svd(params[name]['kernel'].reshape(-1, params[name]['kernel'].shape[-1]))[2][0]
    np.testing.assert_allclose(abs(left @ vectors[name]['kernel']), 1.0, rtol=1e-3)


def test_several_iterations_are_as_many_calls():
  params = random_tree()
  vectors = init_vectors(jax.random.key(0), params)
  at_once = run(params, vectors, True, 3)
  for _ in range(3):
    normalized, vectors = run(params, vectors, True)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), at_once, (normalized, vectors))
  with pytest.raises(ValueError, match='iterations=0'):
    normalize(params, vectors, update=True, iterations=0)


@pytest.mark.parametrize(('name', 'shape'), [('dcgan', (16, 16, 1)), ('mlp', (2,))])
def test_kernels_of_a_discriminator_get_norm_one(name, shape):
  """And everything else in its tree stays as it is, the structure too."""
  disc = get_model('disc', name, shape, width=8)
  x = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
  variables = jax.jit(lambda: disc.init(jax.random.key(0), x, train=True))()
  params = variables['params']
  normalized, _ = run(params, init_vectors(jax.random.key(1), params), True, CONVERGED)
  assert jax.tree.structure(normalized) == jax.tree.structure(params)
  before, after = leaves(params), leaves(normalized)
  assert sum(path.endswith('kernel') for path in before) == 3
  for path, leaf in before.items():
    if path.endswith('kernel'):
      np.testing.assert_allclose(spectral_norm(after[path]), 1.0, rtol=1e-3)
      np.testing.assert_allclose(after[path], leaf / spectral_norm(leaf), rtol=2e-3, atol=1e-6)
      assert not np.isclose(spectral_norm(leaf), 1.0, atol=0.05)
    else:
      np.testing.assert_array_equal(after[path], leaf)
  logits = disc.apply(variables | {'params': normalized}, x, train=False)
  assert np.isfinite(logits).all()


def test_without_update_the_stored_vectors_serve():
  params = random_tree()
  vectors = init_vectors(jax.random.key(0), params)
  normalized, kept = run(params, vectors, False)
  jax.tree.map(np.testing.assert_array_equal, kept, vectors)
  for name in ('conv', 'wide', 'tall', 'last'):
    kernel, u = params[name]['kernel'], vectors[name]['kernel']
    sigma = np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]) @ np.asarray(u))  # v = W u / |W u|.
    np.testing.assert_allclose(normalized[name]['kernel'], kernel / sigma, rtol=1e-5)
  _, moved = run(params, vectors, True)
  assert np.abs(moved['wide']['kernel'] - vectors['wide']['kernel']).max() > 1e-2


def numerical_gradient(function, x, step=1e-6):
  gradient = np.zeros_like(x)
  for index in np.ndindex(x.shape):
    above, below = x.copy(), x.copy()
    above[index] += step
    below[index] -= step
    gradient[index] = (function(above) - function(below)) / (2 * step)
  return gradient


def unit(x):
  return x / np.linalg.norm(x)


@pytest.mark.parametrize('case', ['update', 'stored', 'converged'])
@pytest.mark.parametrize('shape', [(2, 2, 3, 5), (4, 3)])
def test_gradient_equals_finite_differences(shape, case):
  """Of a weighted sum of W / sigma: with u and v held fixed on the way, or the true function once they stand still."""
  rng = np.random.default_rng(1)
  kernel, weights = rng.normal(size=shape), rng.normal(size=shape)
  matrix = kernel.reshape(-1, shape[-1])
  u = unit(rng.normal(size=shape[-1]))
  v = unit(matrix @ u)

  def fixed(w):
    after = u if case == 'stored' else unit(matrix.T @ v)
    return np.sum(weights * w) / (v @ w.reshape(-1, shape[-1]) @ after)

  def true(w):
    return np.sum(weights * w) / spectral_norm(w)

  with jax.enable_x64(True):
    def value(w):
      normalized, _ = normalize({'kernel': w}, {'kernel': jnp.asarray(u)}, update=case != 'stored',
                                iterations=200 if case == 'converged' else 1)
      return jnp.sum(weights * normalized['kernel'])
    found, gradient = jax.jit(jax.value_and_grad(value))(jnp.asarray(kernel))
    assert gradient.dtype == np.float64
  reference = true if case == 'converged' else fixed
  np.testing.assert_allclose(found, reference(kernel), rtol=1e-9)
  np.testing.assert_allclose(gradient, numerical_gradient(reference, kernel), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('update', [True, False])
def test_nothing_flows_back_into_the_vectors(update):
  params = random_tree()
  gradient = jax.grad(lambda vectors: sum(
      jnp.sum(leaf**3) for leaf in jax.tree.leaves(normalize(params, vectors, update=update))))
  for leaf in jax.tree.leaves(jax.jit(gradient)(init_vectors(jax.random.key(0), params))):
    np.testing.assert_array_equal(leaf, 0.0)


@pytest.mark.parametrize('update', [True, False])
def test_a_kernel_of_zeros_stays_and_has_a_gradient(update):
  params = {'kernel': jnp.zeros((4, 3))}
  vectors = init_vectors(jax.random.key(0), params)

  def value(params):
    normalized, after = normalize(params, vectors, update=update)
    return jnp.sum(normalized['kernel']), (normalized, after)

  gradient, (normalized, after) = jax.jit(jax.grad(value, has_aux=True))(params)
  np.testing.assert_array_equal(normalized['kernel'], 0.0)
  np.testing.assert_array_equal(gradient['kernel'], 1.0)
  np.testing.assert_array_equal(after['kernel'], vectors['kernel'])  # Ready for when it is no longer zero.


def test_under_vmap():
  """A population: every member as it is alone."""
  members = [random_tree(seed) for seed in range(2)]
  vectors = [init_vectors(jax.random.key(seed), params) for seed, params in enumerate(members)]
  stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *members)
  drawn = jax.vmap(init_vectors)(jax.vmap(jax.random.key)(jnp.arange(2)), stacked)
  together = jax.jit(jax.vmap(lambda p, u: normalize(p, u, update=True)))(stacked, drawn)
  for i in range(2):
    alone = run(members[i], vectors[i], True)
    jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-5, atol=1e-6), together, alone)
