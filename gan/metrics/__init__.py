"""Scores of generated samples: pure functions of arrays."""

import numpy as np


class NonFiniteSamplesError(ValueError):
  """Samples with NaN or infinity, which have no score; the message says how many there are."""


def require_finite(samples: np.ndarray) -> None:
  """Raise an error unless all samples [N, ...] are finite.

  Raises:
    NonFiniteSamplesError: if a sample contains NaN or infinity; the message says how many do.
  """
  bad = int((~np.isfinite(samples.reshape(len(samples), -1))).any(axis=1).sum())
  if bad:
    raise NonFiniteSamplesError(f'{bad} of {len(samples)} samples are not finite: there is nothing to score')
