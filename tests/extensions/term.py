"""A penalty that holds the mean logit near its own running mean, which it remembers."""

import jax.numpy as jnp

from gan.declare import FRACTION, Setting
from gan.games import Outcome, Term
from gan.games.regularisation import PENALTIES, Penalty


def anchor(moment, memory):
  """E (D(x) - mean)^2, where the mean moves towards that of the batch afterwards."""
  logits = moment.devices.gather(moment.scene.real_logits)
  decay = moment.hparams['penalty.anchor_decay']
  moved = decay * memory['mean'] + (1.0 - decay) * jnp.mean(logits)
  return Outcome(jnp.mean(jnp.square(logits - memory['mean'])), memory={'mean': moved})


def start():
  """Before the first update."""
  return {'mean': jnp.zeros((), jnp.float32)}


LINES = [(PENALTIES, 'anchor', Penalty(
    'Holds the mean logit of real samples.',
    lambda name, options: Term(f'penalty/{name}', 'disc', anchor, f'penalty.{name}', memory=start),
    {'anchor_decay': Setting(0.9, 'Decay of the running mean.', FRACTION)}))]
OVERRIDES = {'penalty.anchor': 0.5}
MEMBERS = [{}, {'penalty.anchor': 0.1, 'penalty.anchor_decay': 0.5}]
SHOWN = 'anchor'
