"""The order of samples: the same on host and device, complete epochs, and as good as random."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from gan.data import order
from gan.data.order import MAX_EXAMPLES, batch_indices, host_indices

KEY = np.array([0x12345678, 0x9ABCDEF0], np.uint32)
BATCH_AND_SIZE = [(3, 1), (64, 7), (50, 60_000), (1, 2**20 + 7), (64, MAX_EXAMPLES)]  # Each is compiled once.


@functools.cache
def compiled(batch, n):
  return jax.jit(lambda key, step: batch_indices(key, step, batch, n))


def assert_host_is_device(words, step, batch, n):
  key = np.array(words, np.uint32)
  device = np.asarray(compiled(batch, n)(key, np.int32(step)))
  host = host_indices(key, step * batch, batch, n)
  assert device.dtype == host.dtype == np.int32
  assert host.min() >= 0
  assert host.max() < n
  np.testing.assert_array_equal(device, host)


STEPS = st.one_of(st.integers(0, 2**31 - 1), st.integers(2**31 - 300, 2**31 - 1), st.integers(0, 300))


@settings(deadline=None, max_examples=100, derandomize=True)
@given(words=st.tuples(*[st.integers(0, 2**32 - 1)] * 2), step=STEPS, sizes=st.sampled_from(BATCH_AND_SIZE))
@example(words=(0, 0), step=2**31 - 1, sizes=(3, 1))      # The number of the epoch passes 2^32.
@example(words=(0, 0), step=2**31 - 1, sizes=(64, MAX_EXAMPLES))
@example(words=(2**32 - 1, 2**32 - 1), step=2**31 - 1, sizes=(50, 60_000))
def test_host_equals_device(words, step, sizes):
  assert_host_is_device(words, step, *sizes)


@settings(deadline=None, max_examples=6, derandomize=True)
@given(step=STEPS, batch=st.integers(1, 200), n=st.integers(1, MAX_EXAMPLES) | st.integers(1, 50))
def test_host_equals_device_for_any_size(step, batch, n):
  """Each example is compiled: a few."""
  assert_host_is_device((3, 4), step, batch, n)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(first=st.integers(0, 2**45), n=st.integers(1, 300), cuts=st.lists(st.integers(0, 100), min_size=1, max_size=6))
def test_nothing_is_dropped_between_batches(first, n, cuts):
  """However samples are cut into batches they are the same, across the ends of epochs too."""
  whole = host_indices(KEY, first, sum(cuts), n)
  starts = itertools.accumulate(cuts, initial=first)
  parts = [host_indices(KEY, start, count, n) for start, count in zip(starts, cuts, strict=False)]
  np.testing.assert_array_equal(np.concatenate(parts), whole)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(n=st.integers(1, 3000), epoch=st.integers(0, 2**32), word=st.integers(0, 2**32 - 1))
def test_every_epoch_is_a_permutation(n, epoch, word):
  drawn = host_indices(np.array([word, ~np.uint32(word)], np.uint32), epoch * n, n, n)
  np.testing.assert_array_equal(np.sort(drawn), np.arange(n))


def test_batches_of_the_device_run_across_epochs():
  """Three epochs of 60 in batches of 18, the last of which ends exactly: each sample three times."""
  step = jax.jit(jax.vmap(lambda step: batch_indices(KEY, step, 18, 60)))
  drawn = np.asarray(step(jnp.arange(10))).ravel()
  for epoch in range(3):
    np.testing.assert_array_equal(np.sort(drawn[60 * epoch:60 * (epoch + 1)]), np.arange(60))


def test_a_batch_larger_than_the_data_set():
  drawn = np.asarray(jax.jit(lambda step: batch_indices(KEY, step, 25, 10))(jnp.int32(1)))
  np.testing.assert_array_equal(drawn, host_indices(KEY, 25, 25, 10))
  np.testing.assert_array_equal(np.sort(drawn[5:15]), np.arange(10))


def epochs(n, count, key=KEY, first=0):
  return host_indices(key, first * n, count * n, n).reshape(count, n)


def test_epochs_and_keys_differ():
  """Two random permutations of 1000 agree in about one place; so do ours, whichever word of the key differs."""
  other_keys = np.array([[KEY[0] ^ 2**20, KEY[1]], [KEY[0], KEY[1] ^ 1], [KEY[1], KEY[0]]], np.uint32)
  perms = [*epochs(1000, 3), *(epochs(1000, 1, key)[0] for key in other_keys), np.arange(1000)]
  for a, b in itertools.combinations(perms, 2):
    assert (a == b).sum() < 8


def chi_squared_p(counts):
  """Probability of counts as uneven as these if all were equally likely."""
  counts = np.asarray(counts, np.float64).ravel()
  return stats.chisquare(counts).pvalue


def permutation_counts(perms):
  n = perms.shape[1]
  codes, counts = np.unique(perms @ n ** np.arange(n), return_counts=True)
  assert len(codes) == math.factorial(n)
  return counts


KEYS = [np.array(words, np.uint32) for words in ((0, 0), (1, 0), (0x12345678, 0x9ABCDEF0), (2**32 - 1, 77))]


@pytest.mark.parametrize('n', [2, 3, 4, 5])
@pytest.mark.parametrize('key', KEYS)
def test_all_permutations_are_equally_frequent(n, key):
  assert chi_squared_p(permutation_counts(epochs(n, 12_000, key))) > 1e-3


def test_all_permutations_are_equally_frequent_over_seeds():
  """The first epochs of many runs, whose keys are those of seeds in a row."""
  words = jax.random.key_data(jax.vmap(jax.random.key)(jnp.arange(12_000)))
  perms = np.asarray(jax.jit(jax.vmap(lambda key: batch_indices(key, jnp.int32(0), 4, 4)))(words))
  assert chi_squared_p(permutation_counts(perms)) > 1e-3


@pytest.mark.parametrize('n', [16, 101])
def test_every_sample_is_as_likely_at_every_position(n):
  perms = epochs(n, 6000)
  table = np.stack([np.bincount(perms[:, i], minlength=n) for i in range(n)])
  expected = 6000 / n
  # Rows and columns have fixed sums: (n - 1)^2 degrees of freedom.
  assert stats.chi2.sf(((table - expected) ** 2 / expected).sum() * (n - 1) / n, (n - 1) ** 2) > 1e-3


def test_successive_epochs_are_unrelated():
  """What follows a permutation of 3 is each of the 6 equally often, and positions do not correlate."""
  perms = epochs(3, 24_000)
  codes = np.unique(perms @ 3 ** np.arange(3), return_inverse=True)[1]
  pairs = np.bincount(6 * codes[:-1:2] + codes[1::2], minlength=36)
  assert chi_squared_p(pairs) > 1e-3
  perms = epochs(500, 400)
  ranks = np.argsort(perms, axis=1)
  correlations = [np.corrcoef(a, b)[0, 1] for a, b in itertools.pairwise(ranks)]
  # Of n ranks: mean 0, variance 1 / (n - 1).
  assert abs(np.mean(correlations)) < 4 / math.sqrt(499 * 399)
  assert 0.8 < np.var(correlations) * 499 < 1.25


def excess_of_kept_neighbours(n, count):
  """Share of positions i, i + 1 whose samples differ by 1, less the 2 / n of random permutations, in deviations."""
  pairs = count * (n - 1)
  kept = sum((np.abs(np.diff(epochs(n, 1, first=e)[0])) == 1).sum() for e in range(count))
  return (kept - pairs * 2 / n) / math.sqrt(pairs * 2 / n)


def test_neighbours_part(monkeypatch):
  """A round keeps the distance of two samples half of the time, so after R rounds an excess of 2^-R stays together.

  That is the slowest thing to mix, and the sharpest test: with too few rounds it shows.
  """
  assert abs(excess_of_kept_neighbours(20_000, 10)) < 4
  monkeypatch.setattr(order, 'ROUNDS', 8)
  assert excess_of_kept_neighbours(20_000, 10) > 8


def test_the_cost_does_not_depend_on_the_size_of_the_data_set():
  """No array anywhere in the program is longer than the batch."""
  def shapes(jaxpr):
    for equation in jaxpr.eqns:
      yield from (v.aval.shape for v in (*equation.invars, *equation.outvars))
      for value in equation.params.values():
        inner = getattr(value, 'jaxpr', value)
        if hasattr(inner, 'eqns'):
          yield from shapes(inner)

  for n in (1000, MAX_EXAMPLES):
    jaxpr = jax.make_jaxpr(lambda step, n=n: batch_indices(KEY, step, 16, n))(jnp.int32(5)).jaxpr
    found = list(shapes(jaxpr))
    assert len(found) > 50
    assert max(math.prod(shape) for shape in found) == 16
