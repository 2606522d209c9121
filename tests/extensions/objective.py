"""The logistic objective at a temperature."""

import jax
import jax.numpy as jnp

from gan.declare import POSITIVE
from gan.losses import LOSSES
from gan.losses.pair import LossPair, check_logits, fake_part, two_parts


def tempered_disc(real_logits, fake_logits, *, temperature=1.0):
  """E softplus(-D(x) / T) + E softplus(D(G(z)) / T)."""
  check_logits(real_logits, fake_logits)
  return two_parts(jnp.mean(jax.nn.softplus(-real_logits / temperature)),
                   jnp.mean(jax.nn.softplus(fake_logits / temperature)))


def tempered_gen(real_logits, fake_logits, *, temperature=1.0):
  """E softplus(-D(G(z)) / T)."""
  check_logits(real_logits, fake_logits)
  return fake_part(jnp.mean(jax.nn.softplus(-fake_logits / temperature)))


LINES = [(LOSSES, 'tempered', LossPair(tempered_disc, tempered_gen, zero_sum=False, paper='', chance=None, meanings={
    'temperature': ('What logits are divided by.', POSITIVE)}))]
OVERRIDES = {'loss.name': 'tempered', 'loss.temperature': 0.5}
MEMBERS = [{}, {'loss.temperature': 2.0}, {'loss.name': 'hinge', 'loss.temperature': None}]
SHOWN = 'temperature'
