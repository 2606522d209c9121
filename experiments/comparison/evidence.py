"""The files of a sweep's populations that its table does not contain: curves, last samples, environments."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.executors import population_dir
from experiments.plan import Plan
from gan.data.toy import MIXTURES, Mixture
from gan.population.store import DATA, ENVIRONMENT, Store, member_rows

Curve = tuple[np.ndarray, np.ndarray]   # Steps [T], values [T]; only finite values.
ACCURACY = 'disc/accuracy'


class Evidence(NamedTuple):
  """Curves, samples and environments of the runs; empty if there are none.

  Attributes:
    curves: run -> scalar -> its curve.
    samples: run -> its last samples [N, ...]: uint8 images, or points.
    mixtures: run -> the mixture of its data; only for points.
    environments: the different environments of the populations.
  """

  curves: dict[str, dict[str, Curve]]
  samples: dict[str, np.ndarray]
  mixtures: dict[str, Mixture]
  environments: list[dict[str, Any]]


def collect(plan: Plan | None, workdir: str, scalars: Sequence[str]) -> Evidence:
  """Read the files of all populations that have begun.

  Args:
    plan: plan of the sweep; without a plan the evidence is empty.
    workdir: directory of the sweep.
    scalars: names of the scalars whose curves are needed, such as 'eval/modes'.
  """
  evidence = Evidence({}, {}, {}, [])
  for group in plan.groups if plan else ():
    store = Store(population_dir(workdir, group.name))
    if not store.exists():
      continue
    rows, data, environment = store.rows(), store.read(DATA), store.read(ENVIRONMENT)
    if environment not in evidence.environments:
      evidence.environments.append(environment)
    wanted = [name for name in scalars if any(name in row for row in rows)]
    slim = [{name: row[name] for name in ('step', 'stopped_at', *wanted) if name in row} for row in rows]
    for member, run in enumerate(group.ids):
      rows_of_member = member_rows(slim, member)
      evidence.curves[run] = {name: _curve(rows_of_member, name) for name in wanted}
      if data['name'] in MIXTURES:
        evidence.mixtures[run] = MIXTURES[data['name']]()
    if (samples := store.samples()) is not None:
      evidence.samples.update(zip(group.ids, samples, strict=True))
  return evidence


def _curve(rows: Sequence[dict[str, Any]], name: str) -> Curve:
  points = np.array([(row['step'], row[name]) for row in rows if name in row], np.float64).reshape(-1, 2)
  return tuple(points[np.isfinite(points).all(axis=1)].T)
