"""The discriminator's view of samples: they are augmented, noise is added, and several are packed together."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gan import augment
from gan.games import Devices, HParams, Turn
from gan.randomness import normal, uniform

Draws = dict[str, Array]


class View(NamedTuple):
  """Options of the discriminator's view; fixed when compiled.

  Attributes:
    policy: names of DiffAugment's transformations; () is none.
    adaptive: whether ADA transforms samples, with the probability in the discriminator's memory.
    pack: number of samples that get one logit together (PacGAN, Lin et al. 2018, arXiv:1712.04086); they are neighbours
      in the batch.
  """

  policy: tuple[str, ...] = ()
  adaptive: bool = False
  pack: int = 1


def draw(view: View, turn: Turn, shape: tuple[int, ...], hparams: HParams, devices: Devices) -> tuple[Draws, Draws]:
  """Draw the random numbers of one turn for samples of `shape` [B, ...]: for real ones, and for generated ones."""
  def draw_kind(view_key: Array, noise_key: Array) -> Draws:
    draws = {}
    if view.policy:
      draws['diff_augment'] = devices.draw(uniform, view_key, (shape[0], augment.DIFF_AUGMENT_UNIFORMS))
    if view.adaptive:
      draws['ada'] = devices.draw(uniform, view_key, (shape[0], augment.ADA_UNIFORMS))
    if 'augment.noise' in hparams:
      draws['noise'] = devices.draw(normal, noise_key, shape)
    return draws

  view_keys, noise_keys = jax.random.split(turn.key('view')), jax.random.split(turn.key('noise'))
  return draw_kind(view_keys[0], noise_keys[0]), draw_kind(view_keys[1], noise_keys[1])


def look(view: View, samples: Array, draws: Draws, probability: Array | None, hparams: HParams) -> Array:
  """Turn samples [B, ..., C] into the discriminator's input [B / pack, ..., pack C]."""
  if view.policy:
    samples = augment.diff_augment(samples, draws['diff_augment'], view.policy)
  if view.adaptive:
    assert probability is not None, 'the discriminator remembers a probability where ADA is used'
    samples = augment.ada_augment(samples, draws['ada'], probability)
  if 'augment.noise' in hparams:
    # Instance noise: it lets the distributions of real and generated samples overlap (Sonderby et al. 2016,
    # arXiv:1610.04490; Arjovsky & Bottou 2017, arXiv:1701.04862). Its std is in units of the data.
    samples = samples + hparams['augment.noise'] * draws['noise']
  return packed(samples, view.pack)


def packed(samples: Array, pack: int) -> Array:
  """Put neighbours of the batch side by side in the channels: [B, ..., C] -> [B / pack, ..., pack C]."""
  if pack == 1:
    return samples
  groups = jnp.moveaxis(samples.reshape(-1, pack, *samples.shape[1:]), 1, -2)
  return groups.reshape(*groups.shape[:-2], -1)
