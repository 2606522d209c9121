"""Features: maps from images to vectors, by which distributions of images are compared.

A score means something only together with the features that it was computed in. So `Features` carry a name, a digest of
their weights and a rule of resizing. `table.get_network` is the table; the scores themselves are in gan/metrics.
"""

from collections.abc import Callable
from typing import NamedTuple

from jax import Array

from gan.state import PyTree


class Features(NamedTuple):
  """A map from images to vectors.

  Attributes:
    name: 'inception', 'classifier', 'pixels', 'random', or 'module:function'.
    extract: (weights, images uint8 [B, H, W, C]) -> {'features': float32 [B, D]} and, if the network classifies,
      'logits': float32 [B, K]. A pure function, compiled by the caller.
    weights: arrays that `extract` needs.
    digest: hexadecimal digits that identify the weights; '' without weights.
    resizing: how images are resized for the network, 'none' or a rule.
    batch: number of images in one call; small for networks that need much memory.
  """

  name: str
  extract: Callable[[PyTree, Array], dict[str, Array]]
  weights: PyTree
  digest: str
  resizing: str
  batch: int = 256
