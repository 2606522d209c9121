"""An objective that a number chooses is that objective; its values and gradients are looked at in test_reference.py."""

import jax
import jax.numpy as jnp
import numpy as np

from gan.losses import LOSSES
from gan.losses.choice import chosen_among

SETTINGS = {'label_smoothing': 0.2, 'a': -1.0, 'b': 1.5, 'c': 0.5, 'margin': 2.0, 'alpha_disc': 0.7, 'alpha_gen': 3.0}
REAL, FAKE = np.random.default_rng(0).normal(0, 3, (2, 8)).astype(np.float32)


def test_each_has_its_own_probabilities():
  pair = chosen_among(list(LOSSES.values()))
  together = jax.jit(jax.vmap(lambda i: pair.bind(SETTINGS | {'index': i}).probability(REAL, FAKE)))(
      jnp.arange(len(LOSSES)))
  for i, (name, loss) in enumerate(LOSSES.items()):
    for found, expected in zip(together, loss.bind(SETTINGS).probability(REAL, FAKE), strict=True):
      np.testing.assert_allclose(found[i], expected, rtol=1e-5, atol=1e-6, err_msg=name)


def test_one_alone_is_itself():
  assert chosen_among([LOSSES['hinge']]) is LOSSES['hinge']
