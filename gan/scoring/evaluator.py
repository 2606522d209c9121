"""A configuration's evaluation: which scores, of what, against what; the same while a run trains and afterwards."""

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

COUNTS = ('modes',)   # A jackknife says nothing of a count.


class Evaluator(NamedTuple):
  """How samples of a run are scored.

  Attributes:
    score: (batches, number of samples, title of a progress bar) -> scores.
    score_members: (batches [P, B, ...] of a population, members, number of samples) -> scores of each member, None for
      one whose samples are no numbers.
    provenance: what every line of them has to say, beside what tells the samples.
    neighbours: (samples [N, H, W, C], uint8 or in [-1, 1], k) -> uint8 [N, 1 + k, H, W, C], each sample with the k
      training images that are nearest to it in the features, or with all if there are fewer; None where there are no
      features.
  """

  score: Callable[[Batches, int, str], list[Score]]
  score_members: Callable[[Batches, Sequence[int], int], list[list[Score] | None]]
  provenance: dict[str, Any]
  neighbours: Callable[[np.ndarray, int], np.ndarray] | None = None


def make_evaluator(config: ml_collections.ConfigDict, data: ImageSource | toy.Mixture, parallel: Parallel | None = None,
                   *, training: bool = True, title: str = '') -> Evaluator:
  """Builds the evaluation that `config.eval` asks for.

  Args:
    config: of the run.
    data: what it was trained on.
    parallel: devices that feature networks run on; one by default.
    training: whether the run still goes on: then nothing is kept of samples, unless a score is asked for that needs it.
    title: of the progress bar while statistics of the data are computed; '' shows none.

  Raises:
    ConfigError, DataError, WeightsError: if the scores cannot be computed; say why and what to do.
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
      return line_scores(samples, data.modes.item(), data.sigma)  # One mode, or this raises.
    return mixture_scores(samples, data.modes, data.sigma)

  def score(batches: Batches, num: int, title: str) -> list[Score]:
    del num, title
    samples = np.concatenate([np.asarray(part)[:count] for part, count in batches])
    found = compute(samples)
    count, modes = len(samples), len(data.modes)
    if modes > 1 and count < MIN_PER_CLASS * modes:
      warn_once(f'{count} samples of {modes} modes: some are missing by chance; it takes {MIN_PER_CLASS * modes} to '
                'say which are missing indeed')
    if with_errors and count < 2 * NUM_BLOCKS:
      warn_once(f'the scores of {count} samples have no standard errors, for which it takes {2 * NUM_BLOCKS}')
    errors = _block_errors(compute, samples) if with_errors and count >= 2 * NUM_BLOCKS else {}
    method = f'jackknife over {NUM_BLOCKS} blocks of samples'
    return [Score(name, value, errors.get(name, np.nan), method if name in errors else '')
            for name, value in found.items() if name in wanted]

  def score_members(batches: Batches, members: Sequence[int], num: int) -> list[list[Score] | None]:
    samples = np.concatenate([np.asarray(part)[:, :count] for part, count in batches], axis=1)
    return [_or_none(lambda own: score([(own, num)], num, ''), samples[member]) for member in members]

  return Evaluator(score, score_members, {
      'data': data.name, 'fingerprint': data.fingerprint(), 'split': 'exact', 'reference_size': 0, 'features': '',
      'feature_weights': '', 'resizing': 'none'})


def _warner() -> Callable[[str], None]:
  @functools.cache
  def warn_once(message: str) -> None:
    print(f'Warning: {message}', flush=True)

  return warn_once


def _or_none(score: Callable[[Any], list[Score]], what: Any) -> list[Score] | None:
  try:
    return score(what)
  except NonFiniteSamplesError:
    return None


def _block_errors(compute: Callable, samples: np.ndarray) -> dict[str, float]:
  blocks = np.array_split(np.arange(len(samples)), NUM_BLOCKS)
  left_out = [compute(np.delete(samples, block, axis=0)) for block in blocks]
  return {name: jackknife_error(np.array([found[name] for found in left_out]))
          for name in left_out[0] if name not in COUNTS}


def _feasible(plan: Plan, usual: bool, num: int, reals: ImageSource, nearest_k: int) -> Plan:
  """The plan less those of the usual scores that such samples have not.

  Raises:
    ConfigError: if they are not only usual but were asked for.
  """
  problems = dict(_size_problems(plan, num, reals, nearest_k))
  if problems and not usual:
    raise ConfigError('; '.join(problems.values()))
  return plan._replace(metrics=tuple(name for name in plan.metrics if name not in problems))


def _size_problems(plan: Plan, num: int, reals: ImageSource, nearest_k: int) -> Iterator[tuple[str, str]]:
  """(key of METRICS, what is wrong) for each score of the plan that takes more or larger images."""
  if 'fd_infinity' in plan.metrics and num < 2 * NUM_BLOCKS:
    yield 'fd_infinity', f'{plan.called("fd_infinity")} of {num} samples: its line goes through {NUM_BLOCKS} parts ' \
                         f'of two or more; take {2 * NUM_BLOCKS} samples or more, or leave it out'
  if 'prdc' in plan.metrics and min(num, reals.num_examples) <= nearest_k:
    yield 'prdc', f'nearest_k={nearest_k}: {num} samples and {reals.num_examples} images of the data have not all ' \
                  f'{nearest_k} neighbours of their own kind, as prdc needs; take more of them, or a smaller ' \
                  'nearest_k, or other metrics'
  if 'ms_ssim' in plan.metrics and min(reals.shape[:2]) < WINDOW:
    yield 'ms_ssim', f'metrics=ms_ssim looks at windows of {WINDOW} pixels, and images are ' \
                     f'{" x ".join(map(str, reals.shape[:2]))}; leave it out, or take larger images'


def _image_evaluator(config: ml_collections.ConfigDict, data: ImageSource, parallel: Parallel | None, training: bool,
                     title: str) -> Evaluator:
  settings = config.eval
  plan = make_plan(settings.metrics, settings.features, data.num_classes > 0, training)

  @functools.cache
  def open_split(split: str) -> ImageSource:
    if split == data.split:
      return data
    return get_source(config.data.name, config.data.image_size, split, path=config.data.path or None)

  reals = open_split(settings.data_split)
  feasible = functools.partial(_feasible, usual=not split_names(settings.metrics), reals=reals,
                               nearest_k=settings.nearest_k)
  plan = feasible(plan, num=settings.num_samples)
  # Evenly spaced, so that of a set sorted by class each class has its share.
  chosen = np.linspace(0, reals.num_examples - 1, min(NUM_IMAGES, reals.num_examples)).astype(int)
  real_images = np.random.default_rng(0).permutation(reals.read(chosen)['images'])  # Neighbours may be alike.
  if mean_distance(real_images) == 0:
    raise DataError(f'{len(chosen)} images of {data.name} are all the same: there is nothing to learn from them')

  network = extract = None
  if plan.featured:
    network = get_network(plan.features, open_split, cache_dir(), settings.inception_weights or None,
                          settings.inception_sha256 or None, settings.resizing)
    extract = make_extract(network.features, parallel)
    found = jax.eval_shape(network.features.extract, network.features.weights, real_images[:2])  # Or says what fails.
    if 'logits' in plan.needs and 'logits' not in found:
      raise ConfigError(f'cs needs features that tell classes, and features={plan.features} return no logits')

  @functools.cache
  def reference(split: str, with_features: bool = 'features' in plan.needs) -> Reference:
    bar = title and f'{title}: {data.name} {split} in {plan.features} features'
    return get_reference(open_split(split), network.features, extract, with_features, cache_dir(), bar)

  def neighbours(samples: np.ndarray, k: int) -> np.ndarray:
    seen = collect([(samples, len(samples))], len(samples), frozenset({'features'}), extract)
    train = open_split('train')
    k = min(k, train.num_examples)
    _, indices = nearest(seen.features, reference('train', True).features, k)
    images = train.read(reference_order(train)[indices].ravel())['images']
    return np.concatenate([seen.images[:, None], images.reshape(len(samples), k, *train.shape)], axis=1)

  setting = Setting(reference, settings.data_split, real_images, network and network.shares,
                    network and network.confusion, settings.nearest_k)

  warn_once = _warner()

  def score(batches: Batches, num: int, title: str) -> list[Score]:
    feasible(plan, num=num)  # Of a file, say, in which there are fewer than were asked for.
    return scores_of(collect(batches, num, plan.needs, extract, title))

  def score_members(batches: Batches, members: Sequence[int], num: int) -> list[list[Score] | None]:
    collectors = {member: Collector(num, plan.needs) for member in members}
    for samples, count in batches:
      for member, collector in collectors.items():
        images, finite = to_bytes(samples[member])
        found = {name: values[:count] for name, values in (extract(images) if extract else {}).items()}
        collector.add(images[:count], found, count - int(np.asarray(finite)[:count].sum()))
    return [_or_none(lambda own: scores_of(own.collected()), collector) for collector in collectors.values()]

  def scores_of(collected: Collected) -> list[Score]:
    if 'moments' in plan.needs:
      for what, count in (('generated samples', collected.count), ('images of the data', reference(reals.split).count)):
        if count <= collected.dim:
          warn_once(f'{count} {what} have a covariance of lower rank than their {collected.dim} features: the Frechet '
                    f'distance is far off; it needs at least {collected.dim + 1}')
    if 'classes' in plan.outputs and (fewest := setting.confusion.sum(axis=1).min()) < ENOUGH_TESTS:
      warn_once(f'the classifier of {data.name} was tested on {fewest} images of one class: below {ENOUGH_TESTS} its '
                'rates of confusion are partly those of the average class, and `classes` is an estimate')
    metrics = feasible(plan, num=collected.count).metrics
    found = [score for name in metrics for score in METRICS[name].compute(collected, setting)
             if score.metric in plan.outputs]
    for score in found:
      if score.warning:
        warn_once(score.warning)
    return [score._replace(metric=plan.called(score.metric)) for score in found]

  features = network and network.features
  return Evaluator(score, score_members, {
      'data': data.name, 'image_shape': list(data.shape), 'fingerprint': reals.fingerprint(), 'split': reals.split,
      'reference_size': reals.num_examples, 'features': features.name if features else '',
      'feature_weights': features.digest if features else '', 'resizing': features.resizing if features else 'none'},
      neighbours if features else None)
