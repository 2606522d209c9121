"""What an adversarial objective is: the pair of both players' losses, and the few helpers that every family shares.

No objective lives here.
"""

import functools
import inspect
from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import sigmoid
from jax.typing import ArrayLike

from gan.declare import ANY, Meanings, Setting

Scalars = dict[str, Array]
Objective = Callable[..., tuple[Array, Scalars]]
Probability = Callable[..., tuple[Array, Array]]


def check_logits(real_logits: Array, fake_logits: Array) -> None:
  """Raises ValueError unless the logits are two vectors of equal length."""
  if real_logits.ndim != 1 or real_logits.shape != fake_logits.shape:
    raise ValueError(f'real_logits {real_logits.shape} and fake_logits {fake_logits.shape} must be two vectors '
                     'of equal length [B]; a discriminator returns one logit for each sample')


def two_parts(on_real: Array, on_fake: Array) -> tuple[Array, Scalars]:
  """A loss that is a sum of one term on real and one on generated samples."""
  return on_real + on_fake, {'on_real': on_real, 'on_fake': on_fake}


def fake_part(value: Array) -> tuple[Array, Scalars]:
  """A loss that only generated samples enter."""
  return two_parts(jnp.zeros_like(value), value)


def even_parts(value: Array) -> tuple[Array, Scalars]:
  """A loss whose terms mix real and generated samples: half of the value is booked on each."""
  return two_parts(0.5 * value, 0.5 * value)


@jax.custom_jvp
def expm1(x: Array) -> Array:
  """Exponential less 1, with an exact slope.

  JAX takes expm1(x) + 1 for the slope, which cancels: in float32 it is 0 below x = -17.
  """
  return jnp.expm1(x)


expm1.defjvps(lambda tangent, value, x: tangent * jnp.exp(x))


def pointwise(posterior: Callable[[Array], Array]) -> Probability:
  """Lifts a function of each logit alone to both vectors of logits."""
  def probability(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    check_logits(real_logits, fake_logits)
    return posterior(real_logits), posterior(fake_logits)
  return probability


def paired_probability(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
  """For scores of which only differences mean something: how likely the i-th sample is the real one of pair i.

  Args:
    real_logits: [B] scores of real samples.
    fake_logits: [B] scores of generated samples.

  Returns:
    sigmoid(real - fake) and sigmoid(fake - real), [B] each.
  """
  check_logits(real_logits, fake_logits)
  return sigmoid(real_logits - fake_logits), sigmoid(fake_logits - real_logits)


class LossPair(NamedTuple):
  """The objectives of both players, each `(real_logits, fake_logits, **settings) -> (scalar, parts)`, to minimise.

  Attributes:
    disc: the discriminator's objective.
    gen: the generator's.
    zero_sum: disc + gen does not depend on the fake logits, so that what one player gains the other loses; at default
      settings.
    paper: where it comes from: authors, year, arXiv id.
    chance: value of the discriminator's loss, at default settings, where it cannot tell the two and says so (every
      `probability` is 1/2); None if there is no such value.
    probability: `(real_logits, fake_logits, **settings) -> (real_prob [B], fake_prob [B])`: what the logits say of each
      sample being real, in [0, 1], were the discriminator optimal and labels not smoothed. Where an optimal one says
      nothing of the kind (hinge, Wasserstein, total variation), the sigmoid only squashes scores for display.
    meanings: of each setting, with its range. Defaults are those of the functions.
  """

  disc: Objective
  gen: Objective
  zero_sum: bool = False
  paper: str = ''
  chance: float | None = None
  probability: Probability = pointwise(sigmoid)
  meanings: Meanings = MappingProxyType({})

  @property
  def settings(self) -> dict[str, Setting]:
    """Settings of either player."""
    return {p.name: Setting(p.default, *self.meanings.get(p.name, ('', ANY))) for objective in (self.disc, self.gen)
            for p in inspect.signature(objective).parameters.values() if p.kind is p.KEYWORD_ONLY}

  def bind(self, settings: dict[str, ArrayLike]) -> 'LossPair':
    """Fixes `settings`, each given to the players that know it."""
    def bound(function: Callable) -> Callable:
      known = inspect.signature(function).parameters
      return functools.partial(function, **{name: value for name, value in settings.items() if name in known})
    return self._replace(disc=bound(self.disc), gen=bound(self.gen), probability=bound(self.probability))
