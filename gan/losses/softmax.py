"""Softmax GAN (Lin 2017, arXiv:1704.06191): one softmax over all samples of both kinds in the batch.

The discriminator's target is a softmax weight of 1/B on each real sample; the generator's target is 1/2B on each of the
2B samples. The logit is the paper's -mu. The entropy log(2B) of equal weights is subtracted from both losses, so that
their values do not depend on the size of the batch: both are 0 if all logits are equal.
"""

import math

import jax.numpy as jnp
from jax import Array
from jax.nn import logsumexp

from gan.losses.pair import Scalars, check_logits, even_parts


def log_mean_exp(logits: Array) -> Array:
  """Return the log of the mean of exp(logit) over a batch."""
  return logsumexp(logits) - jnp.log(jnp.asarray(logits.size, logits.dtype))


def softmax_disc(real_logits: Array, fake_logits: Array) -> tuple[Array, Scalars]:
  """Return the discriminator's cross-entropy; its target is a weight of 1/B on real samples, 0 on generated ones.

  Args:
    real_logits: [B] unbounded scores of real samples.
    fake_logits: [B] unbounded scores of generated samples.

  Returns:
    Loss in nats (at least -log 2; 0 at chance), and half of it for each part, because the partition sum does not
    separate into parts.

  Raises:
    ValueError: if the inputs are not two vectors of equal length.
  """
  check_logits(real_logits, fake_logits)
  return even_parts(log_mean_exp(jnp.concatenate([real_logits, fake_logits])) - jnp.mean(real_logits))


def softmax_gen(real_logits: Array, fake_logits: Array) -> tuple[Array, Scalars]:
  """Return the generator's cross-entropy; its target is a weight of 1/2B on every sample.

  Args:
    real_logits: [B] unbounded scores of real samples.
    fake_logits: [B] unbounded scores of generated samples.

  Returns:
    Loss in nats (at least 0), and half of it for each part.

  Raises:
    ValueError: if the inputs are not two vectors of equal length.
  """
  check_logits(real_logits, fake_logits)
  logits = jnp.concatenate([real_logits, fake_logits])
  return even_parts(log_mean_exp(logits) - jnp.mean(logits))


def softmax_probability(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
  """Return the posterior of `real`: B times the softmax weight, clipped at 1.

  The optimal weight is proportional to p / (p + q), whose sum over a batch of B samples of each kind is about B. The
  clipping is needed because a few samples may have a larger weight.
  """
  check_logits(real_logits, fake_logits)
  # The posterior is half of exp(logit) divided by its mean over the batch.
  log_half_mean = log_mean_exp(jnp.concatenate([real_logits, fake_logits])) + math.log(2.0)
  real_prob, fake_prob = (jnp.exp(jnp.minimum(logits - log_half_mean, 0.0)) for logits in (real_logits, fake_logits))
  return real_prob, fake_prob
