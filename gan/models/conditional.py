"""Networks that know classes: labels and codes as inputs of a generator, and heads of a discriminator.

An architecture takes part by attributes. A discriminator with the attribute `head` passes its last features to `judge`.
A generator takes `labels` itself in the conditions that its attribute `takes_labels` names, and has an attribute
`classes` for their number; to every other generator the labels come as a longer latent.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from gan.models.layers import ClassTable, Init, dense_init, leaky_relu, one_hot

CODE_UNITS = 128   # Units between features and codes, as in InfoGAN's networks for MNIST.


class Head(NamedTuple):
  """What a discriminator returns besides its logit; fixed when compiled.

  Attributes:
    kind: 'none'; 'projection', which adds the inner product of features and class to the logit; 'classes', which adds
      class logits (AC-GAN); or 'codes', which adds an estimate of the latent codes (InfoGAN).
    classes: number of classes, or of values of the categorical code.
    uniform: number of uniform codes.
  """

  kind: str = 'none'
  classes: int = 0
  uniform: int = 0


NO_HEAD = Head()


class Judged(NamedTuple):
  """Logits of a discriminator together with what its head says.

  Attributes:
    logits: [B].
    classes: logits of the classes or of the categorical code [B, K].
    uniform: estimates of the uniform codes [B, U]; None if there are none.
  """

  logits: Array
  classes: Array
  uniform: Array | None = None


def judge(head: Head, features: Array, logits: Array, labels: Array | None, init: Init,
          dtype: jnp.dtype = jnp.float32) -> Array | Judged:
  """Add a head to a discriminator; call this inside its `__call__`, to which the head's parameters then belong.

  Args:
    head: kind of head.
    features: features [B, F] that the logit is made of.
    logits: logits [B] without the head.
    labels: classes [B], or soft classes [B, K]; only the projection reads them.
    init: (key, shape [inputs, outputs], dtype) -> initial kernel.
    dtype: dtype of the computation; results are float32.

  Returns:
    Logits [B], or `Judged` if the head says more.

  Raises:
    ValueError: if the kind is unknown.
  """
  if head.kind == 'none':
    return logits
  if head.kind == 'projection':   # Miyato & Koyama 2018, arXiv:1802.05637: logit = psi(phi(x)) + <e_y, phi(x)>.
    table = ClassTable(head.classes, features.shape[-1], init, name='projection')(labels)
    return logits + jnp.sum(table * features.astype(jnp.float32), axis=-1)
  if head.kind == 'classes':      # Odena et al. 2017, arXiv:1610.09585.
    return Judged(logits, nn.Dense(head.classes, kernel_init=init, dtype=dtype, name='classes')(features)
                  .astype(jnp.float32))
  if head.kind != 'codes':
    raise ValueError(f'head {head.kind!r} is unknown; known: none, projection, classes, codes')
  hidden = leaky_relu(nn.Dense(CODE_UNITS, kernel_init=dense_init, dtype=dtype, name='code_units')(features))
  estimates = nn.Dense(head.classes + head.uniform, kernel_init=dense_init, dtype=dtype, name='codes')(hidden)
  estimates = estimates.astype(jnp.float32)
  return Judged(logits, estimates[:, :head.classes], estimates[:, head.classes:] if head.uniform else None)


class LabelledGenerator(nn.Module):
  """Generator of samples of a class: the embedded label extends the latent (Mirza & Osindero 2014, arXiv:1411.1784).

  Attributes:
    net: generator, called with z [B, Z + dim].
    classes: K, the number of classes.
    dim: length of an embedded label.
  """

  net: nn.Module
  classes: int
  dim: int

  @nn.compact
  def __call__(self, z: Array, labels: Array, *, train: bool, **others: Any) -> Array:
    embedded = ClassTable(self.classes, self.dim, nn.initializers.normal(1.0), name='labels')(labels)
    return self.net(z=jnp.concatenate([z, embedded], axis=-1), train=train, **others)


class CodedGenerator(nn.Module):
  """Generator whose latent is extended by codes: one of K categories, and U numbers (InfoGAN, arXiv:1606.03657).

  Attributes:
    net: generator, called with z [B, Z + K + U].
    categories: K.
  """

  net: nn.Module
  categories: int

  @nn.compact
  def __call__(self, z: Array, category: Array, uniform: Array, *, train: bool, **others: Any) -> Array:
    return self.net(z=jnp.concatenate([z, one_hot(category, self.categories), uniform], axis=-1), train=train, **others)


class LabelledDiscriminator(nn.Module):
  """Discriminator that sees the class of an image as a further channel, a learnt map (arXiv:1411.1784).

  Attributes:
    net: discriminator, called with images [B, H, W, C + P].
    classes: K, the number of classes.
    pack: P, the number of samples that get one logit together; labels are then [B, P].
  """

  net: nn.Module
  classes: int
  pack: int = 1

  @nn.compact
  def __call__(self, images: Array, labels: Array, *, train: bool) -> Array:
    batch, *sides, _ = images.shape
    labels = labels.reshape(batch * self.pack, *labels.shape[(2 if self.pack > 1 else 1):])
    maps = ClassTable(self.classes, sides[0] * sides[1], nn.initializers.normal(1.0), name='labels')(labels)
    maps = jnp.moveaxis(maps.reshape(batch, self.pack, *sides), 1, -1)
    return self.net(images=jnp.concatenate([images, maps], axis=-1), train=train)


def inner(net: nn.Module) -> nn.Module:
  """Return the network of an architecture, without what a condition puts around it."""
  return net.net if isinstance(net, LabelledGenerator | CodedGenerator | LabelledDiscriminator) else net
