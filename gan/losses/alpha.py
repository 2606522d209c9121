"""(alpha_D, alpha_G)-GANs: each player has its own alpha-loss (Welfert et al. 2023, arXiv:2302.14320).

The alpha-loss of a probability P is (1 - P^s) / s with s = 1 - 1 / alpha: exponential in the logit at alpha = 1/2,
-log P at alpha = 1, 1 - P at alpha = inf. At alpha_disc = alpha_gen = 1 the two forms are the saturating and the
non-saturating GAN.
"""

import jax.numpy as jnp
from jax import Array
from jax.nn import sigmoid, softplus
from jax.typing import ArrayLike

from gan.losses.pair import Scalars, check_logits, expm1, fake_part, pointwise, two_parts


def gain(log_prob: Array, alpha: ArrayLike) -> Array:
  """Return minus the alpha-loss: (P^s - 1) / s with s = 1 - 1 / alpha, as a function of log P.

  Its slope in log P is P^s at every alpha. With alpha below 1 the gain is unbounded and may overflow to -inf; it never
  becomes NaN.

  Args:
    log_prob: [B] log P, at most 0.
    alpha: [] in (0, inf]; may be traced.

  Returns:
    [B] at most 0.
  """
  alpha = jnp.minimum(alpha, 1e30)  # Avoids inf / inf below; s is 1 for every larger alpha.
  s = (alpha - 1.0) / alpha         # Exact near 1, unlike 1 - 1 / alpha.
  safe = jnp.where(s == 0.0, 1.0, s)
  return jnp.where(s == 0.0, log_prob, expm1(safe * log_prob) / safe)


def alpha_disc_loss(real_logits: Array, fake_logits: Array, *, alpha_disc: ArrayLike = 1.0) -> tuple[Array, Scalars]:
  """Return the discriminator's alpha-loss on both kinds of samples, with D = sigmoid(logit).

  The optimal discriminator has the logit alpha_disc * log(p / q).

  Args:
    real_logits: [B] unbounded scores of real samples.
    fake_logits: [B] unbounded scores of generated samples.
    alpha_disc: [] in (0, inf]; may be traced.

  Returns:
    Batch-mean loss (nats at alpha 1), and its two halves.

  Raises:
    ValueError: if the inputs are not two vectors of equal length.
  """
  check_logits(real_logits, fake_logits)
  return two_parts(-jnp.mean(gain(-softplus(-real_logits), alpha_disc)),
                   -jnp.mean(gain(-softplus(fake_logits), alpha_disc)))


def alpha_saturating_gen(real_logits: Array, fake_logits: Array, *,
                         alpha_gen: ArrayLike = 1.0) -> tuple[Array, Scalars]:
  """Return the minimax generator's loss: minus the alpha-loss of calling generated samples generated.

  The paper's value function also has a term on real samples. This term does not depend on the generator and is left
  out, as in `saturating`. The game is zero-sum at equal alphas.

  Args:
    real_logits: [B] scores of real samples; ignored.
    fake_logits: [B] scores of generated samples.
    alpha_gen: [] in (0, inf]; may be traced.

  Returns:
    Batch-mean loss (at most 0), and its parts.
  """
  check_logits(real_logits, fake_logits)
  return fake_part(jnp.mean(gain(-softplus(fake_logits), alpha_gen)))


def alpha_nonsaturating_gen(real_logits: Array, fake_logits: Array, *,
                            alpha_gen: ArrayLike = 1.0) -> tuple[Array, Scalars]:
  """Return the non-saturating generator's loss: the alpha-loss of calling generated samples real.

  Args:
    real_logits: [B] scores of real samples; ignored.
    fake_logits: [B] scores of generated samples.
    alpha_gen: [] in (0, inf]; may be traced.

  Returns:
    Batch-mean loss (at least 0), and its parts.
  """
  check_logits(real_logits, fake_logits)
  return fake_part(-jnp.mean(gain(-softplus(-fake_logits), alpha_gen)))


def alpha_probability(real_logits: Array, fake_logits: Array, *, alpha_disc: ArrayLike = 1.0) -> tuple[Array, Array]:
  """Return the posterior of `real` if the discriminator is optimal: sigmoid(logit / alpha_disc).

  At alpha_disc = inf the optimal discriminator is the indicator of p > q, so only the sign of the logit has a meaning;
  the result is then sigmoid(logit). The decision at 1/2 follows the sign of the logit even where logit / alpha_disc is
  lost in rounding.
  """
  def posterior(logits: Array) -> Array:
    prob = sigmoid(logits / jnp.where(jnp.isinf(alpha_disc), 1.0, alpha_disc))
    eps = jnp.finfo(prob.dtype).eps
    return jnp.where(logits > 0, jnp.maximum(prob, 0.5 + eps), jnp.where(logits < 0, jnp.minimum(prob, 0.5 - eps), 0.5))
  return pointwise(posterior)(real_logits, fake_logits)
