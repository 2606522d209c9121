"""A training loop without configurations and run directories: three ways to train a Dirac-GAN, compared over seeds.

tests/test_package.py runs this file from another folder, with nothing but `gan` to import. Real data sit at 0,
G(z) = theta and D(x) = psi x (Mescheder et al. 2018, arXiv:1801.04406), so |theta| is the error of the generator.
"""

import functools
import itertools
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import gan
from gan.games.generation import make_generation
from gan.losses import LOSSES
from gan.penalties import zero_centred
from gan.randomness import root_key
from gan.rules import RULES, Moves, Txs
from gan.state import create_state
from gan.statistics import adjust, compare, make_arm, verdict
from gan.step import make_deal

SEEDS, STEPS, RATE, GAMMA = 12, 400, 0.2, 1.0
LOSS = LOSSES['nonsaturating']
REALS = np.zeros((4, 1), np.float32)


class Generator(nn.Module):
  @nn.compact
  def __call__(self, z, *, train):
    return jnp.zeros_like(z) + self.param('theta', nn.initializers.normal(1.0), (1, 1))


class Discriminator(nn.Module):
  @nn.compact
  def __call__(self, images, *, train):
    return jnp.sum(images * self.param('psi', nn.initializers.normal(1.0), (1, 1)), axis=1)


def logits(psi, x):
  return jnp.sum(psi * x, axis=1)


def by_hand(theta, psi, gamma):
  """Train by simultaneous descent that is written out: it uses an objective and a penalty, and no game or rule."""
  def disc_loss(psi, theta):
    value, _ = LOSS.disc(logits(psi, REALS), logits(psi, theta + REALS))
    return value + gamma / 2 * zero_centred(functools.partial(logits, psi), REALS)   # R1.

  def gen_loss(theta, psi):
    return LOSS.gen(logits(psi, REALS), logits(psi, theta + REALS))[0]

  def step(_, players):
    theta, psi = players
    return theta - RATE * jax.grad(gen_loss)(theta, psi), psi - RATE * jax.grad(disc_loss)(psi, theta)

  return jax.lax.fori_loop(0, STEPS, step, (theta, psi))[0]


GAME = make_generation(Generator(), Discriminator(), LOSS, z_dim=1, sample_shape=(1,))


def by_rule(rng, start):
  """Train the same two players by a rule of `gan.rules`."""
  def sgd(numbers):
    del numbers
    return optax.sgd(RATE)

  deal = functools.partial(make_deal(GAME), {'images': REALS[None]})
  moves = Moves(GAME, Txs(gen=sgd, disc=sgd), {}, deal, mean=lambda tree: tree)

  def step(_, state):
    state, _ = RULES['extragradient'].move(state, moves)
    return state.replace(step=state.step + 1)

  state = create_state(rng, start['gen'], start['disc'], txs=(sgd({}), sgd({})))
  return jax.lax.fori_loop(0, STEPS, step, state).gen.params['theta']


def run(seed):
  """Final errors of the three generators, which share their initial parameters."""
  rng = root_key(seed)
  start = GAME.init(rng)
  theta, psi = start['gen'].params['theta'], start['disc'].params['psi']
  ends = {'plain': by_hand(theta, psi, 0.0), 'R1': by_hand(theta, psi, GAMMA), 'extragradient': by_rule(rng, start)}
  return {name: jnp.abs(end).reshape(()) for name, end in ends.items()}


def main():
  """Print one JSON object: the file of `gan`, and each comparison with its p-value and verdict."""
  ends = jax.device_get(jax.vmap(run)(jnp.arange(SEEDS)))
  arms = [make_arm(name, [(seed, float(value), bool(value < 0.1)) for seed, value in enumerate(values)])
          for name, values in ends.items()]
  comparisons = adjust([compare(x, y, higher_is_better=False) for x, y in itertools.combinations(arms, 2)])
  print(json.dumps({'gan': gan.__file__, 'comparisons': {
      f'{c.x}/{c.y}': {'p': c.adjusted_p, 'success_x': c.success_x.value, 'success_y': c.success_y.value,
                       'verdict': verdict(c)} for c in comparisons}}))


if __name__ == '__main__':
  main()
