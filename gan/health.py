"""From the scalars of a run to a verdict: healthy, too early to tell, or how it failed, on what evidence, what to try.

Pure functions of logged rows; the same rows give the same verdict, while a run trains and long after.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import count, groupby, takewhile
from typing import NamedTuple

import numpy as np
from scipy import stats

Rows = Sequence[Mapping[str, float]]

RECENT = 0.25          # Share of the rows, the last ones, that speak for the present.
MIN_ROWS = 8           # Fewer rows are no evidence: a median of them says little of a run that has only begun.
MIN_SWINGS = 32        # Swings take more: the last half of no fewer than this. Many runs swing at first.
MIN_EVALS = 4          # Nor are fewer evaluations, of which the last LAST_EVALS are looked at:
LAST_EVALS = 3         # one may catch a bad moment. A run without so much evidence is not called healthy.
MIN_POOR = 8           # Evaluations before poor samples are a failure: on the ring, some runs have good ones this late.

# Diverged. An update as large as this share of all weights overwrites what was learnt; common are 0.001 to 0.01.
MAX_UPDATE = 0.5
# Beyond these nothing is learnt: a logistic loss, or a gap between logits, of 1000 is a probability of exp(-1000), a
# critic with slopes up to 1 cannot part images of 64 pixels by more than 222; samples 100 times as far out as the data
# have left them. The generator's loss is no witness: a WGAN's holds the critic's offset, which is free and drifts; that
# of some f-GANs is exp(-logit), thousands where the discriminator is merely sure.
MAX_LOSS, MAX_SCALE = 1e3, 100.0
# Saturated. Near 1 alone is common and harmless, where the generator still has gradients (DCGAN on MNIST: 0.99); they
# vanish where they are under this share of what they were at first or typically: no absolute scale fits all networks.
HIGH_ACCURACY, VANISHED = 0.95, 0.05
# Low quality. Almost all samples miss the modes. Under a discriminator that is always right this says that what is left
# of its gradients does not help; otherwise it is a failure of its own, whatever the modes that the few others hit. The
# few good samples come and go: the run is on its way only if their share rises so steadily that chance rarely does it.
MISSED, CHANCE = 0.1, 0.05
# Stalled. The opponent's updates are the scale: 0.2 to 5 of them is common, 0.05 occurs with two time scales.
EASY_ACCURACY, STANDSTILL = 0.9, 0.01
# Oscillating. Beneath a half, fakes look more real than the data; from one batch that may be noise (0.33 is 2 standard
# deviations away at a batch of 16), in a tenth of all batches it is not: the players overshoot each other. The lowest
# tenth ended at 0.34 or more in 400 drills that do not swing, at 0.32 or less in 120 that do.
DECEIVED, OFTEN = 0.33, 0.1
# Or more rarely, yet in so many rows in succession, where the logits swing back by so large a share of what they swing
# forth: players that spiral outwards swing ever more slowly. (Of 800 drills that do not swing none has such a spell.)
SPELL, BACK = 3, 0.5
# Players that come to rest still swing, but by less and less: the peaks of so many spans fall one after another, which
# peaks that come and go do once in 8! = 40,320 times. (Of swings that stay, one of 190 had a single pair out of order.)
PEAKS = 8
# Collapsed. Half of the data's variety: exp(-KL) is the share of modes that are evenly used, whatever their precision.
# A run whose last evaluations are this much above all those before has not collapsed, but is not healthy yet either.
MIN_VARIETY, GAINING = 0.5, 1.15

ADVICE = {
    'healthy': 'Nothing to do; look at the samples all the same.',
    'too early': 'Let it run on, or log and evaluate more often (--config.train.log_every, eval_every): a healthy run '
                 f'has {MIN_ROWS} rows, {MIN_EVALS} evaluations, and samples that are no longer poor or alike.',
    'diverged': 'Lower the learning rates (try a tenth), or add --config.penalty.r1=1 (without batch norm in the '
                'discriminator).',
    'discriminator saturated': 'Use --config.loss.name=nonsaturating, fewer discriminator updates or a smaller '
                               'discriminator learning rate, or add instance noise or --config.penalty.r1=1.',
    'mode collapse': 'Try --config.model.disc.pack=2, --config.penalty.r1=1, a relativistic loss (rpgan_logistic), or '
                     'a larger generator.',
    'generator stalled': "Raise the generator's learning rate or --config.update.gen_steps, or weaken the "
                         'discriminator.',
    'low quality': 'Train longer, lower both learning rates, or loosen what holds the discriminator back (a small '
                   '--config.penalty.clip, a large penalty).',
    'oscillating': 'Lower the momentum (b1) and the learning rates, add --config.penalty.r1=1, or use '
                   '--config.update.rule=extragradient.',
}
NO_FAILURE = ('healthy', 'too early')
FAILURES = tuple(kind for kind in ADVICE if kind not in NO_FAILURE)
COLUMNS = ('verdict', 'metric', 'value', 'threshold')  # What a verdict is in a row: health/verdict, ...


class Verdict(NamedTuple):
  """What is to be said of a run, and why.

  Attributes:
    kind: key of ADVICE.
    step: last step that was looked at.
    metric: what decided.
    value: its value.
    threshold: the limit that it passed, or kept.
    also: verdicts on the same rows of other failures that hold as well, such as the collapse under a saturated
      discriminator; consequences after their causes.
  """

  kind: str
  step: int
  metric: str = ''
  value: float = math.nan
  threshold: float = math.nan
  also: tuple['Verdict', ...] = ()

  @property
  def failed(self) -> bool:
    """Whether something is wrong."""
    return self.kind not in NO_FAILURE

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

  @property
  def findings(self) -> tuple['Verdict', ...]:
    """This one, and what holds as well."""
    return self, *self.also

  @property
  def kinds(self) -> tuple[str, ...]:
    """Of all of them."""
    return tuple(verdict.kind for verdict in self.findings)

  def __str__(self) -> str:
    """Words for the console: 'oscillating (<evidence>). <advice> Also mode collapse (<evidence>). <advice>'."""
    return ' Also '.join(f'{verdict.kind}{f" ({verdict.evidence})" if verdict.metric else ""}. {verdict.advice}'
                         for verdict in self.findings)

  def row(self) -> dict[str, float | str]:
    """As scalars of metrics.jsonl: health/verdict, health/metric, ...; of what holds as well health/verdict_2, ..."""
    return {f'health/{name}{suffix}': value for verdict, suffix in zip(self.findings, _suffixes(), strict=False)
            for name, value in zip(COLUMNS, (verdict.kind, *verdict[2:5]), strict=True)
            if verdict.metric or name == 'verdict'}


def last_verdict(rows: Rows) -> Verdict | None:
  """The newest verdict among the rows."""
  row = next((row for row in reversed(rows) if 'health/verdict' in row), None)
  if row is None:
    return None
  first, *also = (Verdict(row[f'health/verdict{suffix}'], int(row['step']),
                          *(row[name] for key in COLUMNS[1:] if (name := f'health/{key}{suffix}') in row))
                  for suffix in takewhile(lambda suffix: f'health/verdict{suffix}' in row, _suffixes()))
  return first._replace(also=tuple(also))


def judge(rows: Rows, failures: Collection[str] = FAILURES) -> Verdict:
  """The verdict on the rows logged so far: the cause of a failure, and what else fails.

  Args:
    rows: in the order of steps, each {'step': t, name: value, ...}; scalars may be missing from some.
    failures: kinds that are looked for; all runs can diverge.
  """
  step = int(rows[-1]['step']) if rows else 0
  if diverged := _diverged(rows, step):
    return diverged  # What came of it: nothing else is to be learnt from such numbers.
  found = {}
  for check in CHECKS:
    if (verdict := check(rows, step)) and verdict.kind in failures:
      found.setdefault(verdict.kind, verdict)
  first, *also = found.values() or [_too_early(rows, step) or _on_its_way(rows, step) or Verdict('healthy', step)]
  return first._replace(also=tuple(also))


def failures_in_a_row(rows: Rows) -> int:
  """How many of the last verdicts, without a break, are failures."""
  kinds = [row['health/verdict'] for row in rows if 'health/verdict' in row]
  return next((i for i, kind in enumerate(reversed(kinds)) if kind in NO_FAILURE), len(kinds))


def _suffixes() -> Iterator[str]:
  """Of the columns of the first verdict in a row, the second, ...: '', '_2', '_3', ..."""
  return (f'_{place}' if place > 1 else '' for place in count(1))


def _diverged(rows: Rows, step: int) -> Verdict | None:
  """Some scalar is not finite, weights were overwritten by an update, or losses, logits or samples absurdly large."""
  for name, value in rows[-1].items() if rows else ():
    if isinstance(value, float) and not math.isfinite(value) and not name.startswith('health/'):
      return Verdict('diverged', step, name, value, math.inf)
  for player in ('gen', 'disc'):
    largest = 0.0  # A single weight that passes through 0 is smaller than its updates.
    for row in rows:
      if f'{player}/parameter' in row:  # A game on paper: its only weight may well start at 0.
        break
      update, weights = (row.get(f'{player}/{name}', 0.0) for name in ('update_norm', 'weight_norm'))
      largest = max(largest, weights)
      if largest and update > MAX_UPDATE * largest:
        return Verdict('diverged', step, f'{player}/update_norm', update, MAX_UPDATE * largest)
  for name, limit in (('disc/loss', MAX_LOSS), ('disc/logit_gap', MAX_LOSS), ('eval/scale', MAX_SCALE)):
    values = np.abs(_recent(rows, name, least=LAST_EVALS if name == 'eval/scale' else MIN_ROWS))
    if len(values) and np.median(values) > limit:
      return Verdict('diverged', step, name, float(np.median(values)), limit)
  return None


def _saturated(rows: Rows, step: int) -> Verdict | None:
  """The discriminator is always right, and the generator's gradient is next to nothing by the run's own measure."""
  accuracy, grads = _recent(rows, 'disc/accuracy'), _recent(rows, 'gen/grad_norm')
  if not (len(accuracy) and len(grads)) or np.median(accuracy) < HIGH_ACCURACY:
    return None
  before = _values(rows, 'gen/grad_norm')
  value, threshold = float(np.median(grads)), VANISHED * float(max(before[0], np.median(before)))
  return Verdict('discriminator saturated', step, 'gen/grad_norm', value, threshold) if value < threshold else None


def _stalled(rows: Rows, step: int) -> Verdict | None:
  """The samples are told easily, and the generator hardly moves beside the discriminator."""
  names = ('disc/accuracy', 'gen/update_norm', 'disc/update_norm')
  recent = [_recent(rows, name) for name in names]
  if not all(map(len, recent)):
    return None
  accuracy, gen, disc = (float(np.median(values)) for values in recent)
  if accuracy >= EASY_ACCURACY and gen < STANDSTILL * disc:
    return Verdict('generator stalled', step, 'gen/update_norm', gen, STANDSTILL * disc)
  return None


def _oscillating(rows: Rows, step: int) -> Verdict | None:
  """Time and again the discriminator holds the samples for more real than the data, and then not, and by no less."""
  accuracy, gap = _values(rows, 'disc/accuracy'), _values(rows, 'disc/logit_gap')
  if len(accuracy) < MIN_SWINGS:
    return None
  recent, swings = accuracy[len(accuracy) // 2:], gap[len(gap) // 2:]
  low, high = (float(value) for value in np.quantile(recent, [OFTEN, 1.0 - OFTEN]))
  spell = max((len([*batches]) for deceived, batches in groupby(recent < DECEIVED) if deceived), default=0)
  if spell >= SPELL and len(swings) and swings.min() < -BACK * swings.max():
    low = min(low, float(recent.min()))
  if low < DECEIVED and high >= 0.5 and not _dies_down(gap):
    return Verdict('oscillating', step, 'disc/accuracy', low, DECEIVED)
  return None


def _collapsed(rows: Rows, step: int) -> Verdict | None:
  """Samples have less than half of the data's variety, and it does not grow."""
  name, threshold, values, variety = _variety(rows)
  if _below(variety, MIN_VARIETY) and not _gains(variety):
    return Verdict('mode collapse', step, name, float(values[-1]), threshold)
  return None


