"""The path length of StyleGAN2's generator, as a term with a memory (Karras et al. 2020, arXiv:1912.04958)."""

import jax
import jax.numpy as jnp
from jax import Array

from gan import penalties
from gan.declare import POSITIVE, SHARE, Setting
from gan.games import Moment, Outcome, Term
from gan.randomness import normal
from gan.state import PyTree

SETTINGS = {
    'path_every': Setting(4, 'Path length: add it only after every k-th update of G, k times as heavy.', POSITIVE),
    'path_decay': Setting(0.01, 'Path length: share of the way from its running mean to that of a batch.', SHARE),
    'path_share': Setting(2, 'Path length: take it at every k-th sample of a batch.', POSITIVE)}


def term(name: str, every: int, share: int) -> Term:
  """Build the term, the mean square of path lengths minus their running mean.

  Args:
    name: its weight is `penalty.<name>`.
    every: it is added after every k-th update of the generator.
    share: it sees every k-th sample. So under any number of devices it sees the same ones.
  """
  def value(moment: Moment, memory: PyTree) -> Outcome:
    inputs = {key: drawn[::share] for key, drawn in moment.turn.inputs.items()}
    styles, _ = moment.cast('gen', method='styles', **inputs)
    key = jax.random.fold_in(moment.turn.key('penalty'), 3)

    def synthesize(ws: Array) -> Array:
      return moment.cast('gen', method='synthesize', ws=ws)[0]

    images = jax.eval_shape(synthesize, styles)
    noise = moment.devices.draw(normal, key, images.shape)
    lengths = moment.devices.gather(penalties.path_lengths(synthesize, styles, noise))
    # As in the authors' code, the mean includes this batch, and the gradient passes through it.
    mean = memory['mean'] + moment.hparams['penalty.path_decay'] * (jnp.mean(lengths) - memory['mean'])
    return Outcome(jnp.mean(jnp.square(lengths - mean)), memory={'mean': mean})

  return Term(f'penalty/{name}', 'gen', value, f'penalty.{name}', every=every, memory=start)


def start() -> PyTree:
  """Return the memory before the first update."""
  return {'mean': jnp.zeros((), jnp.float32)}
