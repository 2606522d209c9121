"""Resident, streamed and drawn batches: one order, one decoding, wherever a run starts and however it is cut."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import toy as toy_config
from gan import build
from gan.complete import complete
from gan.data import order, pipeline, toy
from gan.data.source import Column, ImageSource, Unpaired
from gan.parallel import make_parallel
from gan.randomness import purpose_key, root_key, step_key
from gan.scoring.samples import open_samples
from gan.validate import validate

NUM, SHAPE, DISC_STEPS, BATCH, CALL = 23, (3, 4, 2), 2, 4, 3
RNG = root_key(5)


@dataclasses.dataclass(frozen=True)
class FakeRecords:
  """Image i has i * 11 + 0, 1, ... as its pixels, and i as its label."""

  num: int = NUM

  def __len__(self):
    return self.num

  def __getitem__(self, i):
    return image(i), i


def image(i):
  return (11 * i + np.arange(np.prod(SHAPE)).reshape(SHAPE)).astype(np.uint8)


SOURCE = ImageSource('fake', 'train', SHAPE, (), FakeRecords())


@pytest.fixture(scope='module')
def parallel():
  return make_parallel('jit')


@pytest.fixture(scope='module')
def make(parallel):
  """A pipeline of the kind asked for, and its compiled `batch`."""
  made = {}

  def get(kind, flip=False):
    if (kind, flip) not in made:
      if kind == 'resident':
        pipe = pipeline.Resident(SOURCE, DISC_STEPS, BATCH, parallel.shard, parallel.place, flip)
      else:
        pipe = pipeline.Streamed(SOURCE, DISC_STEPS, BATCH, parallel.shard, parallel.place_batch, flip, RNG, CALL,
                                 parallel.host_rows(BATCH))
      made[kind, flip] = pipe, jax.jit(pipe.batch)
    return made[kind, flip]

  return get


def batches(pipe, start, counts):
  """The batches of dispatches of `counts` steps from step `start` on."""
  feeder, batch = pipe
  for count in counts:
    data = feeder.feed(start, count)
    for i in range(count):
      yield jax.tree.map(np.asarray, batch(data, RNG, np.int32(start + i), np.int32(i)))
    start += count


def expected_indices(step):
  key = np.asarray(order.order_key(purpose_key(RNG, 'data')))
  drawn = DISC_STEPS * BATCH
  return order.host_indices(key, step * drawn, drawn, NUM).reshape(DISC_STEPS, BATCH)


def assert_equal(one, other):
  assert set(one) == set(other) == {'images', 'labels'}
  for name in one:
    assert one[name].dtype == other[name].dtype
    np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize('kind', ['resident', 'streamed'])
def test_batches_hold_the_samples_of_the_order(make, kind):
  """Labels belong to their images, pixels go from 0..255 to [-1, 1]; epochs of 23 end inside batches of 8."""
  labels = []
  for step, batch in enumerate(batches(make(kind), 0, [3, 3])):
    indices = expected_indices(step)
    np.testing.assert_array_equal(batch['labels'], indices)
    pixels = np.stack([image(i) for i in indices.ravel()]).reshape(DISC_STEPS, BATCH, *SHAPE)
    np.testing.assert_allclose(batch['images'], pixels / 127.5 - 1.0, atol=1e-6)
    assert batch['images'].dtype == np.float32
    assert batch['labels'].dtype == np.int32
    assert np.abs(batch['images']).max() <= 1.0
    labels.extend(batch['labels'].ravel())
  assert sorted(labels[:NUM]) == list(range(NUM))
  assert sorted(labels[NUM:2 * NUM]) == list(range(NUM))


def test_both_ends_of_the_range_are_reached(parallel):
  extreme = np.stack([np.zeros(SHAPE), np.full(SHAPE, 255.0)]).astype(np.uint8)

  class Records:
    def __len__(self):
      return 2

    def __getitem__(self, i):
      return extreme[i], i

  source = ImageSource('extreme', 'train', SHAPE, (), Records())
  pipe = pipeline.Resident(source, 1, 2, parallel.shard, parallel.place, False)
  [batch] = batches((pipe, pipe.batch), 0, [1])
  assert (batch['images'].min(), batch['images'].max()) == (-1.0, 1.0)


@pytest.mark.parametrize('flip', [False, True])
def test_streamed_equals_resident(make, flip):
  """Bit for bit, at any starting step and however dispatches are cut, forwards and back after a resume."""
  for start, counts in ((0, [3, 1, 2]), (5, [2, 3]), (1, [1]), (10**6, [1])):
    resident = batches(make('resident', flip), start, [1] * sum(counts))
    streamed = batches(make('streamed', flip), start, counts)
    for one, other in zip(resident, streamed, strict=True):
      assert_equal(one, other)


def test_flip_mirrors_half_of_the_images_by_the_augmentation_key(make):
  """Left and right only, each image on its own, and not the same ones at each step."""
  plain, mirrored = (list(batches(make('resident', flip), 0, [3] * 6)) for flip in (False, True))
  patterns = []
  for step, (before, after) in enumerate(zip(plain, mirrored, strict=True)):
    np.testing.assert_array_equal(before['labels'], after['labels'])
    turned = np.asarray(jax.random.bernoulli(step_key(RNG, 'augmentation', step), 0.5, (DISC_STEPS, BATCH)))
    expected = np.where(turned[..., None, None, None], before['images'][..., ::-1, :], before['images'])
    np.testing.assert_array_equal(after['images'], expected)
    patterns.append(turned)
  assert 0.35 < np.mean(patterns) < 0.65
  assert len({pattern.tobytes() for pattern in patterns}) > 12


def test_streamed_fills_a_short_dispatch_with_zeros(make):
  """One compiled shape for every dispatch; what lies beyond the count is never looked at."""
  data = jax.tree.map(np.asarray, make('streamed')[0].feed(7, 2))
  assert data['images'].shape == (CALL, DISC_STEPS, BATCH, *SHAPE)
  assert data['images'].dtype == np.uint8
  assert data['images'][:2].any()
  assert not data['images'][2:].any()


def test_load_all_keeps_the_order():
  images, labels = pipeline.load_all(ImageSource('fake', 'train', SHAPE, (), FakeRecords(101))).values()
  np.testing.assert_array_equal(labels, np.arange(101))
  np.testing.assert_array_equal(images[57], image(57))


def test_drawn_batches_are_fresh_draws_of_the_mixture(parallel):
  mixture = toy.ring()
  drawn = pipeline.Drawn(mixture, 3, 32, parallel.shard)
  batch = jax.jit(drawn.batch)
  steps = [np.asarray(batch(drawn.feed(step, 1), RNG, np.int32(step), np.int32(0))['images']) for step in (0, 1)]
  assert steps[0].shape == (3, 32, 2)
  assert steps[0].dtype == np.float32
  everything = np.concatenate(steps).reshape(-1, 2)
  assert len(np.unique(everything, axis=0)) == len(everything)
  expected = mixture.draw(step_key(RNG, 'data', 1), 96).reshape(3, 32, 2)
  np.testing.assert_allclose(steps[1], expected, rtol=1e-5, atol=1e-6)
  # The place in a dispatch does not matter, the step does.
  again = batch((), RNG, jnp.int32(1), jnp.int32(9))['images']
  np.testing.assert_array_equal(steps[1], again)


def test_a_data_set_of_points_is_seen_once_in_each_epoch(parallel):
  """The same points for every seed, each seed in its own order; batches may run across the end of an epoch."""
  mixture = toy.ring()._replace(num_points=NUM)
  pipe = pipeline.Points(mixture, DISC_STEPS, BATCH, parallel.shard, parallel.place)
  batch = jax.jit(pipe.batch)

  def epoch(rng):
    steps = [batch(pipe.feed(step, 1), rng, np.int32(step), np.int32(0))['images'] for step in range(3)]
    return np.concatenate(steps).reshape(-1, 2)[:NUM]

  points = np.asarray(mixture.points())
  assert len(np.unique(points, axis=0)) == NUM
  indices = np.concatenate([expected_indices(step).ravel() for step in range(3)])[:NUM]
  np.testing.assert_array_equal(epoch(RNG), points[indices])
  other = epoch(root_key(6))
  assert not np.array_equal(other, epoch(RNG))
  np.testing.assert_array_equal(np.sort(other, axis=0), np.sort(points, axis=0))


def test_a_run_on_a_data_set_of_points_sees_them_and_remembers_how_many():
  """From the configuration on; `evaluate --samples=train` shows the same points."""
  config = complete(toy_config.get_config('ring'), {'data.num_points': 30, 'train.batch_size': 10})
  validate(config)
  data = build.open_data(config)
  info = build.describe_data(data)
  assert (info.num_examples, '30 points' in info.fingerprint) == (30, True)
  assert build.describe_data(build.open_data(complete(toy_config.get_config('ring')))).num_examples is None
  parallel = make_parallel('jit')
  pipe = build.make_pipeline(config, data, parallel, RNG)
  seen = np.concatenate([pipe.batch(pipe.feed(step, 1), RNG, np.int32(step), np.int32(0))['images'][0]
                         for step in range(3)])
  points = np.asarray(data.points())
  np.testing.assert_array_equal(np.sort(seen, axis=0), np.sort(points, axis=0))
  for which, same in (('train', True), ('test', False)):
    drawn = open_samples(which, config, data)
    scored = np.concatenate([np.asarray(part)[:count] for part, count in drawn.batches])
    assert (drawn.num == 30) == same
    assert np.isin(scored[:, 0], points[:, 0]).all() == same


class Renamed:
  """The fake source under another column, of other examples."""

  name, class_names = 'other', ()

  def __init__(self, num):
    self.num_examples = num
    self.columns = {'others': Column((2,), 'float32')}

  def read(self, indices):
    return {'others': np.stack([np.asarray(indices), np.asarray(indices)], axis=1).astype(np.float32)}

  def fingerprint(self):
    return f'other {self.num_examples}'


def test_unpaired_sources_have_an_order_and_a_length_of_their_own(make, parallel):
  """The first keeps the order that it has alone; the second goes through all of its examples, in another order."""
  data = Unpaired('both', (SOURCE, Renamed(NUM)))
  assert list(data.columns) == ['images', 'labels', 'others']
  config = complete(toy_config.get_config('ring'), {
      'train.batch_size': BATCH, 'train.disc_steps': DISC_STEPS, 'train.steps_per_call': CALL})
  seen = {}
  for kind, resident_bytes in (('resident', 2**20), ('streamed', 0)):
    config.data.resident_bytes = resident_bytes
    joined = build.make_pipeline(config, data, parallel, RNG)
    seen[kind] = list(batches((joined, jax.jit(joined.batch)), 0, [3] * 3))
  for one, other in zip(*seen.values(), strict=True):
    jax.tree.map(np.testing.assert_array_equal, one, other)
  for batch, alone in zip(seen['resident'], batches(make('resident'), 0, [3] * 3), strict=True):
    assert_equal({name: batch[name] for name in alone}, alone)
    np.testing.assert_array_equal(batch['others'][..., 0], batch['others'][..., 1])
  labels, others = (np.concatenate([batch[name].reshape(DISC_STEPS * BATCH, -1)[:, 0] for batch in seen['resident']])
                    for name in ('labels', 'others'))
  assert sorted(others[:NUM]) == list(range(NUM))
  assert (labels != others).mean() > 0.7


def test_conditions_of_samples_are_the_data_in_one_order():
  """Chunk after chunk, round and round, as networks see them."""
  conditions = pipeline.make_conditions(Unpaired('both', (SOURCE, Renamed(7))), ('labels', 'others'), 10)
  chunks = [conditions(i) for i in range(3)]
  assert sorted(np.concatenate([chunk['labels'] for chunk in chunks])[:NUM]) == list(range(NUM))
  np.testing.assert_array_equal(chunks[0]['others'][7:], chunks[0]['others'][:3])
  assert pipeline.make_conditions(SOURCE, (), 10) is None
  images = pipeline.make_conditions(SOURCE, ('images',), 10)(0)['images']
  assert images.dtype == np.float32
  assert np.abs(images).max() <= 1.0
