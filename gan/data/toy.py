"""Mixtures of Gaussians, drawn on the device, for which mode collapse can be counted and games can be solved.

The parameters of `ring` and `grid` are PacGAN's (Lin et al. 2018, arXiv:1712.04086), so that results can be compared
with published ones. `dirac` and `gaussian` are the data of one-dimensional games with a solution in closed form.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan.data.source import Column, columns_of
from gan.randomness import normal, purpose_key, root_key


class Mixture(NamedTuple):
  """An equal mixture of isotropic Gaussians.

  Attributes:
    name: key of MIXTURES.
    modes: float32 [K, D], means of the Gaussians.
    sigma: standard deviation of each Gaussian, in units of the data.
    num_points: size of the data set that replaces the mixture in training; None: training draws new samples forever.
  """

  name: str
  modes: np.ndarray
  sigma: float
  num_points: int | None = None

  @property
  def class_names(self) -> tuple[str, ...]:
    """Return (): a mode is not a class."""
    return ()

  @property
  def num_examples(self) -> int | None:
    """Return the size of the data set; None if training draws new samples forever."""
    return self.num_points

  @property
  def columns(self) -> dict[str, Column]:
    """Return the columns of a batch."""
    return columns_of(self.modes.shape[1:])

  def fingerprint(self) -> str:
    """Return the mixture's name and parameters, as a text."""
    points = f', {self.num_points} points' if self.num_points else ''
    return f'{self.name}: {len(self.modes)} modes, sigma {self.sigma}{points}'

  def points(self) -> Array:
    """Return the data set [num_points, D], which is the same for every run."""
    return self.draw(purpose_key(root_key(0), 'points'), self.num_points)

  def draw(self, key: Array, count: int) -> Array:
    """Draw `count` independent samples [count, D], float32."""
    mode_key, noise_key = jax.random.split(key)
    chosen = jax.random.randint(mode_key, (count,), 0, len(self.modes), jnp.int32)
    return jnp.asarray(self.modes, jnp.float32)[chosen] + self.sigma * normal(noise_key, (count, self.modes.shape[1]))


def ring() -> Mixture:
  """Return the ring: eight modes on the unit circle, sigma 0.01."""
  angles = 2 * math.pi * np.arange(8) / 8
  return Mixture('ring', np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32), 0.01)


def grid() -> Mixture:
  """Return the grid: twenty-five modes on {-4, -2, 0, 2, 4}^2, sigma 0.05."""
  side = np.arange(-4.0, 5.0, 2.0)
  return Mixture('grid', np.stack(np.meshgrid(side, side), axis=-1).reshape(25, 2).astype(np.float32), 0.05)


def dirac() -> Mixture:
  """Return the data of the Dirac-GAN: all mass at 0 (Mescheder et al. 2018, arXiv:1801.04406)."""
  return Mixture('dirac', np.zeros((1, 1), np.float32), 0.0)


def gaussian() -> Mixture:
  """Return the standard normal distribution on the line."""
  return Mixture('gaussian', np.zeros((1, 1), np.float32), 1.0)


MIXTURES = {'ring': ring, 'grid': grid, 'dirac': dirac, 'gaussian': gaussian}
