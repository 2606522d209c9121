"""The Dirac-GAN through the real step, against paper: eigenvalues of its update, and what 10,000 steps do."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan import randomness
from gan.games.generation import Nets, Rules, make_game
from gan.losses import LOSSES
from gan.models.closed_form import DiracDiscriminator, DiracGenerator
from gan.optimizers import make_optimizer
from gan.rules import Txs
from gan.state import create_state
from gan.step import make_train_step
from tests.dirac_closed_form import CLOSED_FORM, RULES, eigenvalue_error, field_jacobian, is_defective, operator

LR, CONSENSUS, NUM_STEPS = 0.1, 0.5, 10_000
START = 1e-3 * np.array([np.cos(0.7), np.sin(0.7)])  # No eigenvector of any operator here.
# gamma = 1 is critical damping for logistic losses: simultaneous and extragradient steps are defective there.
REGULARISERS = {'none': (0.0, 0.0, 0.0), 'r1': (0.3, 0.0, 0.0), 'r2': (0.0, 1.0, 0.0), 'noise': (0.0, 0.0, 0.8)}
KNOBS = ('penalty.r1', 'penalty.r2', 'augment.noise')
NEUTRAL = 1e-5         # Moduli nearer to 1 than this decide nothing to first order.
LINEAR = 1e-2          # Up to here the game is linear to 1e-4: every loss is a function of psi theta.
FLOOR = 1e-11          # Below, the rounding of 1 +- psi x takes the place of noise's damping.

# Three nodes of Gauss-Hermite have weights 1/6, 2/3, 1/6: the plain mean over these six is the quadrature, exact for
# polynomials up to degree 5. Every real node meets every generated one.
NODES = np.sqrt(3.0) * np.array([-1.0, 0.0, 0.0, 0.0, 0.0, 1.0])
REAL_NODES, FAKE_NODES = (nodes.reshape(-1, 1) for nodes in np.meshgrid(NODES, NODES))
BATCH = {'images': np.zeros((1, REAL_NODES.size, 1))}


@pytest.fixture(autouse=True)
def _double_precision():
  with jax.enable_x64(True):
    yield


def quadrature():
  """The library's draws of instance noise, for real and for generated samples in turn, replaced by nodes."""
  calls = []

  def draw_global(sampler, key, shape):
    calls.append(key)
    nodes = REAL_NODES if len(calls) % 2 else FAKE_NODES
    assert shape == nodes.shape
    return jnp.asarray(nodes)

  return {'draw_global': draw_global}


def make_map(loss, rule, joint=False, exact=True, **settings):
  """The real step of the real game as a map of the plane: (point [2], hparams, step) -> point."""
  nets = Nets(DiracGenerator(), DiracDiscriminator())
  game = make_game(nets, LOSSES[loss], 1, (1,), Rules(joint), **(quadrature() if exact else {}))
  tx = make_optimizer('sgd')
  step = make_train_step(game, Txs(tx, tx), rule, batch_size=REAL_NODES.size, z_dim=1, z='normal', **settings)
  numbers = {f'optimizer.{player}.{name}': 0.0 for player in ('gen', 'disc') for name in ('b1', 'b2', 'eps')}

  def move(point, hparams, number=0):
    gen, disc = ({'theta': point[:1]}, {}), ({'psi': point[1:, None]}, {})
    sgd = tx({'lr': 0.0, 'b1': 0.0}, 0)
    state = create_state(randomness.root_key(0), gen, disc, (sgd, sgd)).replace(step=jnp.asarray(number, jnp.int32))
    rates = {f'optimizer.{player}.lr': hparams['lr'] for player in ('gen', 'disc')}
    state, _ = step(state, BATCH, numbers | rates | {'train.ema_decay': 0.0} | hparams)
    return jnp.concatenate([state.gen.params['theta'], state.disc.params['psi'][0]])

  return move


def make_orbit(move, num_steps=NUM_STEPS):
  """(start [2], hparams) -> the points [num_steps + 1, 2]."""
  def orbit(start, hparams):
    def advance(point, number):
      return move(point, hparams, number), point
    last, points = jax.lax.scan(advance, start, jnp.arange(num_steps))
    return jnp.concatenate([points, last[None]])
  return orbit


class Study(NamedTuple):
  """A loss under a rule: for each regulariser, the step's Jacobian at the equilibrium [2, 2] and an orbit [N + 1, 2]."""

  jacobians: dict[str, np.ndarray]
  orbits: dict[str, np.ndarray]


@functools.cache
def study(loss, rule):
  """One compilation; the regularisers are numbers."""
  move = make_map(loss, rule)
  both = lambda h: (jax.jacfwd(move)(jnp.zeros(2), h), make_orbit(move)(jnp.asarray(START), h))  # noqa: E731
  hparams = dict(zip(KNOBS, np.array([*REGULARISERS.values()]).T, strict=True))
  ones = np.ones(len(REGULARISERS))
  found = jax.jit(jax.vmap(both))(hparams | {'lr': LR * ones, 'update.consensus': CONSENSUS * ones})
  return Study(*(dict(zip(REGULARISERS, np.asarray(values), strict=True)) for values in found))


def on_paper(loss, rule, regulariser, lr=LR, **settings):
  r1, r2, noise = REGULARISERS[regulariser]
  return operator(rule, field_jacobian(CLOSED_FORM[loss], noise, r1 + r2), lr, CONSENSUS, **settings)
