"""The classic objectives, means over samples judged one by one: logistic, least squares, hinge, Wasserstein."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import softplus
from jax.typing import ArrayLike

from gan.losses.pair import Scalars, check_logits, fake_part, pointwise, two_parts


def logistic_disc(real_logits: Array, fake_logits: Array, *,
                  label_smoothing: ArrayLike = 0.0) -> tuple[Array, Scalars]:
  """Return the discriminator's cross-entropy (Goodfellow et al. 2014, arXiv:1406.2661, equation 1).

  The loss is -E log D(x) - E log(1 - D(G(z))) with D = sigmoid(logit), written with softplus so that it stays finite.

  Args:
    real_logits: [B] unbounded scores of real samples.
    fake_logits: [B] unbounded scores of generated samples.
    label_smoothing: [] in [0, 1); the target of real samples is 1 minus this. Smoothing is one-sided: fake samples
      keep the target 0 (Salimans et al. 2016, arXiv:1606.03498, section 3.4). May be traced.

  Returns:
    Batch-mean loss in nats, and its two halves.

  Raises:
    ValueError: if the inputs are not two vectors of equal length.
  """
  check_logits(real_logits, fake_logits)
  # -(1 - s) log D - s log(1 - D) = softplus(-logit) + s * logit.
  on_real = jnp.mean(softplus(-real_logits) + label_smoothing * real_logits)
  return two_parts(on_real, jnp.mean(softplus(fake_logits)))


def saturating_gen(real_logits: Array, fake_logits: Array) -> tuple[Array, Scalars]:
  """Return the minimax generator's loss, E log(1 - D(G(z))) (Goodfellow et al. 2014, arXiv:1406.2661, equation 1).

  The loss saturates: its slope in the logit is -D(G(z)), which vanishes for samples that the discriminator rejects.

  Args:
    real_logits: [B] scores of real samples; ignored.
    fake_logits: [B] scores of generated samples.

  Returns:
    Batch-mean loss in nats (at most 0), and its parts.
  """
  check_logits(real_logits, fake_logits)
  return fake_part(-jnp.mean(softplus(fake_logits)))


def nonsaturating_gen(real_logits: Array, fake_logits: Array) -> tuple[Array, Scalars]:
  """Return the non-saturating generator's loss, -E log D(G(z)) (Goodfellow et al. 2014, arXiv:1406.2661, section 3).

  Its slope in the logit is -(1 - D(G(z))), which is strong where the slope of the minimax form vanishes.

  Args:
    real_logits: [B] scores of real samples; ignored.
    fake_logits: [B] scores of generated samples.

  Returns:
    Batch-mean loss in nats (at least 0), and its parts.
  """
  check_logits(real_logits, fake_logits)
  return fake_part(jnp.mean(softplus(-fake_logits)))


def least_squares_disc(real_logits: Array, fake_logits: Array, *,
                       a: ArrayLike = 0.0, b: ArrayLike = 1.0) -> tuple[Array, Scalars]:
  """Return the least-squares discriminator's loss (Mao et al. 2017, arXiv:1611.04076).

  The loss is 1/2 E(D(x) - b)^2 + 1/2 E(D(G(z)) - a)^2.

  Args:
    real_logits: [B] unbounded scores of real samples; D is the score itself.
    fake_logits: [B] unbounded scores of generated samples.
    a: [] target of generated samples; may be traced.
    b: [] target of real samples; may be traced.

  Returns:
    Batch-mean loss, and its two halves.
  """
  check_logits(real_logits, fake_logits)
  return two_parts(0.5 * jnp.mean(jnp.square(real_logits - b)), 0.5 * jnp.mean(jnp.square(fake_logits - a)))


def least_squares_gen(real_logits: Array, fake_logits: Array, *, c: ArrayLike = 1.0) -> tuple[Array, Scalars]:
  """Return the least-squares generator's loss, 1/2 E(D(G(z)) - c)^2 (Mao et al. 2017, arXiv:1611.04076).

  Args:
    real_logits: [B] scores of real samples; ignored.
    fake_logits: [B] scores of generated samples.
    c: [] score that the generator wants its samples to have; may be traced. b - c = 1 and b - a = 2 minimise the
      Pearson chi-squared divergence; the default a=0, b=c=1 is the paper's 0-1 coding.

  Returns:
    Batch-mean loss, and its parts.
  """
  check_logits(real_logits, fake_logits)
  return fake_part(0.5 * jnp.mean(jnp.square(fake_logits - c)))


def least_squares_probability(real_logits: Array, fake_logits: Array, *,
                              a: ArrayLike = 0.0, b: ArrayLike = 1.0) -> tuple[Array, Array]:
  """Return the posterior of `real` if the discriminator is optimal, that is D = (b p + a q) / (p + q)."""
  span = b - a  # pyrefly: ignore[unsupported-operation] (ArrayLike includes booleans.)
  return pointwise(lambda logits: jnp.clip((logits - a) / span, 0.0, 1.0))(real_logits, fake_logits)


def hinge_disc(real_logits: Array, fake_logits: Array, *, margin: ArrayLike = 1.0) -> tuple[Array, Scalars]:
  """Return the discriminator's hinge loss (Lim & Ye 2017, arXiv:1705.02894).

  The loss is zero once every real logit is >= margin and every fake logit is <= -margin.

  Args:
    real_logits: [B] unbounded scores of real samples.
    fake_logits: [B] unbounded scores of generated samples.
    margin: [] in units of logits; may be traced.

  Returns:
    Batch-mean loss, in units of logits, and its two halves.

  Raises:
    ValueError: if the inputs are not two vectors of equal length.
  """
  check_logits(real_logits, fake_logits)
  return two_parts(jnp.mean(jax.nn.relu(margin - real_logits)), jnp.mean(jax.nn.relu(margin + fake_logits)))


def wasserstein_disc(real_logits: Array, fake_logits: Array) -> tuple[Array, Scalars]:
  """Return the Wasserstein critic's loss, E D(G(z)) - E D(x) (Arjovsky et al. 2017, arXiv:1701.07875, equation 2).

  Minus this value estimates a multiple of the Wasserstein-1 distance only for a critic that is kept Lipschitz:
  use it with weight clipping (`penalty.clip`) or another constraint.

  Args:
    real_logits: [B] scores of real samples.
    fake_logits: [B] scores of generated samples.

  Returns:
    Batch-mean loss, in units of the critic, and its two halves.
  """
  check_logits(real_logits, fake_logits)
  return two_parts(-jnp.mean(real_logits), jnp.mean(fake_logits))


def linear_gen(real_logits: Array, fake_logits: Array) -> tuple[Array, Scalars]:
  """Return the generator's loss of the Wasserstein and hinge GANs, -E D(G(z)) (arXiv:1701.07875, arXiv:1705.02894).

  Args:
    real_logits: [B] scores of real samples; ignored.
    fake_logits: [B] scores of generated samples.

  Returns:
    Batch-mean loss, in units of logits, and its parts.
  """
  check_logits(real_logits, fake_logits)
  return fake_part(-jnp.mean(fake_logits))
