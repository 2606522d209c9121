"""Blurred resampling, its convolutions, and modulation: each against its statement in NumPy, in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan.models.convolution import conv1x1, conv3x3, conv_down, conv_up, downsample, modulated, upsample
from tests.models.test_convolution import arrays, assert_close, numpy_3x3, value_and_gradients

FILTER = np.array([1, 3, 3, 1]) / 8


def matrix(function, length):
  """The matrix of a linear function of a line."""
  return np.stack([function(line) for line in np.eye(length)], axis=1)


def upsampled(line):
  """Zeros between the numbers, two before and one after; then the filter."""
  spread = np.zeros(2 * len(line) + 3)
  spread[2:-1:2] = line
  return 2 * np.convolve(spread, FILTER, 'valid')


def downsampled(line):
  return np.convolve(np.pad(line, 1), FILTER, 'valid')[::2]


def both_axes(function, x):
  rows, columns = (matrix(function, length) for length in x.shape[1:3])
  return np.einsum('ih,jw,bhwc->bijc', rows, columns, x.astype(np.float64))


@pytest.mark.parametrize(('ours', 'line'), [(upsample, upsampled), (downsample, downsampled)])
def test_resampling(ours, line):
  [x] = arrays((2, 4, 6, 3))
  assert_close(jax.jit(ours)(x), both_axes(line, x))
  assert_close(value_of_gradient(ours, x), value_of_gradient(lambda x: matrix_product(line, x), x))


def matrix_product(line, x):
  rows, columns = (matrix(line, length).astype(np.float32) for length in x.shape[1:3])
  return jnp.einsum('ih,jw,bhwc->bijc', rows, columns, x, precision='highest')


def value_of_gradient(function, x):
  y, pull = jax.vjp(function, x)
  return pull(jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape))[0]


def test_resampling_of_an_impulse_and_of_a_ramp():
  """By hand: the row sums of the impulse, and a row of the ramp that is away from the border above."""
  impulse = jnp.zeros((1, 4, 4, 1)).at[0, 1, 1, 0].set(1.0)
  np.testing.assert_allclose(upsample(impulse)[0, :, :, 0].sum(axis=1), [0, 0.5, 1.5, 1.5, 0.5, 0, 0, 0], atol=1e-6)
  ramp = jnp.tile(jnp.arange(8.0).reshape(1, 1, 8, 1), (1, 8, 1, 1))
  np.testing.assert_allclose(downsample(ramp)[0, 1, :, 0], [0.625, 2.5, 4.5, 5.5], atol=1e-6)


def numpy_down(x, kernel):
  """Two zeros around, blurred, then every second correlation with the kernel."""
  blurred = both_axes(lambda line: np.convolve(np.pad(line, 2), FILTER, 'valid'), x)
  height, width = x.shape[1] // 2, x.shape[2] // 2
  return sum(blurred[:, a:a + 2 * height:2, b:b + 2 * width:2] @ kernel[a, b].astype(np.float64)
             for a in range(3) for b in range(3))


def numpy_up(x, kernel):
  """Zeros between the pixels, a full convolution (the kernel flipped), one zero around, blurred with gain 4."""
  batch, height, width, _ = x.shape
  large = np.zeros((batch, 2 * height + 1, 2 * width + 1, kernel.shape[3]))
  for a in range(3):
    for b in range(3):
      large[:, a:a + 2 * height:2, b:b + 2 * width:2] += x @ kernel[a, b].astype(np.float64)
  return both_axes(lambda line: 2 * np.convolve(np.pad(line, 1), FILTER, 'valid'), large)


@pytest.mark.parametrize('form', ['lax', 'matmul'])
@pytest.mark.parametrize(('ours', 'reference'), [(conv_down, numpy_down), (conv_up, numpy_up)])
def test_convolutions_that_resample(ours, reference, form):
  """Value, and the gradients of a bilinear function, which are those of its two halves."""
  x, kernel = arrays((2, 4, 6, 3), (3, 3, 3, 5))
  expected = reference(x, kernel)
  weights = np.random.default_rng(1).normal(size=expected.shape).astype(np.float32)
  value, dx, dkernel = value_and_gradients(functools.partial(ours, form=form), x, kernel, weights)
  assert_close(value, expected)
  other_x, other_kernel = arrays(x.shape, kernel.shape, seed=2)
  for gradient, other, args in ((dx, other_x, (other_x, kernel)), (dkernel, other_kernel, (x, other_kernel))):
    np.testing.assert_allclose(np.vdot(gradient, other), np.vdot(reference(*args), weights), rtol=1e-4)


@pytest.mark.parametrize('form', ['lax', 'matmul'])
def test_up_and_down_are_transposes(form):
  """<down(y, k), x> = <y, up(x, k^T)> / 4; the kernel of `conv_up` is not rotated on the way."""
  y, x, kernel = arrays((2, 6, 6, 3), (2, 3, 3, 4), (3, 3, 3, 4))
  left = np.vdot(conv_down(y, kernel, form), x)
  np.testing.assert_allclose(left, np.vdot(y, conv_up(x, kernel.swapaxes(2, 3), form)) / 4, rtol=1e-4)
  rotated = np.vdot(y, conv_up(x, kernel[::-1, ::-1].swapaxes(2, 3), form)) / 4
  assert abs(left - rotated) > 0.1


@pytest.mark.parametrize('ours', [conv_down, conv_up])
def test_resampling_convolutions_under_vmap_and_inside_loops(ours):
  """A population of kernels in a loop takes the steps of each alone."""
  x, kernel = arrays((2, 4, 4, 2), (2, 3, 3, 2, 2))

  def descend(kernel):
    return kernel - 1e-2 * jax.grad(lambda k: jnp.sum(jnp.square(ours(x, k, 'matmul'))))(kernel)

  together = jax.jit(lambda k: jax.lax.fori_loop(0, 2, lambda _, k: jax.vmap(descend)(k), k))(kernel)
  for i in range(2):
    assert_close(together[i], descend(descend(jnp.asarray(kernel[i]))))


def numpy_modulated(x, kernel, styles, demodulate):
  """One kernel for each image, as the paper states it."""
  results = []
  for image, style in zip(x, styles, strict=True):
    own = kernel.astype(np.float64) * style[None, None, :, None]
    if demodulate:
      own = own / np.sqrt((own**2).sum(axis=(0, 1, 2)) + 1e-8)
    results.append(numpy_3x3(image[None], own, np.zeros((1, *image.shape[:2], kernel.shape[3])))[0][0])
  return np.stack(results)


@pytest.mark.parametrize('demodulate', [True, False])
@pytest.mark.parametrize('form', ['lax', 'matmul'])
def test_modulation(form, demodulate):
  """Value, and the slopes along a direction of image, kernel and styles by central differences in float64."""
  args = arrays((2, 3, 4, 3), (3, 3, 3, 5), (2, 3))
  conv = functools.partial(modulated, functools.partial(conv3x3, form=form), demodulate=demodulate)
  expected = numpy_modulated(*args, demodulate)
  assert_close(jax.jit(conv)(*args), expected)
  weights = np.random.default_rng(3).normal(size=expected.shape)
  gradients = jax.jit(jax.grad(lambda *args: jnp.sum(conv(*args) * weights.astype(np.float32)), (0, 1, 2)))(*args)
  for i, gradient in enumerate(gradients):
    [direction] = arrays(args[i].shape, seed=4 + i)

    def along(t, i=i, direction=direction):
      moved = [arg.astype(np.float64) + (t * direction if j == i else 0) for j, arg in enumerate(args)]
      return np.vdot(numpy_modulated(*moved, demodulate), weights)
    np.testing.assert_allclose(np.vdot(gradient, direction), (along(1e-5) - along(-1e-5)) / 2e-5, rtol=1e-4, atol=1e-4)


def test_demodulation_forgets_the_scale_of_kernel_and_style():
  """So the kernel of a demodulated convolution needs no factor of equalised learning rate."""
  x, kernel, styles = arrays((2, 4, 4, 3), (3, 3, 3, 5), (2, 3))
  expected = modulated(conv3x3, x, kernel, styles)
  assert_close(modulated(conv3x3, x, 7 * kernel, 0.1 * styles), expected)
  assert np.abs(modulated(conv3x3, x, kernel, styles, demodulate=False) - expected).max() > 1


def test_1x1_equals_xla():
  x, kernel = arrays((2, 3, 4, 3), (1, 1, 3, 5))
  expected = jax.lax.conv_general_dilated(x, kernel, (1, 1), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
  assert_close(conv1x1(x, kernel), expected)


@pytest.mark.parametrize(('function', 'x', 'kernel'), [
    (conv_down, (1, 5, 4, 2), (3, 3, 2, 5)), (conv_down, (1, 4, 4, 2), (4, 4, 2, 5)),
    (conv_up, (1, 4, 4, 3), (3, 3, 2, 5)), (conv1x1, (1, 4, 4, 3), (3, 3, 3, 5))])
def test_wrong_shapes_are_refused(function, x, kernel):
  with pytest.raises(ValueError, match=f'{function.__name__} needs a kernel'):
    function(jnp.zeros(x), jnp.zeros(kernel))
