"""Translation of points there and back: two networks for one player, and two columns of data that are not paired."""

import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from gan.declare import NOT_NEGATIVE, Setting
from gan.games import Game, Network, Outcome, Played, Term, adversarial
from gan.games.cast import Cast, joined, sample_spec
from gan.games.show import LOSSES, PLOTS, Show
from gan.games.table import GAMES, Entry
from tests.extensions import clouds

Scene = NamedTuple('Scene', [(name, Any) for name in ('real_logits', 'fake_logits', 'start', 'back')])


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Translation(Game):
  """disc judges b beside gen.ab(a); gen.ba brings back."""

  conditions = ('a',)

  def draw(self, draw, batch, count):
    return {}

  def play(self, cast, turn, hparams, memory, needs):
    moved, there = cast('gen.ab', x=turn.batch['a'])
    back, again = cast('gen.ba', x=moved)
    (real, stats), (fake, _) = cast('disc', images=turn.batch['b']), cast('disc', images=moved)
    return Played(Scene(real, fake, turn.batch['a'], back), joined({'gen.ab': there, 'gen.ba': again, 'disc': stats}))

  def sample(self, gen, inputs, draw=None):
    return Cast(self.networks, {'gen': gen['params']}, {'gen': gen['stats']})('gen.ab', x=inputs['a'], train=False)[0]


def cycle(moment, memory):
  """E |gen.ba(gen.ab(a)) - a|."""
  return Outcome(jnp.mean(jnp.abs(moment.scene.back - moment.scene.start)))


class Mover(nn.Module):
  @nn.compact
  def __call__(self, x, *, train):
    return x + nn.Dense(2)(jnp.tanh(nn.Dense(6)(x)))


def make(setup):
  moves = Network(Mover(), {'x': sample_spec((2,))})
  disc = Network(setup.network('disc', (2,)), {'images': sample_spec((2,))})
  return Translation(networks={'gen.ab': moves, 'gen.ba': moves, 'disc': disc}, devices=setup.devices, terms=(
      *adversarial.terms(setup.objective), Term('penalty/cycle', 'gen', cycle, 'game.cycle')))


LINES = [(GAMES, 'translation', Entry(make, Show(LOSSES, PLOTS, scored=False),
                                      {'cycle': Setting(1.0, 'Weight of the way back.', NOT_NEGATIVE)})),
         *clouds.LINES]
OVERRIDES = {'game.name': 'translation', 'data.name': 'clouds', 'game.cycle': 0.5}
MEMBERS = [{}, {'game.cycle': 2.0}]
SHOWN = 'cycle'
