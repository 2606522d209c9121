"""The step on tiny games: who may change what, in which order, with which latents; and the loop around it."""

import functools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan import build, losses, randomness
from gan.config import ConfigError, base_config
from gan.config.complete import complete
from gan.data.source import columns_of
from gan.games import Kept, Turn
from gan.games.generation import LATENTS, Generation, Rules, make_generation
from gan.optimizers import make_optimizer
from gan.rules import Txs
from gan.state import Start, create_state
from gan.step import average_decay, make_loop, make_train_step, warmed_up
from tests.test_rules_separation import any_of

BATCH, Z_DIM, DISC_STEPS = 6, 3, 2
NUMBERS = {'lr': 0.05, 'b1': 0.5, 'b2': 0.9, 'eps': 1e-8}
HPARAMS = {'train.ema_decay': 0.3} | {f'optimizer.{p}.{k}': v for p in ('gen', 'disc') for k, v in NUMBERS.items()}
HPARAMS = {name: np.float32(value) for name, value in HPARAMS.items()}


class Dense(nn.Module):
  """One hidden layer, with batch norm or without: the smallest player that has everything."""

  out: int
  batch_norm: bool = False

  @nn.compact
  def __call__(self, z=None, images=None, *, train):
    x = images if z is None else z
    x = nn.Dense(4)(x)
    if self.batch_norm:
      x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
    x = nn.Dense(self.out)(jnp.tanh(x))
    return x[:, 0] if self.out == 1 else x


@functools.cache
def game_of(loss='nonsaturating', batch_norm=True, joint=False):
  return make_generation(Dense(2, batch_norm), Dense(1, batch_norm), losses.LOSSES[loss], Z_DIM, (2,), Rules(joint))


@functools.cache
def initial(batch_norm=True, optimizer='sgd'):
  tx = make_optimizer(optimizer)(NUMBERS)
  start = jax.jit(game_of(batch_norm=batch_norm).init)(jax.random.key(1))
  return create_state(randomness.root_key(0), start['gen'], start['disc'], (tx, tx))


def txs(optimizer='sgd'):
  return Txs(make_optimizer(optimizer), make_optimizer(optimizer))


def rule(game, optimizer='sgd', disc_steps=DISC_STEPS):
  return make_train_step(game, txs(optimizer), disc_steps=disc_steps)


def images(seed=0, disc_steps=DISC_STEPS):
  return {'images': np.random.default_rng(seed).normal(size=(disc_steps, BATCH, 2)).astype(np.float32)}


def turn_of(batch, z, state):
  return Turn(jax.tree.map(lambda x: x[0], batch), {'z': z}, state.rng, state.step, 0)


def assert_trees(check, one, other):
  jax.tree.map(check, one, other)
  assert jax.tree.structure(one) == jax.tree.structure(other)


def words(tree):
  """Leaves as NumPy; keys as their words."""
  return jax.tree.map(lambda x: np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
                                           else x), tree)


assert_same = functools.partial(assert_trees, np.testing.assert_array_equal)
assert_close = functools.partial(assert_trees, functools.partial(np.testing.assert_allclose, rtol=2e-4, atol=1e-6))


@functools.cache
def leaks():
  """Largest gradients {loss: (of disc in gen, of gen in gen, of disc in disc, of gen in disc)}; one program for all."""
  game = make_generation(Dense(2, True), Dense(1, True), any_of(tuple(losses.LOSSES)), Z_DIM, (2,))
  state = initial()
  turn = turn_of(images(), np.random.default_rng(1).normal(size=(BATCH, Z_DIM)).astype(np.float32), state)

  def largest(weights):
    def both(gen_params, disc_params):
      at = state.replace(gen=state.gen.replace(params=gen_params), disc=state.disc.replace(params=disc_params))
      hparams = {'loss.weights': weights}
      return jnp.stack([game.loss('disc', disc_params, at, turn, hparams)[0],
                        game.loss('gen', gen_params, at, turn, hparams)[0]])

    grads = jax.jacrev(both, argnums=(0, 1))(state.gen.params, state.disc.params)
    return jnp.stack([jnp.max(jnp.stack([jnp.abs(leaf[i]).max() for leaf in jax.tree.leaves(of)]))
                      for of in grads for i in (0, 1)])

  found = jax.jit(lambda weights: jax.lax.map(largest, weights))(np.eye(len(losses.LOSSES), dtype=np.float32))
  return dict(zip(losses.LOSSES, np.asarray(found), strict=True))


