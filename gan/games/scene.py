"""The scene of the game of generation: samples, logits and the discriminator, for its terms."""

from collections.abc import Callable
from typing import NamedTuple

from jax import Array

from gan.models.conditional import Judged


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
    real_labels, fake_labels: classes [B] of conditional runs; else None.
    real_head, fake_head: what a discriminator with a head says besides its logits; else None.
  """

  real: Array
  fake: Array
  real_logits: Array
  fake_logits: Array
  real_slope: Array | None
  fake_slope: Array | None
  judge: Judge
  real_labels: Array | None = None
  fake_labels: Array | None = None
  real_head: Judged | None = None
  fake_head: Judged | None = None
