"""The table of the scores of images: the names of each, the statistics that it needs, and its computation.

The names `fid`, `kid`, `is` and `fid_infinity` are used for Inception features only. With other features these scores
are called `fd`, `kd`, `cs` and `fd_infinity`, followed by the name of the features, as in `fd_classifier`. All scores
that depend on features have the features in their names.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from gan.metrics import class_score, frechet, kernel, ms_ssim, neighbours
from gan.metrics.diversity import mean_distance
from gan.scoring import Score
from gan.scoring.collect import Collected
from gan.scoring.reference import Reference

INCEPTION_NAMES = {'fd': 'fid', 'kd': 'kid', 'cs': 'is', 'fd_infinity': 'fid_infinity'}
NEAREST_K = 5
MIN_PER_CLASS = 10   # With this many samples per class, one set in 20,000 misses a class of average share by chance.
SEED = 0   # Seed of random subsets and of the order within a set.


class Setting(NamedTuple):
  """The data that samples are scored against, and settings of the scores.

  Attributes:
    references: split -> its `Reference`; with features if any score needs them.
    split: the split that samples are compared with.
    real_images: uint8 [N, H, W, C], some images of this split.
    shares: share of each class in the data [K]; None without classes.
    confusion: [K, K], the classifier's counts on test images; rows are true classes; None if not available.
    nearest_k: number of neighbours for precision, recall, density and coverage.
  """

  references: Callable[[str], Reference]
  split: str
  real_images: np.ndarray
  shares: np.ndarray | None = None
  confusion: np.ndarray | None = None
  nearest_k: int = NEAREST_K


class Metric(NamedTuple):
  """Scores that are computed together.

  Attributes:
    outputs: names of the scores, without the name of the features.
    needs: statistics of the samples that they need, see `gan.scoring.collect.Collector`.
    compute: (collected, setting) -> scores.
    featured: whether the scores depend on features, and so have the features in their names.
  """

  outputs: tuple[str, ...]
  needs: frozenset[str]
  compute: Callable[[Collected, Setting], Iterable[Score]]
  featured: bool = True


def _score(name: str, value: float, error: float, method: str, few: str,
           details: Mapping[str, Any] = MappingProxyType({})) -> Score:
  """Return a score with its standard error, or with the warning `few` if the error is nan: too few samples."""
  has_error = not math.isnan(error)
  return Score(name, value, error, method if has_error else '', details, '' if has_error else few)


def _fd(collected: Collected, setting: Setting) -> Iterable[Score]:
  reference = setting.references(setting.split)
  value, error = frechet.distance_with_error(collected.blocks, reference.moments, reference.root)
  yield _score('fd', value, error, f'jackknife over {len(collected.blocks)} blocks of samples',
               f'{collected.count} samples are too few for a standard error of the Frechet distance; take at least '
               f'{2 * frechet.NUM_BLOCKS}')


def _fd_infinity(collected: Collected, setting: Setting) -> Iterable[Score]:
  reference = setting.references(setting.split)
  value, error = frechet.distance_at_infinity(collected.blocks, reference.moments, reference.root)
  yield Score('fd_infinity', value, error, f'jackknife over {len(collected.blocks)} blocks of samples')


def _kd(collected: Collected, setting: Setting) -> Iterable[Score]:
  reals, fakes = setting.references(setting.split).features, collected.features
  subsets = kernel.draw_subsets(np.random.default_rng(SEED), len(fakes), len(reals))
  value, spread = kernel.over_subsets(fakes, reals, subsets)
  yield _score('kd', value, kernel.standard_error(fakes, reals), 'disjoint blocks',
               f'{len(fakes)} samples and {len(reals)} images of the data are too few for a standard error of the '
               f'kernel distance; take at least {2 * kernel.MIN_BLOCKS} of both',
               {'spread_over_subsets': spread, 'subsets': len(subsets), 'subset_size': len(subsets[0][0])})


def _cs(collected: Collected, setting: Setting) -> Iterable[Score]:
  del setting
  logits = collected.logits[np.random.default_rng(SEED).permutation(collected.count)]
  value, spread = class_score.class_score(logits)
  splits = class_score.NUM_SPLITS
  yield _score('cs', value, class_score.standard_error(value, spread, len(logits)), f'{splits} disjoint splits',
               f'the class score of {len(logits)} samples is far off and has no standard error: it is the mean over '
               f'{splits} parts, and a part of n samples scores at most n; take more samples',
               {'spread_over_splits': spread})


def _prdc(collected: Collected, setting: Setting) -> Iterable[Score]:
  reals = setting.references(setting.split).features[:collected.count]
  details = {'nearest_k': setting.nearest_k, 'num_real': len(reals)}
  for name, (value, error) in neighbours.prdc(reals, collected.features, setting.nearest_k).items():
    yield _score(name, value, error, 'mean over samples, balls given',
                 f'precision, recall, density and coverage of {collected.count} samples and {len(reals)} images of the '
                 f'data mean little and have no standard errors: for nearest_k={setting.nearest_k} take at least '
                 f'{neighbours.MIN_PER_NEIGHBOUR * setting.nearest_k} of both', details)


def _copying(collected: Collected, setting: Setting) -> Iterable[Score]:
  train, test = setting.references('train').features, setting.references('test').features
  generated, held_out = (neighbours.nearest(x, train, 1)[0][:, 0] for x in (collected.features, test))
  value, error, p_value = neighbours.copying(generated, held_out)
  yield Score('copying', value, error, 'Mann-Whitney, under no difference',
              {'p_value': p_value, 'num_train': len(train), 'num_held_out': len(test)})


def _classes(collected: Collected, setting: Setting) -> Iterable[Score]:
  values = class_score.class_coverage(collected.logits, setting.shares, setting.confusion)
  tested = {} if setting.confusion is None else {'fewest_tests_of_a_class': int(setting.confusion.sum(axis=1).min())}
  count, classes = collected.logits.shape
  few = '' if count >= MIN_PER_CLASS * classes else (
      f'{count} samples are few for {classes} classes: a class may be missing by chance; take at least '
      f'{MIN_PER_CLASS * classes} samples')
  return [Score(name, value, details=tested if name == 'classes' else {}, warning=few)
          for name, value in values.items()]


def _class_accuracy(collected: Collected, setting: Setting) -> Iterable[Score]:
  if collected.classes is not None:   # Files and real data come without the classes that were asked for.
    value, error = class_score.accuracy(collected.logits, collected.classes)
    real = {} if setting.confusion is None else {
        'real_data': float(np.trace(setting.confusion) / setting.confusion.sum())}
    yield Score('class_accuracy', value, error, 'binomial', real)


def _code_agreement(collected: Collected, setting: Setting) -> Iterable[Score]:
  del setting
  if collected.classes is not None:
    value, error = class_score.agreement(collected.logits, collected.classes)
    yield Score('code_agreement', value, error, 'binomial, matching given')


def _ms_ssim(collected: Collected, setting: Setting) -> Iterable[Score]:
  pairs = collected.similarities
  half = len(setting.real_images) // 2
  real = np.asarray(ms_ssim.ms_ssim(setting.real_images[:half], setting.real_images[half:2 * half]))
  yield _score('ms_ssim', float(pairs.mean()), ms_ssim.standard_error(pairs), 'mean over pairs',
               f'{len(pairs)} pairs of samples are too few for a standard error of ms_ssim; take at least '
               f'{ms_ssim.MIN_PAIRS} pairs',
               {'real_data': float(real.mean()), 'scales': ms_ssim.num_scales(min(setting.real_images.shape[1:3]))})


def _diversity(collected: Collected, setting: Setting) -> Iterable[Score]:
  samples, reals = (images / 127.5 - 1.0 for images in (collected.images, setting.real_images))
  yield Score('diversity', mean_distance(samples) / mean_distance(reals), details={'images': len(samples)})


METRICS = {
    'fd': Metric(('fd',), frozenset({'moments'}), _fd),
    'fd_infinity': Metric(('fd_infinity',), frozenset({'moments'}), _fd_infinity),
    'kd': Metric(('kd',), frozenset({'features'}), _kd),
    'cs': Metric(('cs',), frozenset({'logits'}), _cs),
    'prdc': Metric(('precision', 'recall', 'density', 'coverage'), frozenset({'features'}), _prdc),
    'copying': Metric(('copying',), frozenset({'features'}), _copying),
    'classes': Metric(('modes', 'classes', 'reverse_kl', 'total_variation'), frozenset({'logits'}), _classes,
                      featured=False),
    'class_accuracy': Metric(('class_accuracy',), frozenset({'logits'}), _class_accuracy, featured=False),
    'code_agreement': Metric(('code_agreement',), frozenset({'logits'}), _code_agreement, featured=False),
    'ms_ssim': Metric(('ms_ssim',), frozenset({'pairs'}), _ms_ssim, featured=False),
    'diversity': Metric(('diversity',), frozenset(), _diversity, featured=False),
}
