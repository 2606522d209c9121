"""Speed of three forms of the 4x4 stride-2 convolution, forwards and backwards in a compiled loop, on this machine.

  python -m experiments.benchmarks.convolution

The table shows from how many channels on Winograd's products are faster than patches: MIN_WINOGRAD_CHANNELS of
gan/models/convolution.py, in input channels after space to depth (4C). The two forms take turns; `lax.conv` is measured
only once, because it can be very slow.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from gan.models import convolution

MEMBERS = 4
SHAPES = (  # B, H, W, C, O of DCGAN's discriminator at 32 pixels; its generator has the same three, transposed.
    (64, 32, 32, 1, 64), (64, 32, 32, 3, 64), (64, 32, 32, 3, 16),
    (64, 16, 16, 8, 16), (64, 16, 16, 16, 32), (64, 16, 16, 32, 64), (64, 16, 16, 64, 128),
    (64, 8, 8, 32, 64), (64, 8, 8, 64, 128), (64, 8, 8, 128, 256))


def lax_conv(x: Array, kernel: Array) -> Array:
  """Compute the same as `strided_conv`, by XLA's convolution."""
  return jax.lax.conv_general_dilated(x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=('NHWC', 'HWIO', 'NHWC'))


# Form -> the function, and the value of MIN_WINOGRAD_CHANNELS with which it is traced.
FORMS = {'winograd': (convolution.strided_conv, 0), 'patches': (convolution.strided_conv, sys.maxsize),
         'lax.conv': (lax_conv, 0)}


def make_form(name: str, shape: tuple[int, ...], members: int) -> Callable[[int], float]:
  """Compile measure(iterations) -> seconds of one layer, forwards and backwards, for all members.

  Args:
    name: key of FORMS.
    shape: (B, H, W, C, O).
    members: number of sets of parameters and images, computed together by `vmap`; 1 means no `vmap`.
  """
  batch, height, width, channels, features = shape
  form, threshold = FORMS[name]
  x = jax.random.normal(jax.random.key(0), (members, batch, height, width, channels))
  kernel = 0.02 * jax.random.normal(jax.random.key(1), (members, 4, 4, channels, features))

  def update(x: Array, kernel: Array) -> tuple[Array, Array]:
    x_grad, kernel_grad = jax.grad(lambda *inputs: jnp.mean(form(*inputs) ** 2), (0, 1))(x, kernel)
    return x - 1e-3 * x_grad, kernel - 1e-3 * kernel_grad  # Every iteration needs the gradients of the last one.

  @jax.jit
  def loop(x: Array, kernel: Array, iterations: Array) -> tuple[Array, Array]:
    inputs = (x, kernel) if members > 1 else (x[0], kernel[0])
    body = jax.vmap(update) if members > 1 else update
    return jax.lax.fori_loop(0, iterations, lambda _, inputs: body(*inputs), inputs)

  usual, convolution.MIN_WINOGRAD_CHANNELS = convolution.MIN_WINOGRAD_CHANNELS, threshold
  try:
    compiled = loop.lower(x, kernel, 0).compile()
  finally:
    convolution.MIN_WINOGRAD_CHANNELS = usual

  def measure(iterations: int) -> float:
    start = time.perf_counter()
    jax.block_until_ready(compiled(x, kernel, iterations))
    return (time.perf_counter() - start) / iterations

  return measure


def main() -> None:
  """Measure, and print a table."""
  parser = argparse.ArgumentParser(description='Forms of the 4x4 stride-2 convolution, forwards and backwards.')
  parser.add_argument('--repetitions', type=int, default=5, help='number of turns of winograd and patches')
  parser.add_argument('--iterations', type=int, default=10, help='iterations of the compiled loop in a turn')
  parser.add_argument('--nolax', action='store_true', help='leave lax.conv out')
  args = parser.parse_args()
  print(f'python -m experiments.benchmarks.convolution {" ".join(sys.argv[1:])}'.strip())
  print(f'{jax.devices()[0].device_kind}, {os.cpu_count()} cores, jax {jax.__version__}; milliseconds, medians\n')
  print(f'{"B, H, W, C, O":24}{"members":>8}{"4C":>6}{"winograd":>10}{"patches":>10}{"lax.conv":>10}  '
        'patches / winograd: median (min to max)')
  for members in (1, MEMBERS):
    for shape in SHAPES:
      runs = {name: make_form(name, shape, members) for name in ('winograd', 'patches')}
      for run in runs.values():
        run(1)
      turns = [(runs['winograd'](args.iterations), runs['patches'](args.iterations)) for _ in range(args.repetitions)]
      winograd, patches = (1e3 * statistics.median(times) for times in zip(*turns, strict=True))
      ratios = sorted(slow / fast for fast, slow in turns)
      xla = '-' if args.nolax else f'{1e3 * make_form("lax.conv", shape, members)(1):.1f}'
      print(f'{shape!s:24}{members:8}{4 * shape[3]:6}{winograd:10.1f}{patches:10.1f}{xla:>10}  '
            f'{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})', flush=True)


if __name__ == '__main__':
  main()
