"""The field of a game, its spectrum and its rotation, where they are known; and the command."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import block_diag

from gan import losses
from gan.dynamics import spectrum
from gan.dynamics.field import Field, make_field, player_norms
from gan.dynamics.spectrum import leading_eigenvalues, rotation
from gan.games import Turn
from gan.games.generation import PLAIN, Rules, make_generation
from gan.models.closed_form import DiracDiscriminator, DiracGenerator
from gan.optimizers import make_optimizer
from gan.plots import eigenvalues, trajectory
from gan.randomness import root_key
from gan.state import create_state
from tests import runs

NUMBERS = {'lr': 0.1, 'b1': 0.0, 'b2': 0.9, 'eps': 1e-8}


def dirac_field(theta, psi, loss='saturating', rules=PLAIN, **hparams) -> Field:
  game = make_generation(DiracGenerator(theta), DiracDiscriminator(psi), losses.LOSSES[loss], 1, (1,), rules)
  start = game.init(jax.random.key(0))
  tx = make_optimizer('sgd')(NUMBERS)
  state = create_state(root_key(0), start['gen'], start['disc'], (tx, tx))
  turn = Turn({'images': jnp.zeros((4, 1))}, {'z': jnp.zeros((4, 1))}, state.rng, state.step, 0)
  return make_field(game, state, turn, hparams)


def linear_field(matrix) -> Field:
  """The field of which M is the Jacobian everywhere."""
  return Field(lambda x, m: m @ x, jnp.zeros(len(matrix), jnp.float32), jnp.asarray(matrix, jnp.float32), None)


def test_the_field_points_where_the_players_go():
  """D(x) = psi x, G = theta: dL_D/dpsi = theta sigmoid(psi theta), dL_G/dtheta = -psi sigmoid(psi theta)."""
  theta, psi = 0.7, -1.3
  field = dirac_field(theta, psi)
  slope = 1 / (1 + np.exp(-psi * theta))
  found = field.unravel(field.value())
  np.testing.assert_allclose(found['gen']['theta'], [psi * slope], rtol=1e-6)
  np.testing.assert_allclose(found['disc']['psi'], [[-theta * slope]], rtol=1e-6)
  assert player_norms(field) == pytest.approx({'gen': abs(psi * slope), 'disc': abs(theta * slope)})


@pytest.mark.parametrize(('loss', 'hparams', 'expected'), [
    ('saturating', {}, [0.5j, -0.5j]), ('nonsaturating', {}, [0.5j, -0.5j]), ('wasserstein', {}, [1j, -1j]),
    ('saturating', {'penalty.r1': 0.6}, [-0.3 + 0.4j, -0.3 - 0.4j]),
    ('saturating', {'penalty.r2': 2.0}, [-1 - 0.75**0.5, -1 + 0.75**0.5])])
def test_eigenvalues_of_the_dirac_gan(loss, hparams, expected):
  """Mescheder et al. 2018: -gamma / 2 +- sqrt(gamma^2 / 4 - f'(0)^2)."""
  found = leading_eigenvalues(dirac_field(0.0, 0.0, loss, **hparams))
  assert found.exact
  np.testing.assert_allclose(np.sort_complex(found.values), np.sort_complex(np.array(expected)), atol=1e-6)
  assert found.growth == pytest.approx(max(complex(value).real for value in expected), abs=1e-6)


def test_weight_decay_belongs_to_the_field():
  """D falls by lr * decay * psi beside its gradient: -decay / 2 +- sqrt(decay^2 - 4 f'(0)^2) / 2."""
  found = leading_eigenvalues(dirac_field(0.0, 0.0, **{'optimizer.disc.weight_decay': 0.6}))
  np.testing.assert_allclose(np.sort_complex(found.values), [-0.3 - 0.4j, -0.3 + 0.4j], atol=1e-6)
  value = dirac_field(0.3, -1.3, **{'optimizer.gen.weight_decay': 0.5, 'optimizer.disc.weight_decay': 0.6})
  plain = dirac_field(0.3, -1.3)
  np.testing.assert_allclose(value.value() - plain.value(), [0.6 * 1.3, -0.5 * 0.3], rtol=1e-5)  # D comes first.


def test_lazy_penalties_belong_to_the_field():
  """They are added in every fourth step only, but what the players follow on average has them."""
  found = leading_eigenvalues(dirac_field(0.0, 0.0, rules=Rules(joint=True, lazy_every=4), **{'penalty.r1': 1.0}))
  np.testing.assert_allclose(found.values, [-0.5, -0.5], atol=1e-3)  # Defective: the root of the rounding error.


def test_arnoldi_without_a_result_is_no_traceback(monkeypatch):
  monkeypatch.setattr(spectrum, 'MAX_EXACT', 10)
  found = leading_eigenvalues(linear_field(np.zeros((20, 20))))
  assert not found.converged
  assert len(found.values) == 0
  assert np.isnan(found.growth)
  assert eigenvalues(found.values).ndim == 3
  few = leading_eigenvalues(linear_field(np.diag(np.arange(-12.0, 0.0))), count=40)  # More than there are.
  assert few.values.real.min() == pytest.approx(-12, rel=1e-3)


def test_arrows_that_overflow_are_left_out():
  field = np.ones((3, 3, 2))
  field[0, 0] = np.inf, np.nan
  assert trajectory(np.zeros((2, 2)), field, 1.0).dtype == np.uint8


def test_how_much_rotates():
  assert rotation(dirac_field(0.0, 0.0)) == pytest.approx(1.0)
  assert rotation(linear_field(np.diag([1.0, 3.0]))) == 0.0
  # S = diag(-a, -a), A = [[0, b], [-b, 0]].
  assert rotation(linear_field([[-2.0, 1.0], [-1.0, -2.0]])) == pytest.approx(0.2)
  assert rotation(linear_field(np.zeros((2, 2)))) == 0.0


def test_largest_step():
  """|1 + h lambda| < 1 just below it and > 1 just above."""
  values = np.array([-0.5 + 2j, -0.5 - 2j, -3.0])
  step = spectrum.Spectrum(values, exact=True).largest_step
  assert np.abs(1 + 0.999 * step * values).max() < 1 < np.abs(1 + 1.001 * step * values).max()
  assert spectrum.Spectrum(np.array([0.1 + 1j, -1.0]), exact=True).largest_step == 0.0


def test_products_equal_the_jacobian():
  matrix = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32)
  field, vector = linear_field(matrix), np.arange(6, dtype=np.float32)
  np.testing.assert_allclose(field.jvp()(vector), matrix @ vector, rtol=1e-5)
  np.testing.assert_allclose(field.vjp()(vector), matrix.T @ vector, rtol=1e-5)
  np.testing.assert_allclose(field.jacobian(), matrix, rtol=1e-5)


