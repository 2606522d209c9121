"""Schedules: functions that change a number while a run goes on.

A kind of schedule is a function of the time and of the initial value of the number. Its keyword arguments are the
numbers of the schedule; those with a default may be left out. To add a kind, add one function and one line of
SCHEDULES.
"""

import inspect
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

PREFIX = 'schedule.'   # The schedule of a field has the numbers `hparams['schedule.<field>.<number>']`.


class Schedule(NamedTuple):
  """The fixed part of a compiled schedule; its numbers may change without compiling again.

  Attributes:
    kind: key of SCHEDULES.
    unit: one of UNITS: the unit of the time and of all lengths.
  """

  kind: str
  unit: str = 'steps'


def constant(t: Array, start: ArrayLike) -> Array:
  """Stay at `start`: a schedule that has only a warm-up."""
  del t
  return jnp.asarray(start)


def linear(t: Array, start: ArrayLike, *, over: ArrayLike, end: ArrayLike = 0.0) -> Array:
  """Go linearly from `start` to `end`, which is reached at time `over`."""
  return _between(start, end, jnp.maximum(over - t, 0.0) / over)


def constant_then_linear(t: Array, start: ArrayLike, *, hold: ArrayLike, over: ArrayLike,
                         end: ArrayLike = 0.0) -> Array:
  """Stay at `start` until time `hold`, then go linearly to `end`, which is reached at time `over`."""
  return _between(start, end, jnp.clip((over - t) / (over - hold), 0.0, 1.0))


def cosine(t: Array, start: ArrayLike, *, over: ArrayLike, end: ArrayLike = 0.0) -> Array:
  """Go from `start` to `end` along half a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983), without restarts."""
  return _between(start, end, 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.minimum(t / over, 1.0))))


def steps(t: Array, start: ArrayLike, *, every: ArrayLike, factor: ArrayLike, end: ArrayLike = 0.0) -> Array:
  """Multiply the distance to `end` by `factor` at each multiple of `every`, and stay constant in between.

  With `end` 0, the default, this is the usual step decay: the number itself is multiplied.
  """
  return _between(start, end, factor ** (t // every))


def _between(start: ArrayLike, end: ArrayLike, ahead: Array) -> Array:
  """Interpolate: `ahead` is the remaining share of the way to `end`; the result is exact at both ends."""
  return start * ahead + end * (1.0 - ahead)


SCHEDULES = {
    'constant': constant,
    'linear': linear,
    'cosine': cosine,
    'steps': steps,
    'constant_then_linear': constant_then_linear,
}
UNITS = ('steps', 'images')


def numbers_of(kind: str) -> dict[str, float | None]:
  """List the numbers of a kind of schedule with their defaults; None marks a number that has no default.

  Each kind also has `warmup`: at first the scheduled number is multiplied by a factor that rises linearly to 1 during
  this time.
  """
  parameters = inspect.signature(SCHEDULES[kind]).parameters.values()
  defaults = {p.name: None if p.default is p.empty else p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
  return defaults | {'warmup': 0.0}


def resolve(hparams: Mapping[str, ArrayLike], step: ArrayLike, *, schedules: Mapping[str, Schedule],
            images_per_step: int) -> dict[str, ArrayLike]:
  """Compute the numbers of a run at one step.

  Args:
    hparams: numbers of the run, [] each, by field; the numbers of its schedules are among them, under PREFIX.
    step: [] steps finished so far. Warm-up also counts the step that begins, so that the first factor is not 0.
    schedules: schedule of each scheduled field; all of these fields are in `hparams`.
    images_per_step: real images in a step, for schedules whose unit is images.

  Returns:
    The fields without the numbers of the schedules; each scheduled field has its value at this step.
  """
  resolved = {field: value for field, value in hparams.items() if not field.startswith(PREFIX)}
  for field, (kind, unit) in schedules.items():
    numbers = {name: hparams[f'{PREFIX}{field}.{name}'] for name in numbers_of(kind)}
    warmup, per_step = numbers.pop('warmup'), images_per_step if unit == 'images' else 1
    t = per_step * jnp.asarray(step, jnp.float32)
    warmed = jnp.minimum(1.0, (t + per_step) / jnp.maximum(warmup, per_step))
    resolved[field] = warmed * SCHEDULES[kind](t, resolved[field], **numbers)
  return resolved
