"""The comparison as a text table for the console."""

from collections.abc import Sequence

from experiments.comparison.analysis import SettingResult, claimed
from experiments.comparison.grouping import Grouping
from experiments.comparison.wording import Finding, counted, decimals_for, ends, number, p_value, percent

COLUMNS = ('', 'success', '', 'mean given success', '', 'IQM of all', '', 'beats reference', '', 'difference', '', 'p')


def table(results: Sequence[SettingResult], grouping: Grouping) -> str:
  """Format all settings: for each a table of its arms, then its findings in sentences."""
  return '\n\n'.join(_setting(result, grouping) for result in results)


def _setting(result: SettingResult, grouping: Grouping) -> str:
  measure, finding = result.measure, Finding(result, grouping)
  head = result.setting.name + (f': {measure.name}, {measure.value} ({measure.direction})' if measure else '')
  sentences = finding.sentences if len(finding.sentences) == 1 else [finding.headline, *finding.sentences]
  lines = [head, *_rows(result), *(f'  {line}' for line in (*sentences, finding.caution) if line)]
  return '\n'.join(lines)


def _rows(result: SettingResult) -> list[str]:
  if not result.arms:
    return []
  decimals = decimals_for(interval for arm in result.arms.values() for interval in (arm.mean, arm.middle))
  rows = [COLUMNS]
  for name, arm in result.arms.items():
    row = [name, counted(arm.success), percent(arm.success)]
    for interval in (arm.mean, arm.middle):
      row += [number(interval.value, decimals), ends(interval, decimals)]
    if (comparison := result.comparisons.get(name)) is None:
      row += ['reference' if name == result.reference else '', '', '', '', '']
    else:
      difference = comparison.difference
      row += [number(comparison.improvement.value, 2), ends(comparison.improvement, 2),
              number(difference.value, decimals), ends(difference, decimals),
              p_value(comparison) + ' *' * claimed(comparison)]
    rows.append(row)
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  return ['  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
