"""What the classic objectives promise of one another, their optima, and the Dirac-GAN of every family."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import logit
from scipy.special import expit

from gan.losses import LOSSES

LOGISTIC = ('saturating', 'nonsaturating')


def gen_slopes(name, fake, **settings):
  return len(fake) * jax.grad(lambda f: LOSSES[name].gen(jnp.zeros_like(f), f, **settings)[0])(fake)


def test_saturating_and_nonsaturating_are_two_functions():
  """Where the discriminator rejects, one slope vanishes, sigmoid(-20) = 2.06e-9, and the other is 1."""
  fake = jnp.array([-20.0])
  np.testing.assert_allclose(gen_slopes('saturating', fake), [-2.0611537e-9], rtol=1e-5)
  np.testing.assert_allclose(gen_slopes('nonsaturating', fake), [-1.0], rtol=1e-6)


def test_ratio_of_the_two_logistic_generators_is_the_odds():
  """Per sample, saturating / nonsaturating gradient = D / (1 - D)."""
  with jax.enable_x64(True):
    fake = jnp.linspace(-20.0, 20.0, 41)
    assert fake.dtype == jnp.float64
    ratio = np.asarray(gen_slopes('saturating', fake) / gen_slopes('nonsaturating', fake))
  np.testing.assert_allclose(ratio, expit(fake) / expit(-np.asarray(fake)), rtol=1e-5)


@pytest.mark.parametrize('name', LOGISTIC)
@pytest.mark.parametrize('smoothing', [0.1, 0.4])
def test_label_smoothing_is_one_sided(name, smoothing):
  """The best logit of real samples is logit(1 - s); the fake side does not notice."""
  disc = LOSSES[name].disc
  at = jnp.full(3, logit(1.0 - smoothing))
  fake = jnp.array([-1.0, 0.5, 2.0])
  np.testing.assert_allclose(jax.grad(lambda r: disc(r, fake, label_smoothing=smoothing)[0])(at), 0.0, atol=1e-7)
  on_real, on_fake = (jax.grad(lambda r, f, s=s: disc(r, f, label_smoothing=s)[0], argnums=(0, 1))(fake, fake)
                      for s in (smoothing, 0.0))
  np.testing.assert_array_equal(on_real[1], on_fake[1])
  assert np.all(np.abs(on_real[0] - on_fake[0]) > 1e-3)


@pytest.mark.parametrize('margin', [1.0, 0.5])
def test_hinge_is_zero_beyond_the_margin(margin):
  disc = LOSSES['hinge'].disc
  beyond = jnp.array([margin + 0.01, 7.0])
  value, grads = jax.value_and_grad(lambda r, f: disc(r, f, margin=margin)[0], argnums=(0, 1))(beyond, -beyond)
  assert value == 0.0
  assert not np.any(grads)
  within = jnp.array([margin - 0.01, -margin - 7.0])
  slopes = jax.grad(lambda r, f: disc(r, f, margin=margin)[0], argnums=(0, 1))(within, -within)
  np.testing.assert_array_equal(slopes, [[-0.5, -0.5], [0.5, 0.5]])


# Discrete p and q as counts of 8 samples over four atoms.
P, Q = np.array([1, 2, 4, 1]), np.array([4, 2, 1, 1])
REAL, FAKE = np.repeat(np.arange(4), P), np.repeat(np.arange(4), Q)
LOG_RATIO = np.log(P / Q).astype(np.float32)


def on_atoms(name, **settings):
  """The discriminator's loss as a function of its logit at each atom."""
  return lambda table: LOSSES[name].disc(table[REAL], table[FAKE], **settings)[0]


# Settings and the logits, one per atom, that the theory calls optimal.
OPTIMAL = [
    ('saturating', {}, LOG_RATIO), ('nonsaturating', {}, LOG_RATIO),
    *(('least_squares', {'a': a, 'b': b}, (b * P + a * Q) / (P + Q)) for a, b in ((0.0, 1.0), (-1.0, 1.0), (2.0, 0.5))),
    ('fgan_kl', {}, 1 + LOG_RATIO), ('fgan_reverse_kl', {}, LOG_RATIO), ('fgan_jensen_shannon', {}, LOG_RATIO),
    ('fgan_pearson', {}, 2 * (P / Q - 1)), ('fgan_squared_hellinger', {}, LOG_RATIO / 2),
    *(('alpha_saturating', {'alpha_disc': alpha}, alpha * LOG_RATIO) for alpha in (0.5, 1.0, 3.0)),
    ('softmax', {}, 5 + np.log(P / (P + Q))),
]


@pytest.mark.parametrize(('name', 'settings', 'best'), OPTIMAL)
def test_posterior_at_the_optimum(name, settings, best):
  """The optimal logits are stationary, and `probability` reads p / (p + q) off them.

  Goodfellow et al. 2014, proposition 1; Mao et al. 2017, equation 4; Nowozin et al. 2016, T = f'(p / q); Welfert et
  al. 2023, logit alpha log(p / q); Lin 2017, exp(logit) proportional to p / (p + q).
  """
  best = jnp.asarray(best, jnp.float32)
  np.testing.assert_allclose(jax.grad(on_atoms(name, **settings))(best), 0.0, atol=2e-7)
  real_prob, fake_prob = LOSSES[name].bind(settings).probability(best[REAL], best[FAKE])
  np.testing.assert_allclose(real_prob, (P / (P + Q))[REAL], rtol=1e-5)
  np.testing.assert_allclose(fake_prob, (P / (P + Q))[FAKE], rtol=1e-5)


