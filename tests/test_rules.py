"""Update rules against NumPy on a game that is written out: which gradients, where, and in which order."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan import randomness
from gan.games import Game, Kept, Outcome, Played, Term
from gan.games.generation import Generation
from gan.losses import LOSSES
from gan.optimizers import make_optimizer
from gan.rules import RULES, Txs, memory_of, rule_settings
from gan.state import Start, create_state
from gan.step import initial_memory, make_train_step

LR = {'gen': 0.1, 'disc': 0.05}
GEN_DIM, DISC_DIM = 2, 3
SETTINGS = {'update.consensus': 0.7, 'update.adjustment': 0.6, 'update.lookahead': 0.4, 'train.ema_decay': 0.5}


def hparams_of(b1=0.0, **changed):
  numbers = {f'optimizer.{p}.{k}': v for p in LR for k, v in {'lr': LR[p], 'b1': b1, 'b2': 0.9, 'eps': 1e-8}.items()}
  return {name: np.float32(value) for name, value in (SETTINGS | numbers | changed).items()}


class Quartic:
  """A game of two vectors g, d: both losses quadratic with x^4 / 4 added. Curved, coupled, and not zero-sum.

  disc: d A d / 2 + d B g + a d,   gen: g C g / 2 + g E d + c g.
  """

  def __init__(self, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    self.A, self.C = (m + m.T for m in (rng.normal(size=(DISC_DIM, DISC_DIM)), rng.normal(size=(GEN_DIM, GEN_DIM))))
    self.B, self.E = rng.normal(size=(DISC_DIM, GEN_DIM)), rng.normal(size=(GEN_DIM, DISC_DIM))
    self.a, self.c = rng.normal(size=DISC_DIM), rng.normal(size=GEN_DIM)
    self.g, self.d = rng.normal(size=GEN_DIM), rng.normal(size=DISC_DIM)
    self.__dict__ = {name: scale * value for name, value in self.__dict__.items()}

  def disc(self, g, d):
    return 0.5 * d @ self.A @ d + d @ self.B @ g + self.a @ d + (d**4).sum() / 4

  def gen(self, g, d):
    return 0.5 * g @ self.C @ g + g @ self.E @ d + self.c @ g + (g**4).sum() / 4

  def field(self, g, d):
    return np.concatenate([self.C @ g + self.E @ d + self.c + g**3, self.A @ d + self.B @ g + self.a + d**3])

  def jacobian(self, g, d):
    return np.block([[self.C + np.diag(3 * g**2), self.E], [self.B, self.A + np.diag(3 * d**2)]])

  def as_game(self):
    f32 = Quartic.__new__(Quartic)
    f32.__dict__ = {name: np.float32(value) for name, value in self.__dict__.items()}

    def term(name):
      return Term(f'{name}/loss', name, lambda moment, memory: Outcome(
          getattr(f32, name)(moment.cast.params['gen'], moment.cast.params['disc'])))

    return Written(networks={}, terms=(term('disc'), term('gen')))


class Written(Game):
  """A game of parameters alone: no networks, nothing drawn."""

  def draw(self, draw, batch, count):
    return {}

  def play(self, cast, turn, hparams, memory, needs):
    return Played(None, {'gen': {}, 'disc': {}})


SPLIT = [GEN_DIM]
RATES = np.repeat([LR['gen'], LR['disc']], [GEN_DIM, DISC_DIM])


def run(game, rule, steps=1, b1=0.0, optimizer='sgd', start=None, angles=False, **settings):
  """The states of a run of a `Quartic`, first and last included; and the scalars of each step."""
  builder = make_optimizer(optimizer, optimistic=rule == 'optimistic')
  hparams = hparams_of(b1)
  txs = [builder({k: hparams[f'optimizer.{p}.{k}'] for k in ('lr', 'b1', 'b2', 'eps')}) for p in LR]
  params = {'gen': jnp.asarray(game.g, jnp.float32), 'disc': jnp.asarray(game.d, jnp.float32)} | (start or {})
  state = create_state(jax.random.key(0), Start(params['gen'], {}), Start(params['disc'], {}), txs,
                       initial_memory(rule, params, angles))
  step = jax.jit(make_train_step(game.as_game(), Txs(builder, builder), rule, **settings))
  states, scalars = [state], []
  for _ in range(steps):
    state, found = step(state, {'images': np.zeros((settings.get('disc_steps', 1), 1), np.float32)}, hparams)
    states.append(state)
    scalars.append(found)
  return states, scalars


def at(state):
  """The parameters of both as one vector (g, d)."""
  return np.concatenate([state.gen.params, state.disc.params])


def whole(game, rule, **kwargs):
  return at(run(game, rule, **kwargs)[0][-1])


def close(found, expected):
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def turns(game, x, order):
  """Players of `order` move one after another, each from where the other has got to."""
  for name in order:
    v, own = game.field(*np.split(x, SPLIT)), np.repeat([name == 'gen', name == 'disc'], [GEN_DIM, DISC_DIM])
    x = x - RATES * v * own
  return x


def start_of(game):
  return np.concatenate([game.g, game.d])


@pytest.mark.parametrize('settings', [{}, {'first': 'gen'}, {'disc_steps': 2, 'gen_steps': 2},
                                      {'first': 'gen', 'disc_steps': 3, 'gen_steps': 2}])
def test_alternating_moves_in_turns(settings):
  game = Quartic()
  names = {'disc': settings.get('disc_steps', 1) * ['disc'], 'gen': settings.get('gen_steps', 1) * ['gen']}
  first = settings.get('first', 'disc')
  order = names[first] + names['gen' if first == 'disc' else 'disc']
  close(whole(game, 'alternating', **settings), turns(game, start_of(game), order))


def test_simultaneous_and_extragradient():
  game, x = Quartic(), start_of(Quartic())
  ahead = x - RATES * game.field(game.g, game.d)
  close(whole(game, 'simultaneous'), ahead)
  close(whole(game, 'extragradient'), x - RATES * game.field(*np.split(ahead, SPLIT)))
  assert np.abs(ahead - turns(game, x, ['disc', 'gen'])).max() > 1e-3  # Another rule than alternating.


def test_moments_of_extragradient_see_both_gradients():
  """With momentum 0.5: m1 = v(x), look ahead by it; m2 = m1 / 2 + v(ahead), and step from x by m2."""
  game, x = Quartic(), start_of(Quartic())
  first = game.field(game.g, game.d)
  second = 0.5 * first + game.field(*np.split(x - RATES * first, SPLIT))
  close(whole(game, 'extragradient', b1=0.5), x - RATES * second)


def test_consensus_descends_the_squared_field_too():
  game, x = Quartic(), start_of(Quartic())
  v, J = game.field(game.g, game.d), game.jacobian(game.g, game.d)
  close(whole(game, 'consensus'), x - RATES * (v + 0.7 * J.T @ v))


def test_symplectic_adjusts_by_the_rotation_with_the_sign_of_the_paper():
  """Over enough games that both signs occur, also where the small constant decides; far from a tie for float32."""
  signs = set()
  for seed, scale in ((0, 1), (1, 1), (2, 1), (3, 1), (0, 0.3), (1, 0.3)):
    game = Quartic(seed, scale)
    x, v, J = start_of(game), game.field(game.g, game.d), game.jacobian(game.g, game.d)
    adjustment = 0.5 * (J.T - J) @ v
    aligned = (v @ J.T @ v) * (adjustment @ J.T @ v) / len(x) + 0.1
    assert abs(aligned) > 1e-2
    signs.add(np.sign(aligned))
    close(whole(game, 'symplectic'), x - RATES * (v + 0.6 * np.sign(aligned) * adjustment))
  assert signs == {-1.0, 1.0}


def test_optimistic_corrects_by_the_last_gradient():
  """2 v_t - v_{t-1}; the first step is a plain one."""
  game, x = Quartic(), start_of(Quartic())
  states, _ = run(game, 'optimistic', steps=3)
  last = game.field(game.g, game.d)
  for state in states[1:]:
    v = game.field(*np.split(x, SPLIT))
    x, last = x - RATES * (2 * v - last), v
    close(at(state), x)


def test_lookahead_returns_at_multiples_and_only_there():
  """Both players at once, towards where they last returned to; in between it is alternating."""
  game, slow = Quartic(), start_of(Quartic())
  states, _ = run(game, 'lookahead', steps=7, lookahead_steps=3)
  x = slow
  for t, state in enumerate(states[1:], 1):
    x = turns(game, x, ['disc', 'gen'])
    if t % 3 == 0:
      x = slow = slow + 0.4 * (x - slow)
    close(at(state), x)
    memory = np.concatenate([state.memory['slow'][name] for name in ('gen', 'disc')])
    close(memory, slow)
    assert np.array_equal(memory, at(state)) == (t % 3 == 0)


def foreseen(game, g, d, steps, b1):
  """The generator's loss after `steps` updates of the discriminator with momentum b1, written out."""
  m = np.zeros_like(d)
  for _ in range(steps):
    m = b1 * m + game.field(g, d)[GEN_DIM:]
    d = d - LR['disc'] * m
  return game.gen(g, d)


