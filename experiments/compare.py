r"""Compare the arms of a sweep: a table on the console, and <workdir>/report.html with all statistics.

  python -m experiments.compare --workdir=runs/sat_vs_ns
  python -m experiments.compare --workdir=runs/sat_vs_ns --metric=reverse_kl --value=tail_mean
  python -m experiments.compare --workdir=runs/tuning --by=penalty.r1,loss.name
"""

import shlex
import sys

from absl import flags

from experiments import results
from experiments.comparison.analysis import analyse
from experiments.comparison.export import write_pictures
from experiments.comparison.grouping import group
from experiments.comparison.page import Compared, write_page
from experiments.comparison.question import question_of
from experiments.comparison.table import table
from experiments.plan import load_plan
from gan import cli
from gan.run.paths import open_path

WORKDIR = flags.DEFINE_string('workdir', None, 'Directory of the sweep, local or gs://.', required=True)
METRIC = flags.DEFINE_string('metric', None, 'Score that decides; by default METRIC of the sweep, or modes for points '
                             'and fd_classifier for images.')
BY = flags.DEFINE_string('by', None, 'Fields whose values are compared, separated by commas; by default BY of the '
                         'sweep, or the only field that varies.')
VALUE = flags.DEFINE_enum('value', 'last', ('last', 'best', 'tail_mean'), 'Value of a run that counts; the best value '
                          'favours runs that were evaluated often.')
PICTURES = flags.DEFINE_string('pictures', None, 'Local directory to which the plots are written as PNG files, too.')


def main(argv: list[str]) -> int:
  """Compare and report; return the exit code."""
  del argv
  workdir = WORKDIR.value
  plan = load_plan(workdir)
  if plan:
    results.write_table(plan, workdir)  # A sweep that is still running has the rows up to now.
  elif not (open_path(workdir) / f'{results.FILE}.parquet').exists():
    return cli.fail(f'no sweep in {workdir}; start one with experiments.run')
  rows, question = results.read_table(workdir), question_of(plan)
  grouping = group(rows, question, BY.value)
  analysis = analyse(rows, grouping, question, METRIC.value, VALUE.value)
  for line in (question.text, question.note):
    if line:
      print(line)
  print(f'\n{table(analysis, grouping)}\n')
  command = shlex.join(['python', '-m', 'experiments.compare', *sys.argv[1:]])
  compared = Compared(rows, plan, workdir, question, grouping, analysis)
  print(write_page(compared, command))
  if PICTURES.value:
    print(*write_pictures(compared, PICTURES.value) or ['No pictures: no run counts yet.'], sep='\n')
  return 0


if __name__ == '__main__':
  cli.run(main)
