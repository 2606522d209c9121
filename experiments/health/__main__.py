"""The confusion table of verdicts: a row for each drill, a column for each verdict.

  python -m experiments.health                       # ten seeds of each, three to six minutes on two CPU cores
  python -m experiments.health --first=0 --seeds=3 --drill=ring --drill='idle G'

A run is right where the failure that it was constructed for is said, first or also, and where it was to be healthy, no
failure. Of 7+2 in a column 7 runs had this verdict first, 2 beside another. "Other before" counts runs of which some
failure, but not the constructed one, was said at an earlier evaluation.
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
  """Prints a line as soon as its runs are done."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--first', type=int, default=900, help='first seed; thresholds were set with seeds below 900')
  parser.add_argument('--seeds', type=int, default=10, help='how many')
  parser.add_argument('--drill', action='append', choices=list(DRILLS), help='one of them, again for more; all if none')
  args = parser.parse_args(argv)
  if args.seeds < 1:
    parser.error(f'--seeds={args.seeds} must be at least 1')
  if not 0 <= args.first <= 2**32 - args.seeds:
    parser.error(f'--first={args.first}: seeds lie in [0, 2^32)')
  settings.fix()
  compilation.keep_programs()
  columns = list(ADVICE)
  print(f'{"drill":<24}{"constructed as":<26}{"right":>6}' + ''.join(f'{kind.split()[-1]:>13}' for kind in columns)
        + f'{"other before":>14}{"seconds":>9}')
  for name in args.drill or DRILLS:
    drill, start = DRILLS[name], time.perf_counter()
    said = [verdicts(rows) for rows in run(drill.config, range(args.first, args.first + args.seeds))]
    last = [found[-1] for found in said]
    right = sum(drill.kind in verdict.kinds for verdict in last)
    before = sum(any(verdict.failed and drill.kind not in verdict.kinds for verdict in found[:-1])
                 for found in said)
    print(f'{name:<24}{drill.kind:<26}{right:>6}' + ''.join(f'{_count(kind, last):>13}' for kind in columns)
          + f'{before or ".":>14}{time.perf_counter() - start:>9.0f}', flush=True)


def _count(kind: str, said: Sequence[Verdict]) -> str:
  """'7+2': how often a verdict came first, and how often beside another."""
  first = sum(verdict.kind == kind for verdict in said)
  also = sum(kind in verdict.kinds for verdict in said) - first
  return f'{first}{f"+{also}" if also else ""}' if first or also else '.'


if __name__ == '__main__':
  main()