@pytest.mark.parametrize('loss', losses.LOSSES)
def test_no_gradient_reaches_the_other_player(loss):
  """Exactly zero for the other's parameters, and not zero for one's own."""
  disc_to_gen, gen_to_gen, disc_to_disc, gen_to_disc = leaks()[loss]
  assert disc_to_gen == gen_to_disc == 0.0
  assert gen_to_gen > 1e-4
  assert disc_to_disc > 1e-4


def by_hand(state, batch, decay, disc_steps=DISC_STEPS):
  """A whole step of the non-saturating game with momentum 0.5, written out; nothing of gan.games or gan.step."""
  gen, disc = Dense(2, True), Dense(1, True)
  step_key = jax.random.fold_in(jax.random.fold_in(state.rng, 2), state.step)  # 2: latents.

  def run(net, params, stats, x):
    return net.apply({'params': params, **stats}, x, train=True, mutable=['batch_stats'])

  def descend(player, grads, stats):
    trace = jax.tree.map(lambda m, g: 0.5 * m + g, player.opt_state[0].trace, grads)
    params = jax.tree.map(lambda p, m: p - 0.05 * m, player.params, trace)
    return player.replace(params=params, stats=stats,
                          opt_state=(player.opt_state[0]._replace(trace=trace), player.opt_state[1]))

  for i in range(disc_steps):
    z = jax.random.normal(jax.random.fold_in(step_key, i), (BATCH, Z_DIM))
    fakes, _ = run(gen, state.gen.params, state.gen.stats, z)

    def disc_loss(params, fakes=fakes, images=batch['images'][i], stats=state.disc.stats):
      real_logits, stats = run(disc, params, stats, images)
      fake_logits, stats = run(disc, params, stats, fakes)
      return -jnp.mean(jnp.log(nn.sigmoid(real_logits))) - jnp.mean(jnp.log(1 - nn.sigmoid(fake_logits))), stats

    grads, stats = jax.grad(disc_loss, has_aux=True)(state.disc.params)
    state = state.replace(disc=descend(state.disc, grads, stats))

  z = jax.random.normal(jax.random.fold_in(step_key, disc_steps), (BATCH, Z_DIM))

  def gen_loss(params):
    fakes, stats = run(gen, params, state.gen.stats, z)
    fake_logits, _ = run(disc, state.disc.params, state.disc.stats, fakes)  # Its new statistics are dropped.
    return -jnp.mean(jnp.log(nn.sigmoid(fake_logits))), stats

  grads, stats = jax.grad(gen_loss, has_aux=True)(state.gen.params)
  gen_player = descend(state.gen, grads, stats)
  latest = {'params': gen_player.params, 'stats': gen_player.stats}
  ema = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state.ema, latest)
  return state.replace(step=state.step + 1, gen=gen_player, ema=ema)


def test_two_steps_by_hand():
  """Order of updates, fresh latents, batches, statistics of each player, momentum, and the warmed-up average.

  The average of weights *and* statistics decays by (1 + t) / (10 + t), at most by `train.ema_decay`: here 1 / 10 at
  the first step and 2 / 11 at the second.
  """
  step, hand = jax.jit(rule(game_of())), jax.jit(by_hand)
  ours = theirs = initial()
  for t, decay in ((0, 0.1), (1, 2 / 11)):
    ours, _ = step(ours, images(t), HPARAMS)
    theirs = hand(theirs, images(t), np.float32(decay))
    assert_close(words(ours), words(theirs))
  assert ours.step == 2
  assert ours.step.dtype == jnp.int32


def test_decay_of_the_average_is_warmed_up():
  steps = np.array([0, 8, 89, 10_000], np.float32)
  np.testing.assert_allclose(jax.vmap(warmed_up, (None, 0))(0.999, steps), [0.1, 0.5, 90 / 99, 0.999], rtol=1e-6)
  np.testing.assert_allclose(jax.vmap(warmed_up, (None, 0))(0.0, steps), 0.0)


