r"""Extract one run of a sweep into an ordinary run directory, for gan.sample, gan.evaluate, gan.dynamics and gan.main.

  python -m experiments.extract --workdir=runs/sat_vs_ns --run=ID --out=runs/one
"""

from pathlib import Path

from absl import flags

from experiments.executors import population_dir
from experiments.plan import load_plan
from gan import cli
from gan.config import nearest
from gan.population.members import extract
from gan.population.store import Store

WORKDIR = flags.DEFINE_string('workdir', None, 'Directory of the sweep.', required=True)
RUN = flags.DEFINE_string('run', None, 'Id of the run, a column of results.csv.', required=True)
OUT = flags.DEFINE_string('out', None, 'Run directory to create.', required=True)
flags.register_validator(OUT, lambda out: out != '', 'must name a directory')


def main(argv: list[str]) -> int:
  """Extract a run; return the exit code."""
  del argv
  plan = load_plan(WORKDIR.value)
  if plan is None:
    return cli.fail(f'no sweep in {WORKDIR.value}; start one with experiments.run')
  if RUN.value not in plan.runs:
    return cli.fail(f'--run={RUN.value} is not in {WORKDIR.value}{nearest(RUN.value, plan.runs)}')
  group = next(group for group in plan.groups if RUN.value in group.ids)
  root = population_dir(WORKDIR.value, group.name)
  if not Store(root).exists():
    return cli.fail(f'--run={RUN.value} is not trained yet: its population, {root}, has not begun; go on with '
                    f'python -m experiments.run --sweep={plan.sweep} --workdir={WORKDIR.value}')
  if load_plan(OUT.value):
    return cli.fail(f'--out={OUT.value} holds a sweep, and the report.html of the run would replace that of the sweep; '
                    'name another directory')
  step = extract(root, RUN.value, Path(OUT.value))
  print(f'{OUT.value}: run {RUN.value} at step {step}. This command trains the run alone:\n'
        + plan.runs[RUN.value]['command'])
  return 0


if __name__ == '__main__':
  cli.run(main)