def _variety(rows: Rows) -> tuple[str, float, np.ndarray, np.ndarray]:
  """The scalar that tells variety, its threshold, its values, and these as shares of the data's variety.

  The shares of modes among points are exact. Among images a classifier finds them, and it calls most of the blurred
  ones of a young run by one name: there the distance between samples decides.
  """
  if any('eval/diversity' in row or 'eval/classes' in row for row in rows):
    values = _values(rows, 'eval/diversity')
    return 'eval/diversity', MIN_VARIETY, values, values
  values = _values(rows, 'eval/reverse_kl')
  return 'eval/reverse_kl', -math.log(MIN_VARIETY), values, np.exp(-np.maximum(values, 0.0))


def _poor(rows: Rows, step: int) -> Verdict | None:
  """Hardly a sample comes near the data, and their share does not rise: the discriminator's fault if it always wins."""
  accuracy, quality = _recent(rows, 'disc/accuracy'), _values(rows, 'eval/high_quality')
  if not _below(quality, MISSED) or (_gains(quality) and _rises(quality)):
    return None
  beaten = len(accuracy) > 0 and np.median(accuracy) >= HIGH_ACCURACY
  if beaten or len(quality) >= MIN_POOR:
    kind = 'discriminator saturated' if beaten else 'low quality'
    return Verdict(kind, step, 'eval/high_quality', float(quality[-1]), MISSED)
  return None


