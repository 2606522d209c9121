"""The style of the pictures: colours with one meaning in all pictures, and plain axes.

Blue is the generator, orange the discriminator, grey the data. Lines of different colours have different dashes, too.
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from gan.show.images import INK
from gan.show.page import DISC, GEN
from gan.show.plots import GRID, PANEL, SOFT

SATURATING = '#a5368f'         # The saturating form of the generator's loss; the other form has the colour GEN.
DATA = '#8892a0'
DPI = 140                      # The page shows pictures 1,080 pixels wide; this is sharp on dense screens, too.

__all__ = ['DATA', 'DISC', 'GEN', 'GRID', 'INK', 'PANEL', 'SATURATING', 'SOFT', 'Explained', 'new_figure', 'plain']


class Explained(NamedTuple):
  """A picture and the numbers measured for it.

  Attributes:
    image: uint8 [H, W, 3].
    facts: plain data; every number in the text of the page comes from here.
  """

  image: np.ndarray
  facts: dict[str, Any]


def new_figure(width: float, height: float) -> Figure:
  """Make a white figure of this size in inches."""
  return Figure(figsize=(width, height), dpi=DPI, facecolor='white')


def plain(axes: Any, title: str = '', xlabel: str = '', ylabel: str = '') -> None:
  """Style axes: a pale panel, no ticks, a bold title at the left."""
  axes.set_facecolor(PANEL)
  axes.grid(color=GRID, linewidth=0.7)
  axes.set_axisbelow(True)
  axes.spines[:].set_color(GRID)
  axes.tick_params(labelsize=9, colors=INK, length=0, which='both')
  axes.set_title(title, loc='left', fontsize=11, weight='bold', color=INK, pad=9, parse_math=False)
  axes.set_xlabel(xlabel, fontsize=10, color=INK)
  axes.set_ylabel(ylabel, fontsize=10, color=INK)
