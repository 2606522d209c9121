"""The convolutions in both forms against their definition in NumPy, and against XLA's own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gan.models import get_model, matmul
from gan.models.convolution import conv3x3, strided_conv, transposed_conv
from gan.models.matmul import MIN_WINOGRAD_CHANNELS

FEW, MANY = 2, MIN_WINOGRAD_CHANNELS // 4  # Patches below, Winograd from here on.
# Channels of the image, height, width: odd and even halves, down to one block.
SHAPES = [(FEW, 2, 2), (FEW, 6, 4), (MANY, 2, 2), (MANY, 4, 6), (MANY, 6, 8)]
SHAPES_3X3 = [(1, 1, 1), (FEW, 1, 4), (FEW, 5, 2), (MANY, 6, 7)]


def xla_strided(x, kernel):
  return lax.conv_general_dilated(x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
                                  precision='highest')


def xla_transposed(x, kernel):
  return lax.conv_transpose(x, kernel.swapaxes(2, 3), (2, 2), 'SAME', transpose_kernel=True, precision='highest')


def numpy_strided(x, kernel, weights):
  """By the definition, in float64: the value, and the gradients of <weights, value>."""
  x, kernel, weights = (np.asarray(a, np.float64) for a in (x, kernel, weights))
  padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  y, dx, dkernel = np.zeros_like(weights), np.zeros_like(padded), np.zeros_like(kernel)
  for a in range(4):
    for b in range(4):
      seen = (slice(None), slice(a, a + x.shape[1], 2), slice(b, b + x.shape[2], 2))
      y += padded[seen] @ kernel[a, b]
      dx[seen] += weights @ kernel[a, b].T
      dkernel[a, b] = np.einsum('nijc,nijo->co', padded[seen], weights)
  return y, dx[:, 1:-1, 1:-1], dkernel


def numpy_transposed(x, kernel, weights):
  """What a strided convolution sends backwards, and the gradients of <weights, value>."""
  dx, y, dkernel = numpy_strided(weights, kernel.swapaxes(2, 3), x)
  return y, dx, dkernel.swapaxes(2, 3)


def xla_3x3(x, kernel):
  return lax.conv_general_dilated(x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
                                  precision='highest')


def numpy_3x3(x, kernel, weights):
  """As `numpy_strided`, for 3x3 and stride 1."""
  x, kernel, weights = (np.asarray(a, np.float64) for a in (x, kernel, weights))
  padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  y, dx, dkernel = np.zeros_like(weights), np.zeros_like(padded), np.zeros_like(kernel)
  for a in range(3):
    for b in range(3):
      seen = (slice(None), slice(a, a + x.shape[1]), slice(b, b + x.shape[2]))
      y += padded[seen] @ kernel[a, b]
      dx[seen] += weights @ kernel[a, b].T
      dkernel[a, b] = np.einsum('nijc,nijo->co', padded[seen], weights)
  return y, dx[:, 1:-1, 1:-1], dkernel


def arrays(*shapes, seed=0):
  rng = np.random.default_rng(seed)
  return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def value_and_gradients(function, *args):
  """Jitted: the value, and the gradients of <weights, value> with respect to both arguments."""
  return jax.jit(lambda x, kernel, w: (function(x, kernel), *jax.vjp(function, x, kernel)[1](w)))(*args)


def assert_close(ours, theirs):
  scale = max(1.0, float(np.abs(theirs).max()))
  np.testing.assert_allclose(ours, theirs, rtol=0, atol=3e-6 * scale)


def arguments(function, channels, height, width):
  """Input, kernel and weights of the output, where the larger image has `channels` of [height, width]."""
  if function is conv3x3:
    return arrays((3, height, width, channels), (3, 3, channels, 5), (3, height, width, 5))
  large, small = (3, height, width, channels), (3, height // 2, width // 2, 5)
  if function is strided_conv:
    return arrays(large, (4, 4, channels, 5), small)
  return arrays(small, (4, 4, 5, channels), large)


@pytest.mark.parametrize(('function', 'reference', 'channels', 'height', 'width'), [
    *((function, reference, *shape) for function, reference in ((strided_conv, numpy_strided),
                                                                (transposed_conv, numpy_transposed))
      for shape in SHAPES), *((conv3x3, numpy_3x3, *shape) for shape in SHAPES_3X3)])
def test_value_and_gradients_equal_the_definition(function, reference, channels, height, width):
  args = arguments(function, channels, height, width)
  for ours, theirs in zip(value_and_gradients(function, *args), reference(*args), strict=True):
    assert ours.shape == theirs.shape
    assert_close(ours, theirs)


@pytest.mark.parametrize('form', ['lax', 'matmul'])
@pytest.mark.parametrize(('reference', 'function'), [(xla_strided, strided_conv), (xla_transposed, transposed_conv),
                                                     (xla_3x3, conv3x3)])
def test_value_and_gradients_of_every_form_equal_xla(reference, function, form):
  args = arguments(function, MANY, 6, 4)
  ours = value_and_gradients(functools.partial(function, form=form), *args)
  for our, theirs in zip(ours, value_and_gradients(reference, *args), strict=True):
    assert_close(our, theirs)


@pytest.mark.parametrize(('form', 'platform', 'used'), [
    ('auto', 'cpu', 'matmul'), ('auto', 'gpu', 'lax'), ('auto', 'tpu', 'lax'), ('lax', 'cpu', 'lax'),
    ('matmul', 'gpu', 'matmul')])
def test_the_platform_chooses_the_form(monkeypatch, form, platform, used):
  monkeypatch.setattr(jax, 'default_backend', lambda: platform)
  program = str(jax.make_jaxpr(functools.partial(conv3x3, form=form))(jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 2, 1))))
  assert ('conv_general_dilated' in program) == (used == 'lax')


def test_unknown_forms_are_refused():
  with pytest.raises(ValueError, match="convolution='fft' is unknown; known: auto, lax, matmul"):
    conv3x3(jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 2, 1)), 'fft')


@pytest.mark.parametrize(('name', 'shape'), [('dcgan', (16, 16, 1)), ('resnet', (16, 16, 1)), ('vanilla', (4, 4, 1))])
def test_networks_use_the_form_that_is_chosen(name, shape):
  """A generator and a discriminator of either form, and one without convolutions, which ignores it."""
  for player, x in (('gen', jnp.zeros((2, 8))), ('disc', jnp.zeros((2, *shape)))):
    nets = {form: get_model(player, name, shape, width=4, convolution=form) for form in ('lax', 'matmul')}
    variables = nets['lax'].init(jax.random.key(0), x, train=False)
    for form, net in nets.items():
      program = str(jax.make_jaxpr(functools.partial(net.apply, variables, train=False))(x))
      assert ('conv_general_dilated' in program) == (form == 'lax' and name != 'vanilla')


@pytest.mark.parametrize('channels', [FEW, MANY])
def test_transposed_is_the_adjoint(channels):
  """<conv(y, k), x> = <y, convT(x, k^T)>."""
  y, x, kernel = arrays((2, 6, 6, channels), (2, 3, 3, 4), (4, 4, channels, 4))
  left = np.vdot(jax.jit(strided_conv)(y, kernel), x)
  right = np.vdot(y, jax.jit(transposed_conv)(x, kernel.swapaxes(2, 3)))
  np.testing.assert_allclose(left, right, rtol=1e-4)
  assert abs(left) > 1.0


def test_both_forms_are_tested(monkeypatch):
  """FEW and MANY lie on the two sides of the threshold."""
  calls = []
  for name in ('_conv2x2_patches', '_conv2x2_winograd'):
    form = getattr(matmul, name)
    monkeypatch.setattr(matmul, name, lambda *args, f=form, n=name: calls.append(n) or f(*args))
  for channels in (FEW, MANY):
    jax.eval_shape(strided_conv, jnp.zeros((1, 4, 4, channels)), jnp.zeros((4, 4, channels, 1)))
  assert calls == ['_conv2x2_patches', '_conv2x2_winograd']


CASES = [pytest.param(function, reference, channels, id=f'{function.__name__}-{channels}')
         for function, reference in ((strided_conv, numpy_strided), (transposed_conv, numpy_transposed))
         for channels in (FEW, MANY)] + [pytest.param(conv3x3, numpy_3x3, FEW, id='conv3x3')]


@pytest.mark.parametrize(('function', 'reference', 'channels'), CASES)
def test_under_vmap(function, reference, channels):
  """Value and gradients over parameters, as in a population, and over inputs, in one program."""
  x, kernel, weights = arguments(function, channels, 4, 4)
  kernels, inputs = np.stack([kernel, -0.5 * kernel[::-1]]), np.stack([x, x[::-1] + 1.0])

  def everything(x, kernel):
    return function(x, kernel), *jax.vjp(function, x, kernel)[1](weights)

  grid = jax.jit(jax.vmap(jax.vmap(everything, in_axes=(None, 0)), in_axes=(0, None)))(inputs, kernels)
  for i in range(2):
    for j in range(2):
      for ours, theirs in zip(grid, reference(inputs[i], kernels[j], weights), strict=True):
        assert_close(ours[i, j], theirs)


@pytest.mark.parametrize(('function', 'reference', 'channels'), CASES)
def test_inside_loops(function, reference, channels):
  """Gradient steps inside a loop are those taken one by one."""
  x, kernel, weights = arguments(function, channels, 4, 4)

  def descend(kernel):
    return kernel - 1e-2 * jax.grad(lambda k: jnp.sum(weights * function(x, k)) + 0.5 * jnp.sum(k ** 2))(kernel)

  def both(kernel):  # One and then two steps.
    kernel, _ = lax.scan(lambda k, _: (descend(k), None), kernel, length=1)
    return lax.fori_loop(0, 2, lambda _, k: descend(k), kernel)

  expected = kernel.astype(np.float64)
  for _ in range(3):
    expected = expected - 1e-2 * (reference(x, expected, weights)[2] + expected)
  assert np.abs(expected - kernel).max() > 1e-2
  assert_close(jax.jit(both)(kernel), expected)


@pytest.mark.parametrize(('x', 'kernel'), [((1, 4, 4, 2), (3, 3, 2, 5)), ((1, 5, 4, 2), (4, 4, 2, 5)),
                                           ((1, 4, 7, 2), (4, 4, 2, 5)), ((1, 4, 4, 3), (4, 4, 2, 5))])
def test_strided_refuses(x, kernel):
  with pytest.raises(ValueError, match='strided_conv needs a kernel'):
    strided_conv(jnp.zeros(x), jnp.zeros(kernel))


@pytest.mark.parametrize(('x', 'kernel'), [((1, 4, 4, 2), (3, 3, 2, 5)), ((1, 4, 4, 3), (4, 4, 2, 5))])
def test_transposed_refuses(x, kernel):
  with pytest.raises(ValueError, match='transposed_conv needs a kernel'):
    transposed_conv(jnp.zeros(x), jnp.zeros(kernel))


@pytest.mark.parametrize(('x', 'kernel'), [((1, 4, 4, 2), (4, 4, 2, 5)), ((1, 4, 4, 3), (3, 3, 2, 5))])
def test_3x3_refuses(x, kernel):
  with pytest.raises(ValueError, match='conv3x3 needs a kernel'):
    conv3x3(jnp.zeros(x), jnp.zeros(kernel))
