"""Verdicts on a run from its scalars: healthy, too early to tell, or a failure with its evidence and advice.

All functions are pure: the same rows give the same verdict, during training and afterwards.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import count, groupby, takewhile
from typing import NamedTuple

import numpy as np
from scipy import stats

Rows = Sequence[Mapping[str, float]]

RECENT = 0.25          # The last quarter of the rows describes the present.
MIN_ROWS = 8           # Rows needed for a verdict: the median of fewer says little about a run that has only begun.
MIN_SWINGS = 32        # Rows needed to find oscillation. Only their last half is judged: many runs swing at first.
MIN_EVALS = 4          # Evaluations needed for a verdict on samples, and for calling an evaluated run healthy.
LAST_EVALS = 3         # Evaluations, the last ones, that must all be bad: a single one may catch a bad moment.
MIN_POOR = 8           # Evaluations needed for the verdict low quality: some runs on the ring become good this late.

# Diverged. An update whose norm exceeds this share of the norm of all weights overwrites what was learnt; 0.001 to 0.01
# is common.
MAX_UPDATE = 0.5
# Limits beyond which nothing is learnt. A logistic loss or a logit gap of 1000 means a probability of exp(-1000). A
# critic with slopes up to 1 cannot separate two images of 64 x 64 x 3 by more than 222. Samples 100 times as far from
# the centre as the data have left the data. We ignore the generator's loss: a WGAN critic has an arbitrary offset, and
# the loss of some f-GANs is exp(-logit), which reaches thousands when the discriminator is merely confident.
MAX_LOSS, MAX_SCALE = 1e3, 100.0
# Saturated. An accuracy near 1 is common and harmless while the generator still has gradients (DCGAN on MNIST: 0.99).
# Gradients have vanished if their norm is below this share of the first or the median norm of the run, whichever is
# larger; no absolute threshold fits all networks.
HIGH_ACCURACY, VANISHED = 0.95, 0.05
# Low quality. Almost all samples miss the modes. If the discriminator is also always right, it is saturated: its
# gradients do not help. Otherwise low quality is a separate failure, even if the few good samples hit all modes. The
# share of good samples is noisy, so a run is improving only if a test for trend is significant at the level CHANCE.
MISSED, CHANCE = 0.1, 0.05
# Stalled. The update norm of the generator is compared with that of the discriminator: a ratio of 0.2 to 5 is common,
# 0.05 occurs with two time scales.
EASY_ACCURACY, STANDSTILL = 0.9, 0.01
# Oscillating. At an accuracy below 1/2, fakes look more real than the data. In one batch this may be noise (0.33 is 2
# standard deviations from 1/2 at a batch size of 16), in a tenth of all batches it is not: the players overshoot. The
# 10% quantile of the accuracy was at least 0.34 in 400 drills that do not oscillate, at most 0.32 in 120 that do.
DECEIVED, OFTEN = 0.33, 0.1
# Rare swings count too, if D is deceived in SPELL consecutive rows and the logit gap falls below -BACK times its
# maximum: players that spiral outwards swing ever more slowly. (None of 800 drills without oscillation has this.)
SPELL, BACK = 3, 0.5
# Damped swings do not count. Split the last half into PEAKS spans: swings are damped if each span has a lower peak than
# the one before. By chance this has probability 1/8! = 1/40,320. (Among 190 runs with lasting swings, the closest had
# one pair of spans out of order.)
PEAKS = 8
# Collapsed. The samples have less than half of the data's variety; exp(-KL) is the share of modes that are evenly used,
# whatever the precision. If the median of the last evaluations is above GAINING times the best earlier one, the run has
# not collapsed, but it is not healthy yet.
MIN_VARIETY, GAINING = 0.5, 1.15

ADVICE = {
    'healthy': 'Nothing to do, but look at the samples.',
    'too early': 'Train longer, or log and evaluate more often (--config.train.log_every, eval_every); a healthy run '
                 f'has {MIN_ROWS} rows, {MIN_EVALS} evaluations, and samples that are neither poor nor alike.',
    'diverged': 'Lower the learning rates (try a tenth), or add --config.penalty.r1=1 (without batch norm in the '
                'discriminator).',
    'discriminator saturated': 'Use --config.loss.name=nonsaturating, fewer discriminator updates or a smaller '
                               'discriminator learning rate, or add instance noise or --config.penalty.r1=1.',
    'mode collapse': 'Try --config.model.disc.pack=2, --config.penalty.r1=1, a relativistic loss (rpgan_logistic), or '
                     'a larger generator.',
    'generator stalled': "Raise the generator's learning rate or --config.update.gen_steps, or weaken the "
                         'discriminator.',
    'low quality': 'Train longer, lower both learning rates, or relax the constraint on the discriminator (raise '
                   '--config.penalty.clip, lower a penalty).',
    'oscillating': 'Lower the momentum (b1) and the learning rates, add --config.penalty.r1=1, or use '
                   '--config.update.rule=extragradient.',
}
NO_FAILURE = ('healthy', 'too early')
FAILURES = tuple(kind for kind in ADVICE if kind not in NO_FAILURE)
COLUMNS = ('verdict', 'metric', 'value', 'threshold')  # The scalars of a verdict in a row: health/verdict, ...


class Verdict(NamedTuple):
  """A verdict on a run, with its evidence.

  Attributes:
    kind: key of ADVICE.
    step: last step of the rows.
    metric: the scalar that decided; '' for a healthy run.
    value: its value.
    threshold: the limit that the value is compared with.
    also: secondary findings: other failures in the same rows, such as a collapse under a saturated discriminator;
      causes come before their consequences.
  """

  kind: str
  step: int
  metric: str = ''
  value: float = math.nan
  threshold: float = math.nan
  also: tuple['Verdict', ...] = ()

  @property
  def failed(self) -> bool:
    """Whether the verdict is a failure."""
    return self.kind not in NO_FAILURE

  @property
  def advice(self) -> str:
    """One sentence on what to try."""
    return ADVICE[self.kind]

  @property
  def evidence(self) -> str:
    """The evidence as text: 'eval/reverse_kl = 1.2, above 0.5'; '' for a healthy run."""
    if not self.metric:
      return ''
    return f'{self.metric} = {self.value:.3g}, ' + (
        f'{"above" if self.value > self.threshold else "below"} {self.threshold:.3g}' if math.isfinite(self.value)
        else 'not a finite number')

  @property
  def findings(self) -> tuple['Verdict', ...]:
    """This verdict and its secondary findings."""
    return self, *self.also

  @property
  def kinds(self) -> tuple[str, ...]:
    """The kinds of all findings."""
    return tuple(verdict.kind for verdict in self.findings)

  def __str__(self) -> str:
    """Return a text for the console: 'oscillating (<evidence>). <advice> Also mode collapse (<evidence>). <advice>'."""
    return ' Also '.join(f'{verdict.kind}{f" ({verdict.evidence})" if verdict.metric else ""}. {verdict.advice}'
                         for verdict in self.findings)

  def row(self) -> dict[str, float | str]:
    """Return scalars for metrics.jsonl: health/verdict, health/metric, ...; for secondary findings health/verdict_2."""
    return {f'health/{name}{suffix}': value for verdict, suffix in zip(self.findings, _suffixes(), strict=False)
            for name, value in zip(COLUMNS, (verdict.kind, *verdict[2:5]), strict=True)
            if verdict.metric or name == 'verdict'}


def last_verdict(rows: Rows) -> Verdict | None:
  """Return the newest verdict in the rows, or None if there is none."""
  row = next((row for row in reversed(rows) if 'health/verdict' in row), None)
  if row is None:
    return None
  first, *also = (Verdict(row[f'health/verdict{suffix}'], int(row['step']),
                          *(row[name] for key in COLUMNS[1:] if (name := f'health/{key}{suffix}') in row))
                  for suffix in takewhile(lambda suffix: f'health/verdict{suffix}' in row, _suffixes()))
  return first._replace(also=tuple(also))


def judge(rows: Rows, failures: Collection[str] = FAILURES) -> Verdict:
  """Judge a run by the rows logged so far.

  A run that fails in several ways gets all its verdicts, the cause first.

  Args:
    rows: in the order of steps, each {'step': t, name: value, ...}; a row need not have all scalars.
    failures: kinds of failures to look for; divergence is always among them.
  """
  step = int(rows[-1]['step']) if rows else 0
  if diverged := _diverged(rows, step):
    return diverged  # Without secondary findings: the other numbers of a diverged run say nothing.
  verdicts: dict[str, Verdict] = {}
  for check in CHECKS:
    if (verdict := check(rows, step)) and verdict.kind in failures:
      verdicts.setdefault(verdict.kind, verdict)
  first, *also = verdicts.values() or [_too_early(rows, step) or _on_its_way(rows, step) or Verdict('healthy', step)]
  return first._replace(also=tuple(also))


def failures_in_a_row(rows: Rows) -> int:
  """Count the failures at the end of the sequence of verdicts, back to the last verdict that is no failure."""
  kinds = [row['health/verdict'] for row in rows if 'health/verdict' in row]
  return next((i for i, kind in enumerate(reversed(kinds)) if kind in NO_FAILURE), len(kinds))


def _suffixes() -> Iterator[str]:
  """Yield the suffixes of the columns of the first, second, third, ... verdict in a row: '', '_2', '_3', ..."""
  return (f'_{place}' if place > 1 else '' for place in count(1))


def _diverged(rows: Rows, step: int) -> Verdict | None:
  """Find divergence: a non-finite scalar, an update that overwrites the weights, or huge losses, logits or samples."""
  for name, value in rows[-1].items() if rows else ():
    if isinstance(value, float) and not math.isfinite(value) and not name.startswith('health/'):
      return Verdict('diverged', step, name, value, math.inf)
  for player in ('gen', 'disc'):
    largest = 0.0  # The largest norm so far: a single weight that passes through 0 is smaller than its updates.
    for row in rows:
      if f'{player}/parameter' in row:  # A game with one parameter for each player, which may start at 0.
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
  """Find saturation: the discriminator is almost always right, and the gradient of the generator has vanished."""
  accuracy, grads = _recent(rows, 'disc/accuracy'), _recent(rows, 'gen/grad_norm')
  if not (len(accuracy) and len(grads)) or np.median(accuracy) < HIGH_ACCURACY:
    return None
  before = _values(rows, 'gen/grad_norm')
  value, threshold = float(np.median(grads)), VANISHED * float(max(before[0], np.median(before)))
  return Verdict('discriminator saturated', step, 'gen/grad_norm', value, threshold) if value < threshold else None


def _stalled(rows: Rows, step: int) -> Verdict | None:
  """Find a stalled generator: samples are easily recognised, and its updates are tiny beside the discriminator's."""
  names = ('disc/accuracy', 'gen/update_norm', 'disc/update_norm')
  recent = [_recent(rows, name) for name in names]
  if not all(map(len, recent)):
    return None
  accuracy, gen, disc = (float(np.median(values)) for values in recent)
  if accuracy >= EASY_ACCURACY and gen < STANDSTILL * disc:
    return Verdict('generator stalled', step, 'gen/update_norm', gen, STANDSTILL * disc)
  return None


