"""f-GAN: variational bounds of f-divergences D_f(p || q) = E_q f(p / q) (Nowozin et al. 2016, arXiv:1606.00709).

For every T, D_f >= E_p T - E_q f*(T), with equality at T = f'(p / q). The discriminator maximises the right side over
T = g(v), where v is its logit and g an increasing activation onto the domain of the conjugate f*. So minus the
discriminator's loss is a lower bound of the divergence. At chance the bound is 0.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.nn import sigmoid, softplus

from gan.losses.pair import LossPair, Scalars, check_logits, expm1, fake_part, pointwise, two_parts

PAPER = 'Nowozin et al. 2016, arXiv:1606.00709'
LOG_2 = 0.6931471805599453


class Divergence(NamedTuple):
  """The functions of a divergence that its f-GAN needs, elementwise in the logit v.

  Attributes:
    activation: T = g(v), increasing.
    conjugate: f*(g(v)), simplified in v so that it stays finite in float32 for |v| up to 80.
    log_ratio: log(p / q) as a function of v if the discriminator is optimal, that is g(v) = f'(p / q).
  """

  activation: Callable[[Array], Array]
  conjugate: Callable[[Array], Array]
  log_ratio: Callable[[Array], Array]


def identity(v: Array) -> Array:
  """Return v: the activation for conjugates that are finite everywhere."""
  return v


def half_tanh(v: Array) -> Array:
  """Map v onto (-1/2, 1/2), where the conjugate of the total variation is the identity."""
  return 0.5 * jnp.tanh(v)


# f(u) = u log u; f*(t) = exp(t - 1).
KL = Divergence(identity, lambda v: jnp.exp(v - 1.0), lambda v: v - 1.0)
# f(u) = -log u; f*(t) = -1 - log(-t).
REVERSE_KL = Divergence(lambda v: -jnp.exp(-v), lambda v: v - 1.0, identity)
# f(u) = u log u - (u + 1) log((u + 1) / 2); f*(t) = -log(2 - exp(t)). With this f, which is the paper's, the divergence
# is twice the usual Jensen-Shannon divergence (the paper's table of divergences has the factor 1/2, its f has not).
# The objective is that of the original GAN up to the constant 2 log 2.
JENSEN_SHANNON = Divergence(lambda v: LOG_2 - softplus(-v), lambda v: softplus(v) - LOG_2, identity)
# f(u) = (u - 1)^2; f*(t) = t^2 / 4 + t. No ratio u >= 0 needs t < -2. There the quadratic lies above the conjugate of f
# on u >= 0, which is -1, so the bound still holds, but the minimax generator's slope -(v / 2 + 1) changes its sign.
PEARSON = Divergence(identity, lambda v: 0.25 * jnp.square(v) + v, lambda v: jnp.log(jnp.maximum(0.5 * v + 1.0, 0.0)))
# f(u) = (sqrt(u) - 1)^2; f*(t) = t / (1 - t).
SQUARED_HELLINGER = Divergence(lambda v: -expm1(-v), expm1, lambda v: 2.0 * v)
# f(u) = |u - 1| / 2; f*(t) = t on [-1/2, 1/2]. The optimal T is a sign and gives no ratio: `log_ratio` is for display.
TOTAL_VARIATION = Divergence(half_tanh, half_tanh, identity)


def divergence_disc(divergence: Divergence, real_logits: Array, fake_logits: Array) -> tuple[Array, Scalars]:
  """Return the discriminator's loss of an f-GAN, -E g(v(x)) + E f*(g(v(G(z)))) (section 2.2).

  Args:
    divergence: the f-divergence.
    real_logits: [B] unbounded scores of real samples.
    fake_logits: [B] unbounded scores of generated samples.

  Returns:
    Batch-mean loss, in units of the divergence (its optimum is minus the divergence), and its two halves.

  Raises:
    ValueError: if the inputs are not two vectors of equal length.
  """
  check_logits(real_logits, fake_logits)
  return two_parts(-jnp.mean(divergence.activation(real_logits)), jnp.mean(divergence.conjugate(fake_logits)))


def minimax_gen(divergence: Divergence, real_logits: Array, fake_logits: Array) -> tuple[Array, Scalars]:
  """Return the loss of the generator that minimises the bound, -E f*(g(v(G(z)))).

  Args:
    divergence: the f-divergence.
    real_logits: [B] scores of real samples; ignored.
    fake_logits: [B] scores of generated samples.

  Returns:
    Batch-mean loss, in units of the divergence, and its parts.
  """
  check_logits(real_logits, fake_logits)
  return fake_part(-jnp.mean(divergence.conjugate(fake_logits)))


def alternative_gen(divergence: Divergence, real_logits: Array, fake_logits: Array) -> tuple[Array, Scalars]:
  """Return the loss of the alternative generator, -E g(v(G(z))) (section 3.2).

  With the Jensen-Shannon divergence this is the non-saturating loss up to a constant.

  Args:
    divergence: the f-divergence.
    real_logits: [B] scores of real samples; ignored.
    fake_logits: [B] scores of generated samples.

  Returns:
    Batch-mean loss, in units of the divergence, and its parts.
  """
  check_logits(real_logits, fake_logits)
  return fake_part(-jnp.mean(divergence.activation(fake_logits)))


def minimax(divergence: Divergence) -> LossPair:
  """Return the f-GAN of a divergence as a zero-sum game."""
  return LossPair(disc=functools.partial(divergence_disc, divergence), gen=functools.partial(minimax_gen, divergence),
                  zero_sum=True, paper=PAPER, chance=0.0,
                  probability=pointwise(lambda v: sigmoid(divergence.log_ratio(v))))


def alternative(divergence: Divergence) -> LossPair:
  """Return the f-GAN of a divergence with the alternative generator of section 3.2."""
  return minimax(divergence)._replace(gen=functools.partial(alternative_gen, divergence),
                                      zero_sum=divergence.activation is divergence.conjugate)
