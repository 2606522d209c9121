"""Adversarial objectives on logits.

Pure functions of two vectors of discriminator outputs, before any sigmoid. Nothing here knows of networks,
configurations or devices. Every objective takes both vectors, because some (relativistic ones) need both, and
returns its batch mean beside the same two parts, `on_real` and `on_fake`, so that `lax.switch` can choose
between objectives. Settings are keyword-only, have defaults and may be traced.

To add a loss: one pair of functions, one line in `LOSSES`, one closed-form test.
"""

import functools
import inspect
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import softplus
from jax.typing import ArrayLike

Scalars = dict[str, Array]
Objective = Callable[..., tuple[Array, Scalars]]


class LossPair(NamedTuple):
  """The objectives of both players, each `(real_logits, fake_logits, **settings) -> (scalar, parts)`, to minimise.

  `zero_sum` means: disc + gen does not depend on the fake logits, so that what one player gains the other loses.
  `probability` is what a logit says of its sample being real, in [0, 1], were the discriminator optimal and labels not
  smoothed. Wasserstein and hinge scores say nothing of the kind: there the sigmoid only squashes them for display.
  """

  disc: Objective
  gen: Objective
  zero_sum: bool
  probability: Callable[..., Array] = jax.nn.sigmoid

  @property
  def settings(self) -> dict[str, float]:
    """Settings of either player and their defaults."""
    return {p.name: p.default for objective in (self.disc, self.gen)
            for p in inspect.signature(objective).parameters.values() if p.kind is p.KEYWORD_ONLY}

  def bind(self, settings: dict[str, ArrayLike]) -> 'LossPair':
    """Fixes `settings`, each given to the players that know it."""
    def bound(function: Callable) -> Callable:
      known = inspect.signature(function).parameters
      return functools.partial(function, **{name: value for name, value in settings.items() if name in known})
    return self._replace(disc=bound(self.disc), gen=bound(self.gen), probability=bound(self.probability))


def _check_logits(real_logits: Array, fake_logits: Array) -> None:
  if real_logits.ndim != 1 or real_logits.shape != fake_logits.shape:
    raise ValueError(f'real_logits {real_logits.shape} and fake_logits {fake_logits.shape} must be two vectors '
                     'of equal length [B]; a discriminator returns one logit for each sample')


def _halves(on_real: Array, on_fake: Array) -> tuple[Array, Scalars]:
  return on_real + on_fake, {'on_real': on_real, 'on_fake': on_fake}


def _on_fake(value: Array) -> tuple[Array, Scalars]:
  return value, {'on_real': jnp.zeros_like(value), 'on_fake': value}


def logistic_disc(real_logits: Array, fake_logits: Array, *,
                  label_smoothing: ArrayLike = 0.0) -> tuple[Array, Scalars]:
  """Cross-entropy of the discriminator (Goodfellow et al. 2014, arXiv:1406.2661, equation 1).

  -E log D(x) - E log(1 - D(G(z))) with D = sigmoid(logit), written with softplus so that it stays finite.

  Args:
    real_logits: [B] unbounded scores of real samples.
    fake_logits: [B] unbounded scores of generated samples.
    label_smoothing: [] in [0, 1); the target of real samples is 1 minus this. One-sided: fake samples keep the
      target 0 (Salimans et al. 2016, arXiv:1606.03498, section 3.4). May be traced.

  Returns:
    Batch-mean loss in nats, and its two halves.

  Raises:
    ValueError: if the inputs are not two vectors of equal length.
  """
  _check_logits(real_logits, fake_logits)
  # -(1 - s) log D - s log(1 - D) = softplus(-logit) + s * logit.
  on_real = jnp.mean(softplus(-real_logits) + label_smoothing * real_logits)
  return _halves(on_real, jnp.mean(softplus(fake_logits)))


def saturating_gen(real_logits: Array, fake_logits: Array) -> tuple[Array, Scalars]:
  """The minimax generator: E log(1 - D(G(z))) (Goodfellow et al. 2014, arXiv:1406.2661, equation 1).

  It saturates: its slope in the logit is -D(G(z)), which vanishes for samples that the discriminator rejects.

  Args:
    real_logits: [B] scores of real samples; ignored.
    fake_logits: [B] scores of generated samples.

  Returns:
    Batch-mean loss in nats (at most 0), and its parts.
  """
  _check_logits(real_logits, fake_logits)
  return _on_fake(-jnp.mean(softplus(fake_logits)))


def nonsaturating_gen(real_logits: Array, fake_logits: Array) -> tuple[Array, Scalars]:
  """The heuristic generator: -E log D(G(z)) (Goodfellow et al. 2014, arXiv:1406.2661, section 3).

  Its slope in the logit is -(1 - D(G(z))), which is strong where the minimax form vanishes.

  Args:
    real_logits: [B] scores of real samples; ignored.
    fake_logits: [B] scores of generated samples.

  Returns:
    Batch-mean loss in nats (at least 0), and its parts.
  """
  _check_logits(real_logits, fake_logits)
  return _on_fake(jnp.mean(softplus(-fake_logits)))


