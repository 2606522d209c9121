"""What is dealt to the players of a game, and on which devices they draw."""

from collections.abc import Callable
from typing import NamedTuple

import jax
from jax import Array

from gan.games.cast import Draw, Sampler
from gan.randomness import step_key

Inputs = dict[str, Array]


class Devices(NamedTuple):
  """What a game has to know of devices: nothing, by default.

  Attributes:
    draw: (sampler, key, shape [B, ...]) -> this device's part, of that shape, of one draw for all devices.
    gather: this device's vector [L] -> that of all devices.
  """

  draw: Callable[[Sampler, Array, tuple[int, ...]], Array] = lambda sampler, key, shape: sampler(key, shape)
  gather: Callable[[Array], Array] = lambda x: x


ONE_DEVICE = Devices()


class Turn(NamedTuple):
  """What is dealt for one evaluation of the losses.

  Attributes:
    batch: columns of the data, by name, [B, ...]: this device's part.
    inputs: what the game draws beside them, such as latents {'z': [B, Z]}: this device's part.
    rng: root key of the run.
    step: steps finished so far.
    update: which update of the step this is; no two share their draws.
  """

  batch: dict[str, Array]
  inputs: Inputs
  rng: Array
  step: Array
  update: int

  def key(self, purpose: str) -> Array:
    """Key [] of one purpose in this turn."""
    return jax.random.fold_in(step_key(self.rng, purpose, self.step), self.update)

  def draw(self, devices: Devices) -> Draw:
    """The draws of this turn."""
    return lambda purpose, sampler, shape: devices.draw(sampler, self.key(purpose), shape)
