"""The verdict of a comparison: one sentence that claims no more than the data show."""

from gan.statistics.arms import Interval
from gan.statistics.comparison import MIN_PAIRS, Comparison
from gan.statistics.power import POWER, SIGNIFICANCE


def verdict(comparison: Comparison) -> str:
  """Say which arm is better and by how much, or that no difference was shown and which difference was detectable.

  The p-value of the ranks of all runs decides; it includes failed runs and is adjusted if the comparison is. Means are
  those of successful runs, and the sentence says so if some runs failed. A difference between success rates follows,
  with its own interval, which is not adjusted.
  """
  c = comparison
  if c.too_few:
    return (f'{c.x} or {c.y}: too few seeds to say ({c.count} {"pairs" if c.paired else "runs"}, at least {MIN_PAIRS} '
            'are needed)')
  finding = _better(c) if c.adjusted_p < SIGNIFICANCE else _no_difference(c)
  return finding + _success(c)


def _better(c: Comparison) -> str:
  x_wins = c.improvement.value > 0.5
  winner, loser = (c.x, c.y) if x_wins else (c.y, c.x)
  gain = c.difference if x_wins == c.higher_is_better else _mirrored(c.difference)
  odds = c.improvement if x_wins else _mirrored(c.improvement, 1.0)
  evidence = f'{_p(c)}; probability of improvement {_number(odds.value)}, {_ends(odds)}'
  claim = f'{winner} is better than {loser}'
  if gain.count < MIN_PAIRS:
    return f'{claim} in rank ({evidence}); too few seeds to compare means, {_pairs(c)}'
  if gain.low > 0.0:
    return f'{claim} by {_number(gain.value)} ({_ends(gain)}, {_pairs(c)}; {evidence})'
  if gain.high < 0.0:
    return (f'{claim} in rank ({evidence}), but if both succeed, {winner} is worse by {_number(-gain.value)} '
            f'({_ends(_mirrored(gain))}, {_pairs(c)})')
  return (f'{claim} in rank ({evidence}); no difference of means shown (better by {_number(gain.value)}, '
          f'{_ends(gain)}, {_pairs(c)})')


def _no_difference(c: Comparison) -> str:
  claim = f'no difference shown between {c.x} and {c.y}'
  if c.difference.count < MIN_PAIRS:
    return f'{claim} in rank ({_p(c)}; too few seeds to compare means, {_pairs(c)})'
  details = [f'difference {_number(c.difference.value)}, {_ends(c.difference)}, {_pairs(c)}', _p(c)]
  if c.difference.leaves_out(0.0):
    details.append('the interval excludes 0, but ' + (
        'the ranks show no difference' if c.p >= SIGNIFICANCE else 'is not adjusted for the other comparisons'))
  if c.detectable is not None:
    details.append(f'a difference of {_number(c.detectable)} would have been detected with {POWER:.0%} probability')
  return f'{claim} ({"; ".join(details)})'


def _success(c: Comparison) -> str:
  """Compare the success rates; '' if they are equal, unless no run succeeded."""
  x, y, difference = c.success_x, c.success_y, c.success_difference
  if x.value == y.value:
    return '' if x.value else f'; none of the {x.count} and {y.count} runs succeeds'
  counts = (f'{c.x} succeeds in {round(x.value * x.count)} of {x.count} runs, {c.y} in {round(y.value * y.count)} of '
            f'{y.count}')
  value, low, high = (round(100 * part) for part in (difference.value, difference.low, difference.high))
  where = f' over the {c.count} shared seeds' if c.paired and c.count < max(x.count, y.count) else ''
  return f'; {counts} (difference{where} {value} percentage points, 95% interval {low} to {high})'


def _pairs(c: Comparison) -> str:
  """Describe the runs behind the difference of means: '16 pairs', or how many of the pairs could be used."""
  count = c.difference.count
  if not c.paired:
    condition = 'given success: ' if min(c.success_x.value, c.success_y.value) < 1.0 else ''
    return f'{condition}at least {count} runs of each, no shared seeds'
  return f'{count} pairs' if count == c.count else f'given success of both: {count} of {c.count} pairs'


def _p(c: Comparison) -> str:
  p = 'p < 0.0001' if c.adjusted_p < 1e-4 else f'p = {c.adjusted_p:.2g}'
  return p if c.family == 1 else f'{p} after Holm, {c.family} comparisons'


def _ends(interval: Interval) -> str:
  if interval.method == 'range' and interval.low == interval.high:
    return 'always the same'
  kind = 'range' if interval.method == 'range' else '95% interval'
  return f'{kind} {_number(interval.low)} to {_number(interval.high)}'


def _mirrored(interval: Interval, total: float = 0.0) -> Interval:
  return interval._replace(value=total - interval.value, low=total - interval.high, high=total - interval.low)


def _number(value: float) -> str:
  return f'{value + 0.0:.3g}' if abs(value) < 1e3 else f'{value:.0f}'  # + 0.0: never '-0'.
