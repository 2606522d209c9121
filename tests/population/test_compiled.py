"""Members of a population equal the same runs alone, whatever the others are and however many devices there are."""

import functools
import operator

import jax
import numpy as np
import pytest

from gan import build
from gan.complete import complete
from gan.config import base_config
from gan.data import digits
from gan.data.pipeline import Drawn, Resident
from gan.data.source import columns_of
from gan.population import compiled
from gan.population.members import member_state
from gan.population.program import program_key
from gan.sampling import make_stream

SMALL = {'data.name': 'ring', 'model.gen.name': 'mlp', 'model.disc.name': 'mlp', 'model.gen.width': 8,
         'model.disc.width': 8, 'model.gen.layers': 1, 'model.disc.layers': 1, 'model.z_dim': 2, 'train.batch_size': 8}
IMAGES = {'data.image_size': 16, 'model.gen.width': 4, 'model.disc.width': 4, 'model.z_dim': 3, 'train.batch_size': 4,
          'data.flip': True}
SGD = {f'optimizer.{player}.{name}': value for player in ('gen', 'disc')
       for name, value in (('name', 'sgd'), ('lr', 0.05), ('b1', 0.0))}
MEMBERS = [{'seed': 0, 'loss.name': 'saturating'}, {'seed': 0, 'loss.name': 'nonsaturating', 'optimizer.gen.lr': 0.02},
           {'seed': 5, 'loss.name': 'hinge', 'loss.margin': 0.5}, {'seed': 7, 'loss.name': 'nonsaturating',
                                                                   'loss.label_smoothing': 0.2}]
ALONE = {}  # Programs of runs alone; those that differ in numbers only share one.


def configs(*changes, members=MEMBERS):
  return [complete(base_config(), functools.reduce(operator.or_, (*changes, member))) for member in members]


def source(config):
  return digits.load(16, 'train') if config.data.name == 'digits' else build.open_data(config)


def batches_of(config, data, parallel):
  shape = (config.train.disc_steps, config.train.batch_size)
  if config.data.name == 'digits':
    return Resident(data, *shape, parallel.shard, parallel.place, config.data.flip)
  return Drawn(data, *shape, parallel.shard)


def train_together(members, num_steps, devices=1, per_member=1):
  data = source(members[0])
  shape = data.columns
  population = compiled.make_population(members, shape, jax.devices()[:devices], per_member)
  batches = batches_of(members[0], data, population.built.parallel)
  loop, state = compiled.make_loop(population, batches), compiled.initial_state(population)
  fed, hparams = batches.feed(0, num_steps), population.place(population.hparams)
  return population, loop(state, fed, hparams, np.int32(num_steps))


def train_alone(config, num_steps):
  key = program_key(config), config.loss.name
  if key not in ALONE:
    data = source(config)
    built = build.build(config, data.columns, jax.devices()[:1])
    batches = batches_of(config, data, built.parallel)
    ALONE[key] = built, batches, build.make_loop(config, built, batches)
  built, batches, loop = ALONE[key]
  hparams, state = build.hparams_of(config, (config.loss.name,)), build.make_initial_state(built, config.seed)
  return loop(state, batches.feed(0, num_steps), hparams, np.int32(num_steps))


def assert_equal(one, other, **tolerance):
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), **tolerance)


@pytest.mark.parametrize(('num_steps', 'changes'), [(100, SGD), (10, {})], ids=['100 steps of SGD', '10 steps of Adam'])
def test_a_member_equals_the_run_alone(num_steps, changes):
  members = configs(SMALL, changes)
  _, state = train_together(members, num_steps)
  for i, config in enumerate(members):
    alone, scalars, _ = train_alone(config, num_steps)
    own = member_state(state, i)
    assert own.step == alone.step == num_steps
    for part in ('gen', 'disc', 'ema'):
      assert_equal(getattr(own, part), getattr(alone, part), atol=1e-5)
    for name, value in scalars.items():
      np.testing.assert_allclose(state.scalars[name][i], value, rtol=1e-4, atol=1e-5, err_msg=name)


def test_images_with_batch_norm_and_flips_on_two_devices():
  """Convolutions, a resident data set, and two members for each of two devices; the third is followed by a filler."""
  members = configs(IMAGES, SGD, {'optimizer.gen.lr': 0.01, 'optimizer.disc.lr': 0.01}, members=MEMBERS[1:])
  population, state = train_together(members, 3, devices=2)
  assert (population.num, population.size) == (3, 4)
  assert state.alive.tolist() == [True, True, True, False]
  assert state.stopped_at.tolist() == [3, 3, 3, 0]
  for i, config in enumerate(members):
    alone, _, _ = train_alone(config, 3)
    assert_equal(member_state(state, i).gen, alone.gen, atol=2e-5)


