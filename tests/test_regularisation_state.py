"""What a discriminator keeps besides parameters (means, a probability, vectors), who changes it; and packs."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan import augment
from gan.games import memory
from gan.games.generation import Rules, make_generation
from gan.games.view import View, packed
from gan.losses import LOSSES
from gan.models import spectral
from gan.optimizers import make_optimizer
from gan.rules import Txs
from gan.state import create_state
from gan.step import make_train_step
from tests.test_regularisation import (
  HPARAMS,
  IMAGES,
  NUMBERS,
  SHAPE,
  WEIGHT,
  Z_DIM,
  B,
  Z,
  disc_loss,
  game_of,
  generate,
  initial,
  judge,
  key_of,
  turn_of,
)


def with_memory(state, **memory):
  return state.replace(disc=state.disc.replace(memory={**state.disc.memory, **memory}))


def kept_of(state):
  return state.disc.stats | state.disc.memory


@pytest.mark.parametrize('form', ['published', 'paper'])
def test_lecam_and_its_means(form):
  """The means move first, by their share 1 - decay of a weight that tends to 1; the penalty sees them moved."""
  rules = Rules(joint=True, lecam=form)
  before = {'real': jnp.float32(0.3), 'fake': jnp.float32(-0.2), 'weight': jnp.float32(0.5)}
  state = with_memory(initial(rules), lecam=before)
  value, stats, _ = disc_loss({'penalty.lecam': WEIGHT, 'penalty.lecam_decay': 0.9}, rules, state)
  real, fake = np.asarray(judge(IMAGES)), np.asarray(judge(generate(Z)))
  weight = 0.9 * 0.5 + 0.1
  means = {'real': (0.9 * 0.5 * 0.3 + 0.1 * real.mean()) / weight,
           'fake': (-0.9 * 0.5 * 0.2 + 0.1 * fake.mean()) / weight, 'weight': weight}
  assert stats['lecam'] == pytest.approx(means, abs=1e-6)
  gaps = real - means['fake'], means['real'] - fake
  assert min(gap.min() for gap in gaps) < 0 < max(gap.max() for gap in gaps)
  gaps = [np.maximum(gap, 0) if form == 'published' else gap for gap in gaps]
  assert value - disc_loss({})[0] == pytest.approx(WEIGHT * sum(np.mean(gap ** 2) for gap in gaps), rel=1e-3)
  _, stats, _ = disc_loss({'penalty.lecam': WEIGHT}, rules, state)  # A decay of 0 is not among the numbers of a run.
  assert stats['lecam']['real'] == pytest.approx(real.mean(), abs=1e-6)


class ConstantGen(nn.Module):
  @nn.compact
  def __call__(self, z, *, train):
    return jnp.full((z.shape[0], *SHAPE), -1.0) + 0.0 * self.param('unused', nn.initializers.ones, (1, 1, 1, 1))


class TwiceTheMean(nn.Module):
  @nn.compact
  def __call__(self, images, *, train):
    return 2.0 * jnp.mean(images, axis=(1, 2, 3)) + 0.0 * self.param('unused', nn.initializers.ones, (1,))


@pytest.mark.parametrize(('form', 'decay'), [('published', 0.99), ('paper', 0.99), ('published', 0.9999)])
def test_lecams_means_of_constant_logits_are_these_logits(form, decay):
  """From the first update on: D(x) = 2 and D(G(z)) = -2 have means 2 and -2, and a penalty of 16 + 16."""
  game = make_generation(ConstantGen(), TwiceTheMean(), LOSSES['hinge'], Z_DIM, SHAPE, Rules(joint=True, lecam=form))
  start = game.init(jax.random.key(0))
  tx = make_optimizer('sgd')(NUMBERS)
  state = create_state(jax.random.key(0), start['gen'], start['disc'], (tx, tx))
  hparams = {'penalty.lecam': 1.0, 'penalty.lecam_decay': decay}

  @jax.jit
  def update(state):
    turn = turn_of(state)._replace(batch={'images': jnp.ones((B, *SHAPE))})
    _, (kept, scalars) = game.loss('disc', state.disc.params, state, turn, hparams)
    return with_memory(state, **kept.memory), scalars['penalty/lecam']

  for number in range(101):
    state, penalty = update(state)
    means = state.disc.memory['lecam']
    assert (number, float(means['real']), float(means['fake']), float(penalty)) == (number, 2.0, -2.0, 32.0)
  assert means['weight'] == pytest.approx(1 - decay**101, rel=1e-3)


def test_lecams_means_are_those_of_all_batches():
  """The i-th last of t batches counts decay^i, and all together 1."""
  rng, means, decay = np.random.default_rng(0), memory.no_means(), 0.9
  real, fake = rng.normal(size=(2, 30))
  for t in range(30):
    means = memory.running_means(means, jnp.float32(real[t]), jnp.float32(fake[t]), jnp.float32(decay))
    weights = decay ** np.arange(t, -1.0, -1.0)
    assert means['real'] == pytest.approx(np.average(real[:t + 1], weights=weights), abs=1e-5)
    assert means['fake'] == pytest.approx(np.average(fake[:t + 1], weights=weights), abs=1e-5)


def test_lecam_may_start_later():
  """Before its start there is no penalty, and the means are those of the last batch alone."""
  rules = Rules(joint=True, lecam='published')
  hparams = {'penalty.lecam': WEIGHT, 'penalty.lecam_decay': 0.9, 'penalty.lecam_start': 7.0}
  state = with_memory(initial(rules), lecam={name: jnp.float32(1.0) for name in ('real', 'fake', 'weight')})
  for step, started in ((0, False), (6, False), (7, True), (8, True)):
    value, stats, _ = disc_loss(hparams, rules, state.replace(step=jnp.int32(step)))
    plain, _, _ = disc_loss({}, state=initial().replace(step=jnp.int32(step)))
    assert (value - plain > 1e-3) == started
    assert (abs(stats['lecam']['real'] - np.mean(judge(IMAGES))) < 1e-6) == (not started)


@pytest.mark.parametrize(('target', 'direction'), [(-0.9, 1), (0.99, -1), (None, None)])
def test_ada_moves_its_probability(target, direction):
  """By the images since the last move / ada_images, up where the mean sign of real logits is above the target."""
  rules = Rules(joint=True, view=View(adaptive=True))
  before = {'probability': jnp.float32(0.25), 'signs': jnp.float32(0.0), 'updates': jnp.int32(2)}
  state = with_memory(initial(rules), ada=before)
  hparams = {'augment.ada_images': 90.0, 'augment.ada_interval': 3.0}
  hparams |= {} if target is None else {'augment.ada_target': target}
  _, stats, scalars = disc_loss(hparams, rules, state)
  if direction is None:  # A target of 0 is not among the numbers of a run.
    uniforms = jax.random.uniform(jax.random.split(key_of('view'))[0], (B, augment.ADA_UNIFORMS))
    direction = np.sign(np.mean(np.sign(judge(augment.ada_augment(IMAGES, uniforms, 0.25)))))
  assert stats['ada'] == pytest.approx({'probability': 0.25 + direction * 3 * B / 90, 'signs': 0, 'updates': 0},
                                       abs=1e-6)
  assert scalars['disc/augment_probability'] == stats['ada']['probability']


def test_adas_probability_follows_the_mean_sign_of_several_batches():
  """Between two moves it stays; a move counts all batches since the last one, whatever the sign of each."""
  hparams = {'augment.ada_images': 100.0, 'augment.ada_interval': 4.0, 'augment.ada_target': 0.5}
  controller, found = memory.no_augmentation(), []
  # Three batches of eight are above the target, the mean of the first four is not; that of the second four is.
  for real in (6, 7, 6, 2, 8, 8, 5, 6, 6, 7, 6):
    controller = memory.controlled(controller, jnp.float32((2 * real - 8) / 8), 8, hparams)
    found.append(float(controller['probability']))
  assert found == pytest.approx([0.0] * 7 + [0.32] * 4)
  assert (float(controller['signs']), int(controller['updates'])) == (pytest.approx(0.5 + 0.75 + 0.5), 3)


# Share of the full speed in its steady rise, at batch 64: P(mean of 256 signs > 0.6) - P(< 0.6), by the binomial.
@pytest.mark.parametrize(('overfitting', 'speed'), [(0.62, 0.361), (0.65, 0.728), (0.70, 0.973)])
def test_adas_probability_rises_as_in_the_published_code(overfitting, speed):
  """Of four batches of 64, not of each: that would be 0.11, 0.35 and 0.69 of the full speed."""
  num, batch, images = 8_000, 64, 1e7
  hparams = {'augment.ada_images': images, 'augment.ada_target': 0.6, 'augment.ada_interval': 4.0}

  def update(controller, key):
    real_prob = jax.random.bernoulli(key, 0.5 + overfitting / 2, (batch,)).astype(jnp.float32)
    return memory.controlled(controller, jnp.mean(jnp.sign(real_prob - 0.5)), batch, hparams), None

  before = memory.no_augmentation()
  controller, _ = jax.jit(lambda keys: jax.lax.scan(update, before, keys))(jax.random.split(jax.random.key(0), num))
  error = np.sqrt((1 - speed**2) / (num / 4))  # Of the mean of as many signs as there were moves.
  assert float(controller['probability']) * images / (num * batch) == pytest.approx(speed, abs=4 * error)


def test_only_the_discriminators_update_changes_what_it_keeps():
  """LeCam's means, ADA's probability and the singular vectors of a step are those of its first player's turn."""
  rules = Rules(joint=True, view=View(adaptive=True), spectral_norm=True, lecam='published')
  state, game = initial(rules), game_of(rules)
  hparams = HPARAMS | {'augment.ada_images': 60.0, 'augment.ada_target': 0.99, 'augment.ada_interval': 2.0,
                       'penalty.lecam': 0.1}
  before = {'probability': jnp.float32(0.5), 'signs': jnp.float32(0.25), 'updates': jnp.int32(1)}
  state = with_memory(state, ada=before)
  step = jax.jit(make_train_step(game, Txs(make_optimizer('sgd'), make_optimizer('sgd')),
                                 deal=lambda batch, state, update: turn_of(state)))
  after, _ = step(state, {'images': IMAGES[None]}, hparams)
  _, stats, _ = disc_loss(hparams, rules, state)
  assert set(stats) == {'ada', 'lecam', 'spectral_norm'}
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), kept_of(after), stats)
  changed = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), stats, kept_of(state))
  # The last kernel has one column: its vector, a sign, stays.
  assert sorted(jax.tree.leaves(changed))[1] > 1e-3
  _, (gen, _) = game.loss('gen', state.gen.params, state, turn_of(state), hparams)
  assert gen.stats == after.gen.stats == {}
  assert gen.memory == after.gen.memory == {'path_length': {'mean': 0.0}}   # Without the term nothing moves it.
  assert float(after.disc.memory['ada']['probability']) == pytest.approx(0.3)


