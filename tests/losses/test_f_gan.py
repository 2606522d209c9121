"""The variational bounds of f-divergences, in float64, between p = N(0, 1) and q = N(mu, 1)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf, xlogy
from scipy.stats import norm

from gan.losses import LOSSES

# name -> f, its derivative, its conjugate where T is small, and the logit v where g(v) = f'(u), from log u.
F = {
    'fgan_kl': (lambda u: xlogy(u, u), lambda u: 1 + np.log(u), lambda t: np.exp(t - 1), lambda log_u: 1 + log_u),
    'fgan_reverse_kl': (lambda u: -np.log(u), lambda u: -1 / u, lambda t: -1 - np.log(-t), lambda log_u: log_u),
    'fgan_jensen_shannon': (lambda u: xlogy(u, u) - (u + 1) * np.log((u + 1) / 2), lambda u: np.log(2 * u / (u + 1)),
                            lambda t: -np.log(2 - np.exp(t)), lambda log_u: log_u),
    'fgan_pearson': (lambda u: (u - 1) ** 2, lambda u: 2 * (u - 1), lambda t: t**2 / 4 + t,
                     lambda log_u: 2 * np.expm1(log_u)),
    'fgan_squared_hellinger': (lambda u: (np.sqrt(u) - 1) ** 2, lambda u: 1 - 1 / np.sqrt(u), lambda t: t / (1 - t),
                               lambda log_u: log_u / 2),
    # f' is a sign, halved: a limit of logits.
    'fgan_total_variation': (lambda u: np.abs(u - 1) / 2, lambda u: np.sign(u - 1) / 2, lambda t: t,
                             lambda log_u: 30 * np.sign(log_u)),
}
# name -> the divergence in closed form, where there is one.
CLOSED_FORM = {
    'fgan_kl': lambda mu: mu**2 / 2,
    'fgan_reverse_kl': lambda mu: mu**2 / 2,
    'fgan_pearson': lambda mu: np.expm1(mu**2),
    'fgan_squared_hellinger': lambda mu: 2 - 2 * np.exp(-(mu**2) / 8),
    'fgan_total_variation': lambda mu: erf(mu / np.sqrt(8)),
}


@jax.jit(static_argnums=0)
def parts(name, v):
  """The loss of the discriminator, on real and on fake, where its logit is v [N]: one sample at a time."""
  on = jax.vmap(lambda v: LOSSES[name].disc(v[None], v[None])[1])(v)
  return on['on_real'], on['on_fake']


@jax.jit(static_argnums=0)
def gen_values(name, v):
  return jax.vmap(lambda v: LOSSES[name].gen(v[None], v[None])[0])(v)


@pytest.fixture(autouse=True)
def _double_precision():
  with jax.enable_x64(True):
    yield


def plane(mu):
  """A grid with a node where p = q, the weights of p and q on it, and log(p / q)."""
  x, step = np.linspace(mu / 2 - 12, mu / 2 + 12, 16_001, retstep=True)
  x[8000] = mu / 2
  return norm.pdf(x) * step, norm.pdf(x, mu) * step, mu**2 / 2 - mu * x


@pytest.mark.parametrize('name', F)
@pytest.mark.parametrize('mu', [0.5, 1.0])
def test_bound_is_the_divergence_at_the_optimum_and_below_it_elsewhere(name, mu):
  p, q, log_ratio = plane(mu)
  f, _, _, optimum = F[name]
  divergence = np.sum(q * f(np.exp(log_ratio)))
  if name in CLOSED_FORM:
    np.testing.assert_allclose(divergence, CLOSED_FORM[name](mu), rtol=1e-6)

  def bound(v):
    on_real, on_fake = parts(name, v)
    assert on_real.dtype == jnp.float64
    return -np.sum(p * on_real + q * on_fake)

  best = optimum(log_ratio)
  np.testing.assert_allclose(bound(best), divergence, rtol=0, atol=1e-6)
  rng = np.random.default_rng(0)
  others = [best + 0.1, best - 0.1, 0 * best, 0.9 * best, -best,
            *(best + scale * rng.normal(size=best.shape) for scale in (0.01, 0.3, 2.0))]
  # Total variation alone is flat where the sign is right and |v| large.
  margin = -1e-12 if 'total_variation' in name else 1e-6
  for other in others:
    assert bound(other) < divergence - margin


@pytest.mark.parametrize('name', F)
def test_activation_and_conjugate_are_those_of_f(name):
  """-gen of the alternative is g, and -gen of the minimax form is f* after g, as the paper's table has f*."""
  _, slope, conjugate, optimum = F[name]
  log_u = np.linspace(-3.0, 3.0, 13)
  v = optimum(log_u)
  activation = -np.asarray(gen_values(f'{name}_alternative', v))
  np.testing.assert_allclose(activation, slope(np.exp(log_u)), rtol=1e-12, atol=1e-14)
  np.testing.assert_allclose(-gen_values(name, v), conjugate(activation), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize('name', F)
def test_activation_rises_into_the_domain(name):
  """Fenchel and Young, for every pair: u g(v) - f*(g(v)) <= f(u)."""
  v = np.linspace(-15.0, 15.0, 121)
  on_real, on_fake = (np.asarray(part) for part in parts(name, v))
  assert np.all(np.diff(-on_real) >= 0)
  for u in (1e-3, 0.3, 1.0, 2.0, 50.0):
    assert np.max(-u * on_real - on_fake) <= F[name][0](u) + 1e-9


def both(name, real, fake):
  return [np.asarray(player(real, fake)[0]) for player in LOSSES[name][:2]]


@pytest.fixture
def logits():
  return jnp.asarray(np.random.default_rng(1).normal(0, 3, (2, 8)))


def test_jensen_shannon_is_the_original_gan(logits):
  """Up to constants: 2 log 2 for the discriminator, log 2 for either generator."""
  disc, gen = both('fgan_jensen_shannon', *logits)
  np.testing.assert_allclose([disc, gen], both('saturating', *logits) + np.log([0.25, 2]), rtol=1e-12)
  disc, gen = both('fgan_jensen_shannon_alternative', *logits)
  np.testing.assert_allclose([disc, gen], both('nonsaturating', *logits) - np.log([4, 2]), rtol=1e-12)


def test_total_variation_has_one_generator(logits):
  minimax, alternative = (both(f'fgan_total_variation{suffix}', *logits) for suffix in ('', '_alternative'))
  np.testing.assert_array_equal(minimax, alternative)


def test_generators_that_are_the_critics(logits):
  """Identity activations lead to the generator of the Wasserstein GAN; so does the conjugate of the reverse KL."""
  linear = both('wasserstein', *logits)[1]
  np.testing.assert_allclose(both('fgan_kl_alternative', *logits)[1], linear, rtol=1e-12)
  np.testing.assert_allclose(both('fgan_pearson_alternative', *logits)[1], linear, rtol=1e-12)
  np.testing.assert_allclose(both('fgan_reverse_kl', *logits)[1], linear + 1, rtol=1e-12)


def test_discriminators_with_the_roles_exchanged(logits):
  """KL(p || q) is the reverse KL of q and p, with v -> 1 - v; symmetric divergences are themselves, with v -> -v."""
  real, fake = logits
  np.testing.assert_allclose(both('fgan_kl', 1 - fake, 1 - real)[0], both('fgan_reverse_kl', real, fake)[0], rtol=1e-12)
  for name in ('fgan_jensen_shannon', 'fgan_squared_hellinger', 'fgan_total_variation'):
    np.testing.assert_allclose(both(name, -fake, -real)[0], both(name, real, fake)[0], rtol=1e-12)