def test_members_may_share_their_batch_between_devices():
  members = configs(SMALL, SGD, {'penalty.r1': 0.1, 'augment.noise': 0.1, 'penalty.lecam': 0.3}, members=MEMBERS[1::2])
  _, state = train_together(members, 10, devices=2, per_member=2)
  for i, config in enumerate(members):
    alone, _, _ = train_alone(config, 10)
    assert_equal(member_state(state, i).disc, alone.disc, atol=1e-5)


def test_members_may_differ_in_the_numbers_of_their_schedules():
  text = {'optimizer.gen.lr': 'linear,over={},end={},warmup={}', 'augment.noise': 'cosine,over={},end={},unit=images'}
  numbers = [{'optimizer.gen.lr': lr, 'augment.noise': noise} for lr, noise in (
      ((5, 0, 0), (40, 0)), ((50, 0.01, 3), (400, 0.3)), ((8, 0.2, 0), (80, 0.1)))]
  members = configs(SMALL, SGD, {'augment.noise': 0.2, 'loss.name': 'nonsaturating'}, members=[
      {f'schedule.{field}': text[field].format(*own[field]) for field in text} for own in numbers])
  assert len({program_key(config) for config in members}) == 1
  _, state = train_together(members, 10)
  for i, config in enumerate(members):
    alone, _, _ = train_alone(config, 10)
    for part in ('gen', 'disc', 'ema'):
      assert_equal(getattr(member_state(state, i), part), getattr(alone, part), atol=1e-5)
  leaves = jax.tree.leaves(state.members.gen.params)
  assert all(np.abs(np.asarray(leaf[i] - leaf[j])).max() > 1e-4 for leaf in leaves for i, j in ((0, 1), (0, 2), (1, 2)))


def test_equal_seeds_share_weights_data_and_latents_whatever_their_objective():
  members = configs(SMALL, SGD, members=[{'seed': 3, 'loss.name': name} for name in ('saturating', 'hinge')]
                    + [{'seed': 4, 'loss.name': 'hinge'}])
  population = compiled.make_population(members, columns_of((2,)), jax.devices()[:1])
  state = compiled.initial_state(population)
  assert_equal(member_state(state, 0).gen, member_state(state, 1).gen, rtol=0)
  keys = jax.random.key_data(state.members.rng)
  assert (keys[0] == keys[1]).all()  # All data, latents and noise are functions of (key, step).
  assert (keys[0] != keys[2]).any()
  kernels = [np.asarray(leaf)[[0, 2]] for leaf in jax.tree.leaves(state.members.gen.params) if leaf.ndim == 3]
  assert all((pair[0] != pair[1]).any() for pair in kernels)


def test_a_member_that_diverges_is_frozen_and_the_others_do_not_notice():
  wild = {'seed': 1, 'optimizer.disc.lr': 1e30, 'optimizer.gen.lr': 1e30, 'loss.name': 'nonsaturating'}
  with_it, without = configs(SMALL, SGD, members=[MEMBERS[0], wild, MEMBERS[1]]), configs(SMALL, SGD,
                                                                                         members=MEMBERS[:2])
  _, state = train_together(with_it, 20)
  _, calm = train_together(without, 20)
  assert state.alive.tolist() == [True, False, True]
  assert 1 <= state.stopped_at[1] < 5
  assert not np.isfinite([value[1] for value in state.scalars.values()]).all(), 'the scalars of its end are kept'
  for i, j in ((0, 0), (2, 1)):
    assert_equal(member_state(state, i).gen, member_state(calm, j).gen, atol=1e-6)


def test_samples_are_those_of_the_member_alone():
  members = configs(SMALL, SGD)
  population, state = train_together(members, 2)
  rngs = jax.random.split(jax.random.key(0), 4)
  parts = list(compiled.make_stream(population)(state.members.ema, rngs, 300))
  assert [count for _, count in parts] == [256, 44]
  alone = make_stream(build.build(members[2], columns_of((2,)), jax.devices()[:1]).game)
  for (together, count), (own, _) in zip(parts, alone(member_state(state, 2).ema, rngs[2], 300), strict=True):
    np.testing.assert_allclose(together[2, :count], own[:count], atol=1e-5)


def test_a_saved_state_does_not_know_the_number_of_devices():
  members = configs(SMALL, SGD, members=MEMBERS[:3])
  two, state = train_together(members, 3, devices=2)
  one = compiled.make_population(members, columns_of((2,)), jax.devices()[:1])
  saved = compiled.trimmed(two, state)
  abstract = compiled.abstract_state(one)
  assert jax.tree.map(lambda x: (x.shape, x.dtype), saved) == jax.tree.map(lambda x: (x.shape, x.dtype), abstract)
  back = compiled.filled(two, saved)
  for before, after in zip(jax.tree.leaves(state), jax.tree.leaves(back), strict=True):
    if jax.dtypes.issubdtype(before.dtype, jax.dtypes.prng_key):
      before, after = jax.random.key_data(before), jax.random.key_data(after)
    rows = slice(0, 3) if before.ndim else ()
    np.testing.assert_array_equal(before[rows], after[rows])
    assert before.shape == after.shape
