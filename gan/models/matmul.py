"""Convolutions as matrix products; `gan.models.convolution` decides where they are used.

XLA on the CPU has no fast path for strided and transposed convolutions or their gradients, and runs any `lax.conv`
inside a loop some thirty times slower than outside (jax-ml/jax#12868). Matrix products are fast everywhere, also inside
`scan`. Under `vmap` over parameters they become batched matrix products, where `lax.conv` becomes a grouped
convolution. Every function here is linear in x, so `jax.linear_transpose` makes the transposed convolution of it, and
the same matrix products serve the forward pass, the backward pass and the gradient of the kernel.

With x cut into 2x2 blocks (space to depth), the 4x4 stride-2 convolution is a 2x2 stride-1 convolution, which is
computed in one of two ways:

* by Winograd's minimal filtering F(2, 2) in both directions (Winograd 1980; Lavin & Gray 2016, arXiv:1509.09308):
  nine products for each 2x2 block of outputs where the definition has sixteen, with transforms that only add; or
* from patches, four shifted copies side by side, if there are so few channels that the transforms would cost more than
  they save.

The 3x3 convolution of stride 1 shifts its input along one axis and its output along the other. Three copies of each
move less data than nine copies of the input (patches) or the sixteen products of Winograd's F(2, 3). Measured on two
cores, forwards and backwards in a loop, at 8 to 256 channels, alone and under `vmap`: this took two thirds of the time
of either alternative on average, at least a third of it and at most as much.

The 3x3 convolution of stride 2 does so, too, with one product for even rows, which meet two rows of the kernel, and
one for odd rows. Its transpose is then nine products on the small image, whose shifted sum is the large one (the
polyphase form). On the same cores this took 0.7 to 0.8 of the time of nine patches, and at worst 1.1 of it.
"""

import jax
import jax.numpy as jnp
from jax import Array

MIN_WINOGRAD_CHANNELS = 64  # Input channels after space to depth; see experiments/benchmarks/convolution.py.


def conv4x4_half(x: Array, kernel: Array) -> Array:
  """Convolve with a 4x4 kernel, stride 2 and one pixel of zero padding: [B, H, W, C] -> [B, H/2, W/2, O]."""
  channels = x.shape[-1]
  blocks = _space_to_depth(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))))
  taps = kernel.reshape(2, 2, 2, 2, channels, -1).swapaxes(1, 2).reshape(2, 2, 4 * channels, -1)
  return _conv2x2_winograd(blocks, taps) if 4 * channels >= MIN_WINOGRAD_CHANNELS else _conv2x2_patches(blocks, taps)


def conv3x3(x: Array, kernel: Array) -> Array:
  """Convolve with a 3x3 kernel, stride 1 and one pixel of zero padding: [B, H, W, C] -> [B, H, W, O]."""
  batch, height, width, channels = x.shape
  x = jnp.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
  shifted = jnp.concatenate([x[:, :, j:j + width] for j in range(3)], axis=-1)
  taps = kernel.transpose(1, 2, 0, 3).reshape(3 * channels, -1)  # [3C, 3O]: O outputs for each row of the kernel.
  y = (shifted.reshape(-1, 3 * channels) @ taps).reshape(batch, height, width, 3, -1)
  y = jnp.pad(y, ((0, 0), (1, 1), (0, 0), (0, 0), (0, 0)))
  return y[:, :height, :, 0] + y[:, 1:height + 1, :, 1] + y[:, 2:, :, 2]


def conv3x3_half(x: Array, kernel: Array) -> Array:
  """Convolve with a 3x3 kernel and stride 2, without padding: [B, 2H + 1, 2W + 1, C] -> [B, H, W, O]."""
  batch, height, width, channels = x.shape[0], x.shape[1] // 2, x.shape[2] // 2, x.shape[3]
  features = kernel.shape[3]
  # Slices of an array cut into pairs have stride 1, so they and their transposes are fast.
  x = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0))).reshape(batch, 2 * height + 2, width + 1, 2, channels)
  shifted = jnp.concatenate([x[:, :, j // 2:j // 2 + width, j % 2] for j in range(3)], axis=-1)
  rows = shifted.reshape(batch, height + 1, 2, width, 3 * channels)
  first, middle, last = kernel.reshape(3, 3 * channels, features)
  even = rows[:, :, 0].reshape(-1, 3 * channels) @ jnp.concatenate([first, last], axis=-1)
  odd = rows[:, :height, 1].reshape(-1, 3 * channels) @ middle
  even = even.reshape(batch, height + 1, width, 2, features)
  return even[:, :height, :, 0] + odd.reshape(batch, height, width, features) + even[:, 1:, :, 1]


def _space_to_depth(x: Array) -> Array:
  """Turn each 2x2 block into the channels of one position: [B, 2H, 2W, C] -> [B, H, W, 4C]."""
  batch, height, width, channels = x.shape
  x = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
  return x.swapaxes(2, 3).reshape(batch, height // 2, width // 2, 4 * channels)


def _conv2x2_patches(x: Array, kernel: Array) -> Array:
  """Convolve x [B, H+1, W+1, C] with a kernel [2, 2, C, O] without padding -> [B, H, W, O]."""
  batch, height, width, _ = x.shape
  shifted = [x[:, i:height - 1 + i, j:width - 1 + j] for i in (0, 1) for j in (0, 1)]
  patches = jnp.concatenate(shifted, axis=-1)
  y = patches.reshape(-1, patches.shape[-1]) @ kernel.reshape(patches.shape[-1], -1)
  return y.reshape(batch, height - 1, width - 1, -1)


def _conv2x2_winograd(x: Array, kernel: Array) -> Array:
  """Compute `_conv2x2_patches` by F(2, 2), which gets two outputs of a two-tap filter from three products.

  The outputs y0 = d0 g0 + d1 g1 and y1 = d1 g0 + d2 g1 equal m0 + m1 and m1 - m2, where
  m0 = (d0 - d1) g0, m1 = d1 (g0 + g1), m2 = (d1 - d2) g1.
  """
  batch, height, width = x.shape[0], x.shape[1] - 1, x.shape[2] - 1
  x = jnp.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))  # Odd sides get one more output, which is dropped.
  tiles = [column for row in _winograd_input(x, 1) for column in _winograd_input(row, 2)]
  taps = [tap for row in _winograd_kernel(kernel) for tap in _winograd_kernel(row)]
  rows, columns = tiles[0].shape[1:3]
  products = jnp.einsum('tnc,tco->tno', jnp.stack(tiles).reshape(9, -1, x.shape[-1]), jnp.stack(taps))
  m = products.reshape(3, 3, batch, rows, columns, -1)
  m = jnp.stack([m[0] + m[1], m[1] - m[2]])
  m = jnp.stack([m[:, 0] + m[:, 1], m[:, 1] - m[:, 2]], axis=1)  # [2, 2, B, rows, columns, O]
  y = m.transpose(2, 3, 0, 4, 1, 5).reshape(batch, 2 * rows, 2 * columns, -1)
  return y[:, :height, :width]


def _winograd_input(x: Array, axis: int) -> tuple[Array, Array, Array]:
  """Cut an axis of odd length into overlapping triples (d0, d1, d2); return d0 - d1, d1 and d1 - d2."""
  n = x.shape[axis]
  d0, d1, d2 = (jax.lax.slice_in_dim(x, start, stop, 2, axis) for start, stop in ((0, n - 2), (1, n - 1), (2, n)))
  return d0 - d1, d1, d1 - d2


def _winograd_kernel(taps: Array) -> tuple[Array, Array, Array]:
  return taps[0], taps[0] + taps[1], taps[1]
