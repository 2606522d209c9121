"""No key is used twice: the key-reuse checker of JAX does not see two identical `fold_in`s."""

import jax
import numpy as np

from gan.data import order
from gan.randomness import PURPOSES, purpose_key, root_key, step_key

DISC_STEPS = 5


def test_constants_are_unique_and_never_renumbered():
  """A change of these numbers changes what every seed means."""
  assert len(set(PURPOSES.values())) == len(PURPOSES)
  known = {'init': 0, 'data': 1, 'latents': 2, 'penalty': 3, 'augmentation': 4, 'noise': 5, 'evaluation': 6,
           'samples': 7}
  assert PURPOSES.items() >= known.items()


def all_keys(seed):
  """Name -> the two words of every key from which two steps, or a whole run, draw.

  `split(key)[i]` and `fold_in(key, i)` are one key: a key may be split or folded, never both. So the key of 'init',
  which is split between the players, must never be folded with a step.
  """
  root = root_key(seed)
  keys = {'root': root}
  for purpose in PURPOSES:
    keys[purpose] = purpose_key(root, purpose)
    for step in () if purpose == 'init' else (0, 1):
      keys[purpose, step] = step_key(root, purpose, step)
  for step in (0, 1):  # As gan/step.py folds the number of the update, and toy.py splits its key.
    for update in range(DISC_STEPS + 1):
      keys['latents', step, update] = jax.random.fold_in(step_key(root, 'latents', step), update)
    for i, key in enumerate(jax.random.split(step_key(root, 'data', step))):
      keys['data', step, 'draw', i] = key
  for i, key in enumerate(jax.random.split(purpose_key(root, 'init'))):
    keys['init', 'player', i] = key
  for purpose in ('evaluation', 'samples'):  # The chunks of evaluate.py. Chunk i and step i are one key: a purpose
    for chunk in (2, 3):                     # is drawn from by chunks or by steps, never by both.
      keys[purpose, 'chunk', chunk] = jax.random.fold_in(purpose_key(root, purpose), chunk)
  return {name: tuple(np.asarray(jax.random.key_data(key)).tolist()) for name, key in keys.items()}


def test_no_two_keys_of_two_steps_are_equal():
  """All purposes, all updates, both players' weights, of three seeds."""
  seen = {}
  for seed in (0, 1, 2**32 - 1):
    for name, words in all_keys(seed).items():
      assert words not in seen, f'{(seed, name)} and {seen[words]} are one key'
      seen[words] = (seed, name)
  assert len(seen) == 3 * len(all_keys(0))


def test_order_key_is_the_whole_key_of_the_data():
  root = root_key(3)
  words = np.asarray(order.order_key(purpose_key(root, 'data')))
  assert words.shape == (2,)
  assert words.dtype == np.uint32
  np.testing.assert_array_equal(words, jax.random.key_data(purpose_key(root, 'data')))
  assert tuple(words.tolist()) not in {words for name, words in all_keys(3).items() if name != 'data'}


def test_a_traced_step_gives_the_same_key():
  root = root_key(0)
  traced = jax.jit(lambda step: jax.random.key_data(step_key(root, 'noise', step)))(np.int32(7))
  np.testing.assert_array_equal(traced, jax.random.key_data(step_key(root, 'noise', 7)))
