"""The game of generation: fakes from latents against a data set. The one place that applies the networks."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan.games import Game
from gan.losses import LossPair
from gan.state import GanState, PyTree


class Nets(NamedTuple):
  """The modules of both players."""

  gen: nn.Module
  disc: nn.Module


def apply(net: nn.Module, params: PyTree, stats: PyTree, x: Array, *, train: bool) -> tuple[Array, PyTree]:
  """Runs a network; returns its output and its new `stats` (unchanged unless `train`)."""
  if train and stats:
    return net.apply({'params': params, **stats}, x, train=True, mutable=list(stats))
  return net.apply({'params': params, **stats}, x, train=train), stats


def make_game(nets: Nets, loss: LossPair, z_dim: int, sample_shape: tuple[int, ...], joint: bool) -> Game:
  """Lifts an objective on logits to losses over parameter pytrees.

  Args:
    nets: the two networks.
    loss: the objective; its settings are read from `hparams` under 'loss.<setting>'.
    z_dim: length of a latent.
    sample_shape: shape of one sample.
    joint: whether the discriminator sees real and fake samples in one concatenated pass. The same function, and
      faster, where samples are judged one by one. With batch norm it would be another function: there real and fake
      are separate batches, as in DCGAN (Radford et al. 2015).
  """

  def init(rng: Array) -> tuple[tuple[PyTree, PyTree], tuple[PyTree, PyTree]]:
    gen_rng, disc_rng = jax.random.split(rng)
    gen = dict(nets.gen.init(gen_rng, jnp.zeros((2, z_dim)), train=True))
    disc = dict(nets.disc.init(disc_rng, jnp.zeros((2, *sample_shape)), train=True))
    return (gen.pop('params'), gen), (disc.pop('params'), disc)

  def score_separately(params: PyTree, stats: PyTree, images: Array, fakes: Array) -> tuple[Array, Array, PyTree]:
    real_logits, stats = apply(nets.disc, params, stats, images, train=True)
    fake_logits, stats = apply(nets.disc, params, stats, fakes, train=True)
    return real_logits, fake_logits, stats

  def score_jointly(params: PyTree, stats: PyTree, images: Array, fakes: Array) -> tuple[Array, Array, PyTree]:
    logits, stats = apply(nets.disc, params, stats, jnp.concatenate([images, fakes]), train=True)
    return *jnp.split(logits, [images.shape[0]]), stats

  def settings(hparams: dict[str, Array]) -> dict[str, Array]:
    return {name: hparams[f'loss.{name}'] for name in loss.settings if f'loss.{name}' in hparams}

  def disc_loss(disc_params: PyTree, state: GanState, batch: dict[str, Array], z: Array, hparams: dict[str, Array]):
    """Discriminator loss at `disc_params`, with the generator held fixed."""
    fakes, _ = apply(nets.gen, state.gen.params, state.gen.stats, z, train=True)
    fakes = jax.lax.stop_gradient(fakes)
    score = score_jointly if joint else score_separately
    real_logits, fake_logits, stats = score(disc_params, state.disc.stats, batch['images'], fakes)
    bound = loss.bind(settings(hparams))
    value, parts = bound.disc(real_logits, fake_logits)
    real_prob, fake_prob = bound.probability(real_logits), bound.probability(fake_logits)
    scalars = {'disc/loss': value} | {f'disc/{name}': part for name, part in parts.items()} | {
        'disc/real_prob': jnp.mean(real_prob),
        'disc/fake_prob': jnp.mean(fake_prob),
        'disc/accuracy': 0.5 * (jnp.mean(real_prob > 0.5) + jnp.mean(fake_prob < 0.5))}
    return value, (stats, scalars)

  def gen_loss(gen_params: PyTree, state: GanState, batch: dict[str, Array], z: Array, hparams: dict[str, Array]):
    """Generator loss at `gen_params`, with the discriminator held fixed."""
    frozen = jax.lax.stop_gradient(state.disc.params)  # Parameters only: gradients must still cross the activations.
    fakes, stats = apply(nets.gen, gen_params, state.gen.stats, z, train=True)
    # Never jointly: the compiler drops the pass over real samples for losses that do not use it.
    real_logits, fake_logits, _ = score_separately(frozen, state.disc.stats, batch['images'], fakes)
    bound = loss.bind(settings(hparams))
    value, parts = bound.gen(real_logits, fake_logits)
    scalars = {'gen/loss': value} | {f'gen/{name}': part for name, part in parts.items()} | {
        'gen/fake_prob': jnp.mean(bound.probability(fake_logits))}
    return value, (stats, scalars)

  def sample(gen: PyTree, z: Array) -> Array:
    return apply(nets.gen, gen['params'], gen['stats'], z, train=False)[0]

  return Game(init, disc_loss, gen_loss, sample)
