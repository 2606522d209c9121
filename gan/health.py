"""From the scalars of a run to a verdict: healthy, or how it failed, on what evidence, and what to try.

Pure functions of logged rows; the same rows give the same verdict, while a run trains and long after.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

Rows = Sequence[Mapping[str, float]]

RECENT = 0.25          # Share of the rows, the last ones, that speak for the present.
MIN_ROWS = 8           # Fewer say nothing yet.

ADVICE = {
    'healthy': 'Nothing to do; look at the samples all the same.',
    'diverged': 'Lower the learning rates (try a tenth), or add --config.penalty.r1=1 (without batch norm in the '
                'discriminator).',
    'discriminator saturated': 'Use --config.loss.name=nonsaturating, fewer discriminator updates or a smaller '
                               'discriminator learning rate, or add instance noise or --config.penalty.r1=1.',
    'mode collapse': 'Try --config.model.disc.pack=2, --config.penalty.r1=1, a relativistic loss (rpgan_logistic), or a '
                     'larger generator.',
    'generator stalled': "Raise the generator's learning rate or --config.update.gen_steps, or weaken the discriminator.",
    'oscillating': 'Lower the momentum (b1) and the learning rates, add --config.penalty.r1=1, or use '
                   '--config.update.rule=extragradient.',
}


class Verdict(NamedTuple):
  """What is to be said of a run, and why.

  Attributes:
    kind: key of ADVICE.
    step: last step that was looked at.
    metric: what decided.
    value: its value.
    threshold: the limit that it passed, or kept.
  """

  kind: str
  step: int
  metric: str = ''
  value: float = math.nan
  threshold: float = math.nan

  @property
  def failed(self) -> bool:
    """Whether something is wrong."""
    return self.kind != 'healthy'

  @property
  def advice(self) -> str:
    """One sentence on what to try."""
    return ADVICE[self.kind]

  @property
  def evidence(self) -> str:
    """'eval/reverse_kl = 1.2, above 0.5'; '' where nothing was found."""
    if not self.metric:
      return ''
    return f'{self.metric} = {self.value:.3g}, ' + (
        f'{"above" if self.value > self.threshold else "below"} {self.threshold:.3g}' if math.isfinite(self.value)
        else 'not a finite number')

  def row(self) -> dict[str, float | str]:
    """As scalars of metrics.jsonl."""
    evidence = {'health/metric': self.metric, 'health/value': self.value, 'health/threshold': self.threshold}
    return {'health/verdict': self.kind} | (evidence if self.metric else {})


def last_verdict(rows: Rows) -> Verdict | None:
  """The newest verdict among the rows."""
  row = next((row for row in reversed(rows) if 'health/verdict' in row), None)
  return row and Verdict(row['health/verdict'], int(row['step']), row.get('health/metric', ''),
                         row.get('health/value', math.nan), row.get('health/threshold', math.nan))


def judge(rows: Rows) -> Verdict:
  """The verdict on the rows logged so far; the most specific failure wins.

  Args:
    rows: in the order of steps, each {'step': t, name: value, ...}; scalars may be missing from some.
  """
  step = int(rows[-1]['step']) if rows else 0
  for check in CHECKS:
    verdict = check(rows, step)
    if verdict is not None:
      return verdict
  return Verdict('healthy', step)


def failures_in_a_row(rows: Rows) -> int:
  """How many of the last verdicts, without a break, are failures."""
  kinds = [row['health/verdict'] for row in rows if 'health/verdict' in row]
  return next((i for i, kind in enumerate(reversed(kinds)) if kind == 'healthy'), len(kinds))


def _diverged(rows: Rows, step: int) -> Verdict | None:
  for name, value in rows[-1].items() if rows else ():
    if isinstance(value, float) and not math.isfinite(value):
      return Verdict('diverged', step, name, value, math.inf)
  return None


CHECKS: tuple[Callable[[Rows, int], Verdict | None], ...] = (_diverged,)


def _recent(rows: Rows, name: str) -> np.ndarray:
  """The last quarter of a scalar's values; empty if there are too few."""
  values = np.array([row[name] for row in rows if name in row], np.float64)
  return values[-max(MIN_ROWS, math.ceil(RECENT * len(values))):] if len(values) >= MIN_ROWS else values[:0]
