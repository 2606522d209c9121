"""Functions that the benchmarks share: dispatch of our loop, rates, and the load by other programs."""

import math
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from gan.data.pipeline import Pipeline
from gan.run.environment import num_cores

MAX_FOREIGN = 0.05           # Share of the cores that other programs may use.

Run = Callable[[int], None]   # Computes this number of steps, and returns when they are done.


def drive(loop: Callable, state: tuple, batches: Pipeline, hparams: dict, steps_per_call: int) -> Run:
  """Return a `Run` that dispatches a compiled loop as gan/run/train.py does."""
  reached = 0

  def run(steps: int) -> None:
    nonlocal state, reached
    stop = reached + steps
    while reached < stop:
      count = min(steps_per_call, stop - reached)
      state, _, (step, finite) = loop(state, batches.feed(reached, count), hparams, np.int32(count))
      reached += count
    jax.block_until_ready(state)
    if int(step) != reached or not finite:
      sys.exit(f'our training is no longer finite at step {int(step)}; its speed would mean nothing')

  return run


def rate(run: Run, steps: int) -> float:
  """Measure the steps per second of one turn."""
  start = time.perf_counter()
  run(steps)
  return steps / (time.perf_counter() - start)


def describe(values: np.ndarray) -> str:
  """Format median, minimum and maximum."""
  return f'{np.median(values):8.2f} {np.min(values):8.2f} {np.max(values):8.2f}'


def describe_machine() -> str:
  """Describe CPU, cores and versions, without which a speed means nothing."""
  cpuinfo = Path('/proc/cpuinfo')
  lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
  names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
  return (f'{names[0] if names else platform.processor()}, {num_cores()} cores; Python {platform.python_version()}, '
          f'jax {jax.__version__}')


def foreign_seconds() -> float:
  """Return the CPU seconds since boot of all other programs and neighbouring virtual machines; nan outside Linux."""
  stat = Path('/proc/stat')
  if not stat.exists():
    return math.nan
  user, nice, system, _, _, irq, softirq, steal = map(int, stat.read_text().split()[1:9])
  return (user + nice + system + irq + softirq + steal) / os.sysconf('SC_CLK_TCK') - time.process_time()
