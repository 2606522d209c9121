"""Layers that let a discriminator see a batch, so that it can tell a generator without variety from the data.

Batches are global. Under a mapped axis (`pmap`) the samples of all devices are gathered and each device keeps its own
rows; elsewhere arrays are whole already.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan.models.layers import dense_init

MINIBATCH = ('none', 'stddev', 'discrimination')


def check_minibatch(minibatch: str) -> None:
  """Raises a ValueError that lists the known settings, unless this is one."""
  if minibatch not in MINIBATCH:
    raise ValueError(f'minibatch={minibatch!r} is unknown; known: {", ".join(MINIBATCH)}')


class MinibatchStddev(nn.Module):
  """Appends how much a batch varies: [B, ..., C] -> [B, ..., C + 1] (Karras et al. 2018, arXiv:1710.10196).

  The new feature is the standard deviation over the samples of a group, averaged over all positions and channels: one
  number for each group. Groups are strided as in StyleGAN2 (arXiv:1912.04958): B/G groups of G, sample n in group
  n mod B/G.

  Attributes:
    group_size: G, at most B and then a divisor of it; None: the whole batch, as in the paper (its code has 4).
    axis_name: mapped axis over which the batch is split (`pmap`), or None.
    epsilon: inside the root, in units of variance: where samples coincide the gradient is zero, not NaN.
  """

  group_size: int | None = None
  axis_name: str | None = None
  epsilon: float = 1e-8

  @nn.compact
  def __call__(self, x: Array) -> Array:
    everyone = _gather(x.astype(jnp.promote_types(x.dtype, jnp.float32)), self.axis_name)
    batch = len(everyone)
    size = batch if self.group_size is None else min(self.group_size, batch)
    if size < 1 or batch % size:
      raise ValueError(f'group_size={size} must divide the batch of {batch}; None takes all of it as one group')
    groups = everyone.reshape(size, batch // size, -1)
    stddev = jnp.mean(jnp.sqrt(jnp.var(groups, axis=0) + self.epsilon), axis=-1)  # [B/G]
    own = _own_rows(jnp.tile(stddev, size), len(x), self.axis_name).astype(x.dtype)
    column = jnp.broadcast_to(own.reshape(-1, *[1] * (x.ndim - 1)), (*x.shape[:-1], 1))
    return jnp.concatenate([x, column], axis=-1)


class MinibatchDiscrimination(nn.Module):
  """Appends how close a sample is to its batch: [B, F] -> [B, F + features] (Salimans et al. 2016, arXiv:1606.03498).

  The new feature b of sample i is mean_j exp(-|M_ib - M_jb|_1), with rows M_ib [dims] that are linear in the sample's
  features, over the whole batch and i itself. The paper has the sum; divided by B, it depends neither on the batch size
  nor starts with logits near B where features are small (no batch norm, a generator at its start).

  Attributes:
    features: how many such numbers.
    dims: length of the rows that are compared.
    axis_name: mapped axis over which the batch is split (`pmap`), or None.
    dtype: of the product that yields M; distances are float32, parameters too.
  """

  features: int = 16
  dims: int = 8
  axis_name: str | None = None
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array) -> Array:
    rows = nn.Dense(self.features * self.dims, use_bias=False, kernel_init=dense_init, dtype=self.dtype)(x)
    rows = rows.astype(jnp.promote_types(rows.dtype, jnp.float32)).reshape(-1, self.features, self.dims)
    everyone = _gather(rows, self.axis_name)  # Rather than x: there are fewer of them.
    distances = jnp.sum(jnp.abs(rows[:, None] - everyone[None]), axis=-1)  # [own, B, features]
    closeness = jnp.mean(jnp.exp(-distances), axis=1)
    return jnp.concatenate([x, closeness.astype(x.dtype)], axis=-1)


def _is_mapped(axis_name: str | None) -> bool:
  """Whether we are inside the axis: initial weights and evaluation are computed outside of it."""
  try:
    return axis_name is not None and jax.lax.axis_size(axis_name) > 0
  except NameError:
    return False


def _gather(x: Array, axis_name: str | None) -> Array:
  """The rows of all devices, in the order of devices."""
  return jax.lax.all_gather(x, axis_name, tiled=True) if _is_mapped(axis_name) else x


def _own_rows(x: Array, rows: int, axis_name: str | None) -> Array:
  """This device's part of what was computed for all."""
  return jax.lax.dynamic_slice_in_dim(x, jax.lax.axis_index(axis_name) * rows, rows) if _is_mapped(axis_name) else x