def test_half_life_of_the_average_in_images():
  """After a half-life of 320 images, 10 steps of 32, half is left; ramped up, 2^(-B / (r B t)) = 2^(-1 / (r t))."""
  plain, steps = {'train.ema_decay': 0.9, 'train.ema_halflife': 320.0}, np.array([0, 1, 40, 10_000], np.int32)
  constant, ramped = (jax.vmap(functools.partial(average_decay, hparams, images_per_step=32))(steps)
                      for hparams in (plain, plain | {'train.ema_rampup': 0.05}))
  np.testing.assert_allclose(constant**10, 0.5, rtol=1e-5)
  np.testing.assert_allclose(ramped, [0.0, 2.0**-20, 2.0**-0.5, 2.0**-0.1], rtol=1e-5)


def test_the_half_life_is_that_of_the_whole_step():
  """The configuration's batch and discriminator updates decide, and the step averages with it."""
  hparams = HPARAMS | {'train.ema_halflife': np.float32(6.0)}
  state = initial()
  step = jax.jit(make_train_step(game_of(), txs(), disc_steps=DISC_STEPS, images_per_step=DISC_STEPS * BATCH))
  after, _ = step(state, images(), hparams)
  expected = jax.tree.map(lambda old, new: 0.25 * old + 0.75 * new, state.ema['params'], after.gen.params)
  assert_close(after.ema['params'], expected)


def recording_game(calls):
  """A game whose losses note what they are given; the players are one number each."""
  class Recording(Generation):
    def loss(self, player, params, state, turn, hparams):
      others = state.disc if player == 'gen' else state.gen
      calls.append((player, np.asarray(turn.batch['images']), np.asarray(turn.inputs['z']), float(others.params)))
      return params, (Kept({'of': jnp.float32(len(calls))}, {}), {f'{player}/loss': params})

  return Recording(networks={}, terms=(), objective=losses.LOSSES['saturating'], z_dim=Z_DIM)


@pytest.mark.parametrize('disc_steps', [1, 3])
def test_turns_batches_and_latents(disc_steps):
  """disc_steps turns with a batch each, then the generator against the newest discriminator; no latents twice."""
  calls = []
  tx = make_optimizer('sgd')(NUMBERS)
  start = Start(jnp.float32(1.0), {'of': jnp.float32(0.0)})
  state = create_state(randomness.root_key(3), start, start, (tx, tx))
  step = rule(recording_game(calls), disc_steps=disc_steps)
  batches = [images(t, disc_steps) for t in range(2)]
  for batch in batches:
    state, _ = step(state, batch, HPARAMS | {f'optimizer.{p}.b1': np.float32(0.0) for p in ('gen', 'disc')})
  assert [name for name, *_ in calls] == (['disc'] * disc_steps + ['gen']) * 2
  rows = [*range(disc_steps), disc_steps - 1]
  for i, (_, seen, _, _) in enumerate(calls):
    step_number, turn = divmod(i, disc_steps + 1)
    np.testing.assert_array_equal(seen, batches[step_number]['images'][rows[turn]])
  # Each turn moves its player by 0.05; the generator plays against the discriminator after all its turns.
  assert calls[disc_steps][3] == pytest.approx(1.0 - 0.05 * disc_steps)
  assert calls[disc_steps + 1][3] == pytest.approx(0.95)
  latents = np.stack([z for _, _, z, _ in calls])
  assert latents.shape[1:] == (BATCH, Z_DIM)
  assert len(np.unique(latents)) == latents.size
  # Statistics are those of the player's own last turn.
  assert state.gen.stats == {'of': len(calls)}
  assert state.disc.stats == {'of': len(calls) - 1}


def test_latent_distributions():
  normal, uniform = (np.asarray(LATENTS[z](jax.random.key(0), (20_000, 2))) for z in ('normal', 'uniform'))
  assert abs(normal.mean()) < 0.03
  assert abs(normal.std() - 1) < 0.03
  assert np.abs(uniform).max() <= 1.0
  assert abs(uniform.mean()) < 0.03
  assert abs(uniform.var() - 1 / 3) < 0.01
  with pytest.raises(ValueError, match=rf"model\.z='cauchy' is unknown; known: {', '.join(LATENTS)}"):
    make_generation(None, None, losses.LOSSES['hinge'], 2, (2,), z='cauchy')


