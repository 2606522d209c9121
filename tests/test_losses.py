"""Every objective against NumPy in float64, and what the objectives promise of one another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import logit
from scipy.special import expit

from gan.losses import LOSSES


def softplus(x):
  return np.logaddexp(0.0, x)


def relu(x):
  return np.maximum(x, 0.0)


# name -> value and slope per sample: disc on real, disc on fake, gen on fake. Settings at their defaults.
REFERENCE = {
    'saturating': ((lambda x: softplus(-x), lambda x: -expit(-x)), (softplus, expit),
                   (lambda x: -softplus(x), lambda x: -expit(x))),
    'nonsaturating': ((lambda x: softplus(-x), lambda x: -expit(-x)), (softplus, expit),
                      (lambda x: softplus(-x), lambda x: -expit(-x))),
    'least_squares': ((lambda x: (x - 1) ** 2 / 2, lambda x: x - 1), (lambda x: x**2 / 2, lambda x: x),
                      (lambda x: (x - 1) ** 2 / 2, lambda x: x - 1)),
    'hinge': ((lambda x: relu(1 - x), lambda x: -1.0 * (x < 1)), (lambda x: relu(1 + x), lambda x: 1.0 * (x > -1)),
              (lambda x: -x, lambda x: -np.ones_like(x))),
    'wasserstein': ((lambda x: -x, lambda x: -np.ones_like(x)), (lambda x: x, np.ones_like),
                    (lambda x: -x, lambda x: -np.ones_like(x))),
}
# Other settings, and the per-sample values there.
WITH_SETTINGS = {
    'saturating': ({'label_smoothing': 0.1}, lambda x: 0.9 * softplus(-x) + 0.1 * softplus(x), softplus,
                   lambda x: -softplus(x)),
    'nonsaturating': ({'label_smoothing': 0.3}, lambda x: 0.7 * softplus(-x) + 0.3 * softplus(x), softplus,
                      lambda x: softplus(-x)),
    'least_squares': ({'a': -1.0, 'b': 2.0, 'c': 0.5}, lambda x: (x - 2) ** 2 / 2, lambda x: (x + 1) ** 2 / 2,
                      lambda x: (x - 0.5) ** 2 / 2),
    'hinge': ({'margin': 2.5}, lambda x: relu(2.5 - x), lambda x: relu(2.5 + x), lambda x: -x),
}
LOGISTIC = ('saturating', 'nonsaturating')


def logits(seed=0):
  rng = np.random.default_rng(seed)
  real, fake = rng.normal(0, 3, (2, 16))
  real[:4], fake[:4] = (50.0, -50.0, 50.0, -50.0), (50.0, -50.0, -50.0, 50.0)
  return real, fake


def test_every_loss_has_a_reference():
  assert set(REFERENCE) == set(LOSSES)
  assert set(WITH_SETTINGS) == {name for name, pair in LOSSES.items() if pair.settings}


@pytest.mark.parametrize('bits', [32, 64])
@pytest.mark.parametrize('name', LOSSES)
def test_values_and_gradients_match_numpy(name, bits):
  """Both players, both inputs, logits of +-50 among them, in float32 and in float64."""
  real, fake = logits()
  (real_value, real_slope), (fake_value, fake_slope), (gen_value, gen_slope) = REFERENCE[name]
  tolerance = {32: 2e-6, 64: 1e-12}[bits]
  with jax.enable_x64(bits == 64):
    dtype = {32: jnp.float32, 64: jnp.float64}[bits]
    inputs = jnp.asarray(real, dtype), jnp.asarray(fake, dtype)
    rounded = [np.asarray(x, np.float64) for x in inputs]
    for objective, on_real, on_fake, slopes in (
        (LOSSES[name].disc, real_value(rounded[0]), fake_value(rounded[1]),
         (real_slope(rounded[0]), fake_slope(rounded[1]))),
        (LOSSES[name].gen, np.zeros(16), gen_value(rounded[1]), (np.zeros(16), gen_slope(rounded[1])))):
      (value, parts), grads = jax.value_and_grad(objective, argnums=(0, 1), has_aux=True)(*inputs)
      assert value.dtype == dtype
      assert value.shape == ()
      np.testing.assert_allclose(value, on_real.mean() + on_fake.mean(), rtol=tolerance, atol=1e-30)
      np.testing.assert_allclose(parts['on_real'], on_real.mean(), rtol=tolerance, atol=1e-30)
      np.testing.assert_allclose(parts['on_fake'], on_fake.mean(), rtol=tolerance, atol=1e-30)
      for grad, slope in zip(grads, slopes, strict=True):
        np.testing.assert_allclose(grad, slope / 16, rtol=tolerance, atol=1e-30)


@pytest.mark.parametrize('name', WITH_SETTINGS)
def test_settings_match_numpy(name):
  settings, on_real, on_fake, gen = WITH_SETTINGS[name]
  real, fake = logits(1)
  pair = LOSSES[name].bind(settings)
  parts = pair.disc(jnp.float32(real), jnp.float32(fake))[1]
  np.testing.assert_allclose(parts['on_real'], on_real(real).mean(), rtol=2e-6)
  np.testing.assert_allclose(parts['on_fake'], on_fake(fake).mean(), rtol=2e-6)
  np.testing.assert_allclose(pair.gen(jnp.float32(real), jnp.float32(fake))[0], gen(fake).mean(), rtol=2e-6)


def test_bind_gives_each_player_the_settings_it_knows():
  everything = {'label_smoothing': 0.1, 'a': -1.0, 'b': 2.0, 'c': 0.5, 'margin': 3.0}
  for pair in LOSSES.values():
    for objective in (pair.bind(everything).disc, pair.bind(everything).gen):
      objective(jnp.zeros(2), jnp.zeros(2))
  assert LOSSES['least_squares'].settings == {'a': 0.0, 'b': 1.0, 'c': 1.0}
  assert LOSSES['wasserstein'].settings == {}


def gen_slopes(name, fake):
  fake = jnp.asarray(fake, jnp.float32)
  return len(fake) * jax.grad(lambda f: LOSSES[name].gen(jnp.zeros_like(f), f)[0])(fake)


def test_saturating_and_nonsaturating_are_two_functions():
  """Where the discriminator rejects, one slope vanishes, sigmoid(-20) = 2.06e-9, and the other is 1."""
  np.testing.assert_allclose(gen_slopes('saturating', [-20.0]), [-2.0611537e-9], rtol=1e-5)
  np.testing.assert_allclose(gen_slopes('nonsaturating', [-20.0]), [-1.0], rtol=1e-6)


def test_ratio_of_the_two_logistic_generators_is_the_odds():
  """Per sample, saturating / nonsaturating gradient = D / (1 - D)."""
  fake = np.linspace(-30.0, 30.0, 41)
  odds = expit(fake) / expit(-fake)
  np.testing.assert_allclose(gen_slopes('saturating', fake) / gen_slopes('nonsaturating', fake), odds, rtol=1e-5)


@pytest.mark.parametrize('name', LOSSES)
def test_zero_sum_is_what_is_claimed(name):
  """d(disc + gen) / d(fake logits) vanishes identically if and only if `zero_sum`."""
  real, fake = (jnp.asarray(x, jnp.float32) for x in logits(2))
  pair = LOSSES[name]
  total = jax.grad(lambda f: pair.disc(real, f)[0] + pair.gen(real, f)[0])(fake)
  assert pair.zero_sum == bool(jnp.all(total == 0.0))


def test_one_program_chooses_between_all_losses():
  """lax.switch over every objective, inside vmap and grad, with traced settings; parts have one tree."""
  real, fake = (jnp.asarray(x, jnp.float32) for x in logits(3))
  settings = {'label_smoothing': 0.2, 'a': -1.0, 'b': 1.5, 'c': 0.5, 'margin': 2.0}
  players = [(name, player) for name in LOSSES for player in ('disc', 'gen')]
  branches = [lambda r, f, s, n=name, p=player: getattr(LOSSES[n].bind(s), p)(r, f) for name, player in players]

  def chosen(logits, index, settings):
    return jax.lax.switch(index, branches, *logits, settings)

  everything = jax.vmap(jax.value_and_grad(chosen, has_aux=True), in_axes=(None, 0, None))
  (values, parts), grads = jax.jit(everything)((real, fake), jnp.arange(len(branches)), settings)
  assert set(parts) == {'on_real', 'on_fake'}
  for i, branch in enumerate(branches):
    alone, grad = jax.value_and_grad(lambda r, f, b=branch: b(r, f, settings)[0], argnums=(0, 1))(real, fake)
    np.testing.assert_allclose(values[i], alone, rtol=1e-6)
    for both, one in zip(grads, grad, strict=True):
      np.testing.assert_allclose(both[i], one, rtol=1e-6)


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


def on_atoms(name, **settings):
  """The discriminator's loss as a function of its logit at each atom."""
  return lambda table: LOSSES[name].disc(table[REAL], table[FAKE], **settings)[0]


