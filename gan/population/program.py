"""The key of a program: what may differ between the members of a population, and what may not."""

import hashlib
import json

import ml_collections

from gan.build import hparams_of
from gan.config import flatten, scheduling
from gan.losses import LOSSES
from gan.schedules import PREFIX

# Members may differ in these fields, too: the seed, the objective (chosen by a number), when to stop a failing run, and
# the tracker, which populations do not use.
FREE = ('seed', 'loss.name', 'train.on_failure', 'train.patience', 'train.tracker')


def numbers(config: ml_collections.ConfigDict) -> frozenset[str]:
  """Return the fields that enter the compiled program as numbers, for any objective; members may differ in them."""
  settings = {f'loss.{setting}' for pair in LOSSES.values() for setting in pair.settings}
  return frozenset(hparams_of(config, (config.loss.name,))) | settings


def program_key(config: ml_collections.ConfigDict) -> str:
  """Return hexadecimal digits that are equal exactly for runs that can be members of one population.

  Runs with different weights of a penalty, a noise or a decay have the same key. Runs with and without it do not,
  because a program leaves out what has weight 0. Likewise, the program depends on which fields are scheduled, by which
  kind of schedule and in which unit, but not on the numbers of a schedule.
  """
  numeric_fields, flat = numbers(config), flatten(config)
  fixed = {field: value for field, value in flat.items()
           if field not in numeric_fields and field not in FREE and not field.startswith(PREFIX)}
  present = sorted(field for field in numeric_fields if not field.startswith('loss.') or field == 'loss.label_flip')
  parts = fixed, present, scheduling.schedules_of(flat)
  return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]