def test_weights_are_clipped_where_asked():
  """All of the discriminator, after each of its updates; nothing of the generator."""
  step = jax.jit(rule(game_of('wasserstein', batch_norm=False)))
  state = initial(batch_norm=False)
  clipped, _ = step(state, images(), HPARAMS | {'penalty.clip': np.float32(0.02)})
  free, _ = step(state, images(), HPARAMS)
  sizes = [np.abs(leaf).max() for leaf in jax.tree.leaves(clipped.disc.params)]
  assert max(sizes) == np.float32(0.02)
  assert min(np.abs(leaf).max() for leaf in jax.tree.leaves(free.disc.params) if leaf.ndim == 2) > 0.1
  assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(clipped.gen.params)) > 0.1


@pytest.fixture(scope='module')
def loop():
  """Compiled; the images of a step depend on its number, and are not finite at the step that `data` names."""
  def get_batch(data, rng, step, i):
    draws = jax.random.normal(randomness.step_key(rng, 'data', step), (DISC_STEPS, BATCH, 2))
    return {'images': jnp.where(step == data['bad'], jnp.nan, draws + 0.0 * i)}

  return jax.jit(make_loop(rule(game_of(), 'adam'), get_batch))


# The slope of a bias before batch norm is rounding, of which Adam would make full steps.
LOOP_HPARAMS = HPARAMS | {f'optimizer.{player}.eps': np.float32(0.1) for player in ('gen', 'disc')}


def dispatches(loop, counts, bad=-1):
  state, history = initial(optimizer='adam'), []
  for count in counts:
    state, scalars, last = loop(state, {'bad': np.int32(bad)}, LOOP_HPARAMS, np.int32(count))
    history.append((scalars, last))
  return state, history


def test_splitting_a_run_changes_no_bit(loop):
  """Seven steps in one dispatch equal seven dispatches of one, and any other split."""
  whole, history = dispatches(loop, [7])
  assert int(history[0][1][0]) == 7
  assert bool(history[0][1][1])
  for counts in ([1] * 7, [3, 4], [5, 2], [0, 7]):
    state, parts = dispatches(loop, counts)
    assert_same(words(state), words(whole))
    assert_same(parts[-1][0], history[0][0])


def test_the_loop_is_the_step_repeated(loop):
  """Compiled without a loop: equal to rounding."""
  state = initial(optimizer='adam')
  step = jax.jit(rule(game_of(), 'adam'))
  for t in range(3):
    batch = {'images': jax.random.normal(randomness.step_key(state.rng, 'data', t), (DISC_STEPS, BATCH, 2))}
    state, scalars = step(state, batch, LOOP_HPARAMS)
  looped, history = dispatches(loop, [3])
  assert_close(words(state), words(looped))
  assert_close(scalars, history[0][0])


@pytest.mark.parametrize('bad', [0, 3])
def test_the_loop_stops_at_a_step_that_is_not_finite(loop, bad):
  """`last` counts the bad step as finished, so steps are numbered from 1 as everywhere; later steps do not run."""
  state, [(scalars, (steps, finite))] = dispatches(loop, [7], bad)
  assert int(steps) == int(state.step) == bad + 1
  assert not bool(finite)
  assert not all(np.isfinite(value) for value in scalars.values())
  _, [*_, (_, (steps, finite))] = dispatches(loop, [2, 5], bad + 2)
  assert (int(steps), bool(finite)) == (bad + 3, False)


def loss_and_gradient(game, state):
  z = np.ones((BATCH, Z_DIM), np.float32) * np.linspace(-1, 1, BATCH, dtype=np.float32)[:, None]
  turn = turn_of(images(), z, state)
  loss = functools.partial(game.loss, 'disc')
  run = jax.jit(lambda params: jax.value_and_grad(loss, has_aux=True)(params, state, turn, {}))
  (value, (_, scalars)), grads = run(state.disc.params)
  return value, scalars, grads


def test_one_pass_equals_two_without_batch_norm_only():
  for batch_norm in (False, True):
    state = initial(batch_norm)
    joint, separate = (loss_and_gradient(game_of(batch_norm=batch_norm, joint=joint), state) for joint in (True, False))
    if batch_norm:
      assert abs(joint[0] - separate[0]) > 1e-4
    else:
      assert_close(joint, separate)


@pytest.mark.parametrize(('model', 'settings', 'shape', 'joint'), [
    ('mlp', {}, (2,), True), ('dcgan', {}, (16, 16, 1), False), ('dcgan', {'batch_norm': False}, (16, 16, 1), True)])