@pytest.mark.parametrize(('unroll_steps', 'b1'), [(0, 0.0), (1, 0.0), (3, 0.5)])
def test_unrolled_generator_differentiates_through_the_updates(unroll_steps, b1):
  """Total derivative by central differences; the generator moves first, so that all begins at the known point."""
  game, h = Quartic(), 1e-5
  total = np.array([(foreseen(game, game.g + h * e, game.d, unroll_steps, b1)
                     - foreseen(game, game.g - h * e, game.d, unroll_steps, b1)) / (2 * h) for e in np.eye(GEN_DIM)])
  found = whole(game, 'unrolled', b1=b1, first='gen', unroll_steps=unroll_steps)
  close(found[:GEN_DIM], game.g - LR['gen'] * total)
  plain = game.field(game.g, game.d)[:GEN_DIM]
  assert (np.abs(total - plain).max() > 0.02) == (unroll_steps > 0)


def test_unrolled_once_by_hand():
  """The loss g C g / 2 + g E d' with d' = d - lr (A d + B g + ...): its slope gains - lr B^T E^T g."""
  game = Quartic()
  moved = game.d - LR['disc'] * game.field(game.g, game.d)[GEN_DIM:]
  total = game.field(game.g, moved)[:GEN_DIM] - LR['disc'] * game.B.T @ game.E.T @ game.g
  close(whole(game, 'unrolled', first='gen', unroll_steps=1)[:GEN_DIM], game.g - LR['gen'] * total)


