"""One objective that is any of several: which one is a number, so members of a population may differ in it."""

import functools
import inspect
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from gan.declare import NOT_NEGATIVE
from gan.losses.pair import LossPair

INDEX = 'index'   # The setting that chooses.


def chosen_among(pairs: Sequence[LossPair]) -> LossPair:
  """A pair whose objectives are those of `pairs[index]`, `index` being a setting; its others are those of all pairs.

  Under `vmap` over `index` every objective is computed and one is taken: on logits that costs next to nothing.

  Args:
    pairs: at least one. If there is only one it is returned as it is.
  """
  if len(pairs) == 1:
    return pairs[0]
  settings, meanings = {}, {INDEX: ('Which of several objectives a member has.', NOT_NEGATIVE)}
  for pair in pairs:
    settings |= pair.settings
    meanings |= pair.meanings

  def choose(part: str) -> Callable:
    functions = [getattr(pair, part) for pair in pairs]
    known = [set(inspect.signature(function).parameters) for function in functions]

    def chosen(real_logits: Array, fake_logits: Array, *, index: ArrayLike, **given: ArrayLike):
      # Weak types would differ between branches.
      given = {name: jnp.asarray(value, real_logits.dtype) for name, value in given.items()}
      branches = [functools.partial(function, **{name: given[name] for name in given if name in names})
                  for function, names in zip(functions, known, strict=True)]
      return jax.lax.switch(index, branches, real_logits, fake_logits)

    keyword = inspect.Parameter.KEYWORD_ONLY
    used = [name for name in settings if any(name in names for names in known)]
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
                  for name in ('real_logits', 'fake_logits')]
    parameters += [inspect.Parameter(INDEX, keyword, default=0)]
    parameters += [inspect.Parameter(name, keyword, default=settings[name].default) for name in used]
    chosen.__signature__ = inspect.Signature(parameters)
    return chosen

  return LossPair(choose('disc'), choose('gen'), zero_sum=all(pair.zero_sum for pair in pairs),
                  paper='; '.join(dict.fromkeys(pair.paper for pair in pairs)), chance=None,
                  probability=choose('probability'), meanings=meanings)
