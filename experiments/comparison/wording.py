"""Numbers and findings in words. Numbers have the digits that their uncertainty allows, and are never 'nan'."""

import math
from collections.abc import Collection, Iterable

from experiments.comparison.analysis import (
  SettingResult,
  as_good_as_best,
  has_interval,
  is_better,
  seeds_to_show_anything,
)
from experiments.comparison.grouping import Grouping
from gan.statistics import Comparison, Interval, verdict
from gan.statistics.comparison import MIN_PAIRS

NOTHING = '–'
MAX_LISTED = 5   # A headline names at most this number of arms.


def decimals_for(intervals: Iterable[Interval]) -> int:
  """Return the decimals with which half of the median interval has two digits: 6.31 +- 0.40, but 631 +- 40."""
  estimated = [i for i in intervals if i.has_value]
  halves = sorted((i.high - i.low) / 2 for i in estimated if math.isfinite(i.high - i.low) and i.high > i.low)
  if not halves:
    halves = [max((abs(i.value) for i in estimated), default=0.0) / 10 or 1.0]
  return min(max(1 - math.floor(math.log10(halves[len(halves) // 2])), 0), 6)


def number(value: float, decimals: int) -> str:
  """Format a number with fixed decimals, a true minus sign, and the sign for infinity; a dash for nan."""
  if math.isnan(value):
    return NOTHING
  if math.isinf(value):
    return '∞' if value > 0 else '−∞'
  return f'{round(value, decimals) + 0.0:,.{decimals}f}'.replace('-', '−')


def ends(interval: Interval, decimals: int) -> str:
  """Format an interval, '5.90 to 6.71', or say what there is instead of an interval."""
  if not interval.has_value:
    return ''
  if interval.method == 'none':
    return 'no interval'
  if interval.method == 'range' and interval.low == interval.high:
    return 'always the same' if interval.count > 1 else 'one value'
  text = f'{number(interval.low, decimals)} to {number(interval.high, decimals)}'
  return f'range {text}' if interval.method == 'range' else text


def percent(interval: Interval) -> str:
  """Format a rate and its interval, '94% (72 to 99%)'."""
  return f'{interval.value:.0%} ({100 * interval.low:.0f} to {interval.high:.0%})'


def counted(interval: Interval) -> str:
  """Format a rate as counts, '15 of 16'."""
  return f'{round(interval.value * interval.count)} of {interval.count}'


def p_value(comparison: Comparison) -> str:
  """Format the p-value after Holm; a dash if there was no test."""
  if comparison.too_few:
    return NOTHING
  p = comparison.adjusted_p
  return '<0.0001' if p < 1e-4 else '1' if p > 0.995 else f'{p:.2g}'


def plural(count: int, word: str) -> str:
  """Format a count and a noun, '1 run' or '2 runs'."""
  return f'{count:,} {word}{"" if count == 1 else "s"}'


def listed(names: Iterable[str]) -> str:
  """Join names: 'a', 'a and b', 'a, b and c'."""
  names = list(names)
  return ' and '.join(([', '.join(names[:-1])] if len(names) > 1 else []) + names[-1:])


def sentence(text: str) -> str:
  """Add a full stop, and a capital unless the text begins with the name of an arm."""
  return (text.replace('no difference', 'No difference', 1) if text.startswith('no difference') else text) + '.'


class Finding:
  """The result of a setting in words: a headline, details, and a caution.

  Attributes:
    headline: a short sentence.
    kind: 'shown', 'open' (no difference shown) or 'nothing' (too few data).
    sentences: one complete sentence for each comparison; none for a curve.
    details: the parts of these sentences that are not in the headline.
    caution: a warning for the reader; '' if there is none.
  """

  def __init__(self, result: SettingResult, grouping: Grouping):
    """Describe a result in words."""
    self.sentences, self.details, self.caution = [], [], ''
    comparisons = result.comparisons
    if not result.arms:
      self.headline, self.kind = _nothing_yet(result), 'nothing'
    elif not comparisons:
      [name] = result.arms
      self.headline, self.kind = f'Only one arm: {name}. Nothing to compare it with.', 'nothing'
    else:
      testable = any(not comparison.too_few for comparison in comparisons.values())
      shown = any(is_better(comparison) is not None for comparison in comparisons.values())
      self.kind = 'shown' if shown else 'open' if testable else 'nothing'
      self.caution = _caution(comparisons)
      if grouping.is_curve:
        self.headline = _recommended(result, grouping)
      else:
        self.sentences = _sentences(comparisons)
        self.headline, self.details = (_parts(self.sentences[0]) if len(comparisons) == 1 else
                                       (_summary(result, comparisons), self.sentences))
    if result.waiting and result.arms:
      self.caution = (f'{self.caution} {plural(result.waiting, "run")} of this setting '
                      f'{"does" if result.waiting == 1 else "do"} not count yet: their populations are still running.'
                      ).strip()


def _sentences(comparisons: dict[str, Comparison]) -> list[str]:
  """Describe each comparison in a sentence; two or more comparisons with too few seeds share one sentence."""
  few = [comparison for comparison in comparisons.values() if comparison.too_few]
  sentences = [sentence(verdict(comparison)) for comparison in comparisons.values()
               if len(few) < 2 or not comparison.too_few]
  if len(few) < 2:
    return sentences
  which = 'All' if len(few) == len(comparisons) else 'The other'
  counts = [comparison.count for comparison in few]
  fewest = f'{min(counts)} to {max(counts)}' if min(counts) < max(counts) else f'{counts[0]}'
  return [*sentences, f'{which} {len(few)} comparisons have too few seeds to say '
                      f'({fewest}, at least {MIN_PAIRS} are needed).']


def _parts(finding: str) -> tuple[str, list[str]]:
  """Split 'a is better than b by 1 (interval, p); a succeeds ...' into 'a is better than b by 1.' and details."""
  headline, _, remainder = finding.partition(' (')
  inner, _, after = remainder.partition(')')
  details = inner + after
  if not details.startswith('p ='):
    details = details[:1].upper() + details[1:]
  return headline.removesuffix('.') + '.', [details] if details else []


def _nothing_yet(result: SettingResult) -> str:
  rows = result.setting.rows
  if result.waiting == len(rows):
    steps = sorted(row['steps'] for row in rows)
    return f'Still running: {plural(len(rows), "run")}, half of them at step {steps[len(steps) // 2]:,} or beyond.'
  return 'Nothing to compare: the score was not measured here.'


def _summary(result: SettingResult, comparisons: dict[str, Comparison]) -> str:
  """Describe the comparisons of many arms in one sentence."""
  better = [name for name, comparison in comparisons.items() if is_better(comparison)]
  worse = [name for name, comparison in comparisons.items() if is_better(comparison) is False]
  few = [name for name, comparison in comparisons.items() if comparison.too_few]
  open_ = [name for name in comparisons if name not in (*better, *worse, *few)]
  if len(few) == len(comparisons):
    return f'Too few seeds to say which of {_named(result.arms)} is better.'
  parts = [f'{outcome}: {_named(names)}' for outcome, names in (
      ('better', better), ('worse', worse), ('no difference shown', open_), ('too few seeds', few)) if names]
  first = f'{result.reference} comes out best' if result.chosen else f'Compared with {result.reference}'
  if not better and not worse:
    return f'No difference shown between {result.reference}{" (best here)" * result.chosen} and {_named(open_)}' + (
        f'; too few seeds: {_named(few)}.' if few else '.')
  return f'{first}; {"; ".join(parts)}.'


def _named(names: Collection[str]) -> str:
  """Name the arms, or only count them if there are more than MAX_LISTED."""
  return listed(names) if len(names) <= MAX_LISTED else f'{len(names)} arms'


def _recommended(result: SettingResult, grouping: Grouping) -> str:
  """Recommend the values of a curve that may be as good as the best value, as ranges of neighbouring values."""
  if not any(has_interval(comparison.difference) for comparison in result.comparisons.values()):
    return f'Too few seeds to recommend values of {grouping.by[0]}.'
  good, names = as_good_as_best(result), list(result.arms)
  stretches: list[list[str]] = []
  for i, name in enumerate(names):
    if name in good:
      if i and names[i - 1] in good:
        stretches[-1].append(name)
      else:
        stretches.append([name])
  values = listed(_value(part[0]) if len(part) == 1 else f'{_value(part[0])} to {_value(part[-1])}'
                  for part in stretches)
  if len(good) == len(names):
    return f'No value of {grouping.by[0]} from {_value(names[0])} to {_value(names[-1])} seems worse than the best.'
  return f'Recommended {grouping.by[0]}: {values}. Best here: {_value(result.reference)}.'


def _value(name: str) -> str:
  return name.partition('=')[2]


def _caution(comparisons: dict[str, Comparison]) -> str:
  """Warn if not even the clearest outcome would have been significant after the correction; otherwise ''."""
  needed = [(comparison, pairs) for comparison in comparisons.values()
            if (pairs := seeds_to_show_anything(comparison))]
  if not needed:
    return ''
  comparison, pairs = needed[0]
  way_out = 'fewer comparisons, or a BASELINE' if math.isinf(pairs) else f'{pairs} seeds, or fewer comparisons'
  return (f'With {comparison.count} seeds and {comparison.family} comparisons, no outcome could have shown a '
          f'difference; use {way_out}.')
