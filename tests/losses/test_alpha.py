"""The (alpha_D, alpha_G)-GAN between its named cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from gan.losses import LOSSES

PAIRS = [('alpha_saturating', 'saturating'), ('alpha_nonsaturating', 'nonsaturating')]


def logits():
  real, fake = np.random.default_rng(0).normal(0, 4, (2, 12))
  return jnp.asarray(real), jnp.asarray(fake)


@jax.jit(static_argnums=0)
def outcome(name, real, fake, alpha=None):
  """Values of both players, then all gradients, as one vector; one alpha for both."""
  bound = LOSSES[name].bind({} if alpha is None else {'alpha_disc': alpha, 'alpha_gen': alpha})
  values, grads = zip(*(jax.value_and_grad(lambda *inputs, player=player: player(*inputs)[0], argnums=(0, 1))(
      real, fake) for player in (bound.disc, bound.gen)), strict=True)
  return jnp.concatenate([jnp.stack(values), jnp.ravel(jnp.array(grads))])


@pytest.mark.parametrize('bits', [32, 64])
@pytest.mark.parametrize(('name', 'limit'), PAIRS)
def test_one_is_the_original_gan(name, limit, bits):
  """At 1 to rounding, and near 1 from both sides to first order, without cancellation."""
  with jax.enable_x64(bits == 64):
    real, fake = logits()
    original = np.asarray(outcome(limit, real, fake))
    eps = {32: 2.0**-20, 64: 2.0**-40}[bits]
    for alpha, tolerance in ((None, eps / 4), (1.0, eps / 4), (1 - eps, 64 * eps), (1 + eps, 64 * eps)):
      nearby = outcome(name, real, fake, alpha)
      assert nearby.dtype == f'float{bits}'
      np.testing.assert_allclose(np.asarray(nearby), original, rtol=tolerance, atol=1e-30)


@pytest.mark.parametrize(('name', 'limit'), PAIRS)
def test_slope_in_alpha_at_one(name, limit):
  """(P^s - 1) / s = log P + s (log P)^2 / 2 + ...: from either side the discriminator loses half the squares' mean."""
  with jax.enable_x64(True):
    real, fake = logits()
    squares = np.mean(np.logaddexp(0, -np.asarray(real)) ** 2 + np.logaddexp(0, np.asarray(fake)) ** 2)
    original = outcome(limit, real, fake)[0]
    for step in (1e-5, -1e-5):
      slope = (outcome(name, real, fake, 1 + step)[0] - original) / step
      np.testing.assert_allclose(slope, -squares / 2, rtol=1e-3)


@pytest.mark.parametrize('alpha', [np.inf, 1e30, 3e38])
def test_infinity_is_linear_in_the_probability(alpha):
  """P - 1 in place of log P."""
  real, fake = logits()
  d_real, d_fake = expit(real), expit(fake)
  disc = np.mean(1 - d_real) + np.mean(d_fake)
  for name, gen in (('alpha_saturating', -d_fake.mean()), ('alpha_nonsaturating', np.mean(1 - d_fake))):
    values = outcome(name, real, fake, jnp.float32(alpha))
    np.testing.assert_allclose([values[0], values[1]], [disc, gen], rtol=1e-6)


def test_one_half_is_exponential():
  """1 / P - 1 = exp(-logit): the exponential loss."""
  real, fake = logits()
  values = outcome('alpha_nonsaturating', real, fake, 0.5)
  np.testing.assert_allclose(values[0], np.mean(np.exp(-real)) + np.mean(np.exp(fake)), rtol=1e-5)
  np.testing.assert_allclose(values[1], np.mean(np.exp(-fake)), rtol=1e-5)


@pytest.mark.parametrize('alpha', [0.4, 1.0, 2.0, np.inf])
def test_ratio_of_the_two_generators_is_a_power_of_the_odds(alpha):
  """Per sample, saturating / nonsaturating gradient = (D / (1 - D))^(1 / alpha)."""
  with jax.enable_x64(True):
    fake = jnp.linspace(-20.0, 20.0, 41)
    slopes = [np.asarray(outcome(name, fake, fake, alpha))[-41:] for name, _ in PAIRS]
  np.testing.assert_allclose(slopes[0] / slopes[1], np.exp(np.asarray(fake) / alpha), rtol=1e-5)


def test_slopes_of_rejected_samples_survive_in_float32():
  """-(P^s) (1 - P) at P = sigmoid(-40) and alpha 2 is exp(-20): small, and not 0."""
  slope = jax.grad(lambda f: LOSSES['alpha_nonsaturating'].gen(f, f, alpha_gen=2.0)[0])(jnp.array([-40.0]))
  np.testing.assert_allclose(slope, [-np.exp(-20)], rtol=1e-5)


@pytest.mark.parametrize('name', [name for name, _ in PAIRS])
def test_nothing_is_ever_nan(name):
  """Extreme logits at every alpha, even where powers overflow; finite at alpha from 1."""
  real = jnp.array([-1e4, -200.0, -50.0, -1.0, 0.0, 1e-6, 1.0, 20.0, 50.0, 200.0, 1e4])
  for alpha in (1e-6, 0.1, 0.5, 1 - 6e-8, 1.0, 1 + 1.2e-7, 1.5, 3.0, 1e10, 3e38, np.inf):
    found = outcome(name, real, real[::-1], alpha)
    assert not np.any(np.isnan(found))
    if alpha >= 1:
      assert np.all(np.isfinite(found))


@pytest.mark.parametrize('alpha', [1e-3, 0.5, 1.0, 40.0, 1e30, 3e38, np.inf])
def test_decision_follows_the_sign_of_the_logit(alpha):
  logits = jnp.array([-50.0, -1e-3, -1e-20, 0.0, 1e-20, 1e-3, 50.0])
  for prob in LOSSES['alpha_saturating'].bind({'alpha_disc': jnp.float32(alpha)}).probability(logits, logits):
    np.testing.assert_array_equal(np.sign(prob - 0.5), np.sign(logits))
