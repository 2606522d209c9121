"""An objective that a number chooses is that objective: values, parts, probabilities and gradients."""

import jax
import jax.numpy as jnp
import numpy as np

from gan.losses import LOSSES
from gan.losses.choice import chosen_among

NAMES = list(LOSSES)
SETTINGS = {'label_smoothing': 0.2, 'a': -1.0, 'b': 1.5, 'c': 0.5, 'margin': 2.0, 'alpha_disc': 0.7, 'alpha_gen': 3.0}
REAL, FAKE = np.random.default_rng(0).normal(0, 3, (2, 8)).astype(np.float32)


def test_each_is_chosen_by_its_number():
  pair = chosen_among([LOSSES[name] for name in NAMES])
  assert set(pair.settings) == set(SETTINGS) | {'index'}

  def everything(bound):
    played = [jax.value_and_grad(lambda logits, play=play: play(*logits), has_aux=True)((REAL, FAKE))
              for play in (bound.disc, bound.gen)]
    return played, bound.probability(REAL, FAKE)

  together = jax.jit(jax.vmap(lambda i: everything(pair.bind(SETTINGS | {'index': i}))))(jnp.arange(len(NAMES)))
  for i, name in enumerate(NAMES):
    expected = everything(LOSSES[name].bind(SETTINGS))
    for found, right in zip(jax.tree.leaves(together), jax.tree.leaves(expected), strict=True):
      np.testing.assert_allclose(found[i], right, rtol=1e-5, atol=1e-6, err_msg=name)


def test_one_alone_is_itself():
  assert chosen_among([LOSSES['hinge']]) is LOSSES['hinge']
