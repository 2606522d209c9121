"""The adversarial terms: an objective on logits, with what is logged of it, for any scene that has logits.

A scene has `real_logits` and `fake_logits`, this device's. Objectives see those of all devices: some mix samples.
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
  """The objective's term in each player's loss; its settings are read from `hparams` under 'loss.<setting>'."""

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
        # Who cannot tell is right half of the time.
        'disc/accuracy': 0.5 + 0.25 * (jnp.mean(jnp.sign(real_prob - 0.5)) - jnp.mean(jnp.sign(fake_prob - 0.5))),
        'disc/logit_gap': jnp.mean(real_logits) - jnp.mean(fake_logits)})

  def gen(moment: Moment, memory: PyTree) -> Outcome:
    del memory
    bound, both = bind(loss, moment.hparams), logits(moment)
    value, parts = bound.gen(*both)
    return Outcome(value, {f'gen/{name}': part for name, part in parts.items()} | {
        'gen/fake_prob': jnp.mean(bound.probability(*both)[1])})

  numbers = frozenset(f'loss.{name}' for name in (*loss.settings, *SETTINGS))
  return Term('disc/loss', 'disc', disc, numbers=numbers), Term('gen/loss', 'gen', gen, numbers=numbers)


def bind(loss: LossPair, hparams: HParams) -> LossPair:
  """The objective with its settings."""
  return loss.bind({name: hparams[f'loss.{name}'] for name in loss.settings if f'loss.{name}' in hparams})


def logits(moment: Moment) -> tuple[Array, Array]:
  """Real and generated ones of all devices."""
  gather = moment.devices.gather
  return gather(moment.scene.real_logits), gather(moment.scene.fake_logits)
