"""Penalties in float64 against NumPy: values written out by hand, parameter gradients by central differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan import penalties

B, DIM, WIDTH = 5, 3, 4
RNG = np.random.default_rng(0)
THETA = 1.5 * RNG.normal(size=DIM * WIDTH + 2 * WIDTH)
REALS, FAKES, NOISE = RNG.normal(size=(3, B, DIM))
UNIFORMS = RNG.uniform(size=B)
BETWEEN = UNIFORMS[:, None] * REALS + (1 - UNIFORMS[:, None]) * FAKES
STD = 0.3


def unpack(theta):
  """One hidden layer: W [DIM, WIDTH], b [WIDTH], v [WIDTH]."""
  return theta[:DIM * WIDTH].reshape(DIM, WIDTH), theta[DIM * WIDTH:-WIDTH], theta[-WIDTH:]


def critic(theta, x):
  """The logits v tanh(W x + b), [B]; for JAX and NumPy alike."""
  w, b, v = unpack(theta)
  return (jnp if isinstance(theta, jax.Array) else np).tanh(x @ w + (b[None] if x.ndim > 1 else b)) @ v


def slope(theta, x):
  """Gradient of `critic` in x, [B, DIM], by hand."""
  w, b, v = unpack(theta)
  return ((1 - np.tanh(x @ w + b) ** 2) * v) @ w.T


def orthogonal_by_hand(kernel):
  gram = kernel.T @ kernel
  return sum(gram[i, j] ** 2 for i in range(len(gram)) for j in range(len(gram)) if i != j)


def hand_penalty(theta, target, one_sided):
  excess = np.linalg.norm(slope(theta, BETWEEN), axis=1) - target
  return np.mean(np.maximum(excess, 0) ** 2 if one_sided else excess**2)


def our_penalty(theta, target, one_sided):
  return penalties.gradient_penalty(functools.partial(critic, theta), jnp.asarray(BETWEEN), target, one_sided)


# name -> (ours, of theta in JAX; by hand, in NumPy).
CASES = {
    'zero_centred': (lambda t: penalties.zero_centred(functools.partial(critic, t), jnp.asarray(REALS)),
                     lambda t: np.mean(np.sum(slope(t, REALS) ** 2, axis=1))),
    **{f'gradient_penalty_{target}_{"one" if one_sided else "two"}_sided': (
        functools.partial(our_penalty, target=target, one_sided=one_sided),
        functools.partial(hand_penalty, target=target, one_sided=one_sided))
       for target in (0.0, 1.0) for one_sided in (False, True)},
    'finite_difference': (
        lambda t: penalties.finite_difference(critic(t, REALS), critic(t, REALS + STD * NOISE), STD),
        lambda t: np.mean((critic(t, REALS + STD * NOISE) - critic(t, REALS)) ** 2) / STD**2),
    'consistency': (lambda t: penalties.consistency(critic(t, REALS), critic(t, FAKES)),
                    lambda t: sum((a - b) ** 2 for a, b in zip(critic(t, REALS), critic(t, FAKES), strict=True)) / B),
    'lecam, paper': (lambda t: penalties.lecam(critic(t, REALS), critic(t, FAKES), 0.4, -0.9, 'paper'),
                     lambda t: np.mean((critic(t, REALS) + 0.9) ** 2) + np.mean((critic(t, FAKES) - 0.4) ** 2)),
    # Some logits on either side of these means: each term has samples that count and samples that do not.
    'lecam, published': (lambda t: penalties.lecam(critic(t, REALS), critic(t, FAKES), 0.4, 0.1),
                         lambda t: (np.mean(np.maximum(critic(t, REALS) - 0.1, 0) ** 2)
                                    + np.mean(np.maximum(0.4 - critic(t, FAKES), 0) ** 2))),
    'orthogonal': (lambda t: penalties.orthogonal({'kernel': unpack(t)[0], 'bias': unpack(t)[1]}),
                   lambda t: orthogonal_by_hand(unpack(t)[0])),
}


@functools.cache
def all_cases():
  """Value and gradient of every case, from one compilation."""
  with jax.enable_x64(True):
    functions = {name: ours for name, (ours, _) in CASES.items()}
    return jax.device_get(jax.jit(lambda theta: {name: jax.value_and_grad(function)(theta)
                                                 for name, function in functions.items()})(jnp.asarray(THETA)))


@pytest.mark.parametrize('name', CASES)
def test_values_and_parameter_gradients(name):
  """The gradient of a penalty of slopes has second derivatives in it: that is what can go wrong."""
  value, gradient = all_cases()[name]
  reference, h = CASES[name][1], 1e-5
  np.testing.assert_allclose(value, reference(THETA), rtol=1e-9)
  numerical = [(reference(THETA + h * e) - reference(THETA - h * e)) / (2 * h) for e in np.eye(len(THETA))]
  assert gradient.dtype == np.float64
  assert np.abs(gradient).max() > 1e-3
  np.testing.assert_allclose(gradient, numerical, rtol=1e-6, atol=1e-8)


def test_one_sided_spares_some_slopes_and_not_others():
  """Guards the cases above: with target 1 there are norms on both sides."""
  norms = np.linalg.norm(slope(THETA, BETWEEN), axis=1)
  assert norms.min() < 1.0 < norms.max()


def test_slope_penalties_of_a_linear_critic():
  """D(x) = w x: R1 is |w|^2 wherever it is taken, the gradient penalty (|w| - t)^2, one-sided 0 below its target."""
  w = np.array([2.0, -1.0, 2.0])  # |w| = 3.
  with jax.enable_x64(True):
    score, x = (lambda x: x @ jnp.asarray(w)), jnp.asarray(REALS)
    assert penalties.zero_centred(score, x) == pytest.approx(9.0, rel=1e-12)
    for target, one_sided, expected in ((1.0, False, 4.0), (1.0, True, 4.0), (5.0, False, 4.0), (5.0, True, 0.0)):
      assert penalties.gradient_penalty(score, x, target, one_sided) == pytest.approx(expected, rel=1e-9)


def test_squared_slopes_are_per_sample_and_come_with_the_logits():
  with jax.enable_x64(True):
    theta, x = jnp.asarray(THETA), jnp.asarray(REALS)
    logits, aux, slopes = jax.jit(lambda x: penalties.with_squared_slope(lambda x: (critic(theta, x), x[0, 0]), x))(x)
    each = jax.vmap(jax.grad(lambda sample: critic(theta, sample)))(x)
  np.testing.assert_allclose(logits, critic(THETA, REALS), rtol=1e-12)
  assert float(aux) == REALS[0, 0]
  assert slopes.shape == (B,)
  np.testing.assert_allclose(slopes, np.sum(np.square(each), axis=1), rtol=1e-10)
  np.testing.assert_allclose(slopes, np.sum(slope(THETA, REALS) ** 2, axis=1), rtol=1e-10)


def test_a_logit_of_several_samples_has_their_slopes_added():
  """Logit k judges the neighbours 2k and 2k + 1, with different weights: [B, D] -> [B / 2]."""
  weights = np.array([[1.0, 2.0], [3.0, 4.0]])
  samples = RNG.normal(size=(6, 2))

  def score(x):
    return jnp.sum(jnp.square(x.reshape(3, 2, 2)) * weights[None], axis=(1, 2))

  with jax.enable_x64(True):
    slopes = penalties.squared_slope(score, jnp.asarray(samples))
  expected = np.sum((2 * samples.reshape(3, 2, 2) * weights) ** 2, axis=(1, 2))
  assert slopes.shape == (3,)
  np.testing.assert_allclose(slopes, expected, rtol=1e-12)


@pytest.mark.parametrize('std', [1e-3, 0.3, 20.0])
def test_finite_difference_of_a_linear_critic_is_exact_at_any_distance(std):
  """With the noise std * sqrt(D) e_i, whose second moments are those of a normal one: E (w n)^2 / std^2 = |w|^2."""
  w = np.array([2.0, -1.0, 2.0])
  noise = np.sqrt(DIM) * np.concatenate([np.eye(DIM), -np.eye(DIM)])
  x = RNG.normal(size=(1, DIM))
  with jax.enable_x64(True):
    found = penalties.finite_difference(jnp.asarray(np.repeat(x @ w, 2 * DIM)), jnp.asarray((x + std * noise) @ w), std)
  assert found == pytest.approx(9.0, rel=1e-6)


def test_finite_difference_tends_to_the_squared_slope():
  """Error of a curved critic falls with std^2: the same quadrature of the noise, its odd terms cancelled."""
  noise = np.sqrt(DIM) * np.concatenate([np.eye(DIM), -np.eye(DIM)])
  exact = np.mean(np.sum(slope(THETA, REALS) ** 2, axis=1))
  errors = []
  with jax.enable_x64(True):
    for std in (0.2, 0.1, 0.05, 1e-4):
      moved = (REALS[:, None] + std * noise[None]).reshape(-1, DIM)
      logits = np.repeat(critic(THETA, REALS), 2 * DIM)
      value = penalties.finite_difference(jnp.asarray(logits), jnp.asarray(critic(THETA, moved)), std)
      errors.append(abs(float(value) - exact))
  assert errors[0] > 1e-3
  assert errors[-1] < 1e-6 * exact
  assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)
  assert errors[1] / errors[2] == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize('target', [0.0, 1.0])
@pytest.mark.parametrize('one_sided', [False, True])
def test_gradient_is_finite_where_the_slope_is_zero(target, one_sided):
  """A root has no finite slope at zero; a critic that says the same of everything is where many runs begin."""
  def value(scale):
    return penalties.gradient_penalty(lambda x: scale * jnp.sum(x, axis=1), jnp.ones((B, DIM)), target, one_sided)

  found, gradient = jax.value_and_grad(value)(0.0)
  assert found == pytest.approx(0.0 if one_sided else target**2, abs=1e-4)
  assert np.isfinite(gradient)
  assert gradient == 0.0
  found, gradient = jax.value_and_grad(lambda s: penalties.zero_centred(lambda x: s * x[:, 0], jnp.ones((B, 1))))(0.0)
  assert (found, gradient) == (0.0, 0.0)


def test_interpolate_ends_and_between():
  """One number for each pair, whatever the shape of a sample; 1 is the real one."""
  reals, fakes = RNG.normal(size=(2, 3, 2, 2, 1)).astype(np.float32)
  points = np.asarray(penalties.interpolate(reals, fakes, np.array([1.0, 0.0, 0.25], np.float32)))
  np.testing.assert_array_equal(points[0], reals[0])
  np.testing.assert_array_equal(points[1], fakes[1])
  np.testing.assert_allclose(points[2], 0.25 * reals[2] + 0.75 * fakes[2], rtol=1e-6)


def test_orthogonal_of_known_kernels():
  """Kernels [..., I, O] are matrices of O columns; right angles cost nothing at any length; vectors do not count."""
  angles = np.array([[2.0, 1.0], [0.0, 1.0]])          # Columns (2, 0) and (1, 1): product 2, twice.
  right = np.array([[3.0, -4.0], [4.0, 3.0]]) * [1.0, 7.0]
  conv = np.zeros((2, 1, 2, 2))                        # Columns (1, 2, 3, 4) and (0, 1, 0, -1): product -2, twice.
  conv[..., 0].flat, conv[..., 1].flat = [1, 2, 3, 4], [0, 1, 0, -1]
  with jax.enable_x64(True):
    def value(**kernels):
      return float(penalties.orthogonal({name: jnp.asarray(kernel) for name, kernel in kernels.items()}))
    assert value(a=right) == pytest.approx(0.0, abs=1e-18)
    assert value(a=angles) == pytest.approx(8.0)
    assert value(a=conv) == pytest.approx(8.0)
    assert value(a=angles, b=conv, bias=np.ones(4)) == pytest.approx(16.0)
    assert value(bias=np.ones(4)) == 0.0
    assert value(wide=np.ones((1, 3))) == pytest.approx(6.0)


def test_orthogonal_near_its_minimum():
  """In float32, where the squares of the columns are ten million times as large as what is left of the rest."""
  rng = np.random.default_rng(0)
  kernel = (3 * np.linalg.qr(rng.normal(size=(128, 32)))[0] + 1e-3 * rng.normal(size=(128, 32))).astype(np.float32)
  with jax.enable_x64(True):
    expected = float(penalties.orthogonal({'kernel': jnp.asarray(kernel, jnp.float64)}))
  assert float(penalties.orthogonal({'kernel': jnp.asarray(kernel)})) == pytest.approx(expected, rel=1e-2)