def test_arnoldi_finds_what_the_whole_jacobian_has(monkeypatch):
  """A normal matrix with a known spectrum: the largest ones, and the one furthest to the right."""
  size, rng = 60, np.random.default_rng(1)
  blocks = np.zeros((size, size))
  known = [-9 + 4j, -7 + 1j, -6 + 5j, 1.5 + 0.3j]
  for i in range(size // 2):
    value = known[i] if i < len(known) else complex(-rng.uniform(0.1, 2), rng.uniform(0, 1))
    blocks[2 * i:2 * i + 2, 2 * i:2 * i + 2] = [[value.real, value.imag], [-value.imag, value.real]]
  basis = np.linalg.qr(rng.normal(size=(size, size)))[0]
  field = linear_field(basis @ blocks @ basis.T)
  whole = leading_eigenvalues(field)
  share = rotation(field)
  monkeypatch.setattr(spectrum, 'MAX_EXACT', 10)
  found = leading_eigenvalues(field, count=4)
  assert (whole.exact, found.exact, found.converged) == (True, False, True)
  np.testing.assert_allclose(found.values[:2], whole.values[:2], rtol=1e-2)
  assert found.growth == pytest.approx(1.5, rel=2e-2)
  assert rotation(field, probes=64) == pytest.approx(share, rel=0.15)


def test_close_pairs_beside_the_imaginary_axis():
  """One search finds a pair that shrinks, the other one that grows, 2% apart: the game is driven away."""
  blocks = [np.array([[real, turn], [-turn, real]]) for real, turn in ((-0.008, 1.003), (0.008, 1.0))]
  rest = np.diag(np.random.default_rng(0).uniform(-0.5, 0.0, 596))
  found = leading_eigenvalues(linear_field(block_diag(*blocks, rest)))
  assert not found.exact
  assert found.growth == pytest.approx(0.008, rel=1e-2)
  assert found.largest_step == 0.0


def test_two_searches_are_joined_one_by_one():
  largest, rightmost = np.array([-2 + 0.015j, -2 - 0.015j, -1.0]), np.array([-1.001, 0.1])
  np.testing.assert_array_equal(spectrum._joined(largest, rightmost, 1e-2), [*largest[:2], *rightmost])
  np.testing.assert_array_equal(spectrum._joined(largest[:0], rightmost, 1e-2), rightmost)


def test_picture_of_eigenvalues():
  stable, unstable = (eigenvalues(np.array([sign * 0.5 + 1j, sign * 0.5 - 1j, -3.0])) for sign in (-1, 1))
  assert stable.shape == unstable.shape
  assert stable.dtype == np.uint8
  assert (stable != unstable).any()


def test_the_command(tmp_path):
  code, _, err = runs.run('gan.main', '--config=configs/dirac.py:runlocal', '--config.parallel.strategy=pmap',
                          f'--workdir={tmp_path}')
  assert code == 0, err
  code, out, err = runs.run('gan.dynamics', f'--workdir={tmp_path}')
  assert code == 0, err
  record = json.loads((tmp_path / 'dynamics' / 'step_00000020.json').read_text())
  assert (tmp_path / 'dynamics' / 'step_00000020.png').stat().st_size > 5000
  assert record['exact'] is True
  assert len(record['eigenvalues']) == 2
  assert -1 <= record['disc/update_cosine'] <= 1
  assert 'growth' in out
  code, _, err = runs.run('gan.dynamics', f'--workdir={tmp_path}', '--step=7')
  assert code == 2
  assert '--step=7' in err
