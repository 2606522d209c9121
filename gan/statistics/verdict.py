"""A comparison as one sentence that claims no more than there is."""

from gan.statistics.arms import Interval
from gan.statistics.comparison import MIN_PAIRS, Comparison
from gan.statistics.power import POWER, SIGNIFICANCE


def verdict(comparison: Comparison) -> str:
  """Who is better by how much, or that no difference was shown and which one would have been.

  The p-value of ranks among all runs decides, failed ones included and adjusted if the comparison is. Means are
  those of runs that succeeded, and the sentence says so where some did not. A difference between success rates is
  told beside it, with its own interval, which is not adjusted.
  """
  c = comparison
  if c.too_few:
    return (f'{c.x} or {c.y}: too few seeds to say ({c.count} {"pairs" if c.paired else "runs"}, at least {MIN_PAIRS} '
            'are needed)')
  told = _better(c) if c.adjusted_p < SIGNIFICANCE else _no_difference(c)
  return told + _success(c)


def _better(c: Comparison) -> str:
  x_wins = c.improvement.value > 0.5
  winner, loser = (c.x, c.y) if x_wins else (c.y, c.x)
  gain = c.difference if x_wins == c.higher_is_better else _mirrored(c.difference)
  odds = c.improvement if x_wins else _mirrored(c.improvement, 1.0)
  evidence = f'{_p(c)}; probability of improvement {_number(odds.value)}, {_ends(odds)}'
  told = f'{winner} is better than {loser}'
  if gain.count < MIN_PAIRS:
    return f'{told} in rank ({evidence}); too few seeds to compare means, {_pairs(c)}'
  if gain.low > 0.0:
    return f'{told} by {_number(gain.value)} ({_ends(gain)}, {_pairs(c)}; {evidence})'
  if gain.high < 0.0:
    return (f'{told} in rank ({evidence}), but where both succeed it is worse by {_number(-gain.value)} '
            f'({_ends(_mirrored(gain))}, {_pairs(c)})')
  return (f'{told} in rank ({evidence}); no difference of means shown (better by {_number(gain.value)}, '
          f'{_ends(gain)}, {_pairs(c)})')


def _no_difference(c: Comparison) -> str:
  told = f'no difference shown between {c.x} and {c.y}'
  if c.difference.count < MIN_PAIRS:
    return f'{told} in rank ({_p(c)}; too few seeds to compare means, {_pairs(c)})'
  details = [f'difference {_number(c.difference.value)}, {_ends(c.difference)}, {_pairs(c)}', _p(c)]
  if c.difference.leaves_out(0.0):
    details.append('the interval leaves out 0, but ' + (
        'ranks do not bear it out' if c.p >= SIGNIFICANCE else 'knows only this one of the comparisons'))
  if c.detectable is not None:
    details.append(f'a difference of {_number(c.detectable)} would have been seen with {POWER:.0%} probability')
  return f'{told} ({"; ".join(details)})'


def _success(c: Comparison) -> str:
  """'' where both arms succeed equally often, unless that is never."""
  x, y, difference = c.success_x, c.success_y, c.success_difference
  if x.value == y.value:
    return '' if x.value else f'; none of {x.count} and {y.count} runs succeeds'
  counts = (f'{c.x} succeeds in {round(x.value * x.count)} of {x.count} runs, {c.y} in {round(y.value * y.count)} of '
            f'{y.count}')
  value, low, high = (round(100 * part) for part in (difference.value, difference.low, difference.high))
  where = f' over the {c.count} shared seeds' if c.paired and c.count < max(x.count, y.count) else ''
  return f'; {counts} (difference{where} {value} percentage points, 95% interval {low} to {high})'


def _pairs(c: Comparison) -> str:
  """'16 pairs', or how many of them could be used."""
  count = c.difference.count
  if not c.paired:
    given = 'given success: ' if min(c.success_x.value, c.success_y.value) < 1.0 else ''
    return f'{given}{count} runs or more of each, no shared seeds'
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
