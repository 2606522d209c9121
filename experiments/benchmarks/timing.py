"""What the benchmarks share: dispatching our loop, rates of turns, and what else the machine was doing."""

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

Run = Callable[[int], None]   # Computes so many steps, and returns when they are done.


def drive(loop: Callable, state: tuple, batches: Pipeline, hparams: dict, steps_per_call: int) -> Run:
  """Dispatches a compiled loop as gan/run/train.py does."""
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
      sys.exit(f'our training left the finite numbers at step {int(step)}; its speed would mean nothing')

  return run


def rate(run: Run, steps: int) -> float:
  """Steps per second of one turn."""
  start = time.perf_counter()
  run(steps)
  return steps / (time.perf_counter() - start)


def describe(values: np.ndarray) -> str:
  """Median, minimum and maximum."""
  return f'{np.median(values):8.2f} {np.min(values):8.2f} {np.max(values):8.2f}'


def describe_machine() -> str:
  """CPU, cores and versions: what a speed is worth nothing without."""
  cpuinfo = Path('/proc/cpuinfo')
  lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
  names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
  return (f'{names[0] if names else platform.processor()}, {num_cores()} cores; Python {platform.python_version()}, '
          f'jax {jax.__version__}')


def foreign_seconds() -> float:
  """CPU seconds since boot of all other programs and, in a virtual machine, of its neighbours; nan if not Linux."""
  stat = Path('/proc/stat')
  if not stat.exists():
    return math.nan
  user, nice, system, _, _, irq, softirq, steal = map(int, stat.read_text().split()[1:9])
  return (user + nice + system + irq + softirq + steal) / os.sysconf('SC_CLK_TCK') - time.process_time()
