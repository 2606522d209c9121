"""Detection of the range in which a file's images are stored: bytes, floats in [-1, 1], or another range (an error).

A few outliers never decide. If the range of the values is ambiguous, their distribution decides: it is compared with
the distribution of the data, converted to each usual range.
"""

from typing import NamedTuple

import numpy as np

from gan.data.source import DataError

FLOATS, BYTES = 'floats in [-1, 1]', 'uint8 in [0, 255]'
LEVELS = np.array([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])   # Levels of the quantiles that are compared.
FEW, FEWEST = 0.001, 3     # Values ignored at either end: this share of all values, and at least this number.
MAX_VALUES = 4_000_000     # Larger sets are judged by a random subset of their images.
SLACK = 0.01               # Values outside [-1, 1] by less than this are clipped: about one step of a byte.
ONE_SIDED = 0.25           # Images in [0, 1] may undershoot by this fraction of their maximum, after resizing.
NEAR = 0.1                 # Distributions are alike if their quantiles differ by less: mean difference over range.
LOW_CONTRAST = 0.6         # A contrast below this fraction of the data's contrast causes a warning.
WAY_OUT = 'images must be uint8 in [0, 255], or floats in [-1, 1]'


class Range(NamedTuple):
  """The range of the images of a file, FLOATS or BYTES, and a warning ('' if there is no doubt)."""

  name: str
  warning: str


def range_of(samples: np.ndarray, reals: np.ndarray) -> Range:
  """Decide in which range images are stored.

  Args:
    samples: uint8 or float [N, H, W, C]; values that are not finite are ignored here.
    reals: uint8 [M, H, W, C], images of the data.

  Raises:
    DataError: if the images are in neither of the two ranges, or look like another range; the message names it.
  """
  count = max(1, MAX_VALUES // samples[0].size)
  if len(samples) > count:
    samples = samples[np.random.default_rng(0).choice(len(samples), count, replace=False)]
  values = samples.ravel().astype(np.float64)
  values = values[np.isfinite(values)]
  if not len(values):
    return Range(FLOATS, '')  # Scoring raises NonFiniteSamplesError for them.
  right = reals.ravel() / 127.5 - 1.0
  if samples.dtype == np.uint8:
    _check_bytes(values, right)
    values = values / 127.5 - 1.0
    name = BYTES
  else:
    _check_floats(values, right)
    name = FLOATS
  spreads = [np.subtract(*_ends(x)[::-1]) for x in (values, right)]
  if spreads[0] < LOW_CONTRAST * spreads[1]:
    return Range(name, f'images are read as {name}; their contrast is {spreads[0] / spreads[1]:.2g} times that of the '
                       'data; if they are stored in another range, the scores are wrong')
  return Range(name, '')


def _check_floats(values: np.ndarray, right: np.ndarray) -> None:
  low, high = _ends(values)
  prefix = f'images are floats in [{low:.3g}, {high:.3g}] (outliers ignored)'
  mean, std = right.mean(), right.std()
  standard = (right - mean) / max(std, 1e-6)
  others = {'[0, 1]': (right + 1) / 2, '[0, 255]': 127.5 * (right + 1), '[0, 1] minus its mean': (right - mean) / 2,
            'standardised (mean 0, standard deviation 1)': standard, 'standardised and clipped': standard.clip(-1, 1)}
  alike = _alike(values, others, {'as it is': right, 'grey': right / 2, 'of low contrast': (right + mean) / 2})
  if low < -1 - SLACK or high > 1 + SLACK:
    raise DataError(f'{prefix}{_looks(alike)}; {WAY_OUT}: convert them, or clip them to [-1, 1]')
  one_sided = -low <= ONE_SIDED * high and not _alike(values, {'as it is': right}, {'[0, 1]': others['[0, 1]']})
  if one_sided and alike in ('', '[0, 1]'):
    raise DataError(f'{prefix}, and look like [0, 1]; {WAY_OUT}: store 2 x - 1, or uint8')
  if alike:
    raise DataError(f'{prefix}{_looks(alike)}; {WAY_OUT}: convert them')


def _check_bytes(values: np.ndarray, right: np.ndarray) -> None:
  brightest = [_bright(x) for x in (values, 127.5 * (right + 1))]
  if brightest[1] > 1:
    if brightest[0] == 0:
      raise DataError(f'images are uint8 and all 0 (outliers ignored): were floats cast without scaling? {WAY_OUT}: '
                      'store rint(255 x) for x in [0, 1]; if the images are really black, store floats of -1')
    if brightest[0] <= 1:
      raise DataError(f'images are uint8 and hold only 0 and 1 (outliers ignored), and look like [0, 1]; {WAY_OUT}: '
                      'multiply by 255')
  if alike := _alike(values, {'[0, 16]': 8 * (right + 1)}, {'as it is': 127.5 * (right + 1)}):
    raise DataError(f'images are uint8 in [{values.min():.3g}, {values.max():.3g}]{_looks(alike)}; {WAY_OUT}: scale '
                    'them')


def _bright(values: np.ndarray) -> float:
  """Return the median of the values above 0; 0 if only a few values are above 0."""
  lit = values[values > 0]
  return float(np.median(lit)) if len(lit) > _spared(len(values)) else 0.0


def _ends(values: np.ndarray) -> tuple[float, float]:
  """Return the smallest and the largest value, a few outliers ignored."""
  spared = min(_spared(len(values)), (len(values) - 1) // 2)
  ordered = np.partition(values, (spared, len(values) - 1 - spared))
  return float(ordered[spared]) + 0.0, float(ordered[len(values) - 1 - spared]) + 0.0  # Not -0.


def _spared(count: int) -> int:
  return max(FEWEST, int(FEW * count))


def _alike(values: np.ndarray, candidates: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> str:
  """Return the candidate whose distribution these values clearly have, rather than one of the others; '' if none."""
  distances = {name: _distance(values, x) for name, x in candidates.items()}
  name = min(distances, key=distances.get)
  clearly = distances[name] < min(NEAR, *(_distance(values, x) / 2 for x in others.values()))
  return name if clearly else ''


def _distance(values: np.ndarray, expected: np.ndarray) -> float:
  quantiles, expected_quantiles = np.quantile(values, LEVELS), np.quantile(expected, LEVELS)
  return float(np.mean(np.abs(quantiles - expected_quantiles)) / max(np.ptp(expected_quantiles), 1e-6))


def _looks(alike: str) -> str:
  return f', and look like {alike}' if alike else ''
