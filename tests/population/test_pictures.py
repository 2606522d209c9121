"""Pictures of a whole population: a panel for each member."""

import numpy as np
import pytest

from gan.data.toy import MIXTURES
from gan.population.pictures import panels


@pytest.mark.parametrize('name', MIXTURES)
def test_points_of_every_mixture(name):
  mixture = MIXTURES[name]()
  samples = np.random.default_rng(0).standard_normal((3, 64, mixture.modes.shape[1])).astype(np.float32)
  samples[2] = np.nan  # A member that diverged.
  page = panels(samples, ['a', 'b', 'c'], mixture, 'step 1')
  assert page.dtype == np.uint8
  assert page.std() > 1


def test_images():
  images = np.zeros((2, 16, 8, 8, 1), np.float32)
  assert panels(images, ['a', 'b'], None, 'step 1').ndim == 3
