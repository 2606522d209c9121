"""From the bytes of an image file to an opened Pillow image, with a transparent value in the units of its pixels."""

from typing import IO

from PIL import Image

# PNG's raw modes in which Pillow scales the pixels to 8 bits, but not the transparent value: what it must do.
_KEY_TO_8_BITS = {'L;2': lambda key: key * 85, 'L;4': lambda key: key * 17,
                  'RGB;16B': lambda key: tuple(value >> 8 for value in key)}


def open_image(file: IO[bytes]) -> Image.Image:
  """Open an image; its pixels are decoded when they are asked for.

  A PNG without alpha channel can name one value, or one colour, as transparent. Of 16-bit colours Pillow reads the high
  bytes alone, so every colour with those high bytes is then transparent.

  Args:
    file: an open binary file.

  Returns:
    An image for `resize.flatten`, to be closed by the caller.
  """
  image = Image.open(file)
  if image.format == 'PNG' and 'transparency' in image.info:
    scaled = _KEY_TO_8_BITS.get(image.tile[0][3])
    if scaled:
      image.info['transparency'] = scaled(image.info['transparency'])
  return image
