"""Features: maps from images to vectors in which distributions of images are compared.

A score means something only beside the features that it was computed in, so each says what it is: name, digest of its
weights, how it resizes. `table.get_network` is the table; scores themselves are in gan/metrics.
"""

from collections.abc import Callable
from typing import NamedTuple

from jax import Array

from gan.state import PyTree


class Features(NamedTuple):
  """A map from images to vectors.

  Attributes:
    name: 'inception', 'classifier', 'pixels', 'random', or 'module:function'.
    extract: (weights, images uint8 [B, H, W, C]) -> {'features': float32 [B, D]} and, where it tells classes,
      'logits': float32 [B, K]. Pure, to be compiled by the caller.
    weights: arrays that `extract` needs.
    digest: hexadecimal digits that differ where the weights differ; '' where there are none.
    resizing: what is done to images before they are looked at, 'none' or a rule.
    batch: images that are looked at together; less for what needs much memory.
  """

  name: str
  extract: Callable[[PyTree, Array], dict[str, Array]]
  weights: PyTree
  digest: str
  resizing: str
  batch: int = 256
