"""The table of a sweep, as Parquet and as CSV: setting, scores, verdict and cost of each run."""

import io
import math
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from experiments.executors import population_dir
from experiments.plan import Plan
from experiments.sweep import SweepError
from gan import health
from gan.population.run import is_finished
from gan.population.store import ENVIRONMENT, Store, member_rows
from gan.run.paths import open_path, write
from gan.scoring.records import TAIL, distance_to_target

FILE = 'results'
# Columns that depend on the clock. All other columns are the same however often a sweep was interrupted.
CLOCK = ('device_seconds',)
_OVER = ('finished', 'diverged', 'stopped')
_ENVIRONMENT = ('git_commit', 'platform', 'device_kind', 'python', 'version.jax', 'version.flax', 'version.optax')


def write_table(plan: Plan, workdir: str) -> str:
  """Write results.parquet and results.csv of all runs, also unfinished ones; return the path of the first.

  Raises:
    SweepError: if the present table holds more than the new one would.
    MetricsError: if files of a population are missing or damaged. In both cases, the present table is kept.
  """
  root, rows = open_path(workdir), rows_of(plan, workdir)
  _check_not_less(plan, workdir, rows)
  table = pa.Table.from_pylist(rows)
  parquet, text = pa.BufferOutputStream(), io.BytesIO()
  pa.parquet.write_table(table, parquet)
  pa.csv.write_csv(table, text)
  write(root / f'{FILE}.parquet', parquet.getvalue().to_pybytes())
  write(root / f'{FILE}.csv', text.getvalue())
  return str(root / f'{FILE}.parquet')


def _check_not_less(plan: Plan, workdir: str, rows: list[dict[str, Any]]) -> None:
  path = open_path(workdir) / f'{FILE}.parquet'
  try:
    kept = read_table(workdir) if path.exists() else []
  except SweepError:
    return  # A damaged table may be overwritten.
  now = {row['run']: row for row in rows}
  gone = {'status': 'not in the plan', 'steps': 0, 'population': None}
  lost = [(row, new) for row in kept if _is_less(new := now.get(row['run'], gone), row)]
  if lost:
    row, new = lost[0]
    raise SweepError(f'{path} is kept, because {len(lost)} of its {len(kept)} runs are less complete now: run '
                     f'{row["run"]} was {row["status"]} at step {row["steps"]}, and is now {new["status"]} at step '
                     f'{new["steps"]}. Put the files of {population_dir(workdir, row["population"])} back, or train '
                     f'these runs again with python -m experiments.run --sweep={plan.sweep} --workdir={workdir}; to '
                     'get a table without them, delete this table.')


def _is_less(new: dict[str, Any], old: dict[str, Any]) -> bool:
  """Return whether a run had more in the old table. A running one may have gone back to an earlier checkpoint."""
  if old['status'] in _OVER:
    return new['status'] not in _OVER or new['steps'] < old['steps']
  return old['status'] == 'running' and new['status'] not in ('running', *_OVER)


def read_table(workdir: str) -> list[dict[str, Any]]:
  """Read the rows of the table of a sweep, as `rows_of` returned them.

  Raises:
    SweepError: if the table is damaged.
  """
  path = open_path(workdir) / f'{FILE}.parquet'
  try:
    return pa.parquet.read_table(pa.BufferReader(path.read_bytes())).to_pylist()
  except pa.ArrowException as error:
    raise SweepError(f'{path} is damaged ({error}); experiments.compare writes it again if plan.json and populations '
                     'are in the same directory') from None


def rows_of(plan: Plan, workdir: str) -> list[dict[str, Any]]:
  """Return a row for each run of a plan, in the order of the plan.

  * `status` is finished, diverged, stopped (by its verdict), running or waiting.
  * `verdict` is the first verdict, `also` names further failures, and `evidence` is that of all of them.
  * A score has the columns `<score>.last`, `<score>.best` and `<score>.tail_mean`, the mean over the evaluations in the
    last quarter of the steps. They are None without an evaluation, and for a run that diverged: its earlier scores do
    not describe its final state.

  Raises:
    MetricsError: if a file of a population that has begun is missing or damaged.
    SweepError: if a directory holds another population than the plan says.
  """
  fields = dict.fromkeys(field for run in plan.runs.values() for field in run['overrides'])
  row_of_run: dict[str, dict[str, Any]] = {}
  for group in plan.groups:
    store = Store(population_dir(workdir, group.name))
    if store.exists() and store.ids() != group.ids:
      raise SweepError(f'{store.root} holds another population than the plan says; put plan.json and members.json back '
                       'as they were, or name another --workdir')
    env = store.read(ENVIRONMENT) if store.exists() else {}
    over = is_finished(population_dir(workdir, group.name))
    rows = store.rows() if store.exists() else []
    seconds = rows[-1]['time/elapsed_sec'] * env['device_count'] / len(group.ids) if rows else 0.0
    for member, run in enumerate(group.ids):
      # The member that is stopped last is alive in the last row, so a finished population needs its own check.
      alive = not over and (rows[-1]['alive'][member] if rows else True)
      flat = plan.runs[run]['config']
      outcome = _outcome(member_rows(rows, member), alive, flat['train.num_steps'])
      row_of_run[run] = {'run': run, 'population': group.name, 'config': plan.runs[run]['file']} | {
          field: flat[field] for field in fields} | {'seed': flat['seed']} | outcome | {
          'device_seconds': seconds} | {key: env.get(key) for key in _ENVIRONMENT}
  columns = dict.fromkeys(column for row in row_of_run.values() for column in row)
  return [{column: row_of_run[run].get(column) for column in columns} for run in plan.runs]


def _outcome(rows: list[dict[str, Any]], alive: bool, num_steps: int) -> dict[str, Any]:
  """Return status, verdict and scores of one run."""
  if not rows:
    return {'status': 'waiting', 'steps': 0, 'verdict': None}
  verdict = health.last_verdict(rows)
  diverged = verdict is not None and verdict.kind == 'diverged' and not alive
  done = rows[-1]['step'] >= num_steps
  status = 'diverged' if diverged else 'finished' if done else 'running' if alive else 'stopped'
  outcome = {'status': status, 'steps': rows[-1]['step'], 'verdict': verdict and verdict.kind,
             'also': verdict and ', '.join(verdict.kinds[1:]),
             'evidence': verdict and '; '.join(finding.evidence for finding in verdict.findings)}
  for name in dict.fromkeys(name for row in rows for name in row if name.startswith('eval/')):
    curve = [(row['step'], row[name]) for row in rows if name in row and math.isfinite(row[name])]
    metric, usable = name.removeprefix('eval/'), bool(curve) and not diverged
    tail = [value for step, value in curve if step >= (1 - TAIL) * rows[-1]['step']]
    outcome |= {f'{metric}.last': curve[-1][1] if usable else None,
                f'{metric}.best': min((v for _, v in curve), key=lambda v, m=metric: distance_to_target(m, v))
                if usable else None,
                f'{metric}.tail_mean': sum(tail) / len(tail) if usable and tail else None}
  return outcome