def test_logistic_optimum_is_the_log_ratio():
  """D* = p / (p + q), where the loss is 2 log 2 - 2 JS(p, q) (Goodfellow et al. 2014, theorem 1)."""
  value, slope = jax.value_and_grad(on_atoms('nonsaturating'))(jnp.log(P / Q))
  p, q = P / 8, Q / 8
  js = np.sum(p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q))) / 2
  np.testing.assert_allclose(slope, 0.0, atol=1e-7)
  np.testing.assert_allclose(value, 2 * np.log(2) - 2 * js, rtol=1e-6)
  np.testing.assert_allclose(LOSSES['nonsaturating'].probability(jnp.log(P / Q)), P / (P + Q), rtol=1e-6)


def test_smoothed_logistic_optimum():
  """D* = (1 - s) p / (p + q) (Salimans et al. 2016, section 3.4)."""
  best = 0.8 * P / (P + Q)
  slope = jax.grad(on_atoms('nonsaturating', label_smoothing=0.2))(jnp.log(best / (1 - best)))
  np.testing.assert_allclose(slope, 0.0, atol=1e-7)


@pytest.mark.parametrize(('a', 'b'), [(0.0, 1.0), (-1.0, 1.0), (2.0, 0.5)])
def test_least_squares_optimum(a, b):
  """D* = (b p + a q) / (p + q) (Mao et al. 2017, equation 4), of which `probability` recovers p / (p + q)."""
  best = jnp.asarray((b * P + a * Q) / (P + Q), jnp.float32)
  np.testing.assert_allclose(jax.grad(on_atoms('least_squares', a=a, b=b))(best), 0.0, atol=1e-7)
  posterior = LOSSES['least_squares'].bind({'a': a, 'b': b}).probability(best)
  np.testing.assert_allclose(posterior, P / (P + Q), rtol=1e-5)


