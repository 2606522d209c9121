"""Scores of generated samples: pure functions of arrays."""

import numpy as np


class NonFiniteSamplesError(ValueError):
  """Samples that are no numbers cannot be scored; the message says how many."""


def require_finite(samples: np.ndarray) -> None:
  """Refuses samples [N, ...] of which some are no numbers.

  Raises:
    NonFiniteSamplesError: says how many.
  """
  bad = int((~np.isfinite(samples.reshape(len(samples), -1))).any(axis=1).sum())
  if bad:
    raise NonFiniteSamplesError(f'{bad} of {len(samples)} samples are not finite: there is nothing to score')
