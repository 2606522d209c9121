"""The appendix of the page: failures, published figures, power, environment, and commands to repeat everything."""

import re
import shlex
from collections.abc import Sequence
from typing import Any

import markupsafe

from experiments.comparison.analysis import SettingResult
from experiments.comparison.evidence import Evidence
from experiments.comparison.grouping import Grouping, Measure
from experiments.comparison.question import Question, Row
from experiments.comparison.wording import counted, decimals_for, ends, number
from experiments.plan import Plan
from gan.health import NO_FAILURE
from gan.scoring.records import target
from gan.statistics import make_arm, mean_given_success, pairs_needed
from gan.statistics.comparison import observed_deviation
from gan.statistics.power import SIGNIFICANCE

MAX_FAILURES, MAX_COMMANDS = 200, 16
FACTS = {'platform': 'platform', 'cpu_cores': 'cores', 'python': 'Python', 'version.jax': 'JAX', 'version.flax': 'Flax',
         'version.optax': 'Optax', 'version.numpy': 'NumPy'}


def failures(results: Sequence[SettingResult], question: Question) -> dict[str, Any]:
  """List the runs that count and did not succeed, each with its evidence."""
  unsuspected = (None, *NO_FAILURE) if question.custom_success else (None, 'healthy')
  rows = []
  for result in results:
    for name, arm in result.arms.items():
      for row, success in zip(arm.rows, arm.arm.successes, strict=True):
        if not success:
          missed = row['status'] == 'finished' and row['verdict'] in unsuspected
          rows.append({'setting': result.setting.name, 'arm': name, 'seed': row['seed'], 'run': row['run'],
                       'verdict': 'below the threshold of success' if missed else _verdict(row),
                       'evidence': '' if missed else _evidence(row), 'step': f'{row["steps"]:,}'})
  return {'rows': rows[:MAX_FAILURES], 'more': max(len(rows) - MAX_FAILURES, 0), 'count': len(rows)}


def published(question: Question, grouping: Grouping, results: Sequence[SettingResult]) -> list[dict[str, Any]]:
  """List the published figures, each with ours if the sweep has the same arm, setting and score.

  An entry names an arm by its name on the page, by the value of its field, or by the values of all its fields; and a
  setting by some of its fields. Figures without a counterpart in the sweep are listed alone.
  """
  lines = []
  for entry in question.published:
    names = [name for name, values in grouping.arms.items() if entry['arm'] in (name, values, *values)]
    line = {'arm': names[0] if names else str(entry['arm']), 'value': str(entry['value']),
            'source': _with_links(str(entry['source'])), 'note': entry.get('note', '')}
    matching = [result for result in results if _is_setting(entry.get('setting'), result, len(results))]
    for result in matching:
      metric = entry.get('metric') or (result.measure.metric if result.measure else '')
      lines.append(line | {'setting': result.setting.name, 'metric': metric, 'ours': _ours(result, names, metric)})
    if not matching:
      lines.append(line | {'setting': _text_of(entry.get('setting')), 'metric': entry.get('metric', ''), 'ours': ''})
  return lines


def power(results: Sequence[SettingResult]) -> list[dict[str, str]]:
  """List the detectable difference of each comparison in pairs, and the seeds that would detect half of it."""
  lines = []
  for result in results:
    for comparison in result.comparisons.values():
      if comparison.detectable is None:
        continue
      deviation, half = observed_deviation(comparison), comparison.detectable / 2
      decimals = decimals_for([comparison.difference])
      lines.append({'setting': result.setting.name, 'arms': f'{comparison.x} or {comparison.y}',
                    'seeds': str(comparison.difference.count), 'metric': result.measure.name,
                    'deviation': number(deviation, decimals), 'detectable': number(comparison.detectable, decimals),
                    'needed': f'{pairs_needed(half, deviation, significance=SIGNIFICANCE / comparison.family):,}'})
  return lines


def environment(evidence: Evidence, rows: Sequence[Row]) -> list[tuple[str, str]]:
  """Return devices, versions and commit, as (label, value); different values of populations are all listed."""
  environments = evidence.environments or rows  # The table has a part of these columns.

  def values(describe: Any) -> str:
    return ', '.join(dict.fromkeys(str(text) for env in environments if (text := describe(env)) not in (None, '')))

  lines = [('device', values(lambda env: env.get('device_kind') and (
      f'{env["device_count"]} × {env["device_kind"]}' if env.get('device_count') else env['device_kind'])))]
  lines += [(label, values(lambda env, key=key: env.get(key))) for key, label in FACTS.items()]
  lines.append(('commit', values(lambda env: env.get('git_commit') and (
      env['git_commit'] + ' and changes that were not committed' * bool(env.get('git_dirty'))))))
  return [(label, text) for label, text in lines if text]


