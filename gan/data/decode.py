"""Decoding of image files: from bytes to an open Pillow image whose pixels are brightness.

This file decides which formats are read. Formats that run other programs (EPS), contain other files or are hardly used
are left out; otherwise Pillow would open them under any suffix.
"""

from typing import IO

from PIL import ExifTags, Image, features

from gan.data.source import DataError

_AVIF = 'avif' in features.get_supported_modules()   # Pillow 11.3 and newer, if it was built with AVIF.
FORMATS = ('PNG', 'JPEG', 'WEBP', 'BMP', 'GIF', 'TIFF', 'PPM', *(['AVIF'] if _AVIF else []))
SUFFIXES = ('.png', '.apng', '.jpg', '.jpeg', '.jpe', '.jfif', '.webp', '.bmp', '.gif', '.tif', '.tiff',
            '.ppm', '.pgm', '.pbm', '.pnm', *(['.avif'] if _AVIF else []))
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # TIFF tags; the first and the last have one value per channel.
_UNSIGNED, _WHITE_IS_ZERO = 1, 0
_TURNS = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
          5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
          8: Image.Transpose.ROTATE_90}   # By the orientation that Exif data state.

# PNG's raw modes in which Pillow scales the pixels to 8 bits but not the transparent value -> the missing scaling.
_KEY_TO_8_BITS = {'L;2': lambda key: key * 85, 'L;4': lambda key: key * 17,
                  'RGB;16B': lambda key: tuple(value >> 8 for value in key)}


def open_image(file: IO[bytes]) -> Image.Image:
  """Open an image; its pixels are decoded on first use.

  A PNG without alpha channel can name one value, or one colour, as transparent. Pillow reads only the high bytes of
  16-bit colours, so every colour with the same high bytes is then transparent, too.

  Args:
    file: an open binary file.

  Returns:
    An image for `resize.flatten`, to be closed by the caller. A file with several images (animation, pages) gives its
    first image.

  Raises:
    DataError: if Pillow would decode the pixels to wrong brightness, because it ignores what the file says about them.
    OSError: if the file has none of the FORMATS.
  """
  image = Image.open(file, formats=FORMATS)
  if image.format == 'TIFF':
    _check_tiff(image)
  if image.format == 'PNG' and 'transparency' in image.info:
    scaled = _KEY_TO_8_BITS.get(image.tile[0][3])
    if scaled:
      image.info['transparency'] = scaled(image.info['transparency'])
  return image


def orientation(image: Image.Image) -> int:
  """Return how an image is to be turned, from 1 (as it is) to 8, as its Exif data say; 1 if they cannot be read."""
  try:
    value = image.getexif().get(ExifTags.Base.Orientation, 1)
  except Exception:   # Pillow's parsers raise SyntaxError, TypeError, struct.error, ... at damaged Exif data.
    return 1
  return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(image: Image.Image) -> Image.Image:
  """Return an image as it is to be shown.

  Pillow's `exif_transpose` also rewrites all other Exif data, and fails where one of them is damaged.
  """
  image.load()   # Pillow turns a TIFF itself when it decodes it, and then forgets its orientation.
  turn = _TURNS.get(orientation(image))
  return image if turn is None else image.transpose(turn)


def _check_tiff(image: Image.Image) -> None:
  tags = image.tag_v2
  bits = max(tags.get(_BITS, (1,)))
  if any(kind != _UNSIGNED for kind in tags.get(_SAMPLE_FORMAT, ())) or bits > 16:
    raise DataError('a TIFF of signed, floating-point or 32-bit numbers does not say which number is white; save it '
                    'with 8 bits')
  if image.mode.startswith('I;16') and (bits != 16 or tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO):
    raise DataError(f'a TIFF of {bits} bits{" in which 0 is white" if bits == 16 else ""} would be read with wrong '
                    'brightness; save it with 8 bits')