def test_posterior_at_the_optimum_of_the_relativistic_pair():
  """Over all pairs of one real and one fake the optimum is log(p / q): which of the two is real is logistic in it."""
  pairs = [atoms.ravel() for atoms in np.meshgrid(REAL, FAKE, indexing='ij')]
  slope = jax.grad(lambda table: LOSSES['rpgan_logistic'].disc(table[pairs[0]], table[pairs[1]])[0])(LOG_RATIO)
  np.testing.assert_allclose(slope, 0.0, atol=1e-7)
  real_prob, fake_prob = LOSSES['rpgan_logistic'].probability(LOG_RATIO[REAL], LOG_RATIO[FAKE])
  odds = (P / Q)[REAL] / (P / Q)[FAKE]
  np.testing.assert_allclose(real_prob, odds / (1 + odds), rtol=1e-5)
  np.testing.assert_allclose(fake_prob, 1 / (1 + odds), rtol=1e-5)


def test_logistic_optimum_is_the_jensen_shannon_divergence():
  """The loss at the optimum is 2 log 2 - 2 JS(p, q) (Goodfellow et al. 2014, theorem 1)."""
  p, q = P / 8, Q / 8
  js = np.sum(p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q))) / 2
  np.testing.assert_allclose(on_atoms('nonsaturating')(LOG_RATIO), 2 * np.log(2) - 2 * js, rtol=1e-6)


def test_smoothed_logistic_optimum():
  """D* = (1 - s) p / (p + q) (Salimans et al. 2016, section 3.4)."""
  best = 0.8 * P / (P + Q)
  slope = jax.grad(on_atoms('nonsaturating', label_smoothing=0.2))(jnp.log(best / (1 - best)))
  np.testing.assert_allclose(slope, 0.0, atol=1e-7)


def test_hinge_optimum():
  """D* = sign(p - q) and the loss there is 2 sum min(p, q); no other table is better."""
  loss = on_atoms('hinge')
  np.testing.assert_allclose(loss(jnp.sign(P - Q).astype(jnp.float32)), 2 * np.minimum(P, Q).sum() / 8, rtol=1e-6)
  tables = np.random.default_rng(0).uniform(-2.0, 2.0, (500, 4))
  assert jax.jit(jax.vmap(loss))(tables).min() >= 2 * np.minimum(P, Q).sum() / 8 - 1e-6


def test_pearson_coding_of_least_squares():
  """With b - c = 1 and b - a = 2 the generator's loss at D* is Pearson's chi-squared of p + q and 2 q, halved...

  ... up to what the generator cannot change: E_p (D* - c)^2 + E_q (D* - c)^2 = chi2 (Mao et al. 2017, theorem 1).
  """
  a, b, c = -1.0, 1.0, 0.0
  best = jnp.asarray((b * P + a * Q) / (P + Q), jnp.float32)
  gen = LOSSES['least_squares'].gen
  total = sum(2 * gen(best[atoms], best[atoms], c=c)[0] for atoms in (REAL, FAKE))
  p, q = P / 8, Q / 8
  np.testing.assert_allclose(total, np.sum((2 * q - (p + q)) ** 2 / (p + q)), rtol=1e-6)


# Slopes in x = psi * theta of the discriminator's and the generator's loss, the real logit being 0.
DIRAC = {
    'saturating': (expit, lambda x: -expit(x)),
    'nonsaturating': (expit, lambda x: -expit(-x)),
    'least_squares': (lambda x: x, lambda x: x - 1),
    'hinge': (lambda x: 1, lambda x: -1),
    'wasserstein': (lambda x: 1, lambda x: -1),
    'rpgan_logistic': (expit, lambda x: -expit(-x)),
    'rpgan_hinge': (lambda x: 1, lambda x: -1),
    'rpgan_least_squares': (lambda x: 2 * (x + 1), lambda x: 2 * (x - 1)),
    'ragan_logistic': (lambda x: 2 * expit(x), lambda x: -2 * expit(-x)),
    'ragan_hinge': (lambda x: 2, lambda x: -2),
    'ragan_least_squares': (lambda x: 4 * (x + 1), lambda x: 4 * (x - 1)),
    'fgan_kl': (lambda x: np.exp(x - 1), lambda x: -np.exp(x - 1)),
    'fgan_reverse_kl_alternative': (lambda x: 1, lambda x: -np.exp(-x)),
    'fgan_jensen_shannon': (expit, lambda x: -expit(x)),
    'fgan_pearson_alternative': (lambda x: x / 2 + 1, lambda x: -1),
    'fgan_squared_hellinger': (np.exp, lambda x: -np.exp(x)),
    'fgan_total_variation': (lambda x: 0.5 / np.cosh(x) ** 2, lambda x: -0.5 / np.cosh(x) ** 2),
    'alpha_nonsaturating': (expit, lambda x: -expit(-x)),
    'softmax': (expit, lambda x: expit(x) - 0.5),
}


@pytest.mark.parametrize('name', DIRAC)
def test_dirac_gan_gradients_match_closed_form(name):
  """Real data sit at 0, D(x) = psi * x, G(z) = theta (Mescheder et al. 2018, arXiv:1801.04406)."""
  pair = LOSSES[name]

  def both(objective):
    return lambda psi, theta: objective(jnp.zeros(1), (psi * theta)[None])[0]

  slopes = jax.jit(lambda *point: (jax.grad(both(pair.disc), 0)(*point), jax.grad(both(pair.gen), 1)(*point)))
  for psi, theta in np.array([[-0.5, -0.1], [-0.5, 0.5], [0.1, -0.1], [0.1, 0.5]], np.float32):
    disc, gen = (slope(psi * theta) for slope in DIRAC[name])
    np.testing.assert_allclose(slopes(psi, theta), [theta * disc, psi * gen], rtol=1e-4)
