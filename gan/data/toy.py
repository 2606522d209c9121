"""Mixtures of Gaussians, drawn on the device: where mode collapse can be counted and games can be solved on paper.

The parameters of `ring` and `grid` are PacGAN's (Lin et al. 2018, arXiv:1712.04086), so that results can stand beside
published ones; `dirac` and `gaussian` are the data of one-dimensional games that are known in closed form.
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
    modes: float32 [K, D], their means.
    sigma: standard deviation of each mode, in units of the data.
    num_points: size of the data set that stands for the mixture in training; None: it is drawn from without end.
  """

  name: str
  modes: np.ndarray
  sigma: float
  num_points: int | None = None

  @property
  def class_names(self) -> tuple[str, ...]:
    """No mode is a class."""
    return ()

  @property
  def num_examples(self) -> int | None:
    """None: drawn afresh, without end."""
    return self.num_points

  @property
  def columns(self) -> dict[str, Column]:
    """What a batch holds."""
    return columns_of(self.modes.shape[1:])

  def fingerprint(self) -> str:
    """What the mixture is, in words."""
    points = f', {self.num_points} points' if self.num_points else ''
    return f'{self.name}: {len(self.modes)} modes, sigma {self.sigma}{points}'

  def points(self) -> Array:
    """The data set [num_points, D], the same for every run."""
    return self.draw(purpose_key(root_key(0), 'points'), self.num_points)

  def draw(self, key: Array, count: int) -> Array:
    """`count` independent samples [count, D], float32."""
    mode_key, noise_key = jax.random.split(key)
    chosen = jax.random.randint(mode_key, (count,), 0, len(self.modes), jnp.int32)
    return jnp.asarray(self.modes, jnp.float32)[chosen] + self.sigma * normal(noise_key, (count, self.modes.shape[1]))


def ring() -> Mixture:
  """Eight modes on the unit circle, sigma 0.01."""
  angles = 2 * math.pi * np.arange(8) / 8
  return Mixture('ring', np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32), 0.01)


def grid() -> Mixture:
  """Twenty-five modes on {-4, -2, 0, 2, 4}^2, sigma 0.05."""
  side = np.arange(-4.0, 5.0, 2.0)
  return Mixture('grid', np.stack(np.meshgrid(side, side), axis=-1).reshape(25, 2).astype(np.float32), 0.05)


def dirac() -> Mixture:
  """All mass at 0 (Mescheder et al. 2018, arXiv:1801.04406)."""
  return Mixture('dirac', np.zeros((1, 1), np.float32), 0.0)


def gaussian() -> Mixture:
  """The standard normal distribution on the line."""
  return Mixture('gaussian', np.zeros((1, 1), np.float32), 1.0)


MIXTURES = {'ring': ring, 'grid': grid, 'dirac': dirac, 'gaussian': gaussian}
