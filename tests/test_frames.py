"""Pictures of small games: the path of the parameters over the field."""

import jax.numpy as jnp
import numpy as np

from configs import dirac
from gan import build
from gan.complete import complete
from gan.frames import FRAMES


def test_the_field_is_that_of_the_state_with_its_means():
  """LeCam's running means are neither parameters nor settings, and turn the arrows."""
  config = complete(dirac.get_config(), {'penalty.lecam': 5.0})
  data = build.open_data(config)
  built = build.build(config, data.columns)
  state = build.make_initial_state(built, config.seed)
  draw = FRAMES[build.show_of(config).frame](build.make_sight(config, built, data, None))
  means = {'real': jnp.float32(3.0), 'fake': jnp.float32(-50.0), 'weight': jnp.float32(1.0)}
  later = state.replace(disc=state.disc.replace(memory=state.disc.memory | {'lecam': means}))
  assert np.array_equal(draw(state, 0, []), draw(state, 0, []))
  assert not np.array_equal(draw(state, 0, []), draw(later, 0, []))
