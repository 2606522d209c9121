"""What is remembered between updates of the discriminator: LeCam's means of logits, ADA's controller.

As memory of a player they are saved, resumed and kept from the other player's update.
"""

import jax.numpy as jnp
from jax import Array

from gan import augment
from gan.games import HParams
from gan.state import PyTree


def no_means() -> PyTree:
  """LeCam's means before the first update."""
  return {name: jnp.zeros((), jnp.float32) for name in ('real', 'fake', 'weight')}


def no_augmentation() -> PyTree:
  """ADA's controller before the first update."""
  return {'probability': jnp.zeros((), jnp.float32), 'signs': jnp.zeros((), jnp.float32),
          'updates': jnp.zeros((), jnp.int32)}


def running_means(means: dict[str, Array], real: Array, fake: Array, decay: Array) -> dict[str, Array]:
  """Moves LeCam's means towards those of a batch.

  They are corrected for their start, as Adam's moments are: of t batches, the i-th last one counts decay^i / `weight`,
  and `weight` is (1 - decay) (1 + decay + ... + decay^(t - 1)). So constant logits are their own mean from the first
  batch on.

  Args:
    means: before; 'weight' is 0 as long as there was no batch.
    real: [] mean of the real logits of the batch.
    fake: [] mean of the logits of generated samples.
    decay: [] in [0, 1).
  """
  weight = decay * means['weight'] + (1.0 - decay)
  share = (1.0 - decay) / weight
  return {'real': means['real'] + share * (real - means['real']),
          'fake': means['fake'] + share * (fake - means['fake']), 'weight': weight}


def controlled(ada: dict[str, Array], sign: Array, num_samples: int, hparams: HParams) -> dict[str, Array]:
  """Moves the probability of adaptive augmentation after every `augment.ada_interval`-th update of the discriminator.

  As in the authors' code for StyleGAN2, which updates each player once a step, by the mean sign over all real samples
  since the last move. Where a step has several updates of the discriminator, each of them counts: what p and
  `augment.ada_images` depend on is how many real images the discriminator has seen.

  Args:
    ada: 'probability', 'signs' (the sum of the mean signs since the last move) and 'updates' (how many they are).
    sign: [] mean sign of this update's logits on real samples.
    num_samples: real samples of an update.
    hparams: numbers of the run.
  """
  signs, updates = ada['signs'] + sign, ada['updates'] + 1
  moved = augment.ada_step(ada['probability'], signs / updates, hparams.get('augment.ada_target', 0.0),
                           updates * num_samples, hparams['augment.ada_images'])
  due = updates >= hparams['augment.ada_interval']
  return {'probability': jnp.where(due, moved, ada['probability']), 'signs': jnp.where(due, 0.0, signs),
          'updates': jnp.where(due, 0, updates)}
