"""The question of a sweep: the attributes of its file that only a comparison reads, and their defaults."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from experiments.plan import Plan
from experiments.sweep import SweepError, load_sweep
from gan.config import ConfigError, nearest

Row = dict[str, Any]   # A row of the table of a sweep, see `experiments.results.rows_of`.
PUBLISHED_KEYS = ('setting', 'arm', 'metric', 'value', 'source', 'note')


def healthy_at_the_end(row: Row) -> bool:
  """Return whether a run succeeded, by default; a run with the verdict "too early" has not succeeded yet."""
  return row['status'] == 'finished' and row['verdict'] == 'healthy'


class Question(NamedTuple):
  """The question of a sweep. Capitals name the attribute of the sweep's file.

  Attributes:
    text: the headline; '' for none (QUESTION).
    metric: score that decides, or a dict from configuration files to scores; None means a default score that fits the
      data (METRIC).
    by: fields whose values are the arms, separated by commas; None means the only field that varies (BY).
    success: function of a row: whether the run succeeded (SUCCESS).
    custom_success: whether the sweep defines SUCCESS.
    baseline: value or name of the arm that the others are compared with; None means the best arm (BASELINE).
    curve: numeric field whose values are points of a curve, not arms (CURVE).
    replicates: fields that were drawn at random; runs that differ only in them repeat an arm (REPLICATES).
    published: published figures for comparison, each a dict of PUBLISHED_KEYS (PUBLISHED).
    note: a sentence for the reader if the file could not be used; otherwise ''.
  """

  text: str = ''
  metric: str | Mapping[str, str] | None = None
  by: str | None = None
  success: Callable[[Row], bool] = healthy_at_the_end
  custom_success: bool = False
  baseline: Any = None
  curve: str | None = None
  replicates: Sequence[str] = ()
  published: Sequence[Mapping[str, Any]] = ()
  note: str = ''


def question_of(plan: Plan | None) -> Question:
  """Read the question from the file of a sweep; if the file is gone or unusable, return the defaults and a note.

  Raises:
    SweepError: if an attribute has a wrong type.
  """
  if plan is None:
    return Question(note='There is no plan.json, so question, metric and definition of success are the defaults.')
  try:
    sweep = load_sweep(plan.sweep)
  except ConfigError as error:
    reason = str(error).splitlines()[0].removeprefix('--sweep=')
    return Question(note=f'The file of the sweep cannot be used now ({reason}), so question, metric and definition of '
                         'success are the defaults.')
  module, changed = sweep.module, {run.id for run in sweep.runs} != set(plan.runs)
  question = Question(
      getattr(module, 'QUESTION', ''), getattr(module, 'METRIC', None),
      getattr(module, 'BY', None) or getattr(module, 'CURVE', None), getattr(module, 'SUCCESS', healthy_at_the_end),
      hasattr(module, 'SUCCESS'), getattr(module, 'BASELINE', None), getattr(module, 'CURVE', None),
      getattr(module, 'REPLICATES', ()), getattr(module, 'PUBLISHED', ()),
      f'{plan.sweep} now lists other runs than those that were trained; question, metric and success are those of the '
      'present file.' if changed else '')
  _check(question, plan.sweep)
  return question


def _check(question: Question, spec: str) -> None:
  for name, value in (('BY', question.by), ('CURVE', question.curve)):
    if not isinstance(value, str | None):
      raise SweepError(f"{spec}: {name} must be a string with one or several fields, such as 'loss.name,penalty.r1'; "
                       f'it is {value!r}')
  if not callable(question.success):
    raise SweepError(f"{spec}: SUCCESS must be a function of a row of results.csv, such as lambda row: "
                     f"row['modes.last'] >= 7; it is {question.success!r}")
  if not isinstance(question.metric, str | Mapping | None):
    raise SweepError(f'{spec}: METRIC must be a name, or a dict from configuration files to names; it is '
                     f'{question.metric!r}')
  if isinstance(question.replicates, str):
    raise SweepError(f'{spec}: REPLICATES must be a list of fields; it is {question.replicates!r}')
  for entry in question.published:
    if not isinstance(entry, Mapping) or not {'arm', 'value', 'source'} <= set(entry):
      raise SweepError(f"{spec}: each entry of PUBLISHED must be a dict with at least 'arm', 'value' and 'source'; one "
                       f'entry is {entry!r}')
    if unknown := sorted(set(entry) - set(PUBLISHED_KEYS)):
      raise SweepError(f'{spec}: PUBLISHED has {unknown[0]!r}{nearest(unknown[0], PUBLISHED_KEYS)}')
