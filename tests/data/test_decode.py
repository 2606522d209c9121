"""Files of every kind are read as their 8-bit twins are."""

import io

import numpy as np
import pytest

from gan.data import decode, resize
from tests.data.png_writer import GREY, GREY_ALPHA, PALETTE, RGB, RGB_ALPHA, png

LEVELS = np.array([[0, 17, 85, 102, 255]])   # In 8 bits; all are multiples of 17, which is 1 in 4 bits.
COLOURS = np.stack([LEVELS, LEVELS[:, ::-1], LEVELS], -1)
RAMP = bytes(np.repeat(np.arange(256), 3).astype(np.uint8))


def flattened(data: bytes) -> np.ndarray:
  """[H, W, 3] of a file's pixels."""
  with decode.open_image(io.BytesIO(data)) as image:
    return resize.to_array(resize.flatten(image), 3)


def on_white(colours, alphas) -> np.ndarray:
  """[H, W, 3] of colours whose alpha is 0 or 255."""
  shown = np.where(np.asarray(alphas)[..., None] == 0, 255, colours)
  return shown.astype(np.uint8)


@pytest.mark.parametrize('key', [0, 85])
def test_a_transparent_value_is_white_at_every_depth(key):
  """A grey pixel is white where it has the transparent value, and itself elsewhere."""
  for depth, levels in ((1, [[0, 255]]), (2, [[0, 85, 170, 255]]), (4, LEVELS), (8, LEVELS), (16, LEVELS)):
    levels = np.asarray(levels)
    if key not in levels:
      continue
    unit = 255 / (2**depth - 1)
    data = png(np.rint(levels / unit).astype(int), depth, GREY, key=round(key / unit))
    want = on_white(np.repeat(levels[..., None], 3, -1), np.where(levels == key, 0, 255))
    np.testing.assert_array_equal(flattened(data), want, err_msg=f'{depth} bits')


@pytest.mark.parametrize('depth', [8, 16])
def test_other_kinds_of_transparency_are_white_too(depth):
  unit = 257 if depth == 16 else 1
  alphas = np.array([[0, 255, 0, 255, 255]])
  grey = np.repeat(LEVELS[..., None], 3, -1)
  files = {
      'colour key': (png(COLOURS * unit, depth, RGB, key=COLOURS[0, 1] * unit), COLOURS, [[255, 0, 255, 255, 255]]),
      'grey and alpha': (png(np.stack([LEVELS, alphas], -1) * unit, depth, GREY_ALPHA), grey, alphas),
      'colour and alpha': (png(np.concatenate([COLOURS, alphas[..., None]], -1) * unit, depth, RGB_ALPHA), COLOURS,
                           alphas),
      'palette': (png(LEVELS, 8, PALETTE, palette=RAMP, palette_alpha=bytes([255] * 17 + [0])), grey,
                  [[255, 0, 255, 255, 255]]),
  }
  for name, (data, colours, shown) in files.items():
    np.testing.assert_array_equal(flattened(data), on_white(colours, shown), err_msg=name)


def test_a_16_bit_colour_key_is_one_of_its_high_bytes():
  """Pillow keeps the high bytes of the pixels and the low bytes of the key."""
  colours = np.array([[[0x6401] * 3, [0x0101] * 3, [0x6500] * 3]])
  np.testing.assert_array_equal(flattened(png(colours, 16, RGB, key=[0x6401] * 3))[0, :, 0], [255, 1, 0x65])


def test_half_transparent_pixels_are_mixed_with_white_at_both_depths():
  """Alpha 51 of 255 on black is (255 - 51) of white."""
  for depth, unit in ((8, 1), (16, 257)):
    for colour_type, channels in ((GREY_ALPHA, 1), (RGB_ALPHA, 3)):
      pixel = np.array([[[0] * channels + [51]]]) * unit
      np.testing.assert_array_equal(flattened(png(pixel, depth, colour_type)), [[[204] * 3]])
