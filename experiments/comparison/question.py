"""What a sweep asks: the attributes of its file that only a comparison reads, and what holds where it has none."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from experiments.plan import Plan
from experiments.sweep import SweepError, load_sweep
from gan.config import ConfigError, nearest

Row = dict[str, Any]   # Of the table of a sweep, `experiments.results.rows_of`.
PUBLISHED_KEYS = ('setting', 'arm', 'metric', 'value', 'source', 'note')


def healthy_at_the_end(row: Row) -> bool:
  """Success where a sweep does not say what it is; a run for whose verdict it is too early has not succeeded yet."""
  return row['status'] == 'finished' and row['verdict'] == 'healthy'


class Question(NamedTuple):
  """What is asked of a sweep.

  Attributes:
    text: the headline; '' for none. QUESTION.
    metric: what decides, by itself or for each configuration file; None leaves it to the data. METRIC.
    by: fields whose values are the arms, separated by commas; None for the one that varies. BY.
    success: tells the rows of runs that reached what they should. SUCCESS.
    own_success: whether the sweep says so itself.
    baseline: value or name of the arm that the others are compared with; None for a choice. BASELINE.
    curve: field of numbers whose values are points of a curve, not arms. CURVE.
    replicates: fields that were drawn at random, so that runs that differ in them repeat an arm. REPLICATES.
    published: figures of others to stand beside ours, each a dict of PUBLISHED_KEYS. PUBLISHED.
    note: what a reader has to know if the file could not be used.
  """

  text: str = ''
  metric: str | Mapping[str, str] | None = None
  by: str | None = None
  success: Callable[[Row], bool] = healthy_at_the_end
  own_success: bool = False
  baseline: Any = None
  curve: str | None = None
  replicates: Sequence[str] = ()
  published: Sequence[Mapping[str, Any]] = ()
  note: str = ''


def question_of(plan: Plan | None) -> Question:
  """Opens the file of a sweep again; a file that is gone or has become unusable leaves the defaults, and a note.

  Raises:
    SweepError: if an attribute is not what it should be.
  """
  if plan is None:
    return Question(note='There is no plan.json, so question, metric and meaning of success are the defaults.')
  try:
    sweep = load_sweep(plan.sweep)
  except ConfigError as error:
    reason = str(error).splitlines()[0].removeprefix('--sweep=')
    return Question(note=f'The file of the sweep cannot be used now ({reason}), so question, metric and meaning of '
                         'success are the defaults.')
  module, changed = sweep.module, {run.id for run in sweep.runs} != set(plan.runs)
  asked = Question(
      getattr(module, 'QUESTION', ''), getattr(module, 'METRIC', None),
      getattr(module, 'BY', None) or getattr(module, 'CURVE', None), getattr(module, 'SUCCESS', healthy_at_the_end),
      hasattr(module, 'SUCCESS'), getattr(module, 'BASELINE', None), getattr(module, 'CURVE', None),
      getattr(module, 'REPLICATES', ()), getattr(module, 'PUBLISHED', ()),
      f'{plan.sweep} now lists other runs than were trained; question, metric and success are read from it as it is '
      'now.' if changed else '')
  _check(asked, plan.sweep)
  return asked


def _check(asked: Question, spec: str) -> None:
  for name, value in (('BY', asked.by), ('CURVE', asked.curve)):
    if not isinstance(value, str | None):
      raise SweepError(f"{spec}: {name} must be a field, or several in one text, 'loss.name,penalty.r1'; it is "
                       f'{value!r}')
  if not callable(asked.success):
    raise SweepError(f"{spec}: SUCCESS must be a function of a row of results.csv, such as lambda row: "
                     f"row['modes.last'] >= 7; it is {asked.success!r}")
  if not isinstance(asked.metric, str | Mapping | None):
    raise SweepError(f'{spec}: METRIC must be a name, or a dict from configuration files to names; it is '
                     f'{asked.metric!r}')
  if isinstance(asked.replicates, str):
    raise SweepError(f'{spec}: REPLICATES must be a list of fields; it is {asked.replicates!r}')
  for entry in asked.published:
    if not isinstance(entry, Mapping) or not {'arm', 'value', 'source'} <= set(entry):
      raise SweepError(f"{spec}: each figure of PUBLISHED is a dict with 'arm', 'value' and 'source' at least; one is "
                       f'{entry!r}')
    if unknown := sorted(set(entry) - set(PUBLISHED_KEYS)):
      raise SweepError(f'{spec}: PUBLISHED has {unknown[0]!r}{nearest(unknown[0], PUBLISHED_KEYS)}')
