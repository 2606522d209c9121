"""Losses that judge samples against one another: relativistic, softmax, and the critic of Wasserstein."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from gan.losses import LOSSES

RELATIVISTIC = [f'{kind}_{core}' for kind in ('rpgan', 'ragan') for core in ('logistic', 'hinge', 'least_squares')]
SHIFT_INVARIANT = [*RELATIVISTIC, 'softmax']


@pytest.fixture
def logits():
  return tuple(jnp.asarray(np.random.default_rng(0).normal(size=(2, 8)), jnp.float32))


@pytest.mark.parametrize('name', [*SHIFT_INVARIANT, 'wasserstein'])
def test_only_differences_of_logits_count(name, logits):
  """A shift of all logits changes neither losses nor probabilities, so the slopes of a loss sum to 0.

  The Wasserstein generator alone shifts by the constant, which it cannot see: its slope is that of a difference.
  """
  pair, shifted = LOSSES[name], [x + 4.0 for x in logits]  # A power of two: hardly any rounding.
  players = (pair.disc,) if name == 'wasserstein' else (pair.disc, pair.gen)
  for player in players:
    np.testing.assert_allclose(player(*shifted)[0], player(*logits)[0], rtol=1e-5, atol=1e-6)
    slopes = jax.grad(lambda r, f, player=player: player(r, f)[0], argnums=(0, 1))(*logits)
    np.testing.assert_allclose(np.sum(slopes), 0.0, atol=1e-6)
  np.testing.assert_allclose(pair.probability(*shifted), pair.probability(*logits), rtol=1e-5)


@pytest.mark.parametrize('name', ['saturating', 'least_squares', 'hinge', 'fgan_kl', 'alpha_saturating'])
def test_levels_count_elsewhere(name, logits):
  shifted = [x + 4.0 for x in logits]
  assert abs(LOSSES[name].disc(*shifted)[0] - LOSSES[name].disc(*logits)[0]) > 0.1


@pytest.mark.parametrize('name', RELATIVISTIC)
def test_generator_is_the_discriminator_with_the_roles_exchanged(name, logits):
  real, fake = logits
  pair = LOSSES[name]
  value, parts = pair.gen(real, fake)
  mirrored, mirrored_parts = pair.disc(fake, real)
  np.testing.assert_allclose(value, mirrored, rtol=1e-6)
  np.testing.assert_allclose(parts['on_real'], mirrored_parts['on_fake'], rtol=1e-6)
  np.testing.assert_allclose(parts['on_fake'], mirrored_parts['on_real'], rtol=1e-6)
  assert abs(value - pair.disc(real, fake)[0]) > 1e-3


@pytest.mark.parametrize('core', ['logistic', 'hinge', 'least_squares'])
def test_average_of_one_sample_is_that_sample(core):
  """With a batch of one, Ra is Rp counted twice."""
  for player in ('disc', 'gen'):
    single = [getattr(LOSSES[f'{kind}_{core}'], player)(jnp.array([0.7]), jnp.array([0.4]))[0]
              for kind in ('rpgan', 'ragan')]
    np.testing.assert_allclose(single[1], 2 * single[0], rtol=1e-6)


def test_hinge_pairs():
  """Zero once every real sample leads its own fake by 1, whatever the levels; the slope counts who does not."""
  real, fake = jnp.array([5.0, -3.0, 0.0]), jnp.array([3.9, -4.5, 0.5])
  disc, gen = LOSSES['rpgan_hinge'][:2]
  np.testing.assert_allclose(disc(real, fake)[0], 1.5 / 3, rtol=1e-6)       # Leads 1.1, 1.5, -0.5.
  np.testing.assert_allclose(gen(real, fake)[0], (2.1 + 2.5 + 0.5) / 3, rtol=1e-6)
  np.testing.assert_allclose(3 * jax.grad(lambda f: disc(real, f)[0])(fake), [0.0, 0.0, 1.0], rtol=1e-6)
  np.testing.assert_allclose(3 * jax.grad(lambda f: gen(real, f)[0])(fake), [-1.0, -1.0, -1.0], rtol=1e-6)


@pytest.mark.parametrize('name', RELATIVISTIC)
def test_generator_is_moved_through_real_samples_too(name, logits):
  """Both vectors reach the generator, through pairs or through means."""
  real, fake = (x / 8 for x in logits)  # No lead beyond the hinge.
  slopes = jax.grad(lambda r: LOSSES[name].gen(r, fake)[0])(real)
  assert np.all(np.abs(slopes) > 0.01)


def test_probabilities_are_the_papers_d(logits):
  real, fake = (np.asarray(x, np.float64) for x in logits)
  for name in ('rpgan_logistic', 'rpgan_hinge', 'rpgan_least_squares', 'wasserstein'):
    np.testing.assert_allclose(LOSSES[name].probability(*logits), [expit(real - fake), expit(fake - real)], rtol=1e-5)
  for name in ('ragan_logistic', 'ragan_hinge', 'ragan_least_squares'):
    np.testing.assert_allclose(LOSSES[name].probability(*logits),
                               [expit(real - fake.mean()), expit(fake - real.mean())], rtol=1e-5)


def test_softmax_does_not_depend_on_the_size_of_the_batch(logits):
  """Every sample twice: the same losses and probabilities."""
  twice = [jnp.tile(x, 2) for x in logits]
  pair = LOSSES['softmax']
  for player in pair[:2]:
    np.testing.assert_allclose(player(*twice)[0], player(*logits)[0], rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(np.asarray(pair.probability(*twice))[:, :8], pair.probability(*logits), rtol=1e-5)


def test_softmax_limits(logits):
  """-log 2 where all weight lies evenly on the real samples; the generator is content where all weights are equal."""
  pair = LOSSES['softmax']
  disc, gen, probability = pair.disc, pair.gen, pair.probability
  apart = jnp.full(8, 60.0), jnp.full(8, -60.0)
  np.testing.assert_allclose(disc(*apart)[0], -np.log(2), rtol=1e-5)
  np.testing.assert_allclose(probability(*apart), [np.ones(8), np.zeros(8)], atol=1e-6)
  assert gen(*logits)[0] > 0.1
  np.testing.assert_allclose(gen(jnp.ones(8), jnp.ones(8))[0], 0.0, atol=1e-6)