def test_hinge_optimum():
  """D* = sign(p - q) and the loss there is 2 sum min(p, q); no other table is better."""
  loss = on_atoms('hinge')
  np.testing.assert_allclose(loss(jnp.sign(P - Q).astype(jnp.float32)), 2 * np.minimum(P, Q).sum() / 8, rtol=1e-6)
  tables = jax.random.uniform(jax.random.key(0), (500, 4), minval=-2.0, maxval=2.0)
  assert jax.vmap(loss)(tables).min() >= 2 * np.minimum(P, Q).sum() / 8 - 1e-6


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


@pytest.mark.parametrize('name', LOSSES)
def test_probability_lies_in_the_unit_interval_and_rises(name):
  prob = LOSSES[name].probability(jnp.array([-50.0, -0.5, 0.0, 0.3, 0.8, 50.0]))
  assert np.all((prob >= 0) & (prob <= 1))
  assert np.all(np.diff(prob) >= 0)
  assert prob[0] < 1e-20
  assert prob[-1] == 1.0


@pytest.mark.parametrize('name', LOSSES)
@pytest.mark.parametrize('player', ['disc', 'gen'])
@pytest.mark.parametrize(('real', 'fake'), [((3,), (4,)), ((3, 1), (3, 1)), ((), ()), ((3,), (3, 1))])
def test_logits_must_be_two_vectors_of_equal_length(name, player, real, fake):
  with pytest.raises(ValueError, match='equal length'):
    getattr(LOSSES[name], player)(jnp.zeros(real), jnp.zeros(fake))


DIRAC = {
    'saturating': (lambda psi, theta: theta * expit(psi * theta), lambda psi, theta: -psi * expit(psi * theta)),
    'nonsaturating': (lambda psi, theta: theta * expit(psi * theta), lambda psi, theta: -psi * expit(-psi * theta)),
    'least_squares': (lambda psi, theta: theta * psi * theta, lambda psi, theta: psi * (psi * theta - 1)),
    'hinge': (lambda psi, theta: theta, lambda psi, theta: -psi),
    'wasserstein': (lambda psi, theta: theta, lambda psi, theta: -psi),
}


@pytest.mark.parametrize('name', LOSSES)
@pytest.mark.parametrize('psi', [-0.5, 0.1])
@pytest.mark.parametrize('theta', [-0.1, 0.5])
def test_dirac_gan_gradients_match_closed_form(name, psi, theta):
  """Real data sit at 0, D(x) = psi * x, G(z) = theta (Mescheder et al. 2018, arXiv:1801.04406)."""
  pair = LOSSES[name]

  def both(objective):
    return lambda psi, theta: objective(jnp.zeros(1), (psi * theta)[None])[0]

  point = jnp.float32(psi), jnp.float32(theta)
  disc, gen = DIRAC[name]
  np.testing.assert_allclose(jax.grad(both(pair.disc), 0)(*point), disc(psi, theta), rtol=1e-5)
  np.testing.assert_allclose(jax.grad(both(pair.gen), 1)(*point), gen(psi, theta), rtol=1e-5)
