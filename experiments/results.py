"""The table of a sweep: for each run its setting, scores, verdict and cost; as Parquet, and the same as CSV."""

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
# Of the clock: all other columns are the same however often a sweep was interrupted.
CLOCK = ('device_seconds',)
_OVER = ('finished', 'diverged', 'stopped')
_ENVIRONMENT = ('git_commit', 'platform', 'device_kind', 'python', 'version.jax', 'version.flax', 'version.optax')


def write_table(plan: Plan, workdir: str) -> str:
  """Writes results.parquet and results.csv of whatever is finished or under way; returns the path of the first.

  Raises:
    SweepError: if the table that is there holds more.
    MetricsError: if files of a population are missing or damaged. The table that is there is kept in either case.
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
    return  # It holds nothing that anybody can read.
  now = {row['run']: row for row in rows}
  gone = {'status': 'not in the plan', 'steps': 0, 'population': None}
  lost = [(row, new) for row in kept if _is_less(new := now.get(row['run'], gone), row)]
  if lost:
    row, new = lost[0]
    raise SweepError(f'{path} is kept, because less is there now of {len(lost)} of its {len(kept)} runs: {row["run"]} '
                     f'was {row["status"]} at step {row["steps"]}, and is {new["status"]} at {new["steps"]}. Put the '
                     f'files of {population_dir(workdir, row["population"])} back, or train these runs again with '
                     f'python -m experiments.run --sweep={plan.sweep} --workdir={workdir}; to have a table without '
                     'them, delete this one.')


def _is_less(new: dict[str, Any], old: dict[str, Any]) -> bool:
  """Whether a run had more in the old table. One under way may have gone back to an earlier checkpoint."""
  if old['status'] in _OVER:
    return new['status'] not in _OVER or new['steps'] < old['steps']
  return old['status'] == 'running' and new['status'] not in ('running', *_OVER)


def read_table(workdir: str) -> list[dict[str, Any]]:
  """Rows of the table of a sweep, as `rows_of` made them.

  Raises:
    SweepError: if it is damaged.
  """
  path = open_path(workdir) / f'{FILE}.parquet'
  try:
    return pa.parquet.read_table(pa.BufferReader(path.read_bytes())).to_pylist()
  except pa.ArrowException as error:
    raise SweepError(f'{path} is damaged ({error}); experiments.compare writes it again where plan.json and '
                     'populations lie beside it') from None


def rows_of(plan: Plan, workdir: str) -> list[dict[str, Any]]:
  """A row for each run of a plan, in its order.

  `status` is finished, diverged, stopped (by its verdict), running or waiting; `also` names the failures that hold
  beside the verdict, `evidence` is that of all. A score has the columns `<score>.last`,
  `.best` and `.tail_mean`, the mean over the evaluations in the last quarter of its steps; they are None where there is
  none, and for a run that diverged, whose scores of better days say nothing of what it ended as.

  Raises:
    MetricsError: if a file of a population that has begun is missing or damaged.
    SweepError: if a population is not that of the plan.
  """
  fields = dict.fromkeys(field for run in plan.runs.values() for field in run['overrides'])
  found: dict[str, dict[str, Any]] = {}
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
      own = member_rows(rows, member)
      alive = not over and (rows[-1]['alive'][member] if rows else True)  # Who is stopped last was alive then.
      flat = plan.runs[run]['config']
      outcome = _outcome(own, alive, flat['train.num_steps'])
      found[run] = {'run': run, 'population': group.name, 'config': plan.runs[run]['file']} | {
          field: flat[field] for field in fields} | {'seed': flat['seed']} | outcome | {
          'device_seconds': seconds} | {key: env.get(key) for key in _ENVIRONMENT}
  columns = dict.fromkeys(column for row in found.values() for column in row)
  return [{column: found[run].get(column) for column in columns} for run in plan.runs]


def _outcome(rows: list[dict[str, Any]], alive: bool, num_steps: int) -> dict[str, Any]:
  """Status, verdict and scores of one run."""
  if not rows:
    return {'status': 'waiting', 'steps': 0, 'verdict': None}
  verdict = health.last_verdict(rows)
  diverged = verdict is not None and verdict.kind == 'diverged' and not alive
  done = rows[-1]['step'] >= num_steps
  status = 'diverged' if diverged else 'finished' if done else 'running' if alive else 'stopped'
  outcome = {'status': status, 'steps': rows[-1]['step'], 'verdict': verdict and verdict.kind,
             'also': verdict and ', '.join(verdict.kinds[1:]),
             'evidence': verdict and '; '.join(found.evidence for found in verdict.findings)}
  for name in dict.fromkeys(name for row in rows for name in row if name.startswith('eval/')):
    curve = [(row['step'], row[name]) for row in rows if name in row and math.isfinite(row[name])]
    metric, usable = name.removeprefix('eval/'), bool(curve) and not diverged
    tail = [value for step, value in curve if step >= (1 - TAIL) * rows[-1]['step']]
    outcome |= {f'{metric}.last': curve[-1][1] if usable else None,
                f'{metric}.best': min((v for _, v in curve), key=lambda v, m=metric: distance_to_target(m, v))
                if usable else None,
                f'{metric}.tail_mean': sum(tail) / len(tail) if usable and tail else None}
  return outcome
