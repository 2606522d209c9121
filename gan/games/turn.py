"""A turn, which holds the batch and the draws of one evaluation of the losses; and draws over several devices."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import Array

from gan.games.cast import Draw, Sampler
from gan.randomness import step_key

Inputs = dict[str, Any]   # Arrays by name.


class Devices(NamedTuple):
  """Draws and gathers over all devices; by default for a single device.

  Attributes:
    draw: (sampler, key, shape [B, ...]) -> this device's part, of that shape, of one draw for all devices.
    gather: vector [L] of this device -> vector of all devices.
  """

  draw: Callable[[Sampler, Array, tuple[int, ...]], Array] = lambda sampler, key, shape: sampler(key, shape)
  gather: Callable[[Array], Array] = lambda x: x


ONE_DEVICE = Devices()


class Turn(NamedTuple):
  """Batch and draws of one evaluation of the losses.

  Attributes:
    batch: columns [B, ...] of the data, by name: this device's part.
    inputs: inputs that the game draws, such as latents {'z': [B, Z]}: this device's part.
    rng: root key of the run.
    step: number of finished steps.
    update: number of the update within the step; no two updates share their draws.
  """

  batch: dict[str, Array]
  inputs: Inputs
  rng: Array
  step: Array
  update: int

  def key(self, purpose: str) -> Array:
    """Return the key [] of one purpose in this turn."""
    return jax.random.fold_in(step_key(self.rng, purpose, self.step), self.update)

  def draw(self, devices: Devices) -> Draw:
    """Return the draws of this turn: (purpose, sampler, shape) -> this device's part of one draw."""
    return lambda purpose, sampler, shape: devices.draw(sampler, self.key(purpose), shape)
