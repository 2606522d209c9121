"""The confusion table of verdicts: a row for each drill, a column for each verdict.

  python -m experiments.health                       # ten seeds of each, three to six minutes on two CPU cores
  python -m experiments.health --first=0 --seeds=3 --drill=ring --drill='idle G'

A run counts as right if its verdicts include the failure that it was constructed for or, for healthy drills, if it has
no failure. "7+2" in a column: the verdict was given first in 7 runs, as a secondary finding in 2. "Other before" counts
runs with an earlier evaluation that found other failures, but not the constructed one.
"""

import argparse
import os
import time
from collections.abc import Sequence

os.environ['JAX_PLATFORMS'] = 'cpu'

from experiments.health.drills import DRILLS, run, verdicts
from gan.health import ADVICE, Verdict
from gan.run import compilation, settings


def main(argv: Sequence[str] | None = None) -> None:
  """Print the table, each row as soon as its runs are done."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--first', type=int, default=900, help='first seed; thresholds were set with seeds below 900')
  parser.add_argument('--seeds', type=int, default=10, help='number of seeds')
  parser.add_argument('--drill', action='append', choices=list(DRILLS),
                      help='name of a drill; repeat the flag for several drills; all drills by default')
  args = parser.parse_args(argv)
  if args.seeds < 1:
    parser.error(f'--seeds={args.seeds} must be at least 1')
  if not 0 <= args.first <= 2**32 - args.seeds:
    parser.error(f'--first={args.first}: seeds must lie in [0, 2^32)')
  settings.fix()
  compilation.keep_programs()
  columns = list(ADVICE)
  print(f'{"drill":<24}{"constructed as":<26}{"right":>6}' + ''.join(f'{kind.split()[-1]:>13}' for kind in columns)
        + f'{"other before":>14}{"seconds":>9}')
  for name in args.drill or DRILLS:
    drill, start = DRILLS[name], time.perf_counter()
    histories = [verdicts(rows) for rows in run(drill.config, range(args.first, args.first + args.seeds))]
    last = [history[-1] for history in histories]
    right = sum(drill.kind in verdict.kinds for verdict in last)
    before = sum(any(verdict.failed and drill.kind not in verdict.kinds for verdict in history[:-1])
                 for history in histories)
    print(f'{name:<24}{drill.kind:<26}{right:>6}' + ''.join(f'{_count(kind, last):>13}' for kind in columns)
          + f'{before or ".":>14}{time.perf_counter() - start:>9.0f}', flush=True)


def _count(kind: str, verdicts_of_runs: Sequence[Verdict]) -> str:
  """Count a verdict: '7+2' means given first in 7 runs, and as a secondary finding in 2."""
  first = sum(verdict.kind == kind for verdict in verdicts_of_runs)
  also = sum(kind in verdict.kinds for verdict in verdicts_of_runs) - first
  return f'{first}{f"+{also}" if also else ""}' if first or also else '.'


if __name__ == '__main__':
  main()
