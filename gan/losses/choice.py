"""An objective that a number chooses among several, so that members of a population may differ in their objective."""

import functools
import inspect
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from gan.declare import NOT_NEGATIVE
from gan.losses.pair import LossPair

INDEX = 'index'   # Name of the setting that chooses.


def chosen_among(pairs: Sequence[LossPair]) -> LossPair:
  """Return a pair that computes `pairs[index]`. Its settings are `index` and the settings of all pairs.

  Under `vmap` over `index` every objective is computed and one is selected, which costs next to nothing on logits.

  Args:
    pairs: one or more; a single pair is returned as it is.
  """
  if len(pairs) == 1:
    return pairs[0]
  settings, meanings = {}, {INDEX: ("Number of the member's objective among several.", NOT_NEGATIVE)}
  for pair in pairs:
    settings |= pair.settings
    meanings |= pair.meanings

  def choose(part: str) -> Callable:
    functions = [getattr(pair, part) for pair in pairs]
    parameter_names = [set(inspect.signature(function).parameters) for function in functions]

    def chosen(real_logits: Array, fake_logits: Array, *, index: ArrayLike, **values: ArrayLike):
      # Without this, weakly typed values would give the branches different types.
      values = {name: jnp.asarray(value, real_logits.dtype) for name, value in values.items()}
      branches = [functools.partial(function, **{name: values[name] for name in values if name in names})
                  for function, names in zip(functions, parameter_names, strict=True)]
      return jax.lax.switch(index, branches, real_logits, fake_logits)

    keyword = inspect.Parameter.KEYWORD_ONLY
    used = [name for name in settings if any(name in names for names in parameter_names)]
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
                  for name in ('real_logits', 'fake_logits')]
    parameters += [inspect.Parameter(INDEX, keyword, default=0)]
    parameters += [inspect.Parameter(name, keyword, default=settings[name].default) for name in used]
    chosen.__signature__ = inspect.Signature(parameters)  # pyrefly: ignore[missing-attribute] (PEP 362 allows it.)
    return chosen

  return LossPair(choose('disc'), choose('gen'), zero_sum=all(pair.zero_sum for pair in pairs),
                  paper='; '.join(dict.fromkeys(pair.paper for pair in pairs)), chance=None,
                  probability=choose('probability'), meanings=meanings)
