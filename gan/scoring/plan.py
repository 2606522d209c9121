"""The plan of an evaluation: requested names of scores -> scores to compute, and their features."""

from typing import NamedTuple

from gan.config import ConfigError, nearest
from gan.data.toy import Mixture
from gan.metrics.mixture import LINE_OUTPUTS, MIXTURE_OUTPUTS
from gan.scoring.table import INCEPTION_NAMES, METRICS

FEATURES = ('classifier', 'inception', 'pixels', 'random')
# Default scores. While a run trains, these are the scores that keep no features in memory.
TRAINING = {'classifier': ('diversity', 'fd', 'cs', 'classes'), 'random': ('diversity', 'fd')}
AFTERWARDS = {'classifier': ('diversity', 'fd', 'kd', 'cs', 'prdc', 'classes'),
              'random': ('diversity', 'fd', 'kd', 'prdc')}
# The score of the classes that samples were made of.
CONDITIONAL = {'concat': 'class_accuracy', 'projection': 'class_accuracy', 'acgan': 'class_accuracy',
               'infogan': 'code_agreement'}
_PRODUCERS = {output: name for name, metric in METRICS.items() for output in metric.outputs}
_PUBLISHED = {published: name for name, published in INCEPTION_NAMES.items()}


class Plan(NamedTuple):
  """Scores to compute.

  Attributes:
    metrics: keys of METRICS.
    outputs: names of the outputs to report.
    features: one of FEATURES, or 'module:function'.
  """

  metrics: tuple[str, ...]
  outputs: frozenset[str]
  features: str

  @property
  def needs(self) -> frozenset[str]:
    """Statistics that the stream of samples must provide, see `gan.scoring.collect`."""
    return frozenset().union(*(METRICS[name].needs for name in self.metrics))

  @property
  def featured(self) -> bool:
    """Whether any score depends on features."""
    return bool(self.needs & {'moments', 'features', 'logits'})

  def called(self, output: str) -> str:
    """Return the full name of a score, such as 'fid', 'fd_classifier' or 'modes'."""
    if not METRICS[_PRODUCERS[output]].featured:
      return output
    if self.features == 'inception' and output in INCEPTION_NAMES:
      return INCEPTION_NAMES[output]
    return f'{output}_{self.features}'


def make_plan(names: str, features: str, has_classes: bool, training: bool, condition: str = 'none') -> Plan:
  """Plan the scores of images.

  Args:
    names: comma-separated names of scores; '' means the default scores.
    features: one of FEATURES, or 'module:function'; '' means the default features.
    has_classes: whether the data have labels, for a classifier.
    training: whether the run is still training.
    condition: `model.condition` of the run.

  Raises:
    ConfigError: if a name is unknown, or if a score does not exist in these features.
  """
  requested = split_names(names)
  published = [name for name in requested if name in _PUBLISHED]
  if published and features not in ('', 'inception'):
    other = ', '.join(_PUBLISHED[name] for name in published)
    raise ConfigError(f'{", ".join(published)} mean Inception features; in features={features} they are called {other}')
  features = 'inception' if published else features or ('classifier' if has_classes else 'random')
  if features not in FEATURES and ':' not in features:
    raise ConfigError(f'features={features!r} is unknown{nearest(features, FEATURES)}, or any module:function')
  if features == 'classifier' and not has_classes:
    raise ConfigError('features=classifier needs labels, which this data set lacks; use features=random or inception')
  have_logits = features in ('classifier', 'inception')
  usual = (TRAINING if training else AFTERWARDS)['classifier' if have_logits else 'random']
  of_classes = CONDITIONAL.get(condition, '')
  if not requested:
    requested = [name for name in usual if name != 'classes' or features == 'classifier']
    requested += [of_classes] if of_classes and features == 'classifier' and not training else []
  for name in set(CONDITIONAL.values()) & set(requested):
    if name != of_classes or features != 'classifier':
      raise ConfigError(f'{name} compares the classes that samples were made of with those that a classifier of the '
                        f'data sees: it needs features=classifier, and a run with '
                        f'model.condition={" or ".join(kind for kind, score in CONDITIONAL.items() if score == name)}')
  metrics, outputs = [], set()
  for name in requested:
    name = _PUBLISHED.get(name, name)
    if name not in METRICS and name not in _PRODUCERS:
      raise ConfigError(f'metric {name!r} is unknown{nearest(name, {*METRICS, *_PRODUCERS, *_PUBLISHED})}')
    producer = name if name in METRICS else _PRODUCERS[name]
    metrics.append(producer)
    outputs |= set(METRICS[producer].outputs) if name in METRICS else {name}
  if 'classes' in metrics and features != 'classifier':
    raise ConfigError(f'modes and classes are counted by a classifier of the data, but features={features}; '
                      'use features=classifier, or leave them out')
  if 'cs' in metrics and features in ('pixels', 'random'):
    raise ConfigError(f'cs needs class logits, and features={features} return none; use features=classifier')
  return Plan(tuple(dict.fromkeys(metrics)), frozenset(outputs), features)


def check_points(names: str, features: str, mixture: Mixture) -> frozenset[str]:
  """Return the requested scores of points; all scores by default.

  Raises:
    ConfigError: if a name is unknown, or if features are set: points are scored without features.
  """
  if features:
    raise ConfigError(f'features={features} are for images; the points of {mixture.name} are scored exactly, without '
                      'features; leave them out')
  available = LINE_OUTPUTS if mixture.modes.shape[1] == 1 else MIXTURE_OUTPUTS
  requested = split_names(names)
  for name in requested:
    if name not in available:
      raise ConfigError(f'metric {name!r} is unknown for the points of {mixture.name}{nearest(name, available)}')
  return frozenset(requested or available)


def split_names(names: str) -> list[str]:
  """Split a comma-separated list of names."""
  return [name.strip() for name in names.split(',') if name.strip()]