def _too_early(rows: Rows, step: int) -> Verdict | None:
  """Hardly any rows; or hardly any evaluations, unless the run has none at all."""
  evaluations = sum(any(name.startswith('eval/') for name in row) for row in rows)
  if len(rows) < MIN_ROWS:
    return Verdict('too early', step, 'rows', len(rows), MIN_ROWS)
  if 0 < evaluations < MIN_EVALS:
    return Verdict('too early', step, 'evaluations', evaluations, MIN_EVALS)
  return None


def _on_its_way(rows: Rows, step: int) -> Verdict | None:
  """Samples that are still too much alike, or too poor, and no failure because they are getting better or are young."""
  name, threshold, values, variety = _variety(rows)
  quality = _values(rows, 'eval/high_quality')
  if _below(variety, MIN_VARIETY):
    return Verdict('too early', step, name, float(values[-1]), threshold)
  if _below(quality, MISSED):
    return Verdict('too early', step, 'eval/high_quality', float(quality[-1]), MISSED)
  return None


# The cause before its consequence: a run that stands still or swings also has few modes, and misses them.
CHECKS: tuple[Callable[[Rows, int], Verdict | None], ...] = (_saturated, _stalled, _oscillating, _collapsed, _poor)


def _values(rows: Rows, name: str) -> np.ndarray:
  """All finite values of a scalar."""
  values = np.array([row[name] for row in rows if name in row], np.float64)
  return values[np.isfinite(values)]


