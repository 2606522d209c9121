"""The penalties of a discriminator in the game of generation: which, at which samples, with which weights.

A penalty belongs to a run's program if its weight is among `hparams`; its mathematics is in penalties.py.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gan import augment, penalties
from gan.games import Turn
from gan.randomness import normal, uniform

Terms = dict[str, tuple[Array, Array]]   # name -> (weight, penalty).
HParams = dict[str, Array]


class Scored(NamedTuple):
  """Both batches and what the discriminator made of them, on this device.

  Attributes:
    real, fake: samples [B, ...].
    real_logits, fake_logits: [L].
    real_slope, fake_slope: |grad_x D|^2 [L], where the run penalises them; else None.
  """

  real: Array
  fake: Array
  real_logits: Array
  fake_logits: Array
  real_slope: Array | None = None
  fake_slope: Array | None = None


class Judge(NamedTuple):
  """The discriminator as functions of samples alone.

  Attributes:
    real, fake: samples [B, ...] -> logits [L], through the augmentations and noise of this turn.
    see_real, see_fake: samples -> what the network is shown.
    seen: what the network is shown -> logits [L].
  """

  real: Callable[[Array], Array]
  fake: Callable[[Array], Array]
  see_real: Callable[[Array], Array]
  see_fake: Callable[[Array], Array]
  seen: Callable[[Array], Array]


def slope_terms(scored: Scored, judge: Judge, turn: Turn, hparams: HParams, draw_global: Callable) -> Terms:
  """R1 and R2: from slopes that were taken along with the logits, or by finite differences."""
  terms = {}
  keys = jax.random.split(jax.random.fold_in(turn.key('penalty'), 1))
  for name, key, score, samples, logits, slope in (
      ('r1', keys[0], judge.real, scored.real, scored.real_logits, scored.real_slope),
      ('r2', keys[1], judge.fake, scored.fake, scored.fake_logits, scored.fake_slope)):
    if f'penalty.{name}' not in hparams:
      continue
    if 'penalty.difference_std' in hparams:
      std = hparams['penalty.difference_std']
      perturbed = score(samples + std * draw_global(normal, key, samples.shape))
      value = penalties.finite_difference(logits, perturbed, std)
    else:
      value = jnp.mean(slope)
    terms[name] = 0.5 * hparams[f'penalty.{name}'], value
  return terms


def interpolated_terms(scored: Scored, judge: Judge, turn: Turn, hparams: HParams, one_sided: bool,
                       draw_global: Callable, gather: Callable) -> Terms:
  """WGAN-GP, DRAGAN and the zero-centred penalty between real and generated samples, of what the network is shown."""
  if not any(f'penalty.{name}' in hparams for name in ('gp', 'dragan', 'zero_gp')):
    return {}
  keys = jax.random.split(jax.random.fold_in(turn.key('penalty'), 2))
  terms, real = {}, judge.see_real(scored.real)
  uniforms = draw_global(uniform, keys[0], real.shape[:1])
  between = penalties.interpolate(real, judge.see_fake(scored.fake), uniforms)
  target = hparams.get('penalty.target', 0.0)  # Of the norm, for both.
  if 'penalty.gp' in hparams:
    terms['gp'] = hparams['penalty.gp'], penalties.gradient_penalty(judge.seen, between, target, one_sided)
  if 'penalty.dragan' in hparams:
    far_key, noise_key = jax.random.split(keys[1])
    far = draw_global(uniform, far_key, real.shape[:1])
    noise = draw_global(uniform, noise_key, real.shape)
    std = hparams['penalty.dragan_std'] * standard_deviation(real, gather)
    around = penalties.surround(real, std, far, noise)
    terms['dragan'] = hparams['penalty.dragan'], penalties.gradient_penalty(judge.seen, around, target, one_sided)
  if 'penalty.zero_gp' in hparams:
    terms['zero_gp'] = hparams['penalty.zero_gp'], penalties.zero_centred(judge.seen, between)
  return terms


def standard_deviation(samples: Array, gather: Callable) -> Array:
  """Standard deviation [] of all entries of all devices' `samples` [B, ...]."""
  def mean(entries: Array) -> Array:
    return jnp.mean(gather(jnp.mean(entries.reshape(entries.shape[0], -1), axis=1)))
  return jnp.sqrt(mean(jnp.square(samples - mean(samples))))


def consistency_terms(scored: Scored, judge: Judge, turn: Turn, hparams: HParams, draw_global: Callable) -> Terms:
  """CR and bCR: a flipped and shifted sample should be judged as the sample itself."""
  terms = {}
  keys = jax.random.split(jax.random.fold_in(turn.key('consistency'), 1))
  for name, key, score, samples, logits in (('cr_real', keys[0], judge.real, scored.real, scored.real_logits),
                                            ('cr_fake', keys[1], judge.fake, scored.fake, scored.fake_logits)):
    if f'penalty.{name}' in hparams:
      uniforms = draw_global(uniform, key, (samples.shape[0], augment.FLIP_AND_SHIFT_UNIFORMS))
      transformed = score(augment.flip_and_shift(samples, uniforms))
      terms[name] = hparams[f'penalty.{name}'], penalties.consistency(logits, transformed)
  return terms


def nearby_latents(turn: Turn, hparams: HParams, draw_global: Callable) -> Array:
  """Latents near those of this turn, for the latent consistency of zCR (Zhao et al. 2021, arXiv:2002.04724)."""
  noise = draw_global(normal, jax.random.fold_in(turn.key('consistency'), 2), turn.z.shape)
  return turn.z + hparams['penalty.zcr_std'] * noise


def total(terms: Terms) -> tuple[Array | float, dict[str, Array]]:
  """Weighted sum, and the penalties without their weights as scalars 'penalty/<name>'."""
  return sum(weight * value for weight, value in terms.values()), {
      f'penalty/{name}': value for name, (_, value) in terms.items()}
