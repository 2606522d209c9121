"""Which runs are one program: what may differ between the members of a population, and what may not."""

import hashlib
import json

import ml_collections

from gan.build import hparams_of
from gan.config import flatten, scheduling
from gan.losses import LOSSES
from gan.schedules import PREFIX

# Chosen by a number or drawn from a key; and what only says how long one wants to wait for a single run, or where a
# single run reports to.
FREE = ('seed', 'loss.name', 'train.on_failure', 'train.patience', 'train.tracker')


def numbers(config: ml_collections.ConfigDict) -> frozenset[str]:
  """Fields that enter the compiled program as numbers, whatever the objective: each member has its own."""
  settings = {f'loss.{setting}' for pair in LOSSES.values() for setting in pair.settings}
  return frozenset(hparams_of(config, (config.loss.name,))) | settings


def program_key(config: ml_collections.ConfigDict) -> str:
  """Hexadecimal digits that are equal exactly for runs that can be members of one population.

  A penalty, noise or decay of weight 0 is not part of a program, so a run without one and a run with one differ; two
  runs with different weights do not. Likewise which fields are scheduled, by which kind and over which unit, is part of
  a program; the numbers of a schedule are not.
  """
  own, flat = numbers(config), flatten(config)
  fixed = {field: value for field, value in flat.items()
           if field not in own and field not in FREE and not field.startswith(PREFIX)}
  present = sorted(field for field in own if not field.startswith('loss.') or field == 'loss.label_flip')
  parts = fixed, present, scheduling.schedules_of(flat)
  return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]