def _oscillating(rows: Rows, step: int) -> Verdict | None:
  """Find oscillation: the discriminator is repeatedly deceived and recovers, and the swings are not damped."""
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
  """Find a collapse: the samples have less than half of the data's variety, and their variety does not grow."""
  name, threshold, values, variety = _variety(rows)
  if _below(variety, MIN_VARIETY) and not _gains(variety):
    return Verdict('mode collapse', step, name, float(values[-1]), threshold)
  return None


def _variety(rows: Rows) -> tuple[str, float, np.ndarray, np.ndarray]:
  """Return the scalar that measures variety, its threshold, its values, and these as shares of the data's variety.

  For points the shares of the modes are exact. For images they would come from a classifier, which assigns most of the
  blurred images of a young run to one class, so the distance between samples is used.
  """
  if any('eval/diversity' in row or 'eval/classes' in row for row in rows):
    values = _values(rows, 'eval/diversity')
    return 'eval/diversity', MIN_VARIETY, values, values
  values = _values(rows, 'eval/reverse_kl')
  return 'eval/reverse_kl', -math.log(MIN_VARIETY), values, np.exp(-np.maximum(values, 0.0))


def _poor(rows: Rows, step: int) -> Verdict | None:
  """Find poor samples: hardly any is near a mode, and their share does not rise.

  The verdict is saturation if the discriminator is almost always right, else low quality.
  """
  accuracy, quality = _recent(rows, 'disc/accuracy'), _values(rows, 'eval/high_quality')
  if not _below(quality, MISSED) or (_gains(quality) and _rises(quality)):
    return None
  beaten = len(accuracy) > 0 and np.median(accuracy) >= HIGH_ACCURACY
  if beaten or len(quality) >= MIN_POOR:
    kind = 'discriminator saturated' if beaten else 'low quality'
    return Verdict(kind, step, 'eval/high_quality', float(quality[-1]), MISSED)
  return None