@pytest.mark.parametrize('optimizer', ['sgd', 'adam'])
def test_foresight_leaves_the_discriminator_alone(optimizer):
  """Its parameters and its optimizer's state are those of an alternating step; with no foresight so is the whole."""
  game = Quartic()
  plain, none, far = (run(game, rule, b1=0.5, optimizer=optimizer, **settings)[0][-1] for rule, settings in (
      ('alternating', {}), ('unrolled', {'unroll_steps': 0}), ('unrolled', {'unroll_steps': 2})))
  for one, other in ((plain.disc, none.disc), (plain.disc, far.disc), (plain.gen, none.gen)):
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), one, other)
  # Not the parameters: Adam's first step is a sign.
  differing = jax.tree.map(lambda one, other: np.abs(one - other).max(), plain.gen.opt_state, far.gen.opt_state)
  assert max(jax.tree.leaves(differing)) > 1e-3


def test_unrolled_adam_is_finite_where_a_gradient_is_zero():
  """Adam's root has no finite slope at zero; the third parameter of this discriminator is used by nobody."""
  game = Quartic()
  for matrix in (game.A, game.B, game.a, game.E.T):
    matrix[-1] = 0.0
  game.A[:, -1] = 0.0
  start = {'disc': jnp.array([0.3, -0.2, 0.0])}
  (_, state), _ = run(game, 'unrolled', optimizer='adam', first='gen', unroll_steps=2, start=start)
  assert np.isfinite(at(state)).all()
  assert np.abs(state.gen.params - game.g).min() > 1e-3


def test_angles_between_successive_steps():
  """The cosine of each player's movement and its last one; 0 at the first step, which has none before it."""
  states, scalars = run(Quartic(), 'alternating', steps=3, angles=True)
  for name in LR:
    moved = [np.subtract(getattr(b, name).params, getattr(a, name).params, dtype=np.float64)
             for a, b in itertools.pairwise(states)]
    expected = [0.0, *(a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in itertools.pairwise(moved))]
    np.testing.assert_allclose([found[f'{name}/update_cosine'] for found in scalars], expected, atol=1e-4)
    assert min(np.abs(expected[1:])) > 1e-2
  assert not any(name.endswith('cosine') for name in run(Quartic(), 'alternating')[1][0])


def test_each_update_has_a_deal_of_its_own():
  """Batches in order, the last one for all that come after; latents never twice; generators first if they are."""
  calls, batch_size = [], 4

  class Recording(Generation):
    def loss(self, player, params, state, turn, hparams):
      calls.append((player, float(turn.batch['images'][0]), np.asarray(turn.inputs['z']), int(turn.step)))
      return params, (Kept({}, {}), {})

  builder = make_optimizer('sgd')
  tx = builder({'lr': 0.1, 'b1': 0.0})
  state = create_state(randomness.root_key(0), Start(jnp.float32(1.0), {}), Start(jnp.float32(1.0), {}), (tx, tx))
  game = Recording(networks={}, terms=(), objective=LOSSES['saturating'], z_dim=3)
  step = make_train_step(game, Txs(builder, builder), first='gen', disc_steps=2, gen_steps=2)
  for _ in range(2):
    state, scalars = step(state, {'images': np.repeat(np.float32([[0.0], [1.0]]), batch_size, axis=1)}, hparams_of())
    # Players of one parameter each say where they are now.
    assert (scalars['gen/parameter'], scalars['disc/parameter']) == (state.gen.params, state.disc.params)
  assert [call[:2] + call[3:] for call in calls] == [
      (name, row, t) for t in (0, 1) for name, row in (('gen', 1.0), ('gen', 1.0), ('disc', 0.0), ('disc', 1.0))]
  latents = np.stack([call[2] for call in calls])
  assert latents.shape == (8, batch_size, 3)
  assert len(np.unique(latents)) == latents.size


def test_settings_and_memory_of_rules():
  taking_turns = {'alternating', 'unrolled', 'lookahead'}
  for rule in RULES:
    assert ({'first', 'disc_steps', 'gen_steps'} <= set(rule_settings(rule))) == (rule in taking_turns)
    assert list(memory_of(rule, {'gen': jnp.ones(1)})) == (['slow'] if rule == 'lookahead' else [])
  assert rule_settings('unrolled')[-1] == 'unroll_steps'
  assert rule_settings('lookahead')[-1] == 'lookahead_steps'
