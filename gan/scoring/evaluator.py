"""The evaluation that a configuration describes, the same while a run trains and afterwards."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from gan.cache import cache_dir
from gan.config import ConfigError
from gan.data import get_source, toy
from gan.data.source import DataError, ImageSource
from gan.features.table import get_network
from gan.metrics import NonFiniteSamplesError
from gan.metrics.class_score import ENOUGH_TESTS
from gan.metrics.diversity import mean_distance
from gan.metrics.frechet import NUM_BLOCKS, jackknife_error
from gan.metrics.mixture import line_scores, mixture_scores
from gan.metrics.ms_ssim import WINDOW
from gan.metrics.neighbours import nearest
from gan.parallel import Parallel
from gan.scoring import Score
from gan.scoring.collect import NUM_IMAGES, Batches, Collected, Collector, collect, make_extract, to_bytes
from gan.scoring.plan import Plan, check_points, make_plan, split_names
from gan.scoring.reference import Reference, get_reference, reference_order
from gan.scoring.table import METRICS, MIN_PER_CLASS, Setting

COUNTS = ('modes',)   # Counts have no jackknife error.


class Evaluator(NamedTuple):
  """Functions that score the samples of a run.

  Attributes:
    score: (batches, number of samples, title of a progress bar, classes [N] that the samples were made of, or None) ->
      scores.
    score_members: (batches [P, B, ...] of a population, members, number of samples, classes of each member's samples)
      -> scores of each member, or None for a member with samples that are not finite.
    provenance: metadata added to each score record: data set, split, features, resizing.
    neighbours: (samples [N, H, W, C], uint8 or in [-1, 1], k) -> uint8 [N, 1 + k, H, W, C], each sample with its k
      nearest training images in feature space (all training images if there are fewer than k); None without features.
  """

  score: Callable[..., list[Score]]
  score_members: Callable[..., list[list[Score] | None]]
  provenance: dict[str, Any]
  neighbours: Callable[[np.ndarray, int], np.ndarray] | None = None


def make_evaluator(config: ml_collections.ConfigDict, data: ImageSource | toy.Mixture, parallel: Parallel | None = None,
                   *, training: bool = True, title: str = '') -> Evaluator:
  """Build the evaluation that `config.eval` describes.

  Args:
    config: configuration of the run.
    data: data set of the run.
    parallel: devices that feature networks run on; one device by default.
    training: whether the run is still training: then the default scores are those that keep no features in memory, and
      scores of points come without standard errors.
    title: title of the progress bar while statistics of the data are computed; '' shows no bar.

  Raises:
    ConfigError, DataError, WeightsError: if the scores cannot be computed; the message says why, and what to do.
  """
  if isinstance(data, toy.Mixture):
    return _points_evaluator(config.eval, data, with_errors=not training)
  return _image_evaluator(config, data, parallel, training, title)


def _points_evaluator(settings: ml_collections.ConfigDict, data: toy.Mixture, with_errors: bool) -> Evaluator:
  wanted = check_points(settings.metrics, settings.features, data)
  dim = data.modes.shape[1]
  warn_once = _warner()

  def compute(samples: np.ndarray) -> dict[str, float]:
    if dim == 1:
      return line_scores(samples, data.modes.item(), data.sigma)  # item() raises unless there is exactly one mode.
    return mixture_scores(samples, data.modes, data.sigma)

  def score(batches: Batches, num: int, title: str, classes: None = None) -> list[Score]:
    del num, title, classes
    samples = np.concatenate([np.asarray(part)[:count] for part, count in batches])
    values = compute(samples)
    count, modes = len(samples), len(data.modes)
    if modes > 1 and count < MIN_PER_CLASS * modes:
      warn_once(f'{count} samples are few for {modes} modes: a mode may be missing by chance; take at least '
                f'{MIN_PER_CLASS * modes} samples')
    if with_errors and count < 2 * NUM_BLOCKS:
      warn_once(f'{count} samples are too few for standard errors; take at least {2 * NUM_BLOCKS} samples')
    errors = _block_errors(compute, samples) if with_errors and count >= 2 * NUM_BLOCKS else {}
    method = f'jackknife over {NUM_BLOCKS} blocks of samples'
    return [Score(name, value, errors.get(name, np.nan), method if name in errors else '')
            for name, value in values.items() if name in wanted]

  def score_members(batches: Batches, members: Sequence[int], num: int,
                    classes: Sequence[None] = ()) -> list[list[Score] | None]:
    del classes
    samples = np.concatenate([np.asarray(part)[:, :count] for part, count in batches], axis=1)
    return [_or_none(lambda points: score([(points, num)], num, ''), samples[member]) for member in members]

  return Evaluator(score, score_members, {
      'data': data.name, 'fingerprint': data.fingerprint(), 'split': 'exact', 'reference_size': 0, 'features': '',
      'feature_weights': '', 'resizing': 'none'})


def _warner() -> Callable[[str], None]:
  @functools.cache
  def warn_once(message: str) -> None:
    print(f'Warning: {message}', flush=True)

  return warn_once


def _or_none(score: Callable[[Any], list[Score]], samples: Any) -> list[Score] | None:
  try:
    return score(samples)
  except NonFiniteSamplesError:
    return None


def _block_errors(compute: Callable, samples: np.ndarray) -> dict[str, float]:
  blocks = np.array_split(np.arange(len(samples)), NUM_BLOCKS)
  left_out = [compute(np.delete(samples, block, axis=0)) for block in blocks]
  return {name: jackknife_error(np.array([values[name] for values in left_out]))
          for name in left_out[0] if name not in COUNTS}


def _feasible(plan: Plan, usual: bool, num: int, reals: ImageSource, nearest_k: int) -> Plan:
  """Drop the scores that need more or larger images from a plan of default scores.

  Raises:
    ConfigError: if the plan is not the default but names such a score.
  """
  problems = dict(_size_problems(plan, num, reals, nearest_k))
  if problems and not usual:
    raise ConfigError('; '.join(problems.values()))
  return plan._replace(metrics=tuple(name for name in plan.metrics if name not in problems))


def _size_problems(plan: Plan, num: int, reals: ImageSource, nearest_k: int) -> Iterator[tuple[str, str]]:
  """Yield (key of METRICS, problem) for each score of the plan that needs more or larger images."""
  if 'fd_infinity' in plan.metrics and num < 2 * NUM_BLOCKS:
    name = plan.called('fd_infinity')
    yield 'fd_infinity', f'{name} of {num} samples: it needs {NUM_BLOCKS} parts of two or more samples; take at ' \
                         f'least {2 * NUM_BLOCKS} samples, or leave {name} out'
  if 'prdc' in plan.metrics and min(num, reals.num_examples) <= nearest_k:
    yield 'prdc', f'nearest_k={nearest_k}: prdc needs more than {nearest_k} samples and as many images of the data, ' \
                  f'but there are {num} samples and {reals.num_examples} images; take more, or a smaller nearest_k, ' \
                  'or other metrics'
  if 'ms_ssim' in plan.metrics and min(reals.shape[:2]) < WINDOW:
    yield 'ms_ssim', f'metrics=ms_ssim needs images of at least {WINDOW} x {WINDOW} pixels, but images are ' \
                     f'{" x ".join(map(str, reals.shape[:2]))}; leave it out, or take larger images'


def _image_evaluator(config: ml_collections.ConfigDict, data: ImageSource, parallel: Parallel | None, training: bool,
                     title: str) -> Evaluator:
  settings = config.eval
  plan = make_plan(settings.metrics, settings.features, data.num_classes > 0, training, config.model.condition)

  @functools.cache
  def open_split(split: str) -> ImageSource:
    if split == data.split:
      return data
    return get_source(config.data.name, config.data.image_size, split, path=config.data.path or None)

  reals = open_split(settings.data_split)
  feasible = functools.partial(_feasible, usual=not split_names(settings.metrics), reals=reals,
                               nearest_k=settings.nearest_k)
  plan = feasible(plan, num=settings.num_samples)
  # Evenly spaced indices give each class its share, even if the data set is sorted by class.
  chosen = np.linspace(0, reals.num_examples - 1, min(NUM_IMAGES, reals.num_examples)).astype(int)
  real_images = np.random.default_rng(0).permutation(reals.read(chosen)['images'])  # Adjacent images may be alike.
  if mean_distance(real_images) == 0:
    raise DataError(f'{len(chosen)} images of {data.name} are all the same: there is nothing to learn from them')

  network = extract = None
  if plan.featured:
    network = get_network(plan.features, open_split, cache_dir(), settings.inception_weights or None,
                          settings.inception_sha256 or None, settings.resizing)
    extract = make_extract(network.features, parallel)
    # A network that does not fit these images fails here, before training.
    outputs = jax.eval_shape(network.features.extract, network.features.weights, real_images[:2])
    if 'logits' in plan.needs and 'logits' not in outputs:
      raise ConfigError(f'cs needs class logits, and features={plan.features} return none; use features=classifier')

  @functools.cache
  def reference(split: str, with_features: bool = 'features' in plan.needs) -> Reference:
    bar = title and f'{title}: {data.name} {split} in {plan.features} features'
    return get_reference(open_split(split), network.features, extract, with_features, cache_dir(), bar)

  def neighbours(samples: np.ndarray, k: int) -> np.ndarray:
    collected = collect([(samples, len(samples))], len(samples), frozenset({'features'}), extract)
    train = open_split('train')
    k = min(k, train.num_examples)
    _, indices = nearest(collected.features, reference('train', True).features, k)
    images = train.read(reference_order(train)[indices].ravel())['images']
    return np.concatenate([collected.images[:, None], images.reshape(len(samples), k, *train.shape)], axis=1)

  setting = Setting(reference, settings.data_split, real_images, network and network.shares,
                    network and network.confusion, settings.nearest_k)

  warn_once = _warner()

  def score(batches: Batches, num: int, title: str, classes: np.ndarray | None = None) -> list[Score]:
    feasible(plan, num=num)  # Checked again: a file may hold fewer samples than `settings.num_samples`.
    return scores_of(collect(batches, num, plan.needs, extract, title)._replace(classes=classes))

  def score_members(batches: Batches, members: Sequence[int], num: int,
                    classes: Sequence[np.ndarray | None] = ()) -> list[list[Score] | None]:
    classes = classes or [None] * len(members)
    collectors = {member: Collector(num, plan.needs) for member in members}
    for samples, count in batches:
      for member, collector in collectors.items():
        images, finite = to_bytes(samples[member])
        outputs = {name: values[:count] for name, values in (extract(images) if extract else {}).items()}
        collector.add(images[:count], outputs, count - int(np.asarray(finite)[:count].sum()))
    return [_or_none(lambda pair: scores_of(pair[0].collected()._replace(classes=pair[1])), pair)
            for pair in zip(collectors.values(), classes, strict=True)]

  def scores_of(collected: Collected) -> list[Score]:
    if 'moments' in plan.needs:
      for noun, count in (('generated samples', collected.count), ('images of the data', reference(reals.split).count)):
        if count <= collected.dim:
          warn_once(f'the covariance of {count} {noun} in {collected.dim} features is singular, and the Frechet '
                    f'distance is far off; take at least {collected.dim + 1} {noun}')
    if 'classes' in plan.outputs and (fewest := setting.confusion.sum(axis=1).min()) < ENOUGH_TESTS:
      warn_once(f'the classifier of {data.name} was tested on only {fewest} images of one class: below {ENOUGH_TESTS} '
                'images its confusion rates are partly those of the average class, and `classes` is an estimate')
    metrics = feasible(plan, num=collected.count).metrics
    scores = [score for name in metrics for score in METRICS[name].compute(collected, setting)
              if score.metric in plan.outputs]
    for score in scores:
      if score.warning:
        warn_once(score.warning)
    return [score._replace(metric=plan.called(score.metric)) for score in scores]

  features = network and network.features
  return Evaluator(score, score_members, {
      'data': data.name, 'image_shape': list(data.shape), 'fingerprint': reals.fingerprint(), 'split': reals.split,
      'reference_size': reals.num_examples, 'features': features.name if features else '',
      'feature_weights': features.digest if features else '', 'resizing': features.resizing if features else 'none'},
      neighbours if features else None)
