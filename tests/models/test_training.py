"""The first steps of the configurations of `pacgan` and `resnet`: both players move, and numbers stay finite."""

import jax
import numpy as np
import pytest

from gan.build import build, make_initial_state, make_loop, make_pipeline, open_data
from gan.validate import validate
from tests.test_config import FILES, load


@pytest.mark.parametrize('stem', ['pacgan', pytest.param('stacked_mnist', marks=pytest.mark.slow)])
def test_runlocal_trains(stem):
  [path] = [path for path in FILES if path.stem == stem]
  config = validate(load(path)('runlocal'))
  data = open_data(config)
  built = build(config, data.columns, jax.devices()[:1])
  state = make_initial_state(built, 0)
  first = jax.device_get((state.gen, state.disc))
  batches = make_pipeline(config, data, built.parallel, state.rng)
  state, scalars, (step, finite) = make_loop(config, built, batches)(
      state, batches.feed(0, 2), built.parallel.place(built.hparams), np.int32(2))
  assert (step, finite) == (2, True)
  assert ('penalty/r1' in scalars) == (stem == 'stacked_mnist')
  for before, after in zip(first, (state.gen, state.disc), strict=True):
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), before.params, after.params)
    assert all(jax.tree.leaves(moved)), moved  # All that branches begin with, too, once their ends are not zero.