def _below(values: np.ndarray, limit: float) -> bool:
  """Whether the last evaluations are all under a limit, after an earlier one."""
  return len(values) >= MIN_EVALS and bool(values[-LAST_EVALS:].max() < limit)


def _gains(values: np.ndarray) -> bool:
  """Whether the last evaluations are well above all those before: the median of them, since one peak is no gain."""
  return bool(np.median(values[-LAST_EVALS:]) > GAINING * values[:-LAST_EVALS].max())


def _rises(values: np.ndarray) -> bool:
  """Whether evaluations rise with time, however noisy they are: Kendall's tau, the test for trend of Mann (1945)."""
  return bool(stats.kendalltau(np.arange(len(values)), values, alternative='greater').pvalue < CHANCE)


def _dies_down(swings: np.ndarray) -> bool:
  """Whether swings around 0 have a lower peak in each span of the last half than in the one before."""
  if len(swings) < MIN_SWINGS:
    return False
  peaks = [span.max() for span in np.array_split(np.abs(swings[len(swings) // 2:]), PEAKS)]
  return bool(np.all(np.diff(peaks) < 0))


def _recent(rows: Rows, name: str, least: int = MIN_ROWS) -> np.ndarray:
  """The last quarter of a scalar's values, no fewer than `least`; empty if there are not so many."""
  values = _values(rows, name)
  return values[-max(least, math.ceil(RECENT * len(values))):] if len(values) >= least else values[:0]
