"""How a number of a run changes while the run goes on: mathematics only.

A kind of schedule is a function of time and of the number itself, with which it begins. Its keyword arguments are its
own numbers; those with a default may be left out. Adding a kind is one function, and one line of SCHEDULES.
"""

import inspect
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

PREFIX = 'schedule.'   # The numbers of the schedule of a field are `hparams['schedule.<field>.<number>']`.


class Schedule(NamedTuple):
  """What is fixed when a schedule is compiled; its numbers are not.

  Attributes:
    kind: key of SCHEDULES.
    unit: key of UNITS, in which it counts time and all its lengths.
  """

  kind: str
  unit: str = 'steps'


def constant(t: Array, start: ArrayLike) -> Array:
  """Stays at `start`: for a warm-up alone."""
  del t
  return jnp.asarray(start)


def linear(t: Array, start: ArrayLike, *, over: ArrayLike, end: ArrayLike = 0.0) -> Array:
  """Goes straight from `start` to `end`, which it reaches at time `over`."""
  return _between(start, end, jnp.maximum(over - t, 0.0) / over)


def constant_then_linear(t: Array, start: ArrayLike, *, hold: ArrayLike, over: ArrayLike,
                         end: ArrayLike = 0.0) -> Array:
  """Stays at `start` until time `hold`, then goes straight to `end`, which it reaches at time `over`."""
  return _between(start, end, jnp.clip((over - t) / (over - hold), 0.0, 1.0))


def cosine(t: Array, start: ArrayLike, *, over: ArrayLike, end: ArrayLike = 0.0) -> Array:
  """Goes from `start` to `end` along half a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983), without restarts."""
  return _between(start, end, 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.minimum(t / over, 1.0))))


def steps(t: Array, start: ArrayLike, *, every: ArrayLike, factor: ArrayLike, end: ArrayLike = 0.0) -> Array:
  """Stays, and jumps at each multiple of `every`: the distance to `end` is multiplied by `factor`.

  With `end` 0, the default, this is the usual decay in steps: the number itself is multiplied.
  """
  return _between(start, end, factor ** (t // every))


def _between(start: ArrayLike, end: ArrayLike, ahead: Array) -> Array:
  """The number where the share `ahead` of the way to `end` is still ahead; exact at both ends."""
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
  """The numbers that a kind of schedule knows, with their defaults; None: it must be given.

  Each kind also knows `warmup`: the time during which the number first rises linearly from 0, on top of its schedule.
  """
  parameters = inspect.signature(SCHEDULES[kind]).parameters.values()
  own = {p.name: None if p.default is p.empty else p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
  return own | {'warmup': 0.0}


def resolve(hparams: Mapping[str, ArrayLike], step: ArrayLike, *, schedules: Mapping[str, Schedule],
            images_per_step: int) -> dict[str, ArrayLike]:
  """The numbers of a run at one step.

  Args:
    hparams: numbers of the run, [] each, by field; among them those of its schedules, under PREFIX.
    step: [] steps finished so far. Warm-up counts the one that begins, too, so that no step is lost at 0.
    schedules: the scheduled fields; all of them are in `hparams`.
    images_per_step: real images in a step, for schedules over images.

  Returns:
    The fields alone, each scheduled one with its value at this step.
  """
  resolved = {field: value for field, value in hparams.items() if not field.startswith(PREFIX)}
  for field, (kind, unit) in schedules.items():
    numbers = {name: hparams[f'{PREFIX}{field}.{name}'] for name in numbers_of(kind)}
    warmup, per_step = numbers.pop('warmup'), images_per_step if unit == 'images' else 1
    t = per_step * jnp.asarray(step, jnp.float32)
    warmed = jnp.minimum(1.0, (t + per_step) / jnp.maximum(warmup, per_step))
    resolved[field] = warmed * SCHEDULES[kind](t, resolved[field], **numbers)
  return resolved
