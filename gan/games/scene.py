"""The scene of the game of generation: samples, logits and the discriminator, for its terms."""

from collections.abc import Callable
from typing import NamedTuple

from jax import Array


class Judge(NamedTuple):
  """The discriminator as functions of samples alone.

  Attributes:
    real, fake: samples [B, ...] -> logits [L], through the augmentations and noise of this turn.
    see_real, see_fake: samples -> input of the network.
    seen: input of the network -> logits [L].
  """

  real: Callable[[Array], Array]
  fake: Callable[[Array], Array]
  see_real: Callable[[Array], Array]
  see_fake: Callable[[Array], Array]
  seen: Callable[[Array], Array]


class Scene(NamedTuple):
  """Both batches and the discriminator's outputs for them, on this device.

  Attributes:
    real, fake: samples [B, ...].
    real_logits, fake_logits: [L].
    real_slope, fake_slope: |grad_x D|^2 [L], if a term needs them; else None.
    judge: the discriminator, for terms that evaluate it at other samples.
  """

  real: Array
  fake: Array
  real_logits: Array
  fake_logits: Array
  real_slope: Array | None
  fake_slope: Array | None
  judge: Judge
