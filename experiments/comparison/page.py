"""report.html of a sweep: the answer first, then its evidence; one self-contained file that needs no network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import markupsafe

from experiments.comparison import appendix, figures
from experiments.comparison.analysis import SettingResult, claimed
from experiments.comparison.evidence import ACCURACY, Evidence, collect
from experiments.comparison.grouping import Grouping
from experiments.comparison.pictures import pictures_of
from experiments.comparison.question import Question, Row
from experiments.comparison.value_curve import value_curve
from experiments.comparison.wording import (
  Finding,
  counted,
  decimals_for,
  ends,
  listed,
  number,
  p_value,
  percent,
  plural,
)
from experiments.plan import Plan
from gan.run.paths import open_path, write
from gan.scoring.meanings import meaning
from gan.statistics import Interval

FILE = 'report.html'
TEMPLATES = Path(__file__).parents[1] / 'templates'
VALUES = {'last': 'last evaluation', 'best': 'best evaluation', 'tail_mean': 'mean of the last quarter'}


class Compared(NamedTuple):
  """A sweep and the results of its comparison."""

  rows: list[Row]
  plan: Plan | None
  workdir: str
  question: Question
  grouping: Grouping
  results: list[SettingResult]


def write_page(compared: Compared, command: str) -> str:
  """Write <workdir>/report.html; return its path.

  Args:
    compared: the sweep and its results.
    command: command that makes this page, for the record.
  """
  grouping, results = compared.grouping, compared.results
  measures = list(dict.fromkeys(result.measure for result in results if result.measure))
  evidence = collect(compared.plan, compared.workdir, [*(f'eval/{m.metric}' for m in measures), ACCURACY])
  colors = figures.colors_of(grouping)
  template = jinja2.Environment(
      loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
      lstrip_blocks=True).get_template('compare.html.j2')
  html = template.render(
      title=compared.question.text or f'Comparison by {" and ".join(grouping.by) or "seed"}',
      facts=_facts(compared, measures),
      notes=_notes(compared),
      answers=[_answer(result, grouping, colors) for result in results],
      plots_of_values=[(result.setting.name, _svg(value_curve(result, grouping))) for result in results
                       if grouping.is_curve and result.arms],
      forests=[] if grouping.is_curve else [_svg(svg) for measure in measures if (svg := figures.forest(
          [result for result in results if result.measure == measure], colors))],
      keys=list(colors.items()),
      learning=[plots for result in results if (plots := _learning(result, evidence, colors))],
      paired=[(result.setting.name, result.measure.name, _svg(figures.seed_by_seed(result, colors)),
               figures.width_of_columns(result) > figures.NARROW)
              for result in results if 0 < len(result.arms) <= figures.MAX_PAIRED and not grouping.is_curve],
      samples=[_samples(result, arms, colors) for result, arms in pictures_of(
          [result for result in results if result.arms], evidence)],
      points=bool(evidence.mixtures),
      failures=appendix.failures(results, compared.question),
      published=appendix.published(compared.question, grouping, results),
      power=appendix.power(results),
      family=max((c.family for result in results for c in result.comparisons.values() if not c.too_few), default=0),
      chosen=any(result.chosen for result in results),
      success='SUCCESS of the sweep' if compared.question.custom_success else 'finished with the verdict healthy',
      measures=[(m.name, VALUES[m.value], m.direction, meaning(m.metric)) for m in measures],
      by_best=any(m.value == 'best' for m in measures),
      environment=appendix.environment(evidence, compared.rows),
      commands=appendix.commands(compared.plan, compared.workdir, results, evidence, command))
  path = open_path(compared.workdir) / FILE
  write(path, html.encode())
  return str(path)


def _svg(markup: str) -> markupsafe.Markup:
  return markupsafe.Markup(markup)


def _facts(compared: Compared, measures: Sequence[Any]) -> list[tuple[str, str]]:
  """Return the main facts, as (label, value)."""
  rows, grouping = compared.rows, compared.grouping
  successes = [success for result in compared.results for arm in result.arms.values()
               for success in arm.arm.successes]
  facts = [('runs', f'{len(rows):,}'), ('failed', f'{successes.count(False):,} of {len(successes):,}'),
           ('arms', f'{len(grouping.arms)}'), ('settings', f'{len(grouping.settings)}'),
           ('seeds', f'{len({row["seed"] for row in rows})}'),
           ('decided by', ', '.join(dict.fromkeys(m.name for m in measures)) or 'nothing yet')]
  seconds = sum(row['device_seconds'] or 0.0 for row in rows)
  size, unit = (3600, 'h') if seconds >= 7200 else (60, 'min') if seconds >= 120 else (1, 's')
  return [*facts, ('device time', f'{seconds / size:.3g} {unit}')] if seconds else facts


def _notes(compared: Compared) -> list[str]:
  notes = [compared.question.note] if compared.question.note else []
  if waiting := sum(result.waiting for result in compared.results):
    notes.append(f'The sweep is still running: {plural(waiting, "run")} of {len(compared.rows):,} '
                 f'{"does" if waiting == 1 else "do"} not count yet. Failed runs end early, so a population only '
                 'counts after all of its runs have ended.')
  early = sum(row['status'] == 'finished' and row['verdict'] == 'too early' for row in compared.rows)
  if early and not compared.question.custom_success:
    notes.append(f'It is too early for a verdict on {plural(early, "run")}, which therefore '
                 f'{"counts" if early == 1 else "count"} as failed: train longer, or log and evaluate more often.')
  if compared.grouping.replicates:
    notes.append(f'The runs of an arm differ in {listed(compared.grouping.replicates)}, drawn at random; a “seed” is '
                 'the number of such a draw, and arms are compared draw by draw.')
  if compared.grouping.linked:
    notes.append(f'The arms also differ in {listed(compared.grouping.linked)}, which changes together with '
                 f'{" and ".join(compared.grouping.by) or "the arm"} in this sweep.')
  return notes


def _answer(result: SettingResult, grouping: Grouping, colors: dict[str, str]) -> dict[str, Any]:
  finding = Finding(result, grouping)
  intervals = [interval for arm in result.arms.values() for interval in (arm.mean, arm.middle)]
  decimals = decimals_for(intervals)
  scale = _scale([arm.mean for arm in result.arms.values()])
  return {'name': result.setting.name, 'headline': finding.headline, 'kind': finding.kind, 'details': finding.details,
          'caution': finding.caution, 'measure': result.measure and (
              f'{result.measure.name}, {VALUES[result.measure.value]}; {result.measure.direction}'),
          'compared': bool(result.comparisons),
          'arms': [_arm_row(name, result, decimals, scale, colors) for name in result.arms]}


def _arm_row(name: str, result: SettingResult, decimals: int, scale: tuple[float, float],
             colors: dict[str, str]) -> dict[str, Any]:
  arm, comparison = result.arms[name], result.comparisons.get(name)
  small = ', '.join(f'{VALUES[other]} {number(value, decimals)}' for other, value in arm.others.items())
  row = {'name': name, 'color': colors[name], 'success': counted(arm.success), 'percent': percent(arm.success),
         'mean': number(arm.mean.value, decimals), 'mean_ends': ends(arm.mean, decimals), 'bar': _bar(arm.mean, scale),
         'middle': number(arm.middle.value, decimals), 'middle_ends': ends(arm.middle, decimals),
         'middle_note': '' if arm.middle.has_value else 'over ¼ have no value',
         'small': small, 'is_reference': name == result.reference, 'comparison': None}
  if comparison:
    row['comparison'] = {
        'improvement': number(comparison.improvement.value, 2), 'improvement_ends': ends(comparison.improvement, 2),
        'difference': number(comparison.difference.value, decimals), 'ends': ends(comparison.difference, decimals),
        'p': p_value(comparison), 'claimed': claimed(comparison)}
  return row


def _scale(intervals: Sequence[Interval]) -> tuple[float, float]:
  """Return the ends of the axis on which the means of a setting are drawn."""
  values = [x for interval in intervals if interval.has_value for x in (interval.low, interval.value, interval.high)]
  low, high = min(values, default=0.0), max(values, default=1.0)
  return (low, high) if high > low else (low - 1.0, high + 1.0)


def _bar(interval: Interval, scale: tuple[float, float]) -> dict[str, str] | None:
  """Return the position of an interval on the axis, in percent of the axis."""
  if not interval.has_value:
    return None
  low, middle, high = (100 * (end - scale[0]) / (scale[1] - scale[0])
                       for end in (interval.low, interval.value, interval.high))
  return {'left': f'{low:.1f}', 'width': f'{high - low:.1f}', 'middle': f'{middle:.1f}'}


def _learning(result: SettingResult, evidence: Evidence, colors: dict[str, str]) -> dict[str, Any] | None:
  scalars = [f'eval/{result.measure.metric}', ACCURACY] if result.measure else [ACCURACY]
  plots = [(scalar.removeprefix('eval/'), _svg(svg)) for scalar in scalars
           if (svg := figures.learning_curve(result, evidence.curves, scalar, colors))]
  return {'name': result.setting.name, 'plots': plots} if plots else None


def _samples(result: SettingResult, arms: dict[str, list], colors: dict[str, str]) -> dict[str, Any]:
  decimals = 0 if all(value % 1 == 0 for pictures in arms.values() for p in pictures for value in [p.value]) else (
      decimals_for([arm.mean for arm in result.arms.values()]))
  return {'name': result.setting.name, 'metric': result.measure.name, 'arms': [
      {'name': name, 'color': colors[name], 'pictures': [
          {'rank': p.rank, 'seed': p.seed, 'run': p.run, 'value': number(p.value, decimals), 'uri': p.uri,
           'failed': not p.success} for p in pictures]} for name, pictures in arms.items()]}
