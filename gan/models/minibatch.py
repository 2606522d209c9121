"""Layers that compare the samples of a batch, so that a discriminator can detect a generator without variety.

Batches are global. Under a mapped axis (`pmap`) the samples of all devices are gathered, and each device keeps the rows
of its samples; elsewhere arrays are global already.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan.models.layers import dense_init

MINIBATCH = ('none', 'stddev', 'discrimination')


def check_minibatch(minibatch: str) -> None:
  """Raise a ValueError, which lists the known settings, if `minibatch` is unknown."""
  if minibatch not in MINIBATCH:
    raise ValueError(f'minibatch={minibatch!r} is unknown; known: {", ".join(MINIBATCH)}')


class MinibatchStddev(nn.Module):
  """Layer that appends the variation of a batch: [B, ..., C] -> [B, ..., C + 1] (Karras et al. 2018, arXiv:1710.10196).

  The new feature is the standard deviation over the samples of a group, averaged over all positions and channels: one
  number for each group. Groups are strided as in StyleGAN2 (arXiv:1912.04958): there are B/G groups of G samples, and
  sample n is in group n mod B/G.

  Attributes:
    group_size: G. A G above B counts as B, and G must divide B. None takes the whole batch as one group, as in the
      paper (the authors' code has 4).
    axis_name: mapped axis over which the batch is split (`pmap`), or None.
    epsilon: number inside the root, in units of variance: if samples coincide, the gradient is zero, not NaN.
  """

  group_size: int | None = None
  axis_name: str | None = None
  epsilon: float = 1e-8

  @nn.compact
  def __call__(self, x: Array) -> Array:
    all_samples = _gather(x.astype(jnp.promote_types(x.dtype, jnp.float32)), self.axis_name)
    batch = len(all_samples)
    size = batch if self.group_size is None else min(self.group_size, batch)
    if size < 1 or batch % size:
      raise ValueError(f'group_size={size} must divide the batch of {batch}; None takes the whole batch as one group')
    groups = all_samples.reshape(size, batch // size, -1)
    stddev = jnp.mean(jnp.sqrt(jnp.var(groups, axis=0) + self.epsilon), axis=-1)  # [B/G]
    feature = _local_rows(jnp.tile(stddev, size), len(x), self.axis_name).astype(x.dtype)
    column = jnp.broadcast_to(feature.reshape(-1, *[1] * (x.ndim - 1)), (*x.shape[:-1], 1))
    return jnp.concatenate([x, column], axis=-1)


class MinibatchDiscrimination(nn.Module):
  """Layer that appends how close each sample is to the batch: [B, F] -> [B, F + features].

  Minibatch discrimination (Salimans et al. 2016, arXiv:1606.03498). The new feature b of sample i is
  mean_j exp(-|M_ib - M_jb|_1), where the rows M_ib [dims] are linear in the sample's features and j runs over the whole
  batch, i included. The paper has the sum over j. The mean does not depend on the batch size, and initial logits are
  not near B where features are small (without batch norm, or early in the training of the generator).

  Attributes:
    features: number of new features.
    dims: length of the rows that are compared.
    axis_name: mapped axis over which the batch is split (`pmap`), or None.
    dtype: dtype of the product that yields M; distances and parameters are float32.
  """

  features: int = 16
  dims: int = 8
  axis_name: str | None = None
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Array) -> Array:
    rows = nn.Dense(self.features * self.dims, use_bias=False, kernel_init=dense_init, dtype=self.dtype)(x)
    rows = rows.astype(jnp.promote_types(rows.dtype, jnp.float32)).reshape(-1, self.features, self.dims)
    all_rows = _gather(rows, self.axis_name)  # Gathering rows moves less data than gathering x.
    distances = jnp.sum(jnp.abs(rows[:, None] - all_rows[None]), axis=-1)  # [len(x), B, features]
    closeness = jnp.mean(jnp.exp(-distances), axis=1)
    return jnp.concatenate([x, closeness.astype(x.dtype)], axis=-1)


def _is_mapped(axis_name: str | None) -> bool:
  """Return whether the call is inside the mapped axis; initial weights and evaluation are computed outside of it."""
  try:
    return axis_name is not None and jax.lax.axis_size(axis_name) > 0
  except NameError:
    return False


def mean_over(x: Array, axis_name: str | None) -> Array:
  """Return the mean of equal parts over all devices."""
  return jax.lax.pmean(x, axis_name) if _is_mapped(axis_name) else x


def _gather(x: Array, axis_name: str | None) -> Array:
  """Return the rows of all devices, in the order of devices."""
  return jax.lax.all_gather(x, axis_name, tiled=True) if _is_mapped(axis_name) else x


def _local_rows(x: Array, rows: int, axis_name: str | None) -> Array:
  """Return this device's rows of an array for all devices."""
  return jax.lax.dynamic_slice_in_dim(x, jax.lax.axis_index(axis_name) * rows, rows) if _is_mapped(axis_name) else x
