"""Where a run comes back to the host between dispatches: at which steps, at which signals, at what speed."""

import signal
import time
from typing import Any


class Interrupted:
  """Turns the first SIGTERM or Ctrl-C into a flag, and lets the second one end the process at once."""

  def __init__(self):
    self.signum: int | None = None
    self._previous: dict[int, Any] = {}

  def __enter__(self) -> 'Interrupted':
    for signum in (signal.SIGTERM, signal.SIGINT):
      self._previous[signum] = signal.signal(signum, self._first)
    return self

  def _first(self, signum: int, frame: Any) -> None:
    del frame
    self.signum = signum
    for each in self._previous:
      signal.signal(each, signal.SIG_DFL)

  def __exit__(self, *exception: Any) -> None:
    for signum, handler in self._previous.items():
      signal.signal(signum, handler)


def next_boundary(step: int, num_steps: int, steps_per_call: int, periods: tuple[int, ...]) -> int:
  """Where the dispatch that starts at `step` ends: no later than the next multiple of each period, or step 1."""
  ends = [step + steps_per_call, num_steps, *(step - step % period + period for period in periods)]
  return min(ends) if step else 1


class Clock:
  """Time and speed of a run, for the scalars under time/.

  Args:
    step: where it begins.
    images_per_step: real images that a step sees.
    elapsed: seconds that earlier processes have spent on it.
  """

  def __init__(self, step: int, images_per_step: int, elapsed: float = 0.0):
    self._images_per_step, self._start, self._before = images_per_step, time.perf_counter(), elapsed
    self._last = step, self._start

  def read(self, step: int) -> dict[str, float]:
    """Seconds altogether, and the speed since the last reading."""
    now, (last_step, last_time) = time.perf_counter(), self._last
    self._last = step, now
    elapsed = {'time/elapsed_sec': self._before + now - self._start}
    if last_time == self._start:  # Most of this was compilation.
      return elapsed
    rate = (step - last_step) / max(now - last_time, 1e-9)
    return elapsed | {'time/steps_per_sec': rate, 'time/images_per_sec': rate * self._images_per_step}
