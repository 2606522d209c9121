"""The order of samples: a new permutation of the data set for each epoch, computed one index at a time.

Sample number t of a run has the index `permute(key, t // n, t % n)`. So a batch costs O(batch) anywhere in the run, can
continue across the end of an epoch, and needs no state. The permutation is swap-or-not (Hoang, Morris & Rogaway, CRYPTO
2012): each round pairs x with K - x modulo n and swaps the two or not, by a hash of the pair. A round is its own
inverse, so the permutation is a bijection for every n. The hash is the finalizer of MurmurHash3: a shuffle needs
mixing, not secrecy.

The same code runs on the device with `jax.numpy` and in loader threads with `numpy`. It uses unsigned 32-bit arithmetic
that wraps, so both results are equal bit for bit.
"""

import types

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

ROUNDS = 40                # A share of 2^-ROUNDS too many neighbours stay together; 20 rounds hid this when measured.
MAX_EXAMPLES = 2**30       # Up to this number, no sum in this file wraps.


def order_key(data_key: Array) -> Array:
  """Return the two uint32 words [2] of a typed key that decide the order."""
  return jax.random.key_data(data_key)[:2]


def batch_indices(key: Array, step: Array, batch: int, n: int) -> Array:
  """Compute the indices of the samples of a step, on the device.

  Args:
    key: uint32 [2].
    step: int32 [], number of the step; each earlier step has used `batch` samples.
    batch: number of samples of a step.
    n: size of the data set, at most MAX_EXAMPLES.

  Returns:
    int32 [batch] in [0, n).
  """
  epoch, start = _epoch_and_position(step, batch, n)
  offset = start + jnp.arange(batch, dtype=jnp.uint32)
  return _permute(key, epoch + offset // jnp.uint32(n), offset % jnp.uint32(n), n, jnp).astype(jnp.int32)


def host_indices(key: np.ndarray, first: int, count: int, n: int) -> np.ndarray:
  """Compute the indices of the samples number `first` to `first + count - 1` of a run, on the host.

  Args:
    key: uint32 [2].
    first: number of samples drawn before; any Python int.
    count: number of indices.
    n: size of the data set, at most MAX_EXAMPLES.

  Returns:
    int32 [count] in [0, n).
  """
  epoch, start = divmod(first, n)
  offset = np.uint32(start) + np.arange(count, dtype=np.uint32)
  epochs = np.uint32(epoch % 2**32) + offset // np.uint32(n)
  return _permute(key, epochs, offset % np.uint32(n), n, np).astype(np.int32)


def _epoch_and_position(step: Array, batch: int, n: int) -> tuple[Array, Array]:
  """Return divmod(step * batch, n) without 64-bit numbers, by Horner's rule over the bits of `step`."""
  quotient, remainder = (jnp.uint32(part) for part in divmod(batch, n))
  step = jnp.asarray(step, jnp.uint32)

  def add_bit(i: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
    epoch, position = carry
    bit = (step >> jnp.uint32(31 - i)) & jnp.uint32(1)
    position = 2 * position + bit * remainder                # < 3 n
    return 2 * epoch + bit * quotient + position // jnp.uint32(n), position % jnp.uint32(n)

  zero = jnp.uint32(0)
  return jax.lax.fori_loop(0, 32, lambda i, carry: add_bit(jnp.uint32(i), carry), (zero, zero))


def _permute(key, epoch, x, n: int, xp: types.ModuleType):
  """Map the position x in an epoch to the index of a sample; `key` [2], `epoch` and `x` [...] are uint32."""
  pivots, swaps = _hash(epoch ^ key[0], xp), _hash(epoch ^ key[1], xp)

  def one_round(r, x):
    pivot = _hash(pivots + xp.uint32(r), xp) % xp.uint32(n)   # The bias of the remainder is below n / 2^32.
    partner = xp.where(x <= pivot, pivot - x, pivot + xp.uint32(n) - x)
    larger = xp.maximum(x, partner)
    swap = _hash(_hash(swaps + xp.uint32(r), xp) ^ larger, xp) & xp.uint32(1)
    return xp.where(swap == 1, partner, x)

  if xp is np:
    for r in range(ROUNDS):
      x = one_round(r, x)
    return x
  return jax.lax.fori_loop(0, ROUNDS, lambda r, x: one_round(jnp.uint32(r), x), x)


def _hash(x, xp: types.ModuleType):
  """Apply MurmurHash3's 32-bit finalizer, after adding an odd offset so that 0 is not a fixed point."""
  x = x + xp.uint32(0x9E3779B9)
  x = (x ^ (x >> xp.uint32(16))) * xp.uint32(0x85EBCA6B)
  x = (x ^ (x >> xp.uint32(13))) * xp.uint32(0xC2B2AE35)
  return x ^ (x >> xp.uint32(16))
