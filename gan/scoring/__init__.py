"""Scores of generators: which there are, how samples stream into them, what is remembered of each.

The mathematics is in gan/metrics, the feature networks in gan/features.
"""

import math
import types
from collections.abc import Mapping
from typing import Any, NamedTuple


class Score(NamedTuple):
  """One number about a set of samples.

  Attributes:
    metric: what it is called.
    value: the number.
    standard_error: of the value, were the samples drawn again; nan where it is not known.
    error_method: how it was found, in words; '' if it was not.
    details: what else was computed on the way, by name.
    warning: why the value is of little worth, a sentence; '' where nothing speaks against it.
  """

  metric: str
  value: float
  standard_error: float = math.nan
  error_method: str = ''
  details: Mapping[str, Any] = types.MappingProxyType({})
  warning: str = ''
