"""Scores of generators: the table of scores, the stream of samples into them, and the records of their values.

The mathematics is in gan/metrics, the feature networks are in gan/features.
"""

import math
import types
from collections.abc import Mapping
from typing import Any, NamedTuple


class Score(NamedTuple):
  """One number about a set of samples.

  Attributes:
    metric: name of the score.
    value: the number.
    standard_error: standard error of the value over draws of the samples; nan if unknown.
    error_method: method of the standard error, in words; '' if there is none.
    details: by-products of the computation, by name.
    warning: a sentence that says why the value is unreliable; '' if there is no reason.
  """

  metric: str
  value: float
  standard_error: float = math.nan
  error_method: str = ''
  details: Mapping[str, Any] = types.MappingProxyType({})
  warning: str = ''
