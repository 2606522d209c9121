"""Training on the ring of eight modes, a few steps at a time, so that others can look in between."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from configs import toy
from gan import build, randomness
from gan.complete import complete
from gan.data.pipeline import Pipeline
from gan.data.toy import Mixture
from gan.metrics.mixture import mixture_scores
from gan.sampling import make_sampler, make_stream
from gan.state import GanState


class Ring(NamedTuple):
  """A run on the ring, not begun."""

  config: ml_collections.ConfigDict
  data: Mixture
  built: build.Build
  batches: Pipeline
  state: GanState

  def train(self, stops: list[int]) -> Iterator[tuple[int, GanState, dict[str, Any]]]:
    """Trains up to each of the rising `stops`; yields (step, state, scalars of the last step).

    A state is good until the next one is asked for: its buffers are given away then. Before step 0 there are no
    scalars. A run that diverged ends early.
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
    """Builds draw(state, num) -> [num, 2] of the generator as it is, not averaged: the player, not its memory."""
    sample = make_sampler(make_stream(self.built.game))

    def draw(state: GanState, num: int) -> np.ndarray:
      gen = {'params': state.gen.params, 'stats': state.gen.stats}
      return sample(gen, randomness.purpose_key(state.rng, 'evaluation'), num)

    return draw

  def scores(self, points: np.ndarray) -> dict[str, float]:
    """Modes covered and share of good samples; none if there are points that are no numbers."""
    if not np.isfinite(points).all():
      return {'modes': 0.0, 'high_quality': 0.0}
    return mixture_scores(points, self.data.modes, self.data.sigma)


def ring(overrides: dict[str, Any]) -> Ring:
  """The run of configs/toy.py with some fields changed, on one device."""
  config = complete(toy.get_config(), overrides)
  data = build.open_data(config)
  built = build.build(config, data.columns, jax.devices()[:1])
  state = build.make_initial_state(built, config.seed)
  return Ring(config, data, built, build.make_pipeline(config, data, built.parallel, state.rng), state)
