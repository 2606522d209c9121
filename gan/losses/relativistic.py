"""Relativistic objectives (Jolicoeur-Martineau 2018, arXiv:1807.00734): real samples judged against generated ones.

Each objective averages a core, the cost of a lead. The lead is the score of the sample that should score higher, minus
the score that it is compared with. The generator's loss is the discriminator's with the roles exchanged, so it depends
on both vectors, and its gradient also flows through the means.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import sigmoid, softplus

from gan.losses.pair import LossPair, Scalars, check_logits, even_parts, paired_probability, two_parts

Core = Callable[[Array], Array]
PAPER = 'Jolicoeur-Martineau 2018, arXiv:1807.00734'


def logistic(lead: Array) -> Array:
  """Return -log sigmoid(lead), in nats."""
  return softplus(-lead)


def hinge(lead: Array) -> Array:
  """Return max(0, 1 - lead), which is zero once the lead is at least 1."""
  return jax.nn.relu(1.0 - lead)


def least_squares(lead: Array) -> Array:
  """Return (lead - 1)^2; the paper has no factor 1/2 here."""
  return jnp.square(lead - 1.0)


def paired_disc(core: Core, real_logits: Array, fake_logits: Array) -> tuple[Array, Scalars]:
  """Return the relativistic discriminator's loss, the mean of core(C(x) - C(G(z))) over pairs of samples.

  Args:
    core: cost of a lead, elementwise.
    real_logits: [B] unbounded scores C of real samples; the i-th real sample is paired with the i-th generated one.
    fake_logits: [B] unbounded scores of generated samples.

  Returns:
    Mean over the B pairs, and half of it for each part, because a pair does not separate into parts.

  Raises:
    ValueError: if the inputs are not two vectors of equal length.
  """
  check_logits(real_logits, fake_logits)
  return even_parts(jnp.mean(core(real_logits - fake_logits)))


def paired_gen(core: Core, real_logits: Array, fake_logits: Array) -> tuple[Array, Scalars]:
  """Return the relativistic generator's loss, the mean of core(C(G(z)) - C(x)); see `paired_disc`."""
  return paired_disc(core, fake_logits, real_logits)


def averaged_disc(core: Core, real_logits: Array, fake_logits: Array) -> tuple[Array, Scalars]:
  """Return the relativistic average discriminator's loss, E core(C(x) - E C(G(z))) + E core(E C(x) - C(G(z))).

  Args:
    core: cost of a lead, elementwise.
    real_logits: [B] unbounded scores C of real samples, each judged against the mean of the generated ones.
    fake_logits: [B] unbounded scores of generated samples, judged against the mean of the real ones.

  Returns:
    Sum (not mean) of the two batch means, and these two means.

  Raises:
    ValueError: if the inputs are not two vectors of equal length.
  """
  check_logits(real_logits, fake_logits)
  return two_parts(jnp.mean(core(real_logits - jnp.mean(fake_logits))),
                   jnp.mean(core(jnp.mean(real_logits) - fake_logits)))


def averaged_gen(core: Core, real_logits: Array, fake_logits: Array) -> tuple[Array, Scalars]:
  """Return the relativistic average generator's loss, E core(C(G(z)) - E C(x)) + E core(E C(G(z)) - C(x)).

  See `averaged_disc`.
  """
  value, parts = averaged_disc(core, fake_logits, real_logits)
  return value, {'on_real': parts['on_fake'], 'on_fake': parts['on_real']}


def averaged_probability(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
  """Return the paper's D: how likely each sample is more real than the average of the other kind.

  Args:
    real_logits: [B] scores of real samples.
    fake_logits: [B] scores of generated samples.

  Returns:
    sigmoid(real - E fake) and sigmoid(fake - E real), [B] each.
  """
  check_logits(real_logits, fake_logits)
  return sigmoid(real_logits - jnp.mean(fake_logits)), sigmoid(fake_logits - jnp.mean(real_logits))


def paired(core: Core, chance: float) -> LossPair:
  """Return the relativistic paired GAN (Rp) of a core; `chance` is core(0)."""
  return LossPair(disc=functools.partial(paired_disc, core), gen=functools.partial(paired_gen, core), zero_sum=False,
                  paper=PAPER, chance=chance, probability=paired_probability)


def averaged(core: Core, chance: float) -> LossPair:
  """Return the relativistic average GAN (Ra) of a core; `chance` is 2 core(0)."""
  return LossPair(disc=functools.partial(averaged_disc, core), gen=functools.partial(averaged_gen, core),
                  zero_sum=False, paper=PAPER, chance=chance, probability=averaged_probability)
