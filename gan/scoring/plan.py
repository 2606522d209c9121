"""From the names that a person asks for to what is computed, in which features."""

from typing import NamedTuple

from gan.config import ConfigError, nearest
from gan.data.toy import Mixture
from gan.metrics.mixture import LINE_OUTPUTS, MIXTURE_OUTPUTS
from gan.scoring.table import INCEPTION_NAMES, METRICS

FEATURES = ('classifier', 'inception', 'pixels', 'random')
# Where nobody asks for particular ones. While training: those that keep nothing of the samples.
TRAINING = {'classifier': ('diversity', 'fd', 'cs', 'classes'), 'random': ('diversity', 'fd')}
AFTERWARDS = {'classifier': ('diversity', 'fd', 'kd', 'cs', 'prdc', 'classes'),
              'random': ('diversity', 'fd', 'kd', 'prdc')}
_PRODUCERS = {output: name for name, metric in METRICS.items() for output in metric.outputs}
_PUBLISHED = {published: name for name, published in INCEPTION_NAMES.items()}


class Plan(NamedTuple):
  """Scores to compute.

  Attributes:
    metrics: keys of METRICS.
    outputs: which of their outputs are wanted.
    features: of FEATURES, or 'module:function'.
  """

  metrics: tuple[str, ...]
  outputs: frozenset[str]
  features: str

  @property
  def needs(self) -> frozenset[str]:
    """What a stream of samples has to leave behind, see `collect`."""
    return frozenset().union(*(METRICS[name].needs for name in self.metrics))

  @property
  def featured(self) -> bool:
    """Whether any score depends on features."""
    return bool(self.needs & {'moments', 'features', 'logits'})

  def called(self, output: str) -> str:
    """The full name of a score: 'fid', 'fd_classifier', 'modes'."""
    if not METRICS[_PRODUCERS[output]].featured:
      return output
    if self.features == 'inception' and output in INCEPTION_NAMES:
      return INCEPTION_NAMES[output]
    return f'{output}_{self.features}'


def make_plan(names: str, features: str, has_classes: bool, training: bool) -> Plan:
  """Plans the scores of images.

  Args:
    names: comma-separated; '' is the usual ones.
    features: of FEATURES, or 'module:function'; '' is the usual ones.
    has_classes: whether the data have labels, for a classifier.
    training: whether the run still goes on.

  Raises:
    ConfigError: if a name is unknown, or does not go with the features.
  """
  asked = split_names(names)
  published = [name for name in asked if name in _PUBLISHED]
  if published and features not in ('', 'inception'):
    other = ', '.join(_PUBLISHED[name] for name in published)
    raise ConfigError(f'{", ".join(published)} mean Inception features; in features={features} they are called {other}')
  features = 'inception' if published else features or ('classifier' if has_classes else 'random')
  if features not in FEATURES and ':' not in features:
    raise ConfigError(f'features={features!r} is unknown{nearest(features, FEATURES)}, or any module:function')
  if features == 'classifier' and not has_classes:
    raise ConfigError('features=classifier needs labels, which this data set has not; use features=random or inception')
  telling = features in ('classifier', 'inception')  # Classes, be they the data's own or others.
  usual = (TRAINING if training else AFTERWARDS)['classifier' if telling else 'random']
  asked = asked or [name for name in usual if name != 'classes' or features == 'classifier']
  metrics, outputs = [], set()
  for name in asked:
    name = _PUBLISHED.get(name, name)
    if name not in METRICS and name not in _PRODUCERS:
      raise ConfigError(f'metric {name!r} is unknown{nearest(name, {*METRICS, *_PRODUCERS, *_PUBLISHED})}')
    producer = name if name in METRICS else _PRODUCERS[name]
    metrics.append(producer)
    outputs |= set(METRICS[producer].outputs) if name in METRICS else {name}
  if 'classes' in metrics and features != 'classifier':
    raise ConfigError(f'modes and classes are counted by a classifier of the data; features={features} is none; '
                      'use features=classifier, or leave them out')
  if 'cs' in metrics and features in ('pixels', 'random'):
    raise ConfigError(f'cs needs features that tell classes, which features={features} do not; use classifier')
  return Plan(tuple(dict.fromkeys(metrics)), frozenset(outputs), features)


def check_points(names: str, features: str, mixture: Mixture) -> frozenset[str]:
  """The scores of points that are asked for; all of them by default.

  Raises:
    ConfigError: if a name is unknown, or features are asked for, which points have not.
  """
  if features:
    raise ConfigError(f'features={features} are for images; the points of {mixture.name} are scored exactly')
  known = LINE_OUTPUTS if mixture.modes.shape[1] == 1 else MIXTURE_OUTPUTS
  asked = split_names(names)
  for name in asked:
    if name not in known:
      raise ConfigError(f'metric {name!r} is unknown for the points of {mixture.name}{nearest(name, known)}')
  return frozenset(asked or known)


def split_names(names: str) -> list[str]:
  """The names in a comma-separated list."""
  return [name.strip() for name in names.split(',') if name.strip()]
