"""The result does not change with the number of devices, nor with how the step is compiled for them."""

import math

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs import dcgan
from gan.build import build, make_initial_state, make_loop, make_pipeline, open_data
from gan.complete import complete
from gan.data.source import columns_of
from gan.parallel import enough_devices


def small_config(strategy: str, resident_bytes: int = 2**31):
  """Batch norm, two discriminator steps, flips; SGD, because Adam's first step magnifies rounding."""
  config = dcgan.get_config('runlocal')
  config.parallel.strategy = strategy
  config.data.flip, config.data.resident_bytes = True, resident_bytes
  config.train.disc_steps = 2
  for player in ('gen', 'disc'):
    settings = config.optimizer[player]
    settings.name, settings.lr, settings.b1 = 'sgd', 0.02, 0.0
  return complete(config)


def train(config, num_devices: int, num_steps: int = 3):
  """Runs a few steps; returns the state and the scalars on the host."""
  data = open_data(config)
  built = build(config, data.columns, jax.devices()[:num_devices])
  state = make_initial_state(built, seed=0)
  batches = make_pipeline(config, data, built.parallel, state.rng)
  loop = make_loop(config, built, batches)
  hparams = built.parallel.place(built.hparams)
  state, scalars, _ = loop(state, batches.feed(0, num_steps), hparams, np.int32(num_steps))
  return jax.device_get((state.gen, state.disc, state.ema)), jax.device_get(scalars)


@pytest.fixture(scope='module')
def one_device():
  return train(small_config('jit'), num_devices=1)


@pytest.mark.parametrize(('strategy', 'num_devices', 'resident_bytes'),
                         [('jit', 2, 2**31), ('pmap', 2, 0), pytest.param('pmap', 2, 2**31, marks=pytest.mark.slow),
                          pytest.param('jit', 2, 0, marks=pytest.mark.slow)])
def test_devices_and_strategies_agree(one_device, strategy, num_devices, resident_bytes):
  state, scalars = train(small_config(strategy, resident_bytes), num_devices)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5), state, one_device[0])
  for name, value in one_device[1].items():
    np.testing.assert_allclose(scalars[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


def test_training_moved_every_parameter(one_device):
  """Guards the test above against comparing states in which nothing happened."""
  config = small_config('jit')
  built = build(config, columns_of((16, 16, 1)), jax.devices()[:1])
  before = jax.device_get(make_initial_state(built, seed=0))
  gen, disc, _ = one_device[0]
  for then, now in ((before.gen.params, gen.params), (before.disc.params, disc.params)):
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), then, now)
    assert min(jax.tree.leaves(moved)) > 1e-4  # Several times the tolerance above.


@given(st.integers(1, 100), st.integers(1, 16), st.integers(1, 4))
def test_no_device_trains_copies_alone(members, groups, per_member):
  enough = enough_devices(members, groups * per_member, per_member)
  used = enough // per_member
  assert enough % per_member == 0
  assert used <= groups
  assert math.ceil(members / used) == math.ceil(members / groups)                    # As fast as all,
  assert used == 1 or math.ceil(members / (used - 1)) > math.ceil(members / groups)  # and no fewer are.