def commands(plan: Plan | None, workdir: str, results: Sequence[SettingResult], evidence: Evidence,
             command: str) -> list[tuple[str, list[str]]]:
  """Return the commands that repeat the sweep, as (purpose, lines)."""
  if plan is None:
    return [('This page', [command])]
  commits = list(dict.fromkeys(env['git_commit'] for env in evidence.environments if env.get('git_commit')))
  where = shlex.quote(str(workdir))
  lines = [('The whole sweep, and this page', [
      *(f'git checkout {commit}' for commit in commits[:1]),
      f'python -m experiments.run --sweep={shlex.quote(plan.sweep)} --workdir={where}', command])]
  first = [(result.setting.name, arm, rows[0]) for result in results for arm, rows in result.setting.arms.items()]
  one_by_one = [f'# {setting}; {arm}; seed {row["seed"]}\n{plan.runs[row["run"]]["command"]}'
                for setting, arm, row in first[:MAX_COMMANDS]]
  lines.append(('One run of each arm, alone' + (
      f' (the first {MAX_COMMANDS} of {len(first)} combinations)' if len(first) > MAX_COMMANDS else ''), one_by_one))
  run = first[0][2]['run']
  lines.append(('One run of the sweep as an ordinary run, for samples or further training', [
      f'python -m experiments.extract --workdir={where} --run={run} --out=runs/{run}',
      f'python -m gan.sample --workdir=runs/{run}']))
  return lines


def _verdict(row: Row) -> str:
  return (row['verdict'] or row['status']) + (f', also {row["also"]}' if row.get('also') else '')


def _evidence(row: Row) -> str:
  text = (row.get('evidence') or '').replace(' = nan, not', ' is not').replace('eval/', '')
  return text or ('the run ended early' if row['status'] == 'stopped' else '')


def _is_setting(wanted: Any, result: SettingResult, num_settings: int) -> bool:
  """Return whether an entry of PUBLISHED is about a setting.

  `wanted` is the entry's 'setting': a dict of fields, the name of a setting, or None if there is only one setting.
  Fields that the sweep does not set are ignored.
  """
  if isinstance(wanted, dict):
    row = result.setting.rows[0]
    return all(row.get(field, value) == value for field, value in wanted.items())
  return wanted == result.setting.name or (wanted is None and num_settings == 1)


def _text_of(setting: Any) -> str:
  if isinstance(setting, dict):
    return ', '.join(f'{field}={value}' for field, value in setting.items())
  return setting or ''


def _ours(result: SettingResult, names: Sequence[str], metric: str) -> str:
  """Format our value, '6.31 (5.90 to 6.71), 15 of 16 runs'; '' if it was not measured."""
  arm = result.arms.get(names[0]) if names else None
  if arm is None or f'{metric}.last' not in arm.rows[0]:
    return ''
  mean, measure = arm.mean, Measure(metric, result.measure.value, target(metric))
  if metric != result.measure.metric or result.measure.name != metric:
    values = [row[f'{metric}.{measure.value}'] for row in arm.rows]
    runs = [(seed, float('nan') if value is None else value, bool(success) and value is not None)
            for seed, value, success in zip(arm.arm.seeds.tolist(), values, arm.arm.successes, strict=True)]
    mean = mean_given_success(make_arm(arm.arm.name, runs))
  if not mean.has_value:
    return f'no value: {counted(arm.success)} runs succeed'
  decimals = decimals_for([mean])
  return f'{number(mean.value, decimals)} ({ends(mean, decimals)}), {counted(arm.success)} runs'


def _with_links(source: str) -> markupsafe.Markup:
  """Turn the arXiv number of a source into a link; the page loads nothing from there."""
  return markupsafe.Markup(re.sub(
      r'arXiv:(\d{4}\.\d{4,5})', r'<a href="https://arxiv.org/abs/\1">arXiv:\1</a>', str(markupsafe.escape(source))))


