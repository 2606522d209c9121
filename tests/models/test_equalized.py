"""Layers with an equalised learning rate against NumPy, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gan.models.equalized import EqualizedConv, EqualizedDense, normalized, scaled_leaky_relu
from tests.models.test_convolution import arrays, assert_close, numpy_3x3


def numpy_lrelu(x):
  return np.sqrt(2) * np.where(x > 0, x, 0.2 * x)


@pytest.mark.parametrize(('multiplier', 'bias_start'), [(1.0, 0.0), (0.01, 0.0), (1.0, 1.0)])
def test_dense(multiplier, bias_start):
  """Stored weights have the standard deviation 1 / m; weights count m / sqrt(fan-in) times, the bias m times."""
  x, weights = arrays((5, 50), (5, 40))
  layer = EqualizedDense(40, bias_start, multiplier)
  params = layer.init(jax.random.key(0), x)['params']
  assert stats.kstest(np.ravel(params['kernel']) * multiplier, 'norm').pvalue > 1e-3
  np.testing.assert_array_equal(params['bias'], np.full(40, bias_start, np.float32))
  kernel, bias = np.asarray(params['kernel'], np.float64), np.linspace(-1, 1, 40)
  params = {'kernel': params['kernel'], 'bias': bias.astype(np.float32)}
  factor = multiplier / np.sqrt(50)
  y, pull = jax.vjp(lambda params, x: layer.apply({'params': params}, x), params, x)
  assert_close(y, x @ kernel * factor + multiplier * bias)
  gradient, dx = pull(weights)
  assert_close(gradient['kernel'], factor * x.T.astype(np.float64) @ weights)
  assert_close(gradient['bias'], multiplier * weights.astype(np.float64).sum(axis=0))
  assert_close(dx, factor * weights @ kernel.T)


@pytest.mark.parametrize('bias', [True, False])
def test_conv(bias):
  """Weights count 1 / sqrt(9 C) times; the bias has no factor."""
  x, kernel, weights = arrays((2, 4, 5, 3), (3, 3, 3, 6), (2, 4, 5, 6))
  offset = {'bias': np.linspace(-1, 1, 6).astype(np.float32)} if bias else {}
  layer, params = EqualizedConv(6, bias=bias), {'kernel': kernel, **offset}
  y, pull = jax.vjp(lambda params: layer.apply({'params': params}, x), params)
  expected, _, dkernel = numpy_3x3(x, kernel / np.sqrt(27), weights)
  assert_close(y, expected + offset.get('bias', 0.0))
  [gradient] = pull(weights)
  assert gradient.keys() == params.keys()
  assert_close(gradient['kernel'], dkernel / np.sqrt(27))
  if bias:
    assert_close(gradient['bias'], weights.astype(np.float64).sum(axis=(0, 1, 2)))


def test_all_layers_learn_equally_fast():
  """A step along signs of gradients moves a wide layer and a narrow one by the same share of its scale."""
  for inputs in (4, 4000):
    [x] = arrays((1, inputs))
    layer = EqualizedDense(3)
    params = layer.init(jax.random.key(0), x)['params']
    moved = params | {'kernel': params['kernel'] + 0.1 * jnp.sign(x).T}
    change = layer.apply({'params': moved}, x) - layer.apply({'params': params}, x)
    np.testing.assert_allclose(change, 0.1 * np.abs(x).sum() / np.sqrt(inputs), rtol=1e-2)
    kernel = layer.init(jax.random.key(1), x)['params']['kernel']
    assert 0.3 < np.std(kernel) < 1.7


def test_normalized_and_scaled():
  [x] = arrays((5, 7))
  assert_close(normalized(x), x / np.sqrt(np.mean(x.astype(np.float64)**2, axis=1, keepdims=True) + 1e-8))
  assert np.isfinite(jax.grad(lambda x: normalized(x).sum())(jnp.zeros((1, 4)))).all()
  assert_close(scaled_leaky_relu(x), numpy_lrelu(x.astype(np.float64)))