@pytest.mark.parametrize('linear', [True, False])
def test_spectral_norm_bounds_the_slope(linear):
  """By 1, once the vectors have converged; a linear discriminator has it everywhere."""
  rules = Rules(joint=True, spectral_norm=True)
  state = initial(rules, linear)
  params = jax.tree.map(lambda p: 5.0 * p, state.disc.params)
  _, vectors = spectral.normalize(params, state.disc.stats['spectral_norm'], update=True, iterations=500)
  state = with_memory(state.replace(disc=state.disc.replace(params=params)), spectral_norm=vectors)
  slopes = game_of(rules, linear).slopes(state, turn_of(state), {})
  assert slopes['disc/real_slope'] <= 1 + 1e-4
  assert (slopes['disc/real_slope'] > 0.999) == linear
  for _ in range(3):  # Of the stored vectors one more iteration is taken in each update, and kept.
    _, stats, _ = disc_loss({}, rules, state, linear)
    state = state.replace(disc=state.disc.replace(stats=stats))
  jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-4), stats['spectral_norm'], vectors)


def test_packs_are_neighbours_side_by_side():
  """Samples 2k and 2k + 1 make pack k, channels of the first before those of the second."""
  x = np.arange(4 * 2 * 2 * 3, dtype=np.float32).reshape(4, 2, 2, 3)
  packs = packed(x, 2)
  assert packs.shape == (2, 2, 2, 6)
  for k in range(2):
    np.testing.assert_array_equal(packs[k], np.concatenate([x[2 * k], x[2 * k + 1]], axis=-1))
  points = packed(np.arange(12, dtype=np.float32).reshape(6, 2), 3)
  np.testing.assert_array_equal(points, np.arange(12).reshape(2, 6))
  assert packed(x, 1) is x


