"""Speed of the forms of each convolution, forwards and backwards in a compiled loop, on this machine.

  python -m experiments.benchmarks.convolution
  python -m experiments.benchmarks.convolution --only=up,down,modulated

For each operation of gan/models/convolution.py the table compares matrix products with `lax.conv`, alone and for
several sets of kernels under `vmap`, as in a population: that is what `model.convolution=auto` decides. For the 4x4
convolution of stride 2 it also shows from how many channels on Winograd's products are faster than patches:
MIN_WINOGRAD_CHANNELS of gan/models/matmul.py, in input channels after space to depth (4C). Matrix products take turns;
on a CPU `lax.conv` is measured only once, because it can be very slow there.
"""

import argparse
import functools
import os
import statistics
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from gan.models import convolution, matmul

MEMBERS = 4
STRIDED = (  # B, H, W, C, O of DCGAN's discriminator at 32 pixels; its generator has the same three, transposed.
    (64, 32, 32, 1, 64), (64, 32, 32, 3, 64), (64, 32, 32, 3, 16),
    (64, 16, 16, 8, 16), (64, 16, 16, 16, 32), (64, 16, 16, 32, 64), (64, 16, 16, 64, 128),
    (64, 8, 8, 32, 64), (64, 8, 8, 64, 128), (64, 8, 8, 128, 256))
SQUARE = ((32, 8, 8, 32, 32), (32, 16, 16, 16, 16), (32, 16, 16, 64, 64))   # Layers of StyleGAN2, small ones first.


def _modulated(x: Array, kernel: Array, form: str) -> Array:
  styles = 1.0 + 0.1 * x[:, 0, 0]
  return convolution.modulated(functools.partial(convolution.conv3x3, form=form), x, kernel, styles)


# Operation -> (function, side of its kernel, shapes).
OPERATIONS = {
    'strided': (convolution.strided_conv, 4, STRIDED),
    'transposed': (convolution.transposed_conv, 4, SQUARE),
    '3x3': (convolution.conv3x3, 3, SQUARE),
    'up': (convolution.conv_up, 3, SQUARE),
    'down': (convolution.conv_down, 3, SQUARE),
    'modulated': (_modulated, 3, SQUARE),
}


def make_run(operation: str, form: str, shape: tuple[int, ...], members: int,
             threshold: int | None = None) -> Callable[[int], float]:
  """Compile measure(iterations) -> seconds of one layer, forwards and backwards, for all members.

  Args:
    operation: key of OPERATIONS.
    form: 'lax' or 'matmul'.
    shape: (B, H, W, C, O).
    members: number of sets of parameters and images, computed together by `vmap`; 1 means no `vmap`.
    threshold: value of MIN_WINOGRAD_CHANNELS with which the layer is traced; by default as it is.
  """
  batch, height, width, channels, features = shape
  function, side, _ = OPERATIONS[operation]
  x = jax.random.normal(jax.random.key(0), (members, batch, height, width, channels))
  kernel = 0.02 * jax.random.normal(jax.random.key(1), (members, side, side, channels, features))

  def update(x: Array, kernel: Array) -> tuple[Array, Array]:
    x_grad, kernel_grad = jax.grad(lambda *inputs: jnp.mean(function(*inputs, form) ** 2), (0, 1))(x, kernel)
    return x - 1e-3 * x_grad, kernel - 1e-3 * kernel_grad  # Every iteration needs the gradients of the last one.

  @jax.jit
  def loop(x: Array, kernel: Array, iterations: Array) -> tuple[Array, Array]:
    inputs = (x, kernel) if members > 1 else (x[0], kernel[0])
    body = jax.vmap(update) if members > 1 else update
    return jax.lax.fori_loop(0, iterations, lambda _, inputs: body(*inputs), inputs)

  usual = matmul.MIN_WINOGRAD_CHANNELS
  matmul.MIN_WINOGRAD_CHANNELS = usual if threshold is None else threshold
  try:
    compiled = loop.lower(x, kernel, 0).compile()
  finally:
    matmul.MIN_WINOGRAD_CHANNELS = usual

  def measure(iterations: int) -> float:
    start = time.perf_counter()
    jax.block_until_ready(compiled(x, kernel, iterations))
    return (time.perf_counter() - start) / iterations

  return measure


def make_runs(operation: str, shape: tuple[int, ...], members: int, slow: bool) -> dict[str, Callable[[int], float]]:
  """Make the runs of one line that take turns; those by `lax.conv` only if they are not `slow`."""
  if operation == 'strided':
    runs = {'winograd': make_run(operation, 'matmul', shape, members, 0),
            'patches': make_run(operation, 'matmul', shape, members, sys.maxsize)}
  else:
    runs = {'matmul': make_run(operation, 'matmul', shape, members)}
  return runs if slow else runs | {'lax': make_run(operation, 'lax', shape, members)}


def main() -> None:
  """Measure, and print a table."""
  parser = argparse.ArgumentParser(description='Forms of convolutions, forwards and backwards.')
  parser.add_argument('--repetitions', type=int, default=5, help='number of turns')
  parser.add_argument('--iterations', type=int, default=10, help='iterations of the compiled loop in a turn')
  parser.add_argument('--only', default='', help=f'operations, comma-separated: {", ".join(OPERATIONS)}')
  parser.add_argument('--nolax', action='store_true', help='leave lax.conv out')
  args = parser.parse_args()
  operations = args.only.split(',') if args.only else list(OPERATIONS)
  if unknown := [name for name in operations if name not in OPERATIONS]:
    sys.exit(f'--only={args.only}: {unknown[0]!r} is unknown; choose from {", ".join(OPERATIONS)}')
  on_cpu = jax.default_backend() == 'cpu'
  print(f'python -m experiments.benchmarks.convolution {" ".join(sys.argv[1:])}'.strip())
  print(f'{jax.devices()[0].device_kind}, {os.cpu_count()} cores, jax {jax.__version__}; milliseconds, medians\n')
  print(f'{"operation":12}{"B, H, W, C, O":24}{"members":>8}  times, and their ratios to the first: '
        'median (min to max)')
  for operation in operations:
    for members in (1, MEMBERS):
      for shape in OPERATIONS[operation][2]:
        runs = make_runs(operation, shape, members, on_cpu or args.nolax)
        for run in runs.values():
          run(1)
        turns = [{name: run(args.iterations) for name, run in runs.items()} for _ in range(args.repetitions)]
        if on_cpu and not args.nolax:
          once = make_run(operation, 'lax', shape, members)(1)
          turns = [turn | {'lax': once} for turn in turns]
        first, *others = turns[0]
        line = f'{first} {1e3 * statistics.median(turn[first] for turn in turns):.1f}'
        for name in others:
          ratios = sorted(turn[name] / turn[first] for turn in turns)
          line += (f', {name} {1e3 * statistics.median(turn[name] for turn in turns):.1f}, '
                   f'{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})')
        print(f'{operation:12}{shape!s:24}{members:8}  {line}', flush=True)


if __name__ == '__main__':
  main()
