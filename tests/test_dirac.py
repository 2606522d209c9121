"""The Dirac-GAN through the real step, against paper: eigenvalues of its update, and what 10,000 steps do.

Two draws are replaced, those of instance noise, by the nodes of a quadrature; everything else is the library's.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan import randomness
from gan.games import Devices, Turn
from gan.games.generation import make_generation
from gan.losses import LOSSES
from gan.losses.choice import INDEX, chosen_among
from gan.models.closed_form import DiracDiscriminator, DiracGenerator
from gan.optimizers import make_optimizer
from gan.rules import Txs
from gan.state import Start, create_state
from gan.step import make_train_step
from tests import dirac_closed_form as paper
from tests.dirac_closed_form import CLOSED_FORM, RULES, eigenvalue_error, is_defective, operator
from tests.xla_flags import WELL

LR, CONSENSUS, NUM_STEPS = 0.1, 0.5, 10_000
START = 1e-3 * np.array([np.cos(0.7), np.sin(0.7)])  # No eigenvector of any operator here.
# (R1's gamma, R2's gamma, standard deviation of the noise). gamma = 1 damps logistic losses critically: simultaneous
# and extragradient steps are defective there.
REGULARISERS = {'none': (0.0, 0.0, 0.0), 'r1': (0.3, 0.0, 0.0), 'r2': (0.0, 1.0, 0.0), 'noise': (0.0, 0.0, 0.8)}
NEUTRAL = 1e-5         # Moduli nearer to 1 than this decide nothing.
LINEAR = 1e-2          # Up to here the game is linear to about 1e-4: every loss depends on psi theta and psi x.
FLOOR = 1e-11          # Below, rounding in 1 +- psi x takes the place of the damping by noise.
STENCIL = 1e-5         # Of central differences: truncation and rounding are both below 1e-9.

# Three nodes of Gauss-Hermite have weights 1/6, 2/3, 1/6: the plain mean over these six is the quadrature, exact for
# polynomials up to degree 5. Every real node meets every generated one.
NODES = np.sqrt(3.0) * np.array([-1.0, 0.0, 0.0, 0.0, 0.0, 1.0])
REAL_NODES, FAKE_NODES = (nodes.reshape(-1, 1) for nodes in np.meshgrid(NODES, NODES))

every_pair = pytest.mark.parametrize(('loss', 'rule'), [(loss, rule) for loss in LOSSES for rule in RULES])
every_regulariser = pytest.mark.parametrize('regulariser', REGULARISERS)


@pytest.fixture(autouse=True)
def _double_precision():
  with jax.enable_x64(True):
    yield


def quadrature():
  """(sampler, key, shape) -> nodes instead of draws: for real and for generated samples in turn."""
  calls = []

  def draw_global(sampler, key, shape):
    calls.append(key)
    return jnp.asarray((REAL_NODES if len(calls) % 2 else FAKE_NODES).reshape(shape))

  return draw_global


@functools.cache
def make_orbit(losses, rule, **settings):
  """Compiles the real step of the real game, repeated.

  Args:
    losses: keys of LOSSES.
    rule: key of `gan.rules.RULES`.
    **settings: of the rule.

  Returns:
    orbit(loss, starts [R, 2], hparams of [R], num_steps) -> (theta, psi) [NUM_STEPS + 1, R, 2], zero after `num_steps`.
  """
  objective = chosen_among([LOSSES[name] for name in losses])
  game = make_generation(DiracGenerator(), DiracDiscriminator(), objective, 1, (1,), devices=Devices(quadrature()))
  tx, count = make_optimizer('sgd'), REAL_NODES.size

  def deal(batch, state, update):  # G ignores its latents.
    return Turn(batch, {'z': jnp.zeros((count, 1))}, state.rng, state.step, update)

  step = make_train_step(game, Txs(tx, tx), rule, deal=deal, **settings)

  def one_orbit(which, start, hparams, num_steps):
    numbers = {'lr': hparams['lr'], 'b1': 0.0, 'b2': 0.0, 'eps': 0.0}
    hparams = {name: value for name, value in hparams.items() if name != 'lr'} | {
        f'optimizer.{player}.{k}': v for player in ('gen', 'disc') for k, v in numbers.items()} | {
        'train.ema_decay': 0.0} | ({f'loss.{INDEX}': which} if len(losses) > 1 else {})
    gen, disc, sgd = {'theta': start[:1]}, {'psi': start[1:, None]}, tx(numbers)
    state = create_state(randomness.root_key(0), Start(gen, {}), Start(disc, {}), (sgd, sgd))

    def advance(number, carry):
      state, _ = step(carry[0], {'images': jnp.zeros((count, 1))}, hparams)
      point = jnp.concatenate([state.gen.params['theta'], state.disc.params['psi'][0]])
      return state, carry[1].at[number + 1].set(point)

    points = jnp.zeros((NUM_STEPS + 1, 2)).at[0].set(start)
    return jax.lax.fori_loop(0, num_steps, advance, (state, points))[1]

  # Better code would not make up for the time that it takes to make.
  options = WELL | {'xla_backend_optimization_level': 1}
  compiled = jax.jit(jax.vmap(one_orbit, in_axes=(None, 0, 0, None), out_axes=1), compiler_options=options)
  return lambda loss, starts, hparams, num_steps: np.asarray(compiled(losses.index(loss), starts, hparams, num_steps))


def update_jacobians(orbit, loss, hparams):
  """Jacobians [R, 2, 2] of the update at (0, 0), by central differences of one step.

  Not by differentiation: a step is made of gradients with the other player frozen, and what is frozen has no tangent.
  """
  def moved(offset):
    return orbit(loss, np.tile(offset, (len(hparams['lr']), 1)), hparams, 1)[1]

  return np.stack([moved(offset) - moved(-offset) for offset in STENCIL * np.eye(2)], axis=-1) / (2 * STENCIL)


def numbers(regularisers, lr):
  """`hparams` of runs, one for each of `regularisers` and of `lr`."""
  columns = np.array([REGULARISERS[name] for name in regularisers]).T
  return dict(zip(('penalty.r1', 'penalty.r2', 'augment.noise'), columns, strict=True)) | {
      'lr': np.array(lr), 'update.consensus': np.full(len(lr), CONSENSUS)}


class Study(NamedTuple):
  """What the library does: the Jacobian of the update at the equilibrium [2, 2], and 10,000 steps from START [N, 2]."""

  jacobian: np.ndarray
  points: np.ndarray

  @property
  def radius(self):
    """Largest modulus of an eigenvalue."""
    return np.abs(np.linalg.eigvals(self.jacobian)).max()

  @property
  def distances(self):
    return np.hypot(*self.points.T)


@functools.cache
def studies(loss, rule):
  """One for each regulariser."""
  orbit, hparams = make_orbit(tuple(LOSSES), rule), numbers(REGULARISERS, [LR] * len(REGULARISERS))
  points = orbit(loss, np.tile(START, (len(REGULARISERS), 1)), hparams, NUM_STEPS)
  return {name: Study(jacobian, points[:, i])
          for i, (name, jacobian) in enumerate(zip(REGULARISERS, update_jacobians(orbit, loss, hparams), strict=True))}


def field_on_paper(loss, regulariser):
  r1, r2, noise = REGULARISERS[regulariser]
  return paper.field_jacobian(CLOSED_FORM[loss], noise, r1 + r2)


def update_on_paper(loss, rule, regulariser):
  return operator(rule, field_on_paper(loss, regulariser), LR, CONSENSUS)


def assert_same_eigenvalues(matrix, expected):
  """To 1e-6; to 1e-4 where they move as roots of perturbations."""
  error = eigenvalue_error(np.linalg.eigvals(matrix), np.linalg.eigvals(expected))
  assert error < (1e-4 if is_defective(expected) else 1e-6), f'{error} between {matrix} and, on paper, {expected}'


def test_every_loss_has_a_closed_form():
  assert set(CLOSED_FORM) == set(LOSSES)


@every_regulariser
@every_pair
def test_eigenvalues_of_the_update(loss, rule, regulariser):
  assert_same_eigenvalues(studies(loss, rule)[regulariser].jacobian, update_on_paper(loss, rule, regulariser))


@every_regulariser
@every_pair
def test_ten_thousand_steps_do_what_the_eigenvalues_say(loss, rule, regulariser):
  """Distance by distance while the game is linear, and in the end; neutral cases are the matter of the next test."""
  study = studies(loss, rule)[regulariser]
  distances = study.distances
  expected = paper.linear_distances(update_on_paper(loss, rule, regulariser), START, NUM_STEPS)
  linear = np.cumprod((expected < LINEAR) & (expected > FLOOR)).astype(bool)
  assert linear.sum() > 10
  np.testing.assert_allclose(distances[linear], expected[linear], rtol=5e-3)
  if study.radius < 1 - NEUTRAL:
    assert np.isfinite(distances).all()
    assert distances[-1] < 1e-2 * distances[0]
    assert (distances[~linear] < 10 * FLOOR).all()
  if study.radius > 1 + NEUTRAL:  # An overflow counts as away.
    assert np.nanmax(distances) > LINEAR
    assert not distances[-1] < LINEAR


def kind_of_neutrality(loss, rule, regulariser):
  """What to expect of a modulus of 1 on paper; None of another one.

  circles: a pair on the unit circle, and steps that keep areas. rests: a line of equilibria that attracts.
  drifts: the same line, and nothing that slows the motion along it.
  """
  field = field_on_paper(loss, regulariser)
  if np.linalg.det(field) == 0.0:  # One player has no slope at 0. An eigenvalue 0 of the field is 1 for every rule.
    return 'drifts' if is_defective(update_on_paper(loss, rule, regulariser)) else 'rests'
  return 'circles' if rule == 'alternating' and field[1, 1] == 0.0 else None


def test_neutral_cases(record_property):
  """Exactly those of `kind_of_neutrality`; shown with what 10,000 steps did (pytest -s, or the JUnit report)."""
  cases = [(loss, rule, name) for rule in RULES for loss in LOSSES for name in REGULARISERS]
  found = {case: studies(*case[:2])[case[2]] for case in cases}
  found = {case: study for case, study in found.items() if abs(study.radius - 1) <= NEUTRAL}
  assert set(found) == {case for case in cases if kind_of_neutrality(*case)}
  table = [f'\n{"neutral case":66s} {"does":8s} {"last, nearest, farthest / start":32s} (theta, psi) at last']
  for case, study in found.items():
    last, least, most = (x / study.distances[0] for x in
                         (study.distances[-1], study.distances.min(), study.distances.max()))
    table.append(f'{" ".join(case):66s} {kind_of_neutrality(*case):8s} {last:9.4g} {least:9.4g} {most:9.4g}    '
                 f'({study.points[-1, 0]: .3e}, {study.points[-1, 1]: .3e})')
    record_property('neutral', table[-1])
  print('\n'.join(table))
  for case, study in found.items():
    distances, kind = study.distances, kind_of_neutrality(*case)
    at_rest = np.abs(study.points @ field_on_paper(case[0], case[2]).T).max(axis=1)
    if kind == 'circles':
      assert distances.max() < 3 * distances[0], case
      assert distances.min() > distances[0] / 3, case
      # Neither in nor out: the widest of the last tenth is that of the first, to what nonlinearity does.
      np.testing.assert_allclose(distances[-1000:].max(), distances[:1000].max(), rtol=5e-3, err_msg=str(case))
      assert {tuple(signs) for signs in np.sign(study.points[-1000:])} == {(1, 1), (1, -1), (-1, 1), (-1, -1)}, case
    if kind == 'rests':
      assert at_rest[-1] < 1e-3 * at_rest[0], case
      assert distances[0] / 3 < distances[-1] < 3 * distances[0], case
    if kind == 'drifts':
      assert distances[-1] > 30 * distances[0], case


# Of the field's Jacobian: f'(0) and f''(0) of a GAN whose players see f(psi theta) (Mescheder et al. 2018).
PUBLISHED = {'saturating': (1 / 2, -1 / 4), 'nonsaturating': (1 / 2, -1 / 4), 'wasserstein': (1, 0), 'hinge': (1, 0)}


@every_regulariser
@pytest.mark.parametrize('loss', PUBLISHED)
def test_published_eigenvalues_of_the_field(loss, regulariser):
  """The field is what a simultaneous step divides by its size."""
  slope, curvature = PUBLISHED[loss]
  r1, r2, noise = REGULARISERS[regulariser]
  damping = -(r1 + r2) / 2 + curvature * noise**2
  expected = damping + np.array([1, -1]) * np.emath.sqrt(damping**2 - slope**2)
  field = (studies(loss, 'simultaneous')[regulariser].jacobian - np.eye(2)) / LR
  critical = damping**2 == slope**2
  assert eigenvalue_error(np.linalg.eigvals(field), expected) < (1e-4 if critical else 1e-6)


def test_simultaneous_steps_of_any_size_diverge():
  sizes = np.array([0.01, 0.1, 1.0, 4.0])
  orbit = make_orbit(tuple(LOSSES), 'simultaneous')
  for loss in ('saturating', 'nonsaturating'):
    found = update_jacobians(orbit, loss, numbers(['none'] * 4, sizes))
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(found)), np.sqrt(1 + sizes**2 / 4)[:, None].repeat(2, 1),
                               rtol=1e-6)


@pytest.mark.parametrize(('disc_steps', 'gen_steps'), [(1, 1), (2, 1), (2, 3)])
def test_alternating_steps_circle_up_to_a_bound(disc_steps, gen_steps):
  """While h / 2 sqrt(n_gen n_disc) <= 2, moduli are 1."""
  orbit = make_orbit(('nonsaturating',), 'alternating', disc_steps=disc_steps, gen_steps=gen_steps)
  sizes = 4 / np.sqrt(disc_steps * gen_steps) * np.array([0.5, 0.999, 1.001, 1.1])
  found = update_jacobians(orbit, 'nonsaturating', numbers(['none'] * 4, sizes))
  for jacobian, lr in zip(found, sizes, strict=True):
    assert_same_eigenvalues(jacobian, operator('alternating', field_on_paper('nonsaturating', 'none'), lr,
                                               disc_steps=disc_steps, gen_steps=gen_steps))
  moduli = np.abs(np.linalg.eigvals(found)).max(axis=1)
  np.testing.assert_allclose(moduli[:2], 1.0, atol=1e-6)
  assert (moduli[2:] > 1.01).all()


@pytest.mark.parametrize('rule', ['simultaneous', 'alternating'])
def test_wgan_gp_circles_for_ever_and_r1_ends_it(rule):
  """The gradient penalty wants |psi| = 1: it has no Jacobian at psi = 0, and 10,000 steps end nowhere near it."""
  orbit = make_orbit(('wasserstein',), rule)
  near = np.array([[0.0, 1e-3], [0.0, 1e-4], [0.0, -1e-4], [0.0, -1e-3]])
  starts = 1e-3 * np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [0.3, 0.9]])
  ones = np.ones(4)
  for lr, weight in ((0.1, 1.0), (0.1, 0.1), (0.01, 1.0)):
    hparams = {'lr': lr * ones, 'penalty.gp': weight * ones, 'penalty.target': ones}
    jump = orbit('wasserstein', near, hparams, 1)[1, :, 1]   # As far from anywhere: lr weight 2 (1 - |psi|).
    np.testing.assert_allclose(jump - near[:, 1], 2 * lr * weight * np.sign(near[:, 1]), rtol=5e-3)
    last = orbit('wasserstein', starts, hparams, NUM_STEPS)[-5000:]
    assert np.hypot(last[..., 0], last[..., 1]).min() > 1.0
    for theta, psi in ((1, 1), (1, -1), (-1, 1), (-1, -1)):  # Round the equilibrium, and not towards some other point.
      assert ((np.sign(last) == (theta, psi)).all(axis=-1).sum(axis=0) > 50).all()
  points = orbit('wasserstein', starts, {'lr': 0.1 * ones, 'penalty.r1': 0.3 * ones}, NUM_STEPS)
  assert np.abs(points[-1]).max() < 1e-30
