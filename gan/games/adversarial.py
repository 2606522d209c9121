"""The adversarial terms: the objective of each player, and the scalars that are logged with it.

They suit any scene with `real_logits` and `fake_logits`, the logits of this device. The objective receives the logits
of all devices, because some objectives are not means over single samples.
"""

import jax.numpy as jnp
from jax import Array

from gan.declare import FRACTION, Setting
from gan.games import HParams, Moment, Outcome, Term
from gan.losses import LossPair
from gan.randomness import coin
from gan.state import PyTree

SETTINGS = {'label_flip': Setting(0.0, 'Share of pairs that D sees with their labels swapped.', FRACTION)}


def terms(loss: LossPair) -> tuple[Term, Term]:
  """Return the terms (disc, gen) of an objective; its settings are read from `hparams` as 'loss.<setting>'."""

  def disc(moment: Moment, memory: PyTree) -> Outcome:
    del memory
    bound, (real_logits, fake_logits) = bind(loss, moment.hparams), logits(moment)
    as_real, as_fake = real_logits, fake_logits
    if 'loss.label_flip' in moment.hparams:
      flipped = coin(moment.turn.key('labels'), moment.hparams['loss.label_flip'], real_logits.shape)
      as_real, as_fake = jnp.where(flipped, fake_logits, real_logits), jnp.where(flipped, real_logits, fake_logits)
    value, parts = bound.disc(as_real, as_fake)
    real_prob, fake_prob = bound.probability(real_logits, fake_logits)
    return Outcome(value, {f'disc/{name}': part for name, part in parts.items()} | {
        'disc/real_prob': jnp.mean(real_prob),
        'disc/fake_prob': jnp.mean(fake_prob),
        # A sample with a probability of exactly 1/2 counts as half right.
        'disc/accuracy': 0.5 + 0.25 * (jnp.mean(jnp.sign(real_prob - 0.5)) - jnp.mean(jnp.sign(fake_prob - 0.5))),
        'disc/logit_gap': jnp.mean(real_logits) - jnp.mean(fake_logits)})

  def gen(moment: Moment, memory: PyTree) -> Outcome:
    del memory
    bound, (real_logits, fake_logits) = bind(loss, moment.hparams), logits(moment)
    value, parts = bound.gen(real_logits, fake_logits)
    return Outcome(value, {f'gen/{name}': part for name, part in parts.items()} | {
        'gen/fake_prob': jnp.mean(bound.probability(real_logits, fake_logits)[1])})

  numbers = frozenset(f'loss.{name}' for name in (*loss.settings, *SETTINGS))
  return Term('disc/loss', 'disc', disc, numbers=numbers), Term('gen/loss', 'gen', gen, numbers=numbers)


def bind(loss: LossPair, hparams: HParams) -> LossPair:
  """Return the objective with its settings fixed to their values in `hparams`."""
  return loss.bind({name: hparams[f'loss.{name}'] for name in loss.settings if f'loss.{name}' in hparams})


def logits(moment: Moment) -> tuple[Array, Array]:
  """Return (real_logits, fake_logits) of all devices."""
  gather = moment.devices.gather
  return gather(moment.scene.real_logits), gather(moment.scene.fake_logits)
