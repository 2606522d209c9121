"""What the populations of a sweep left behind beside its table: curves, last samples, where it was computed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.executors import population_dir
from experiments.plan import Plan
from gan.data.toy import MIXTURES, Mixture
from gan.population.store import DATA, ENVIRONMENT, Store, member_rows

Curve = tuple[np.ndarray, np.ndarray]   # Steps [T], values [T]; only what is finite.
ACCURACY = 'disc/accuracy'


class Evidence(NamedTuple):
  """What there is of each run; empty where there is nothing.

  Attributes:
    curves: run -> scalar -> its curve.
    samples: run -> its last samples [N, ...]: bytes of images, or points.
    mixtures: run -> where its points come from; images have none.
    environments: of the populations, each kind once.
  """

  curves: dict[str, dict[str, Curve]]
  samples: dict[str, np.ndarray]
  mixtures: dict[str, Mixture]
  environments: list[dict[str, Any]]


def collect(plan: Plan | None, workdir: str, scalars: Sequence[str]) -> Evidence:
  """Reads all populations that have begun.

  Args:
    plan: of the sweep; without one nothing is found.
    workdir: of the sweep.
    scalars: whose curves are wanted, such as 'eval/modes'.
  """
  found = Evidence({}, {}, {}, [])
  for group in plan.groups if plan else ():
    store = Store(population_dir(workdir, group.name))
    if not store.exists():
      continue
    rows, data, environment = store.rows(), store.read(DATA), store.read(ENVIRONMENT)
    if environment not in found.environments:
      found.environments.append(environment)
    wanted = [name for name in scalars if any(name in row for row in rows)]
    slim = [{name: row[name] for name in ('step', 'stopped_at', *wanted) if name in row} for row in rows]
    for member, run in enumerate(group.ids):
      own = member_rows(slim, member)
      found.curves[run] = {name: _curve(own, name) for name in wanted}
      if data['name'] in MIXTURES:
        found.mixtures[run] = MIXTURES[data['name']]()
    if (samples := store.samples()) is not None:
      found.samples.update(zip(group.ids, samples, strict=True))
  return found


def _curve(rows: Sequence[dict[str, Any]], name: str) -> Curve:
  points = np.array([(row['step'], row[name]) for row in rows if name in row], np.float64).reshape(-1, 2)
  return tuple(points[np.isfinite(points).all(axis=1)].T)
