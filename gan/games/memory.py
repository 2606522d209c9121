"""What the discriminator remembers between its updates, in its stats beside those of its network.

Running means of its logits, for LeCam's penalty, and the controller of adaptive augmentation. As a part of the stats
they are saved, resumed and kept from the generator's update like all others.
"""

import jax
import jax.numpy as jnp
from jax import Array

from gan import augment
from gan.state import PyTree

LECAM, ADA = 'lecam', 'ada'
NAMES = (LECAM, ADA)


def initial(lecam: bool, adaptive: bool) -> dict[str, PyTree]:
  """What is remembered before the first step, by name; {} if nothing is."""
  means = {LECAM: {name: jnp.zeros((), jnp.float32) for name in ('real', 'fake', 'weight')}} if lecam else {}
  controller = {'probability': jnp.zeros((), jnp.float32), 'signs': jnp.zeros((), jnp.float32),
                'updates': jnp.zeros((), jnp.int32)}
  return means | ({ADA: controller} if adaptive else {})


def probability(stats: PyTree) -> Array | None:
  """That of adaptive augmentation [], if there is any."""
  return stats[ADA]['probability'] if ADA in stats else None


def remember(stats: PyTree, real_logits: Array, fake_logits: Array, real_prob: Array, num_samples: int,
             step: Array, hparams: dict[str, Array]) -> PyTree:
  """The stats after an update; no gradient flows through them.

  Args:
    stats: before it.
    real_logits: [L] of all devices.
    fake_logits: [L] of all devices.
    real_prob: [L], what the logits say of real samples being real.
    num_samples: real samples that were judged.
    step: steps finished so far.
    hparams: numbers of the run.
  """
  updated = {}
  if LECAM in stats:
    # Until the penalty starts, the means are those of the latest batch, as in the authors' code for BigGAN.
    decay = jnp.where(step < hparams.get('penalty.lecam_start', 0), 0.0, hparams.get('penalty.lecam_decay', 0.0))
    updated[LECAM] = running_means(stats[LECAM], jnp.mean(real_logits), jnp.mean(fake_logits), decay)
  if ADA in stats:
    updated[ADA] = controlled(stats[ADA], jnp.mean(jnp.sign(real_prob - 0.5)), num_samples, hparams)
  return {**stats, **jax.lax.stop_gradient(updated)}


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


def controlled(ada: dict[str, Array], sign: Array, num_samples: int, hparams: dict[str, Array]) -> dict[str, Array]:
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
