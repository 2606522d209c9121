"""Training on the ring of eight modes in stages, so that the state can be inspected between them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from configs import toy
from gan import build, randomness
from gan.config.complete import complete
from gan.data.pipeline import Pipeline
from gan.data.toy import Mixture
from gan.metrics.mixture import mixture_scores
from gan.sampling import make_sampler, make_stream
from gan.state import GanState


class Ring(NamedTuple):
  """A run on the ring before its first step."""

  config: ml_collections.ConfigDict
  data: Mixture
  built: build.Build
  batches: Pipeline
  state: GanState

  def train(self, stops: list[int]) -> Iterator[tuple[int, GanState, dict[str, Any]]]:
    """Train up to each of the ascending `stops`, and yield (step, state, scalars of the last step) there.

    A state is only valid until the next one is requested, because its buffers are donated then. At step 0 there are no
    scalars. A run that diverges ends early.
    """
    state, step = self.state, 0
    loop = build.make_loop(self.config, self.built, self.batches)
    for stop in stops:
      scalars: dict[str, Any] = {}
      if stop > step:
        state, scalars, (done, finite) = loop(state, self.batches.feed(step, stop - step), self.built.hparams,
                                              np.int32(stop - step))
        step = int(done)
        if not bool(finite):
          return
      yield step, state, {name: float(value) for name, value in jax.device_get(scalars).items()}

  def sampler(self):
    """Build draw(state, num) -> samples [num, 2] of the present generator, not of the average."""
    sample = make_sampler(make_stream(self.built.game))

    def draw(state: GanState, num: int) -> np.ndarray:
      gen = {'params': state.gen.params, 'stats': state.gen.stats}
      return sample(gen, randomness.purpose_key(state.rng, 'evaluation'), num)

    return draw

  def scores(self, points: np.ndarray) -> dict[str, float]:
    """Score points, for their modes and their share of high quality; both are 0 if any point is not finite."""
    if not np.isfinite(points).all():
      return {'modes': 0.0, 'high_quality': 0.0}
    return mixture_scores(points, self.data.modes, self.data.sigma)


def ring(overrides: dict[str, Any]) -> Ring:
  """Build the run of configs/toy.py with overrides, on one device."""
  config = complete(toy.get_config(), overrides)
  data = build.open_data(config)
  built = build.build(config, data.columns, jax.devices()[:1])
  state = build.make_initial_state(built, config.seed)
  return Ring(config, data, built, build.make_pipeline(config, data, built.parallel, state.rng), state)
