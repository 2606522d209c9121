"""Memory between updates of the discriminator: LeCam's running means of logits, and ADA's controller.

A player's memory is part of the state, so it is saved and resumed. The other player's update does not change it.
"""

import jax.numpy as jnp
from jax import Array

from gan import augment
from gan.games import HParams
from gan.state import PyTree


def no_means() -> PyTree:
  """Return LeCam's means before the first update."""
  return {name: jnp.zeros((), jnp.float32) for name in ('real', 'fake', 'weight')}


def no_augmentation() -> PyTree:
  """Return ADA's controller before the first update."""
  return {'probability': jnp.zeros((), jnp.float32), 'signs': jnp.zeros((), jnp.float32),
          'updates': jnp.zeros((), jnp.int32)}


def running_means(means: dict[str, Array], real: Array, fake: Array, decay: Array) -> dict[str, Array]:
  """Move LeCam's means towards those of a batch.

  The means are corrected for their start, as Adam's moments are. After t batches the one i batches ago has the share
  (1 - decay) decay^i / `weight`, where `weight` = 1 - decay^t is the sum of all (1 - decay) decay^i. So constant logits
  equal their mean from the first batch on.

  Args:
    means: means before this batch; 'weight' is 0 before the first batch.
    real: [] mean of the real logits of the batch.
    fake: [] mean of the logits of generated samples.
    decay: [] in [0, 1).
  """
  weight = decay * means['weight'] + (1.0 - decay)
  share = (1.0 - decay) / weight
  return {'real': means['real'] + share * (real - means['real']),
          'fake': means['fake'] + share * (fake - means['fake']), 'weight': weight}


def controlled(ada: dict[str, Array], sign: Array, num_samples: int, hparams: HParams) -> dict[str, Array]:
  """Update ADA's controller: after every `augment.ada_interval`-th discriminator update its probability moves.

  The move follows the mean sign over all real samples since the last move, as in the authors' code for StyleGAN2, which
  updates each player once a step. Where a step has several discriminator updates, each counts: the probability and
  `augment.ada_images` depend on how many real images the discriminator has seen.

  Args:
    ada: 'probability', 'signs' (sum of the updates' mean signs since the last move) and 'updates' (their number).
    sign: [] mean sign of this update's logits on real samples.
    num_samples: number of real samples in an update.
    hparams: numbers of the run.

  Returns:
    The new 'probability', 'signs' and 'updates'.
  """
  signs, updates = ada['signs'] + sign, ada['updates'] + 1
  moved = augment.ada_step(ada['probability'], signs / updates, hparams.get('augment.ada_target', 0.0),
                           updates * num_samples, hparams['augment.ada_images'])
  due = updates >= hparams['augment.ada_interval']
  return {'probability': jnp.where(due, moved, ada['probability']), 'signs': jnp.where(due, 0.0, signs),
          'updates': jnp.where(due, 0, updates)}
