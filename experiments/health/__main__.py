"""The confusion table of verdicts: a row for each drill, a column for each verdict.

  python -m experiments.health                       # ten seeds of each, three to six minutes on two CPU cores
  python -m experiments.health --first=0 --seeds=3 --drill=ring --drill='idle G'

The last column counts runs of which some failure other than the constructed one was said at an earlier evaluation.
"""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

os.environ |= {'JAX_PLATFORMS': 'cpu', 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.1',
               'JAX_COMPILATION_CACHE_DIR': str(Path(__file__).parents[2] / '.pytest_cache' / 'xla')}

from experiments.health.drills import DRILLS, run, verdicts
from gan.health import ADVICE, NO_FAILURE


def main(argv: Sequence[str] | None = None) -> None:
  """Prints a line as soon as its runs are done."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--first', type=int, default=100, help='first seed; thresholds were set with seeds 0 to 9')
  parser.add_argument('--seeds', type=int, default=10, help='how many')
  parser.add_argument('--drill', action='append', choices=list(DRILLS), help='one of them, again for more; all if none')
  args = parser.parse_args(argv)
  if args.seeds < 1:
    parser.error(f'--seeds={args.seeds} must be at least 1')
  if not 0 <= args.first <= 2**32 - args.seeds:
    parser.error(f'--first={args.first}: seeds lie in [0, 2^32)')
  columns = list(ADVICE)
  print(f'{"drill":<24}{"constructed as":<26}' + ''.join(f'{kind.split()[-1]:>13}' for kind in columns)
        + f'{"other before":>14}{"seconds":>9}')
  for name in args.drill or DRILLS:
    drill, start = DRILLS[name], time.perf_counter()
    said = [verdicts(rows) for rows in run(drill.config, range(args.first, args.first + args.seeds))]
    counts = [sum(kinds[-1] == kind for kinds in said) for kind in columns]
    before = sum(bool(set(kinds[:-1]) - {*NO_FAILURE, drill.kind}) for kinds in said)
    print(f'{name:<24}{drill.kind:<26}' + ''.join(f'{count or ".":>13}' for count in counts)
          + f'{before or ".":>14}{time.perf_counter() - start:>9.0f}', flush=True)


if __name__ == '__main__':
  main()
