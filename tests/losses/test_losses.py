"""What every line of the table promises. Values and gradients are in test_losses_reference, families beside it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan.declare import problem
from gan.losses import LOSSES

EVERYTHING = {'label_smoothing': 0.2, 'a': -1.0, 'b': 1.5, 'c': 0.5, 'margin': 2.0, 'alpha_disc': 0.7, 'alpha_gen': 3.0}
CHANCE_LOGIT = {'least_squares': 0.5, 'fgan_kl': 1.0, 'fgan_kl_alternative': 1.0}  # 0 otherwise.


def test_bind_gives_each_player_the_settings_it_knows():
  for pair in LOSSES.values():
    bound = pair.bind(EVERYTHING)
    for function in (bound.disc, bound.gen, bound.probability):
      jax.eval_shape(function, jnp.zeros(2), jnp.zeros(2))
    assert set(bound.settings) == set(pair.settings)
  assert defaults('least_squares') == {'a': 0.0, 'b': 1.0, 'c': 1.0}
  assert defaults('alpha_saturating') == {'alpha_disc': 1.0, 'alpha_gen': 1.0}
  assert defaults('wasserstein') == defaults('fgan_kl') == defaults('rpgan_hinge') == {}


def defaults(name):
  return {setting: declared.default for setting, declared in LOSSES[name].settings.items()}


@pytest.mark.parametrize('name', LOSSES)
def test_every_setting_has_a_meaning_and_a_default_within_its_range(name):
  for setting in LOSSES[name].settings.values():
    assert setting.meaning
    assert not problem(setting, setting.default)


@pytest.mark.parametrize('name', LOSSES)
def test_every_loss_names_its_paper(name):
  assert ' 20' in LOSSES[name].paper
  assert 'arXiv:' in LOSSES[name].paper


@pytest.mark.parametrize('name', LOSSES)
def test_chance_is_the_loss_of_a_discriminator_that_cannot_tell(name):
  """There every sample is real with probability 1/2."""
  undecided = jnp.full(5, CHANCE_LOGIT.get(name, 0.0))
  np.testing.assert_allclose(LOSSES[name].disc(undecided, undecided)[0], LOSSES[name].chance, rtol=1e-6, atol=1e-7)
  np.testing.assert_allclose(LOSSES[name].probability(undecided, undecided), 0.5, rtol=1e-6)


@pytest.mark.parametrize('name', LOSSES)
def test_chance_is_the_best_that_can_be_done_where_the_two_agree(name):
  """With the same samples on both sides the no table of logits is better than the chance logit."""
  chance, disc = CHANCE_LOGIT.get(name, 0.0), LOSSES[name].disc
  if name.startswith('rpgan'):  # Every real meets every fake, or the pairs would be told apart.
    first, second = (jnp.asarray(x.ravel()) for x in np.indices((4, 4)))
  else:
    first = second = jnp.arange(4)
  tables = np.float32(chance + np.random.default_rng(0).normal(size=(200, 4)))
  values = jax.jit(jax.vmap(lambda table: disc(table[first], table[second])[0]))(tables)
  assert values.min() >= LOSSES[name].chance - 1e-6


# Settings that are not the defaults reach `probability` too.
BOTH_SETTINGS = [*((name, {}) for name in LOSSES), ('least_squares', {'a': -1.0, 'b': 1.0}),
                 *(('alpha_saturating', {'alpha_disc': alpha}) for alpha in (0.2, 7.0, 1e30, np.inf))]


@pytest.mark.parametrize(('name', 'settings'), BOTH_SETTINGS)
def test_probabilities_lie_in_the_unit_interval_and_rise(name, settings):
  """One batch from rejected to believed, against its reverse: each sample's own logit raises its probability."""
  real = jnp.array([-50.0, -0.5, 0.0, 0.3, 0.8, 50.0])
  fake = real[::-1]

  def probability(real, fake, settings):
    return LOSSES[name].bind(settings).probability(real, fake)

  real_prob, fake_prob = jax.jit(probability)(real, fake, settings)
  assert real_prob.shape == fake_prob.shape == (6,)
  for prob in (real_prob, fake_prob[::-1]):
    assert np.all((prob >= 0) & (prob <= 1))
    assert np.all(np.diff(prob) >= 0)
  if settings.get('alpha_disc', 1.0) < 1e6 and 'softmax' not in name:
    assert real_prob[0] < 1e-3
    assert real_prob[-1] > 0.96


@pytest.mark.parametrize('name', LOSSES)
@pytest.mark.parametrize('function', ['disc', 'gen', 'probability'])
def test_logits_must_be_two_vectors_of_equal_length(name, function):
  for real, fake in (((3,), (4,)), ((3, 1), (3, 1)), ((), ()), ((3,), (3, 1))):
    with pytest.raises(ValueError, match='equal length'):
      getattr(LOSSES[name], function)(np.zeros(real), np.zeros(fake))