def _too_early(rows: Rows, step: int) -> Verdict | None:
  """Find a run that has too few rows, or too few evaluations (a run without evaluations needs none)."""
  evaluations = sum(any(name.startswith('eval/') for name in row) for row in rows)
  if len(rows) < MIN_ROWS:
    return Verdict('too early', step, 'rows', len(rows), MIN_ROWS)
  if 0 < evaluations < MIN_EVALS:
    return Verdict('too early', step, 'evaluations', evaluations, MIN_EVALS)
  return None


def _on_its_way(rows: Rows, step: int) -> Verdict | None:
  """Find a run without a failure whose samples are still too alike or too poor: they improve, or the run is young."""
  name, threshold, values, variety = _variety(rows)
  quality = _values(rows, 'eval/high_quality')
  if _below(variety, MIN_VARIETY):
    return Verdict('too early', step, name, float(values[-1]), threshold)
  if _below(quality, MISSED):
    return Verdict('too early', step, 'eval/high_quality', float(quality[-1]), MISSED)
  return None


# Causes come before their consequences: a run that stalls or oscillates also has few modes, and misses them.
CHECKS: tuple[Callable[[Rows, int], Verdict | None], ...] = (_saturated, _stalled, _oscillating, _collapsed, _poor)


def _values(rows: Rows, name: str) -> np.ndarray:
  """Return all finite values of a scalar."""
  values = np.array([row[name] for row in rows if name in row], np.float64)
  return values[np.isfinite(values)]


