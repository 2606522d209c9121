"""PNG files of every depth and colour type, with a transparent value: Pillow writes only some of them."""

import struct
import zlib

import numpy as np

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6


def png(values, depth, colour_type, key=None, palette=None, palette_alpha=None) -> bytes:
  """A PNG file (ISO/IEC 15948).

  Args:
    values: [H, W] or [H, W, channels] integers in [0, 2^depth).
    depth: bits of a value: 1, 2, 4, 8 or 16.
    colour_type: GREY, ...
    key: the transparent value, or the three of a colour, in the units of `values`.
    palette: bytes, three for each entry.
    palette_alpha: bytes, one for each entry.
  """
  values = np.asarray(values)
  height, width = values.shape[:2]
  if depth == 16:
    rows = [row.astype('>u2').tobytes() for row in values]
  else:
    bits = (values.reshape(height, -1, 1) >> np.arange(depth)[::-1]) & 1
    rows = [np.packbits(row.ravel().astype(np.uint8)).tobytes() for row in bits]
  chunks = [(b'IHDR', struct.pack('>IIBBBBB', width, height, depth, colour_type, 0, 0, 0))]
  if palette is not None:
    chunks.append((b'PLTE', palette))
  if key is not None:
    chunks.append((b'tRNS', np.atleast_1d(key).astype('>u2').tobytes()))
  if palette_alpha is not None:
    chunks.append((b'tRNS', palette_alpha))
  chunks += [(b'IDAT', zlib.compress(b''.join(b'\0' + row for row in rows))), (b'IEND', b'')]
  return b'\x89PNG\r\n\x1a\n' + b''.join(
      struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data)) for kind, data in chunks)
