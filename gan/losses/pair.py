"""The pair of both players' losses that makes up an adversarial objective, and helpers that all objectives share.

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
  """Raise ValueError unless the logits are two vectors of equal length."""
  if real_logits.ndim != 1 or real_logits.shape != fake_logits.shape:
    raise ValueError(f'real_logits {real_logits.shape} and fake_logits {fake_logits.shape} must be two vectors '
                     'of equal length [B]; a discriminator returns one logit for each sample')


def two_parts(on_real: Array, on_fake: Array) -> tuple[Array, Scalars]:
  """Return a loss that is the sum of a term on real and a term on generated samples, and both terms."""
  return on_real + on_fake, {'on_real': on_real, 'on_fake': on_fake}


def fake_part(value: Array) -> tuple[Array, Scalars]:
  """Return a loss that depends on generated samples only, and its parts."""
  return two_parts(jnp.zeros_like(value), value)


def even_parts(value: Array) -> tuple[Array, Scalars]:
  """Return a loss whose terms mix real and generated samples, and its parts: half of the value for each."""
  return two_parts(0.5 * value, 0.5 * value)


@jax.custom_jvp
def expm1(x: Array) -> Array:
  """Return exp(x) - 1, with an exact slope.

  JAX computes the slope as expm1(x) + 1, which cancels: in float32 it is 0 below x = -17.
  """
  return jnp.expm1(x)


expm1.defjvps(lambda tangent, value, x: tangent * jnp.exp(x))


def pointwise(posterior: Callable[[Array], Array]) -> Probability:
  """Lift a function of single logits to both vectors of logits."""
  def probability(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    check_logits(real_logits, fake_logits)
    return posterior(real_logits), posterior(fake_logits)
  return probability


def paired_probability(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
  """Return how likely the i-th sample is the real one of pair i, where only differences of scores have a meaning.

  Args:
    real_logits: [B] scores of real samples.
    fake_logits: [B] scores of generated samples.

  Returns:
    sigmoid(real - fake) and sigmoid(fake - real), [B] each.
  """
  check_logits(real_logits, fake_logits)
  return sigmoid(real_logits - fake_logits), sigmoid(fake_logits - real_logits)


class LossPair(NamedTuple):
  """The objectives of both players, each `(real_logits, fake_logits, **settings) -> (scalar, parts)`, to be minimised.

  Attributes:
    disc: the discriminator's objective.
    gen: the generator's objective.
    zero_sum: whether, at default settings, disc + gen does not depend on the fake logits, so that one player loses what
      the other gains.
    paper: source of the objective: authors, year, arXiv id.
    chance: value of the discriminator's loss, at default settings, if it cannot tell the two kinds apart and every
      `probability` is 1/2; None if there is no such value.
    probability: `(real_logits, fake_logits, **settings) -> (real_prob [B], fake_prob [B])`: the probability in [0, 1]
      that each sample is real, if the discriminator is optimal and labels are not smoothed. Where an optimal
      discriminator does not tell this probability (hinge, Wasserstein, total variation), the sigmoid only squashes
      scores for display.
    meanings: (meaning, range) of each setting. Defaults are those of the functions.
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
    """Return the settings of both players, by name."""
    return {p.name: Setting(p.default, *self.meanings.get(p.name, ('', ANY))) for objective in (self.disc, self.gen)
            for p in inspect.signature(objective).parameters.values() if p.kind is p.KEYWORD_ONLY}

  def bind(self, settings: dict[str, ArrayLike]) -> 'LossPair':
    """Fix `settings`; each goes to the functions that have a parameter of this name."""
    def bound(function: Callable) -> Callable:
      parameters = inspect.signature(function).parameters
      return functools.partial(function, **{name: value for name, value in settings.items() if name in parameters})
    return self._replace(disc=bound(self.disc), gen=bound(self.gen), probability=bound(self.probability))