def least_squares_disc(real_logits: Array, fake_logits: Array, *,
                       a: ArrayLike = 0.0, b: ArrayLike = 1.0) -> tuple[Array, Scalars]:
  """Least-squares discriminator: 1/2 E(D(x) - b)^2 + 1/2 E(D(G(z)) - a)^2 (Mao et al. 2017, arXiv:1611.04076).

  Args:
    real_logits: [B] unbounded scores of real samples; D is the score itself.
    fake_logits: [B] unbounded scores of generated samples.
    a: [] target of generated samples; may be traced.
    b: [] target of real samples; may be traced.

  Returns:
    Batch-mean loss, and its two halves.
  """
  _check_logits(real_logits, fake_logits)
  return _halves(0.5 * jnp.mean(jnp.square(real_logits - b)), 0.5 * jnp.mean(jnp.square(fake_logits - a)))


def least_squares_gen(real_logits: Array, fake_logits: Array, *, c: ArrayLike = 1.0) -> tuple[Array, Scalars]:
  """Least-squares generator: 1/2 E(D(G(z)) - c)^2 (Mao et al. 2017, arXiv:1611.04076).

  Args:
    real_logits: [B] scores of real samples; ignored.
    fake_logits: [B] scores of generated samples.
    c: [] score that the generator wants its samples to have; may be traced. b - c = 1 and b - a = 2 minimise the
      Pearson chi-squared divergence; the default a=0, b=c=1 is the paper's 0-1 coding.

  Returns:
    Batch-mean loss, and its parts.
  """
  _check_logits(real_logits, fake_logits)
  return _on_fake(0.5 * jnp.mean(jnp.square(fake_logits - c)))


def least_squares_probability(logits: Array, *, a: ArrayLike = 0.0, b: ArrayLike = 1.0) -> Array:
  """Posterior of `real` at the optimal least-squares discriminator, which is D = (b p + a q) / (p + q)."""
  return jnp.clip((logits - a) / (b - a), 0.0, 1.0)


def hinge_disc(real_logits: Array, fake_logits: Array, *, margin: ArrayLike = 1.0) -> tuple[Array, Scalars]:
  """Hinge objective of the discriminator (Lim & Ye 2017, arXiv:1705.02894).

  Zero once every real logit is >= margin and every fake logit is <= -margin.

  Args:
    real_logits: [B] unbounded scores of real samples.
    fake_logits: [B] unbounded scores of generated samples.
    margin: [] in units of logits; may be traced.

  Returns:
    Batch-mean loss, in units of logits, and its two halves.

  Raises:
    ValueError: if the inputs are not two vectors of equal length.
  """
  _check_logits(real_logits, fake_logits)
  return _halves(jnp.mean(jax.nn.relu(margin - real_logits)), jnp.mean(jax.nn.relu(margin + fake_logits)))


def wasserstein_disc(real_logits: Array, fake_logits: Array) -> tuple[Array, Scalars]:
  """Critic of the Wasserstein GAN: E D(G(z)) - E D(x) (Arjovsky et al. 2017, arXiv:1701.07875, equation 2).

  Minus this value estimates a multiple of the Wasserstein-1 distance only for a critic that is kept Lipschitz:
  use it with weight clipping (`penalty.clip`).

  Args:
    real_logits: [B] scores of real samples.
    fake_logits: [B] scores of generated samples.

  Returns:
    Batch-mean loss, in units of the critic, and its two halves.
  """
  _check_logits(real_logits, fake_logits)
  return _halves(-jnp.mean(real_logits), jnp.mean(fake_logits))


def linear_gen(real_logits: Array, fake_logits: Array) -> tuple[Array, Scalars]:
  """Generator of the Wasserstein and hinge GANs: -E D(G(z)) (arXiv:1701.07875, arXiv:1705.02894).

  Args:
    real_logits: [B] scores of real samples; ignored.
    fake_logits: [B] scores of generated samples.

  Returns:
    Batch-mean loss, in units of logits, and its parts.
  """
  _check_logits(real_logits, fake_logits)
  return _on_fake(-jnp.mean(fake_logits))


LOSSES = {
    'saturating': LossPair(disc=logistic_disc, gen=saturating_gen, zero_sum=True),
    'nonsaturating': LossPair(disc=logistic_disc, gen=nonsaturating_gen, zero_sum=False),
    'least_squares': LossPair(disc=least_squares_disc, gen=least_squares_gen, zero_sum=False,
                              probability=least_squares_probability),
    'hinge': LossPair(disc=hinge_disc, gen=linear_gen, zero_sum=False),
    'wasserstein': LossPair(disc=wasserstein_disc, gen=linear_gen, zero_sum=True),
}
