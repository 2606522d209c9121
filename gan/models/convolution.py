"""Convolutions of images [B, H, W, C] with kernels [h, w, C, O], in the form that suits the platform.

All convolutions of all networks are here. Kernels are not flipped (cross-correlation), and every form equals
`lax.conv_general_dilated` in value and gradient, to rounding. `gan.models.matmul` has the matrix products that are
fastest on a CPU and the only fast form there inside loops and under `vmap`. GPUs and TPUs have fast convolutions of
their own. `experiments/benchmarks/convolution.py` measures both on the machine on which it runs.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

from gan.declare import Setting, one_of
from gan.models import matmul

FORMS = ('auto', 'lax', 'matmul')
SETTING = Setting('auto', "Form of convolutions: lax (XLA's own), matmul (matrix products), or auto: matmul on a CPU "
                  'and in populations, else lax. They agree to rounding.', one_of(FORMS))
_LAYOUT = ('NHWC', 'HWIO', 'NHWC')
_SQUARE_SUM_EPS = 1e-8   # As in the authors' code of StyleGAN2.

Convolution = Callable[[Array, Array], Array]   # (x, kernel) -> y.


def chosen(form: str) -> str:
  """Return 'lax' or 'matmul': the form itself, or for 'auto' that of the platform on which JAX computes.

  Raises:
    ValueError: if the form is unknown.
  """
  if form not in FORMS:
    raise ValueError(f'convolution={form!r} is unknown; known: {", ".join(FORMS)}')
  if form == 'auto':
    return 'matmul' if jax.default_backend() == 'cpu' else 'lax'
  return form


def conv1x1(x: Array, kernel: Array) -> Array:
  """Convolve with a 1x1 kernel [1, 1, C, O], which is a matrix product in every form."""
  _check('conv1x1', x, kernel, 1)
  return x @ kernel[0, 0]


def conv3x3(x: Array, kernel: Array, form: str = 'auto') -> Array:
  """Convolve with a 3x3 kernel, stride 1 and one pixel of zero padding, which keeps the size of the image.

  Args:
    x: [B, H, W, C].
    kernel: [3, 3, C, O].
    form: one of FORMS.

  Returns:
    [B, H, W, O].

  Raises:
    ValueError: if the kernel is not 3x3 or the channels differ.
  """
  _check('conv3x3', x, kernel, 3)
  return matmul.conv3x3(x, kernel) if chosen(form) == 'matmul' else _lax(x, kernel, 1, 1)


def strided_conv(x: Array, kernel: Array, form: str = 'auto') -> Array:
  """Convolve with a 4x4 kernel, stride 2 and one pixel of zero padding, which halves the image.

  Args:
    x: [B, H, W, C], H and W even.
    kernel: [4, 4, C, O].
    form: one of FORMS.

  Returns:
    [B, H/2, W/2, O].

  Raises:
    ValueError: if the kernel is not 4x4, or H or W is odd, or the channels differ.
  """
  _check('strided_conv', x, kernel, 4, even=True)
  return matmul.conv4x4_half(x, kernel) if chosen(form) == 'matmul' else _lax(x, kernel, 2, 1)


def transposed_conv(x: Array, kernel: Array, form: str = 'auto') -> Array:
  """Apply the transpose of `strided_conv`, which doubles the image.

  Args:
    x: [B, H, W, C].
    kernel: [4, 4, C, O]; equals PyTorch's ConvTranspose2d(C, O, 4, 2, 1) up to the order of axes.
    form: one of FORMS.

  Returns:
    [B, 2H, 2W, O].

  Raises:
    ValueError: if the kernel is not 4x4 or the channels differ.
  """
  _check('transposed_conv', x, kernel, 4)
  return _transposed(functools.partial(strided_conv, form=form), x, kernel, (2 * x.shape[1], 2 * x.shape[2]))


def conv_down(x: Array, kernel: Array, form: str = 'auto') -> Array:
  """Blur with [1, 3, 3, 1], then convolve with a 3x3 kernel and stride 2, which halves the image.

  The blur is the low-pass filter of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958; Zhang 2019, arXiv:1904.11486).
  Borders are padded with zeros.

  Args:
    x: [B, H, W, C], H and W even.
    kernel: [3, 3, C, O].
    form: one of FORMS.

  Returns:
    [B, H/2, W/2, O].

  Raises:
    ValueError: if the kernel is not 3x3, or H or W is odd, or the channels differ.
  """
  _check('conv_down', x, kernel, 3, even=True)
  return _conv3x3_half(blur(x, (2, 2)), kernel, form)


def conv_up(x: Array, kernel: Array, form: str = 'auto') -> Array:
  """Apply the transpose of a 3x3 convolution with stride 2, then blur with [1, 3, 3, 1], which doubles the image.

  This is the up-sampling convolution of StyleGAN2 in polyphase form: the products are taken on the small image. Each
  pixel adds its multiple of the kernel to the large image, so the result is that of zeros between the pixels and a
  convolution with the *flipped* kernel (a true convolution), as in the authors' code.

  Args:
    x: [B, H, W, C].
    kernel: [3, 3, C, O].
    form: one of FORMS.

  Returns:
    [B, 2H, 2W, O].

  Raises:
    ValueError: if the kernel is not 3x3 or the channels differ.
  """
  _check('conv_up', x, kernel, 3)
  large = _transposed(functools.partial(_conv3x3_half, form=form), x, kernel, (2 * x.shape[1] + 1, 2 * x.shape[2] + 1))
  return 4.0 * blur(large, (1, 1))   # Only every fourth pixel of the larger image came from a pixel.


def upsample(x: Array) -> Array:
  """Double the image: zeros between the pixels, blurred with [1, 3, 3, 1]; [B, H, W, C] -> [B, 2H, 2W, C]."""
  for axis in (1, 2):
    before, after = (_shifted(x, axis, offset) for offset in (-1, 1))
    pair = jnp.stack([0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after], axis=axis + 1)
    x = pair.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1:])
  return x


def downsample(x: Array) -> Array:
  """Halve the image: blurred with [1, 3, 3, 1], every second pixel kept; [B, H, W, C] -> [B, H/2, W/2, C]."""
  for axis in (1, 2):
    pairs = x.reshape(*x.shape[:axis], x.shape[axis] // 2, 2, *x.shape[axis + 1:])
    even, odd = (lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in (0, 1))
    x = 0.375 * (even + odd) + 0.125 * (_shifted(odd, axis, -1) + _shifted(even, axis, 1))
  return x


def blur(x: Array, pad: tuple[int, int]) -> Array:
  """Blur both axes of images with [1, 3, 3, 1] / 8 after padding them with zeros; the result is 3 pixels smaller."""
  for axis in (1, 2):
    padded = jnp.pad(x, [pad if i == axis else (0, 0) for i in range(4)])
    length = padded.shape[axis] - 3
    taps = [lax.slice_in_dim(padded, i, i + length, axis=axis) for i in range(4)]
    x = 0.125 * (taps[0] + taps[3]) + 0.375 * (taps[1] + taps[2])
  return x


def modulated(conv: Convolution, x: Array, kernel: Array, styles: Array, *, demodulate: bool = True) -> Array:
  """Convolve each image with a kernel of its own, of which the input channels are scaled by the image's style.

  Modulation and demodulation of StyleGAN2 (arXiv:1912.04958, section 2.2), with one shared kernel: scaling the input
  channels before the convolution is the same as scaling those of the kernel, and needs no convolution of groups.

  Args:
    conv: one of the convolutions of this file.
    x: [B, H, W, C].
    kernel: [h, w, C, O].
    styles: [B, C], float32.
    demodulate: whether each image's kernel is divided, for each output channel, by its norm over the other axes.

  Returns:
    What `conv` returns.
  """
  y = conv(x * styles[:, None, None].astype(x.dtype), kernel)
  if not demodulate:
    return y
  norms = jnp.square(styles) @ jnp.sum(jnp.square(kernel.astype(styles.dtype)), axis=(0, 1))
  return y * lax.rsqrt(norms + _SQUARE_SUM_EPS)[:, None, None].astype(x.dtype)


def _check(name: str, x: Array, kernel: Array, size: int, even: bool = False) -> None:
  _, height, width, channels = x.shape
  if kernel.shape[:3] != (size, size, channels) or (even and (height % 2 or width % 2)):
    raise ValueError(f'{name} needs a kernel [{size}, {size}, {channels}, O]{" and even sides" if even else ""}; '
                     f'got kernel {kernel.shape}, x {x.shape}')


def _lax(x: Array, kernel: Array, stride: int, pad: int) -> Array:
  return lax.conv_general_dilated(x, kernel, (stride, stride), ((pad, pad), (pad, pad)), dimension_numbers=_LAYOUT)


def _conv3x3_half(x: Array, kernel: Array, form: str) -> Array:
  return matmul.conv3x3_half(x, kernel) if chosen(form) == 'matmul' else _lax(x, kernel, 2, 0)


def _transposed(conv: Convolution, x: Array, kernel: Array, sides: tuple[int, int]) -> Array:
  """Apply the transpose of conv(image [B, *sides, O], kernel [h, w, O, C]) to x [B, H, W, C]."""
  image = jax.ShapeDtypeStruct((x.shape[0], *sides, kernel.shape[3]), x.dtype)
  [y] = jax.linear_transpose(lambda image: conv(image, kernel.swapaxes(2, 3)), image)(x)
  return y


def _shifted(x: Array, axis: int, offset: int) -> Array:
  """Return x with its neighbours (offset -1: those before) in place of its pixels; zeros lie outside."""
  length = x.shape[axis]
  padded = jnp.pad(x, [(1, 1) if i == axis else (0, 0) for i in range(x.ndim)])
  return lax.slice_in_dim(padded, 1 + offset, 1 + offset + length, axis=axis)
