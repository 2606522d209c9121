"""What the discriminator remembers between its updates, in its stats beside those of its network.

Running means of its logits, for LeCam's penalty, and the probability of adaptive augmentation. As a part of the stats
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
  means = {LECAM: {'real': jnp.zeros((), jnp.float32), 'fake': jnp.zeros((), jnp.float32)}} if lecam else {}
  return means | ({ADA: {'probability': jnp.zeros((), jnp.float32)}} if adaptive else {})


def probability(stats: PyTree) -> Array | None:
  """That of adaptive augmentation [], if there is any."""
  return stats[ADA]['probability'] if ADA in stats else None


def remember(stats: PyTree, real_logits: Array, fake_logits: Array, real_prob: Array, num_samples: int,
             hparams: dict[str, Array]) -> PyTree:
  """The stats after an update.

  Args:
    stats: before it.
    real_logits: [L] of all devices.
    fake_logits: [L] of all devices.
    real_prob: [L], what the logits say of real samples being real.
    num_samples: real samples that were judged.
    hparams: numbers of the run.
  """
  updated = {}
  if LECAM in stats:
    decay = hparams.get('penalty.lecam_decay', 0.0)
    latest = {'real': jnp.mean(real_logits), 'fake': jnp.mean(fake_logits)}
    updated[LECAM] = jax.tree.map(lambda old, new: decay * old + (1.0 - decay) * new, stats[LECAM], latest)
  if ADA in stats:
    overfitting = jnp.mean(jnp.sign(real_prob - 0.5))
    updated[ADA] = {'probability': augment.ada_step(
        stats[ADA]['probability'], overfitting, hparams.get('augment.ada_target', 0.0), num_samples,
        hparams['augment.ada_images'])}
  return {**stats, **jax.lax.stop_gradient(updated)}