def test_build_judges_jointly_where_samples_are_judged_one_by_one(model, settings, shape, joint):
  config = base_config()
  config.model.gen.name = config.model.disc.name = model
  config.model.gen.width = config.model.disc.width = 2
  config.model.disc.update(settings)
  assert build.build(complete(config), columns_of(shape)).game.rules.joint == joint


@pytest.mark.parametrize(('field', 'value'), [
    ('augment.policy', 'color+translation+cutout'), ('augment.policy', 'ada'), ('penalty.cr_real', 1.0),
    ('penalty.cr_fake', 1.0)])
def test_single_pixels_cannot_be_transformed(field, value):
  plain = {'model.gen.name': 'vanilla', 'model.disc.name': 'vanilla'}
  build.build(complete(base_config(), plain), columns_of((1, 1, 3)))
  config = complete(base_config(), plain | {field: value})
  build.build(config, columns_of((2, 2, 3)))
  with pytest.raises(ConfigError, match=rf'{field}={re.escape(str(value))} needs images .* have 1 x 1; leave it out'):
    build.build(config, columns_of((1, 1, 3)))


GOLDEN = {'disc/fake_prob': 0.5158094, 'disc/grad_norm': 0.2553695, 'disc/logit_gap': -0.07523924,
          'disc/loss': 1.42624, 'disc/on_fake': 0.7256912, 'disc/on_real': 0.7005489, 'disc/real_prob': 0.4969755,
          'disc/update_cosine': 0.3761559, 'disc/update_norm': 0.04263552, 'disc/weight_norm': 3.22679,
          'gen/fake_prob': 0.5196792, 'gen/grad_norm': 0.2661581, 'gen/loss': 0.6550977, 'gen/on_fake': 0.6550977,
          'gen/on_real': 0.0, 'gen/update_cosine': 0.7405522, 'gen/update_norm': 0.0522697, 'gen/weight_norm': 2.997449,
          'ema': 13.73088}


def test_golden_numbers():
  """Ten steps of a tiny run with Adam, a discriminator with two turns, and drawn data."""
  config = base_config()
  config.data.name = 'ring'
  for player in ('gen', 'disc'):
    config.model[player].update({'name': 'mlp', 'width': 8, 'layers': 1})
    config.optimizer[player].lr = 1e-2
  config.model.z_dim, config.train.batch_size, config.train.disc_steps = 2, 16, 2
  config = complete(config)
  data = build.open_data(config)
  built = build.build(config, data.columns, jax.devices()[:1])
  state = build.make_initial_state(built, seed=0)
  batches = build.make_pipeline(config, data, built.parallel, state.rng)
  run = build.make_loop(config, built, batches)
  state, scalars, _ = run(state, batches.feed(0, 10), built.hparams, np.int32(10))
  found = {name: float(value) for name, value in scalars.items() if name != 'disc/accuracy'}  # A count: it jumps.
  found['ema'] = float(sum(np.abs(leaf).sum() for leaf in jax.tree.leaves(state.ema)))
  message = ('the numbers of a run have changed. That is right only if it was meant: another initialisation, order of '
             'draws, loss or update. Then say so in the commit and store these. If you only meant to make the code '
             f'faster or tidier, it is a bug. GOLDEN = {found}')
  assert found == pytest.approx(GOLDEN, rel=1e-4, abs=1e-7), message


def test_what_a_step_is_not_built_for():
  game, players = game_of(batch_norm=False), txs()
  with pytest.raises(ValueError, match=r"rule 'extragrad' is unknown; known: .* \(did you mean extragradient\?\)"):
    make_train_step(game, players, 'extragrad')
  with pytest.raises(ValueError, match='disc_steps is no setting of the rule extragradient, which has none'):
    make_train_step(game, players, 'extragradient', disc_steps=5)
  step, state = make_train_step(game, players, disc_steps=2), initial(batch_norm=False)
  for shape in ((1, BATCH, 2), (3, BATCH, 2), (BATCH,)):
    with pytest.raises(ValueError, match=r"batch\['images'\] has shape .* must be \[2, batch, \.\.\.\]"):
      step(state, {'images': np.zeros(shape, np.float32)}, HPARAMS)
