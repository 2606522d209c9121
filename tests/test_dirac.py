"""The Dirac-GAN through the real step, against paper: eigenvalues of its update, and what 10,000 steps do."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan import randomness
from gan.games import Turn
from gan.games.generation import Nets, make_game
from gan.losses import LOSSES
from gan.losses.pair import LossPair
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
STENCIL = 1e-5        # Of central differences: truncation and rounding are both below 1e-9.

# Three nodes of Gauss-Hermite have weights 1/6, 2/3, 1/6: the plain mean over these six is the quadrature, exact for
# polynomials up to degree 5. Every real node meets every generated one.
NODES = np.sqrt(3.0) * np.array([-1.0, 0.0, 0.0, 0.0, 0.0, 1.0])
REAL_NODES, FAKE_NODES = (nodes.reshape(-1, 1) for nodes in np.meshgrid(NODES, NODES))
OPTIONS = {}


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


def any_loss():
  """All of LOSSES as one, of which the setting `which` chooses: so a rule is compiled once, not once for each loss."""
  def disc(real_logits, fake_logits, *, which=0):
    return jax.lax.switch(which, [loss.disc for loss in LOSSES.values()], real_logits, fake_logits)

  def gen(real_logits, fake_logits, *, which=0):
    return jax.lax.switch(which, [loss.gen for loss in LOSSES.values()], real_logits, fake_logits)

  return LossPair(disc, gen, zero_sum=False, paper='', chance=None)


@functools.cache
def make_orbit(rule, exact=True, **settings):
  """Compiled (starts [R, 2], hparams of [R], number of steps) -> (theta, psi) [NUM_STEPS + 1, R, 2], by the real step.

  All R runs are one program, as are all numbers of steps, to save compilations.
  """
  nets = Nets(DiracGenerator(), DiracDiscriminator())
  game = make_game(nets, any_loss(), 1, (1,), **(quadrature() if exact else {}))
  tx, count = make_optimizer('sgd'), REAL_NODES.size
  batch = {'images': np.zeros((settings.get('disc_steps', 1), count, 1))}

  def deal(batch, state, update):
    return Turn({'images': batch['images'][0]}, jnp.zeros((count, 1)), state.rng, state.step, update)

  step = make_train_step(game, Txs(tx, tx), rule, batch_size=count, z_dim=1, z='normal', deal=deal, **settings)
  fixed = {f'optimizer.{player}.{name}': 0.0 for player in ('gen', 'disc') for name in ('b1', 'b2', 'eps')}

  def orbit(start, hparams, which, num_steps):
    rates = {f'optimizer.{player}.lr': hparams['lr'] for player in ('gen', 'disc')}
    hparams = fixed | rates | {'train.ema_decay': 0.0, 'loss.which': which} | hparams
    gen, disc, sgd = {'theta': start[:1]}, {'psi': start[1:, None]}, tx({'lr': 0.0, 'b1': 0.0}, 0)
    state = create_state(randomness.root_key(0), (gen, {}), (disc, {}), (sgd, sgd))

    def advance(number, carry):
      state, points = carry
      state, _ = step(state, batch, hparams)
      point = jnp.concatenate([state.gen.params['theta'], state.disc.params['psi'][0]])
      return state, points.at[number + 1].set(point)

    points = jnp.zeros((NUM_STEPS + 1, 2)).at[0].set(start)
    return jax.lax.fori_loop(0, num_steps, advance, (state, points))[1]

  return jax.jit(jax.vmap(orbit, in_axes=(0, 0, None, None), out_axes=1), compiler_options=OPTIONS)


def choose(orbit, which, starts, hparams, num_steps):
  return orbit(starts, hparams, which, num_steps)


def jacobians(orbit, hparams):
  """The update's Jacobians [R, 2, 2] at (0, 0), by central differences of one step.

  Not by differentiation: the step is made of gradients with the other player frozen, and what is frozen has no tangent.
  """
  def moved(offset):
    return np.asarray(orbit(np.broadcast_to(offset, (len(hparams['lr']), 2)), hparams, 1)[1])
  return np.stack([moved(offset) - moved(-offset) for offset in STENCIL * np.eye(2)], axis=-1) / (2 * STENCIL)


def numbers(regularisers=tuple(REGULARISERS), lr=LR):
  """`hparams` of runs that differ in their regulariser."""
  columns = dict(zip(KNOBS, np.array([REGULARISERS[name] for name in regularisers]).T, strict=True))
  ones = np.ones(len(regularisers))
  return columns | {'lr': lr * ones, 'update.consensus': CONSENSUS * ones}


class Study(NamedTuple):
  """A loss under a rule: for each regulariser the update's Jacobian [2, 2] at the equilibrium, and 10,000 steps."""

  jacobians: dict[str, np.ndarray]
  orbits: dict[str, np.ndarray]


@functools.cache
def study(loss, rule):
  orbit, hparams = functools.partial(choose, make_orbit(rule), list(LOSSES).index(loss)), numbers()
  points = np.asarray(orbit(np.broadcast_to(START, (len(REGULARISERS), 2)), hparams, NUM_STEPS))
  return Study(*(dict(zip(REGULARISERS, values, strict=True))
                 for values in (jacobians(orbit, hparams), points.swapaxes(0, 1))))


def on_paper(loss, rule, regulariser, lr=LR, **settings):
  r1, r2, noise = REGULARISERS[regulariser]
  return operator(rule, field_jacobian(CLOSED_FORM[loss], noise, r1 + r2), lr, CONSENSUS, **settings)
