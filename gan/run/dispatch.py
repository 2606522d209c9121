"""The host's part between two dispatches: where a dispatch ends, signals, and the speed of the run."""

import signal
import time
from typing import Any


class Interrupted:
  """A context in which the first SIGTERM or Ctrl-C sets a flag, and the second ends the process at once."""

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
  """Return where the dispatch that starts at `step` ends: at most at the next multiple of each period.

  The first dispatch has a single step.
  """
  ends = [step + steps_per_call, num_steps, *(step - step % period + period for period in periods)]
  return min(ends) if step else 1


class Clock:
  """Time and speed of a run, for the scalars under time/.

  Args:
    step: the step at which the clock starts.
    images_per_step: real images that a step sees.
    elapsed: seconds that earlier processes have spent on the run.
  """

  def __init__(self, step: int, images_per_step: int, elapsed: float = 0.0):
    self._images_per_step, self._start, self._before = images_per_step, time.perf_counter(), elapsed
    self._last = step, self._start

  def read(self, step: int) -> dict[str, float]:
    """Return the total seconds, and the speed since the last reading."""
    now, (last_step, last_time) = time.perf_counter(), self._last
    self._last = step, now
    elapsed = {'time/elapsed_sec': self._before + now - self._start}
    if last_time == self._start:  # Most of this time was compilation.
      return elapsed
    rate = (step - last_step) / max(now - last_time, 1e-9)
    return elapsed | {'time/steps_per_sec': rate, 'time/images_per_sec': rate * self._images_per_step}
