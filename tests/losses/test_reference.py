"""Every objective against itself in NumPy and float64: values and slopes (B times the gradient) written out by hand.

`REFERENCE[name](**settings)[player](real, fake) -> ((on_real, on_fake), (real_slopes [B], fake_slopes [B]))`.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import boxcox, expit, log_softmax

from gan.losses import LOSSES
from gan.losses.choice import chosen_among


def softplus(x):
  return np.logaddexp(0.0, x)


def relu(x):
  return np.maximum(x, 0.0)


def separable(on_real, on_fake, gen):
  """Sums over samples judged alone; each argument is (value, slope) as functions of a logit."""
  return {
      'disc': lambda real, fake: ((on_real[0](real).mean(), on_fake[0](fake).mean()),
                                  (on_real[1](real), on_fake[1](fake))),
      'gen': lambda real, fake: ((0.0, gen[0](fake).mean()), (np.zeros_like(real), gen[1](fake)))}


def paired(core, slope):
  def disc(real, fake):
    half = core(real - fake).mean() / 2
    return (half, half), (slope(real - fake), -slope(real - fake))

  def gen(real, fake):
    half = core(fake - real).mean() / 2
    return (half, half), (-slope(fake - real), slope(fake - real))
  return {'disc': disc, 'gen': gen}


def averaged(core, slope):
  def disc(real, fake):
    ahead, behind = real - fake.mean(), fake - real.mean()
    return ((core(ahead).mean(), core(-behind).mean()),
            (slope(ahead) + slope(-behind).mean(), -slope(-behind) - slope(ahead).mean()))

  def gen(real, fake):
    ahead, behind = fake - real.mean(), real - fake.mean()
    return ((core(-behind).mean(), core(ahead).mean()),
            (-slope(-behind) - slope(ahead).mean(), slope(ahead) + slope(-behind).mean()))
  return {'disc': disc, 'gen': gen}


def softmax():
  """Cross-entropies of the softmax weights of the whole batch, less the entropy of equal weights."""
  def player(target_real, target_fake):
    def loss(real, fake):
      size = len(real)
      log_weights = log_softmax(np.concatenate([real, fake]))
      target = np.repeat([target_real / size, target_fake / size], size)
      half = (-np.sum(target * log_weights) - np.log(2 * size)) / 2
      slopes = size * (np.exp(log_weights) - target)
      return (half, half), (slopes[:size], slopes[size:])
    return loss
  return {'disc': player(1.0, 0.0), 'gen': player(0.5, 0.5)}


def logistic(saturating):
  def reference(label_smoothing=0.0):
    return separable((lambda x: (1 - label_smoothing) * softplus(-x) + label_smoothing * softplus(x),
                      lambda x: -(1 - label_smoothing) * expit(-x) + label_smoothing * expit(x)), (softplus, expit),
                     (lambda x: -softplus(x), lambda x: -expit(x)) if saturating else
                     (lambda x: softplus(-x), lambda x: -expit(-x)))
  return reference


def least_squares(a=0.0, b=1.0, c=1.0):
  return separable((lambda x: (x - b) ** 2 / 2, lambda x: x - b), (lambda x: (x - a) ** 2 / 2, lambda x: x - a),
                   (lambda x: (x - c) ** 2 / 2, lambda x: x - c))


LINEAR = (lambda x: -x, lambda x: -np.ones_like(x))


def hinge(margin=1.0):
  return separable((lambda x: relu(margin - x), lambda x: -1.0 * (x < margin)),
                   (lambda x: relu(margin + x), lambda x: 1.0 * (x > -margin)), LINEAR)


def alpha(saturating):
  """With P^s for powers of probabilities; Box and Cox (1964) have the same family, (P^s - 1) / s or log P."""
  def reference(alpha_disc=1.0, alpha_gen=1.0):
    disc, gen = 1 - 1 / alpha_disc, 1 - 1 / alpha_gen
    return separable(
        (lambda x: -boxcox(expit(x), disc), lambda x: -(expit(x) ** disc) * expit(-x)),
        (lambda x: -boxcox(expit(-x), disc), lambda x: expit(-x) ** disc * expit(x)),
        (lambda x: boxcox(expit(-x), gen), lambda x: -(expit(-x) ** gen) * expit(x)) if saturating else
        (lambda x: -boxcox(expit(x), gen), lambda x: -(expit(x) ** gen) * expit(-x)))
  return reference


# Divergence -> (activation, its slope), (composed conjugate, its slope).
F_GAN = {
    'kl': ((lambda x: x, np.ones_like), (lambda x: np.exp(x - 1), lambda x: np.exp(x - 1))),
    'reverse_kl': ((lambda x: -np.exp(-x), lambda x: np.exp(-x)), (lambda x: x - 1, np.ones_like)),
    'jensen_shannon': ((lambda x: np.log(2) - softplus(-x), lambda x: expit(-x)),
                       (lambda x: softplus(x) - np.log(2), expit)),
    'pearson': ((lambda x: x, np.ones_like), (lambda x: x**2 / 4 + x, lambda x: x / 2 + 1)),
    'squared_hellinger': ((lambda x: 1 - np.exp(-x), lambda x: np.exp(-x)), (np.expm1, np.exp)),
    'total_variation': ((lambda x: np.tanh(x) / 2, lambda x: 2 * expit(2 * x) * expit(-2 * x)),
                        (lambda x: np.tanh(x) / 2, lambda x: 2 * expit(2 * x) * expit(-2 * x))),
}


def negative(function):
  return tuple(lambda x, g=g: -g(x) for g in function)


CORES = {'logistic': (lambda x: softplus(-x), lambda x: -expit(-x)),
         'hinge': (lambda x: relu(1 - x), lambda x: -1.0 * (x < 1)),
         'least_squares': (lambda x: (x - 1) ** 2, lambda x: 2 * (x - 1))}

REFERENCE = {
    'saturating': logistic(saturating=True),
    'nonsaturating': logistic(saturating=False),
    'least_squares': least_squares,
    'hinge': hinge,
    'wasserstein': lambda: separable(LINEAR, (lambda x: x, np.ones_like), LINEAR),
    **{f'rpgan_{name}': lambda core=core: paired(*core) for name, core in CORES.items()},
    **{f'ragan_{name}': lambda core=core: averaged(*core) for name, core in CORES.items()},
    **{f'fgan_{name}': lambda g=g, conjugate=conjugate: separable(negative(g), conjugate, negative(conjugate))
       for name, (g, conjugate) in F_GAN.items()},
    **{f'fgan_{name}_alternative': lambda g=g, conjugate=conjugate: separable(negative(g), conjugate, negative(g))
       for name, (g, conjugate) in F_GAN.items()},
    'alpha_saturating': alpha(saturating=True),
    'alpha_nonsaturating': alpha(saturating=False),
    'softmax': softmax,
}
# Other settings than the defaults.
WITH_SETTINGS = [
    ('saturating', {'label_smoothing': 0.1}),
    ('nonsaturating', {'label_smoothing': 0.3}),
    ('least_squares', {'a': -1.0, 'b': 2.0, 'c': 0.5}),
    ('hinge', {'margin': 2.5}),
    *((f'alpha_{kind}', {'alpha_disc': disc, 'alpha_gen': gen}) for kind in ('saturating', 'nonsaturating')
      for disc, gen in ((0.5, 2.0), (3.0, 0.6), (0.999, 1.001), (np.inf, 20.0), (1e30, np.inf))),
]


def logits(seed=0):
  rng = np.random.default_rng(seed)
  real, fake = rng.normal(0, 3, (2, 16))
  real[:4], fake[:4] = (50.0, -50.0, 50.0, -50.0), (50.0, -50.0, -50.0, 50.0)
  return real, fake


def test_every_loss_has_a_reference():
  assert set(REFERENCE) == set(LOSSES)
  assert {name for name, _ in WITH_SETTINGS} == {name for name, pair in LOSSES.items() if pair.settings}


@jax.jit(static_argnums=0)
def outcomes(name, real, fake, settings):
  """Of either player ((value, parts), gradients)."""
  bound = LOSSES[name].bind(settings)
  return [jax.value_and_grad(player, argnums=(0, 1), has_aux=True)(real, fake) for player in (bound.disc, bound.gen)]


@pytest.mark.parametrize('bits', [32, 64])
@pytest.mark.parametrize(('name', 'settings'), [*((name, {}) for name in LOSSES), *WITH_SETTINGS])
def test_values_and_gradients_match_numpy(name, settings, bits):
  """Both players, both inputs, logits of +-50 among them, in float32 and in float64, settings traced."""
  dtype, tolerance = {32: (np.float32, 1e-5), 64: (np.float64, 1e-12)}[bits]
  inputs = [x.astype(dtype) for x in logits()]
  with jax.enable_x64(bits == 64):
    both = outcomes(name, *inputs, settings)
  for player, ((value, parts), grads) in zip(('disc', 'gen'), both, strict=True):
    expected, slopes = REFERENCE[name](**settings)[player](*(x.astype(np.float64) for x in inputs))
    assert (value.dtype, value.shape) == (dtype, ())
    np.testing.assert_allclose(value, sum(expected), rtol=tolerance, atol=1e-30)
    np.testing.assert_allclose([parts['on_real'], parts['on_fake']], expected, rtol=tolerance, atol=1e-30)
    # tanh alone loses its tails to rounding; slopes that small move nothing.
    atol = 2 * np.finfo(dtype).eps if 'total_variation' in name else 1e-30
    for grad, slope in zip(grads, slopes, strict=True):
      assert grad.dtype == dtype
      np.testing.assert_allclose(16 * np.asarray(grad), slope, rtol=tolerance, atol=atol)


@pytest.mark.parametrize('name', LOSSES)
def test_zero_sum_is_what_is_claimed(name):
  """d(disc + gen) / d(fake logits) vanishes, to rounding, if and only if `zero_sum`."""
  (_, (_, disc_slopes)), (_, (_, gen_slopes)) = outcomes(name, *(x.astype(np.float32) for x in logits()), {})
  assert LOSSES[name].zero_sum == np.allclose(disc_slopes, -gen_slopes, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(('disc', 'gen'), [(2.0, 2.0), (1.0, 2.0)])
def test_alpha_gan_is_zero_sum_at_equal_alphas(disc, gen):
  settings = {'alpha_disc': disc, 'alpha_gen': gen}
  found = outcomes('alpha_saturating', *(x.astype(np.float32) for x in logits()), settings)
  assert (disc == gen) == np.allclose(found[0][1][1], -found[1][1][1], rtol=1e-5, atol=1e-8)


def test_one_program_chooses_between_all_losses():
  """By a number, inside vmap and grad, with traced settings; parts have one tree."""
  real, fake = (x.astype(np.float32) for x in logits(3))
  settings = {'label_smoothing': 0.2, 'a': -1.0, 'b': 1.5, 'c': 0.5, 'margin': 2.0, 'alpha_disc': 0.7, 'alpha_gen': 3.0}
  pair = chosen_among(list(LOSSES.values()))
  assert set(pair.settings) == set(settings) | {'index'}

  def play(player, index, settings):
    loss = getattr(pair.bind(settings | {'index': index}), player)
    return jax.value_and_grad(lambda logits: loss(*logits), has_aux=True)((real, fake))

  players, indices = ('disc', 'gen'), jnp.arange(len(LOSSES))
  found = jax.jit(lambda settings: [jax.vmap(lambda i, p=p: play(p, i, settings))(indices) for p in players])(settings)
  for player, ((values, parts), grads) in zip(players, found, strict=True):
    assert set(parts) == {'on_real', 'on_fake'}
    for i, name in enumerate(LOSSES):
      known = {key: value for key, value in settings.items() if key in LOSSES[name].settings}
      expected, slopes = REFERENCE[name](**known)[player](real.astype(np.float64), fake.astype(np.float64))
      np.testing.assert_allclose(values[i], sum(expected), rtol=1e-5)
      for part, right in zip(('on_real', 'on_fake'), expected, strict=True):
        np.testing.assert_allclose(parts[part][i], right, rtol=1e-5, atol=1e-6, err_msg=name)
      for grad, slope in zip(grads, slopes, strict=True):
        np.testing.assert_allclose(16 * grad[i], slope, rtol=1e-5, atol=1e-6, err_msg=name)
