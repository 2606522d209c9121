"""First steps of the optimizers, and scheduled numbers, against hand-computed ones; numbers may be traced."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan.config import scheduling
from gan.optimizers import OPTIMIZERS, make_optimizer
from gan.schedules import resolve

NUMBERS = {'lr': 0.1, 'b1': 0.9, 'b2': 0.99, 'eps': 1e-8}
GRADS = (np.array([2.0, -0.5]), np.array([-1.0, 3.0]))


def by_hand(name, numbers, grads):
  """Updates of the first steps, in float64."""
  lr, b1, b2, eps = (numbers[key] for key in ('lr', 'b1', 'b2', 'eps'))
  m = v = np.zeros(2)
  for t, g in enumerate(grads, 1):
    if name == 'adam':
      m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
      yield -lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
    elif name == 'rmsprop':
      v = b2 * v + (1 - b2) * g**2
      yield -lr * g / (np.sqrt(v) + eps)
    else:
      m = g + b1 * m
      yield -lr * m


def updates(build, numbers, grads=GRADS, first=0, lr=''):
  """Updates with the schedule `lr` of the learning rate."""
  params = jnp.zeros(2)
  opt_state = build(numbers).init(params)
  for i, grad in enumerate(grads):
    update, opt_state = build(at(first + i, numbers, lr)).update(jnp.asarray(grad, jnp.float32), opt_state, params)
    yield update


def at(step, numbers, lr):
  texts = {'schedule.lr': lr}
  return resolve(numbers | scheduling.numbers(texts), step, schedules=scheduling.schedules_of(texts), images_per_step=1)


def factor(step, lr):
  """The factor on the learning rate, through plain gradient descent."""
  [update] = updates(make_optimizer('sgd'), NUMBERS | {'lr': 1.0, 'b1': 0.0}, [np.ones(2)], step, lr)
  return -float(update[0])


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_first_steps_by_hand(name):
  for ours, theirs in zip(updates(make_optimizer(name), NUMBERS), by_hand(name, NUMBERS, GRADS), strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_adam_is_optax_adam():
  params, tx = jnp.zeros(2), optax.adam(0.1, b1=0.9, b2=0.99, eps=1e-8)
  opt_state = tx.init(params)
  for ours, grad in zip(updates(make_optimizer('adam'), NUMBERS), GRADS, strict=True):
    theirs, opt_state = tx.update(jnp.asarray(grad, jnp.float32), opt_state)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize(('lr', 'expected'), [
    ('', {0: 1.0, 10**6: 1.0}),
    ('linear,over=10', {0: 1.0, 3: 0.7, 10: 0.0, 50: 0.0}),
    ('cosine,over=10', {0: 1.0, 2: (1 + np.cos(np.pi / 5)) / 2, 5: 0.5, 10: 0.0, 50: 0.0}),
    ('constant,warmup=4', {0: 0.25, 1: 0.5, 3: 1.0, 4: 1.0, 100: 1.0}),
    ('linear,over=10,warmup=4', {0: 0.25, 1: 0.45, 5: 0.5, 10: 0.0}),
])
def test_schedules_of_the_learning_rate(lr, expected):
  for step, value in expected.items():
    assert factor(step, lr) == pytest.approx(value, abs=1e-6), step
    assert factor(jnp.int32(step), lr) == pytest.approx(value, abs=1e-6), step


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_numbers_may_be_traced_and_differ_between_members(name):
  """One program for every learning rate: vmap over all four numbers equals each of them alone."""
  build, lr = make_optimizer(name), 'linear,over=5,warmup=2'
  members = [NUMBERS, {'lr': 0.03, 'b1': 0.5, 'b2': 0.9, 'eps': 1e-3}]
  stacked = {key: jnp.array([member[key] for member in members]) for key in NUMBERS}
  both = jax.jit(jax.vmap(lambda numbers: jnp.stack(list(updates(build, numbers, lr=lr)))))(stacked)
  for i, member in enumerate(members):
    for t, expected in enumerate(by_hand(name, member, GRADS)):
      np.testing.assert_allclose(both[i, t], expected * [0.5, 0.8][t], rtol=1e-5)


def test_unknown_name():
  with pytest.raises(ValueError, match=f"optimizer 'adamw' is unknown; known: {', '.join(sorted(OPTIMIZERS))}"):
    make_optimizer('adamw')


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_weight_decay_is_decoupled_from_the_gradient(name):
  """Each update gains - lr * factor * decay * p, whatever the moments say (Loshchilov & Hutter 2019, 1711.05101)."""
  build, numbers, params = make_optimizer(name), NUMBERS | {'weight_decay': 0.3}, jnp.ones(2)
  opt_state = build(numbers).init(params)
  for t, (grad, direction) in enumerate(zip(GRADS, by_hand(name, NUMBERS, GRADS), strict=True)):
    scheduled = build(at(t, numbers, 'linear,over=4'))
    update, opt_state = scheduled.update(jnp.asarray(grad, jnp.float32), opt_state, params)
    np.testing.assert_allclose(update, (1 - t / 4) * (direction - 0.1 * 0.3 * np.asarray(params)), rtol=1e-5)
    params = optax.apply_updates(params, update)


def test_adam_with_weight_decay_is_adamw():
  params, tx = jnp.array([1.5, -2.0]), optax.adamw(0.1, b1=0.9, b2=0.99, eps=1e-8, weight_decay=0.3)
  build, numbers = make_optimizer('adam'), NUMBERS | {'weight_decay': 0.3}
  ours = theirs = params
  our_state, their_state = build(numbers).init(params), tx.init(params)
  for grad in GRADS:
    grad = jnp.asarray(grad, jnp.float32)
    update, our_state = build(numbers).update(grad, our_state, ours)
    expected, their_state = tx.update(grad, their_state, theirs)
    ours, theirs = optax.apply_updates(ours, update), optax.apply_updates(theirs, expected)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_optimistic_corrects_each_direction_by_the_last(name):
  """2 d_t - d_{t-1} of the optimizer's directions d; the first as it is; weight decay is not corrected."""
  grads = (*GRADS, np.array([0.3, 0.7]))
  plain = list(by_hand(name, NUMBERS, grads))
  expected = [plain[0], 2 * plain[1] - plain[0], 2 * plain[2] - plain[1]]
  for found, wanted in zip(updates(make_optimizer(name, optimistic=True), NUMBERS, grads), expected, strict=True):
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
  build, numbers = make_optimizer(name, optimistic=True), NUMBERS | {'weight_decay': 0.3}
  params = jnp.ones(2)
  opt_state = build(numbers).init(params)
  for grad, wanted in zip(grads, expected, strict=True):
    update, opt_state = build(numbers).update(jnp.asarray(grad, jnp.float32), opt_state, params)
    np.testing.assert_allclose(update, wanted - 0.1 * 0.3, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('name', ['adam', 'rmsprop'])
def test_a_differentiable_root_is_finite_at_zero(name):
  """With eps_root, as unrolling asks for it; without, the slope of the root at a zero gradient is not."""
  build = make_optimizer(name)

  def moved(grad, **extra):
    tx = build(NUMBERS | extra)
    return jnp.sum(tx.update(grad, tx.init(jnp.zeros(2)), jnp.zeros(2))[0])

  assert np.isfinite(jax.grad(moved)(jnp.zeros(2), eps_root=1e-16)).all()
  assert not np.isfinite(jax.grad(moved)(jnp.zeros(2))).all()


@pytest.mark.parametrize('name', OPTIMIZERS)
@pytest.mark.parametrize('size', [1.0, 1e-3, 1e-5])
def test_a_differentiable_root_moves_as_the_other_does(name, size):
  """However small gradients are, unless the root itself is no larger than eps."""
  grads = [size * np.asarray(grad) for grad in GRADS]
  numbers = NUMBERS | {'eps': 1e-8}
  for found, expected in zip(updates(make_optimizer(name), numbers | {'eps_root': 1e-16}, grads),
                             updates(make_optimizer(name), numbers, grads), strict=True):
    np.testing.assert_allclose(found, expected, rtol=3e-2 if size < 1e-4 else 1e-3)