def _below(values: np.ndarray, limit: float) -> bool:
  """Return whether the last LAST_EVALS evaluations are all below a limit, in a run that has MIN_EVALS of them."""
  return len(values) >= MIN_EVALS and bool(values[-LAST_EVALS:].max() < limit)


def _gains(values: np.ndarray) -> bool:
  """Return whether the median of the last evaluations is well above all earlier ones; a single peak is no gain."""
  return bool(np.median(values[-LAST_EVALS:]) > GAINING * values[:-LAST_EVALS].max())


def _rises(values: np.ndarray) -> bool:
  """Test noisy evaluations for an upward trend with Kendall's tau (Mann 1945)."""
  return bool(stats.kendalltau(np.arange(len(values)), values, alternative='greater').pvalue < CHANCE)


def _dies_down(swings: np.ndarray) -> bool:
  """Return whether swings around 0 are damped: in their last half, each span has a lower peak than the one before."""
  if len(swings) < MIN_SWINGS:
    return False
  peaks = [span.max() for span in np.array_split(np.abs(swings[len(swings) // 2:]), PEAKS)]
  return bool(np.all(np.diff(peaks) < 0))


def _recent(rows: Rows, name: str, least: int = MIN_ROWS) -> np.ndarray:
  """Return the last quarter of a scalar's values, but at least `least` of them; empty if there are fewer values."""
  values = _values(rows, name)
  return values[-max(least, math.ceil(RECENT * len(values))):] if len(values) >= least else values[:0]