def test_a_packed_discriminator_gives_one_logit_for_each_pack():
  """Its loss, and R1 as the slopes of all samples of a pack."""
  rules = Rules(joint=True, view=View(pack=3))
  state = initial(rules)
  params = state.disc.params
  assert params['hidden']['kernel'].shape == (3 * 16, 4)
  groups = np.concatenate([IMAGES.reshape(2, 3, *SHAPE)[:, i] for i in range(3)], axis=-1)
  slopes = jax.vmap(jax.grad(lambda x: judge(x[None], params)[0]))(groups)
  value, _, scalars = disc_loss({'penalty.r1': WEIGHT}, rules)
  assert scalars['penalty/r1'] == pytest.approx(np.mean(np.sum(np.square(slopes), axis=(1, 2, 3))), rel=1e-4)
  assert value - disc_loss({}, rules)[0] == pytest.approx(0.5 * WEIGHT * float(scalars['penalty/r1']), rel=1e-3)


def test_penalties_see_the_spectrally_normed_discriminator_of_the_objective():
  """Another power iteration would make it another function, and finite differences divide the gap by std^2."""
  rules = Rules(joint=True, spectral_norm=True)
  exact = disc_loss({'penalty.r1': 1.0}, rules)[2]['penalty/r1']
  near = [float(disc_loss({'penalty.r1': 1.0, 'penalty.difference_std': std}, rules)[2]['penalty/r1'])
          for std in (0.1, 0.01)]
  assert max(near) < 5 * exact  # A few noises: rough, but not thousands.
  still = disc_loss({'penalty.zcr_disc': 1.0, 'penalty.zcr_std': 0.0}, rules)[2]['penalty/zcr_disc']
  assert float(still) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(('joint', 'hparams'), [(False, {}), (True, {'penalty.r1': 1.0}), (True, {'penalty.r2': 1.0})])
def test_one_spectrally_normed_discriminator_judges_both(joint, hparams):
  """Whether they pass it together or one after the other: one power iteration, and one objective."""
  rules = Rules(joint=joint, spectral_norm=True)
  _, together, expected = disc_loss({}, Rules(joint=True, spectral_norm=True))
  _, stats, scalars = disc_loss(hparams, rules)
  for name in ('disc/logit_gap', 'disc/loss'):
    np.testing.assert_allclose(scalars[name], expected[name], rtol=1e-4)
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), stats, together)


def test_who_cannot_tell_is_right_half_of_the_time():
  """All logits are 0 here: D(x) = 1/2 everywhere."""
  state = initial(Rules(joint=True))
  still = state.replace(disc=state.disc.replace(params=jax.tree.map(jnp.zeros_like, state.disc.params)))
  scalars = disc_loss({}, Rules(joint=True), still)[2]
  assert float(scalars['disc/real_prob']) == float(scalars['disc/accuracy']) == 0.5
