"""Softmax GAN (Lin 2017, arXiv:1704.06191): one softmax over all samples of both kinds in the batch.

The discriminator wants the softmax weight shared by the real samples alone, the generator by all 2B. The logit is the
paper's -mu. log(2B), the entropy of equal weights, is subtracted from both losses, so that their values do not depend
on the size of the batch: both are 0 where all logits agree.
"""

import math

import jax.numpy as jnp
from jax import Array
from jax.nn import logsumexp

from gan.losses.pair import Scalars, check_logits, even_parts


def log_mean_exp(logits: Array) -> Array:
  """Log of the partition sum over a batch, less the log of its size."""
  return logsumexp(logits) - jnp.log(jnp.asarray(logits.size, logits.dtype))


def softmax_disc(real_logits: Array, fake_logits: Array) -> tuple[Array, Scalars]:
  """Cross-entropy of the softmax weights with 1/B on each real sample and 0 on generated ones.

  Args:
    real_logits: [B] unbounded scores of real samples.
    fake_logits: [B] unbounded scores of generated samples.

  Returns:
    Loss in nats, at least -log 2 and 0 at chance, and half of it for each part: the partition sum does not separate.

  Raises:
    ValueError: if the inputs are not two vectors of equal length.
  """
  check_logits(real_logits, fake_logits)
  return even_parts(log_mean_exp(jnp.concatenate([real_logits, fake_logits])) - jnp.mean(real_logits))


def softmax_gen(real_logits: Array, fake_logits: Array) -> tuple[Array, Scalars]:
  """Cross-entropy of the softmax weights with 1/2B on every sample.

  Args:
    real_logits: [B] unbounded scores of real samples.
    fake_logits: [B] unbounded scores of generated samples.

  Returns:
    Loss in nats, at least 0, and half of it for each part.

  Raises:
    ValueError: if the inputs are not two vectors of equal length.
  """
  check_logits(real_logits, fake_logits)
  logits = jnp.concatenate([real_logits, fake_logits])
  return even_parts(log_mean_exp(logits) - jnp.mean(logits))


def softmax_probability(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
  """Posterior of `real`: B times the softmax weight, since the optimal weight is proportional to p / (p + q).

  The weights of p / (p + q) sum to B over a batch of B samples of each. Clipped at 1: a few samples may hold more.
  """
  check_logits(real_logits, fake_logits)
  # Half of exp(logit) over its mean.
  log_half_mean = log_mean_exp(jnp.concatenate([real_logits, fake_logits])) + math.log(2.0)
  real_prob, fake_prob = (jnp.exp(jnp.minimum(logits - log_half_mean, 0.0)) for logits in (real_logits, fake_logits))
  return real_prob, fake_prob
