"""Schedules: each kind against NumPy in float64, and runs in which any number may be one."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gan import build, schedules
from gan.config import base_config, scheduling
from gan.config.validate import validate
from gan.data.pipeline import Drawn
from gan.data.source import columns_of
from gan.schedules import SCHEDULES, UNITS, Schedule, resolve
from tests.test_config import problems, stated


def by_hand(kind, t, start, end, over=None, hold=0.0, every=None, factor=None):
  """The value at time t without warm-up, in float64."""
  if kind == 'steps':
    return end + (start - end) * factor ** math.floor(t / every)
  left = {'constant': lambda: 1.0, 'linear': lambda: 1 - min(t / over, 1),
          'constant_then_linear': lambda: 1 - min(max(t - hold, 0) / (over - hold), 1),
          'cosine': lambda: (1 + math.cos(math.pi * min(t / over, 1))) / 2}[kind]()
  return end + (start - end) * left


def value(text, step, start, images_per_step=1):
  texts = {'schedule.x': text}
  hparams = {'x': start, 'other': 3.0} | scheduling.numbers(texts)
  kinds = scheduling.schedules_of(texts)
  found = resolve(hparams, step, schedules=kinds, images_per_step=images_per_step)
  assert found.keys() == {'x', 'other'}
  assert found['other'] == 3.0
  return float(found['x'])


NUMBERS = {'constant': {}, 'linear': {'over': 40.0}, 'cosine': {'over': 40.0}, 'steps': {'every': 12.0, 'factor': 0.3},
           'constant_then_linear': {'hold': 15.0, 'over': 40.0}}


@pytest.mark.parametrize('kind', SCHEDULES)
@pytest.mark.parametrize('unit', UNITS)
@pytest.mark.parametrize(('end', 'warmup'), [(0.0, 0.0), (0.7, 0.0), (0.1, 10.0)])
def test_each_kind_by_hand(kind, unit, end, warmup):
  """Ten images in a step: lengths that are ten times as long in images are as long in steps."""
  scale = 10.0 if unit == 'images' else 1.0
  lengths = {name: number if name == 'factor' else scale * number for name, number in NUMBERS[kind].items()}
  numbers = lengths | ({} if kind == 'constant' else {'end': end}) | {'warmup': scale * warmup}
  hparams = {'x': 0.5} | {f'schedule.x.{name}': np.float32(number) for name, number in numbers.items()}
  at = jax.jit(functools.partial(resolve, schedules={'x': Schedule(kind, unit)}, images_per_step=10))
  for step in (0, 1, 5, 9, 10, 11, 12, 13, 15, 16, 24, 39, 40, 41, 1000, 2**30):
    expected = by_hand(kind, step, 0.5, end, **NUMBERS[kind]) * (min((step + 1) / warmup, 1) if warmup else 1)
    np.testing.assert_allclose(at(hparams, np.int32(step))['x'], expected, rtol=1e-5, atol=1e-7, err_msg=str(step))


@pytest.mark.parametrize('text', ['linear,over=7', 'cosine,over=7', 'constant_then_linear,over=7,hold=3'])
@pytest.mark.parametrize(('start', 'end'), [(0.3, 0.0), (1e-4, 0.9), (-0.7, 0.1)])
def test_both_ends_are_exact(text, start, end):
  assert value(f'{text},end={end}', 0, np.float32(start)) == np.float32(start)
  for step in (7, 8, 2**31 - 1):
    assert value(f'{text},end={end}', step, np.float32(start)) == np.float32(end)


@settings(deadline=None, max_examples=60)
@given(std=st.floats(0, 2, width=32), over=st.one_of(st.integers(1, 10**6), st.floats(1, 1e6, width=32)),
       step=st.integers(0, 2 * 10**6))
@example(std=0.5, over=4, step=5)
def test_linear_decays_to_exactly_nothing(std, over, step):
  found = value(f'linear,over={over!r}', step, std)
  np.testing.assert_allclose(found, std * max(0.0, 1.0 - step / over), atol=2e-6)
  assert step < over or found == 0.0


def test_warmup_shorter_than_a_step_is_none():
  assert value('constant,warmup=30,unit=images', 0, 0.5, images_per_step=64) == 0.5
  assert value('constant,warmup=128,unit=images', 0, 0.5, images_per_step=64) == 0.25


def test_a_kind_is_a_function_and_a_line(monkeypatch):
  def inverse(t, start, *, half):
    return start / (1 + t / half)

  monkeypatch.setitem(schedules.SCHEDULES, 'inverse', inverse)
  assert value('inverse,half=10', 10, 0.5) == pytest.approx(0.25)
  [line] = problems(stated(schedule__optimizer__gen__lr='inverse'))
  assert line.endswith('inverse needs half; add ,half=<number>')


def test_order_and_spaces_do_not_matter():
  one, other = (scheduling.read(text) for text in ('linear,over=10,end=1', ' linear , end = 1 ,over=1e1, unit=steps'))
  assert one == other == (Schedule('linear', 'steps'), {'over': 10.0, 'end': 1.0, 'warmup': 0.0}, [])


# Runs.

SMALL = {'data.name': 'ring', 'model.gen.name': 'mlp', 'model.disc.name': 'mlp', 'model.gen.width': 8,
         'model.disc.width': 8, 'model.gen.layers': 1, 'model.disc.layers': 1, 'model.z_dim': 2, 'train.batch_size': 8,
         'train.disc_steps': 2, 'optimizer.gen.name': 'sgd', 'optimizer.disc.name': 'adam', 'optimizer.gen.lr': 0.05,
         'optimizer.gen.weight_decay': 0.1, 'penalty.r1': 1.0, 'penalty.every': 2, 'augment.noise': 0.5,
         'loss.name': 'hinge'}
# Each with its value after three steps; there are 16 images in a step.
SCHEDULED = {'optimizer.gen.lr': ('cosine,over=6,warmup=8', 0.05 * 0.5 * 0.5),
             'optimizer.gen.weight_decay': ('constant_then_linear,hold=2,over=4', 0.05),
             'optimizer.disc.b2': ('linear,end=0.9,over=6', 0.9495), 'penalty.r1': ('linear,over=96,unit=images', 0.5),
             'augment.noise': ('linear,over=4', 0.125), 'loss.margin': ('steps,every=2,factor=0.5,end=0.5', 0.75),
             'train.ema_decay': ('steps,every=48,factor=0,unit=images,end=0.1', 0.1)}


@functools.cache
def made(scheduled):
  """The configuration, its parts, its batches and its compiled loop."""
  texts = {f'schedule.{field}': text for field, (text, _) in SCHEDULED.items() if scheduled}
  config = validate(base_config(), overrides=SMALL | texts)
  built = build.build(config, columns_of((2,)), jax.devices()[:1])
  batches = Drawn(build.open_data(config), 2, 8, built.parallel.shard)
  return built, batches, build.make_loop(config, built, batches)


def train(state, num_steps, scheduled=True, **hparams):
  built, batches, loop = made(scheduled)
  return loop(state, batches.feed(0, num_steps), built.hparams | hparams, np.int32(num_steps))[:2]


def assert_same(one, other, check):
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
    if not jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
      check(np.asarray(a), np.asarray(b))


def test_a_step_sees_each_number_as_it_is_at_this_step():
  """Step 3 of a run with schedules is that step of a run in which these numbers have their values as constants."""
  def begin():
    return build.make_initial_state(made(True)[0], 0).replace(step=jnp.int32(3))

  constants = {field: np.float32(number) for field, (_, number) in SCHEDULED.items()}
  expected, expected_scalars = train(begin(), 1, scheduled=False, **constants)
  found, scalars = train(begin(), 1)
  check = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7)
  assert_same(found, expected, check)
  assert_same(scalars, expected_scalars, check)
  for field in SCHEDULED:   # And each of them is seen: with another constant the step is another one.
    other, other_scalars = train(begin(), 1, scheduled=False, **constants | {field: 0.9 * constants[field]})
    assert any(float(jnp.max(jnp.abs(a - b))) > 1e-7 for a, b in zip(
        jax.tree.leaves((found.gen.params, found.disc.params, found.ema, scalars)),
        jax.tree.leaves((other.gen.params, other.disc.params, other.ema, other_scalars)), strict=True)), field


def test_a_run_goes_on_in_the_middle_of_its_schedules_bit_for_bit():
  at_once, scalars = train(build.make_initial_state(made(True)[0], 0), 5)
  half, _ = train(build.make_initial_state(made(True)[0], 0), 2)
  in_two, later = train(half, 3)
  assert_same((at_once, scalars), (in_two, later), np.testing.assert_array_equal)


def test_the_probe_sees_the_numbers_of_its_step():
  built, batches, _ = made(True)
  state = build.make_initial_state(built, 0).replace(step=jnp.int32(3))
  probe = build.make_probe(built, batches)
  plain = made(False)[0]
  constants = plain.hparams | {field: np.float32(number) for field, (_, number) in SCHEDULED.items()}
  expected = build.make_probe(plain, batches)(state, batches.feed(0, 3), constants, np.int32(2))
  assert_same(probe(state, batches.feed(0, 3), built.hparams, np.int32(2)), expected,
              functools.partial(np.testing.assert_allclose, rtol=1e-5))


# What is refused.

R1 = {'penalty__r1': 1.0, 'model__disc__batch_norm': False}


@pytest.mark.parametrize(('field', 'text', 'overrides', 'message'), [
    ('optimizer.gen.lr', 'linaer,over=5', {}, "the kind 'linaer' is unknown; known: constant, constant_then_linear, "
     'cosine, linear, steps (did you mean linear?)'),
    ('optimizer.gen.lr', 'linear', {}, 'linear needs over; add ,over=<number>'),
    ('optimizer.gen.lr', 'linear,over=5,unit=epochs', {}, 'unit=epochs is unknown; known: images, steps'),
    ('optimizer.gen.lr', 'linear,over=5,warm_up=5', {}, "'warm_up' is unknown for linear; known: end, over, unit, "
     'warmup (did you mean warmup?)'),
    ('optimizer.gen.lr', 'linear,over=5,hold=2', {}, "'hold' is unknown for linear; known: end, over, unit, warmup"),
    ('optimizer.gen.lr', 'constant,end=5', {}, "'end' is unknown for constant; known: unit, warmup"),
    ('optimizer.gen.lr', 'linear,over=5,over=6', {}, 'over is given twice; give it once'),
    ('optimizer.gen.lr', 'linear,over=0', {}, 'over=0 must be at least 1'),
    ('optimizer.gen.lr', 'linear,over=-5', {}, 'over=-5 must be at least 1'),
    ('optimizer.gen.lr', 'linear,over=inf', {}, 'over=inf must be a finite float32 number'),
    ('optimizer.gen.lr', 'linear,over=many', {}, 'over=many must be a finite float32 number'),
    ('optimizer.gen.lr', 'linear,over=5,end=nan', {}, 'end=nan must be a finite float32 number'),
    ('optimizer.gen.lr', 'linear,over=5,warmup=-1', {}, 'warmup=-1 must not be negative'),
    ('optimizer.gen.lr', 'steps,every=0,factor=0.5', {}, 'every=0 must be at least 1'),
    ('optimizer.gen.lr', 'steps,every=5,factor=1', {}, 'factor=1 must lie in [0, 1)'),
    ('optimizer.gen.lr', 'constant_then_linear,hold=5,over=5', {}, 'hold=5 must be below over=5, when the end is reac'),
    ('optimizer.gen.lr', 'linear,over=5,end=-1', {}, 'at its end optimizer.gen.lr=-1.0 must be positive; set end'),
    ('optimizer.gen.b2', 'linear,over=5,end=1.2', {}, 'at its end optimizer.gen.b2=1.2 must be in [0, 1); set end'),
    ('optimizer.gen.eps', 'linear,over=5', {}, 'at its end optimizer.gen.eps=0.0 must be positive; set end'),
    ('penalty.r1', 'linear,over=5,end=-1', R1, 'at its end penalty.r1=-1.0 must be 0 or more; set end'),
    ('penalty.difference_std', 'linear,over=5', R1 | {'penalty__difference_std': 0.1},
     'at its end penalty.difference_std=0.0 must be positive; add ,end=<number>'),
    ('penalty.clip', 'cosine,over=5', {'penalty__clip': 0.1}, 'at its end penalty.clip=0.0 must be positive; add'),
    ('penalty.r1', 'linear,over=5,end=1', {}, 'penalty.r1=0.0 is not in the program of this run; set penalty.r1 to its '
     'initial value, or leave its schedule out'),
    ('loss.margin', 'linear,over=5,end=1', {}, 'loss.margin is not a number of this run'),
    ('loss.alpha_gen', 'linear,over=5,end=1', {'loss__name': 'alpha_saturating', 'loss__alpha_gen': math.inf},
     'loss.alpha_gen=inf must be finite if it is to change'),
])
def test_refusals(field, text, overrides, message):
  [line] = problems(stated(**overrides, **{f'schedule__{field.replace(".", "__")}': text}))
  assert line.startswith(f'  * schedule.{field}={text!r}: {message}')


def test_all_problems_of_all_schedules_are_listed_at_once():
  lines = problems(stated(schedule__optimizer__gen__lr='linear,over=0,warmup=-1,ende=3',
                          schedule__penalty__r1='cosine'))
  assert len(lines) == 5


@pytest.mark.parametrize(('field', 'text', 'overrides'), [
    ('optimizer.gen.lr', 'linear,over=1_000_000,end=1e-5,unit=images,warmup=500', {}),
    ('optimizer.gen.b1', 'linear,over=5,end=0.9', {'optimizer__gen__b1': 0.0}),
    ('penalty.r1', 'cosine,over=5', R1), ('train.ema_decay', 'linear,over=5', {}),
    ('update.consensus', 'linear,over=5', {'update__rule': 'consensus'}),
    ('optimizer.disc.eps', 'steps,every=5,factor=0.5,end=1e-9', {}), ('augment.noise', '', {})])
def test_right_schedules(field, text, overrides):
  validate(stated(**overrides, **{f'schedule__{field.replace(".", "__")}': text}))
