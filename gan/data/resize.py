"""Conversion of any Pillow image to a square of 8-bit pixels: the same rule for TFDS and for the user's folder.

`flatten` changes the channels, then `fit` the size. Nothing here is random: augmentation lives elsewhere.
"""

import numpy as np
from PIL import Image

from gan.data.source import DataError

_GREY_MODES = ('1', 'L', 'LA', 'La')
DEEP_MODES = ('I', 'F', 'I;16', 'I;16L', 'I;16B', 'I;16N')   # 16-bit greyscale, and modes that may stand for it.


def flatten(image: Image.Image) -> Image.Image:
  """Reduce any Pillow mode to 8-bit greyscale ('L') or colour ('RGB').

  Transparent pixels are laid on white; 16-bit greyscale is scaled to 8 bits (65535 becomes 255, white); palettes and
  CMYK become RGB. Colour profiles are ignored.

  Args:
    image: image of any mode, as `decode.open_image` opens it.

  Returns:
    An image of mode 'L' if the mode has no colour, otherwise of mode 'RGB'.

  Raises:
    DataError: for floating-point numbers and for integers outside of 16 bits, because no number is known to be white.
  """
  if image.mode in ('L', 'RGB') and not image.has_transparency_data:
    return image
  if image.mode in DEEP_MODES:
    deep = np.asarray(image)
    if image.mode == 'F' or deep.min() < 0 or deep.max() > 65535:
      raise DataError(f'pixels of Pillow mode {image.mode} from {deep.min()} to {deep.max()} do not say which number '
                      'is white; save the image with 8 bits')
    if 'transparency' in image.info:  # A single value, because these modes have no alpha channel.
      deep = np.where(deep == image.info['transparency'], np.uint16(65535), deep)
    return Image.fromarray((deep / 257 + 0.5).astype(np.uint8))
  grey = image.mode in _GREY_MODES
  if image.has_transparency_data:
    image = image.convert('RGBA')
    image = Image.alpha_composite(Image.new('RGBA', image.size, 'white'), image)
  return image.convert('L' if grey else 'RGB')


def fit(image: Image.Image, image_size: int) -> Image.Image:
  """Scale the short side to `image_size` and keep the centre square.

  Images are shrunk by Lanczos interpolation (antialiased by Pillow) and enlarged by bicubic interpolation. An image
  whose short side already fits is only cropped, bit for bit. If the long side exceeds the short one by an odd number,
  one pixel more is cut off on the right or at the bottom.

  Args:
    image: image of mode 'L' or 'RGB' and of any size.
    image_size: side of the result in pixels; 0 keeps the image as it is.

  Returns:
    An image of the same mode, image_size x image_size.
  """
  width, height = image.size
  if image_size == 0 or (width, height) == (image_size, image_size):
    return image
  side = min(width, height)
  left, top = (width - side) // 2, (height - side) // 2   # Whole pixels, because half a pixel would blur.
  box = (left, top, left + side, top + side)
  if side == image_size:
    return image.crop(box)
  resampling = Image.Resampling.LANCZOS if side > image_size else Image.Resampling.BICUBIC
  return image.resize((image_size, image_size), resampling, box=box)


def to_array(image: Image.Image, channels: int) -> np.ndarray:
  """Return the pixels of a flattened image.

  Args:
    image: image of mode 'L' or 'RGB'.
    channels: 1 or 3; greyscale is repeated, colour becomes luma (ITU-R 601).

  Returns:
    [H, W, channels] in uint8.
  """
  mode = 'L' if channels == 1 else 'RGB'
  pixels = np.asarray(image if image.mode == mode else image.convert(mode))
  return pixels[..., None] if channels == 1 else pixels


def resize(pixels: np.ndarray, image_size: int) -> np.ndarray:
  """Apply `fit` to an array.

  Args:
    pixels: [H, W, C] in uint8, C is 1 or 3.
    image_size: side of the result in pixels; 0 keeps the image as it is.

  Returns:
    [image_size, image_size, C] in uint8.

  Raises:
    ValueError: if the dtype, the number of axes or the number of channels is another one.
  """
  if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] not in (1, 3):
    raise ValueError(f'pixels are {pixels.dtype} {list(pixels.shape)}; they must be uint8 [H, W, C] with C = 1 or 3')
  channels = pixels.shape[-1]
  return to_array(fit(Image.fromarray(pixels[..., 0] if channels == 1 else pixels), image_size), channels)
