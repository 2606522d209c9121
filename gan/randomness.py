"""Random keys: one constant for each purpose of randomness, and the functions that derive keys.

A run has one root key, which is made from its seed and never consumed. Every draw at a step uses
`step_key(root, purpose, step)`. A run is therefore a function of (config, seed, step); no random state is carried or
saved.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

IMPLEMENTATION = 'threefry2x32'   # Named here, so that JAX_DEFAULT_PRNG_IMPL does not change the numbers of a run.

# Never renumber: the same seed would then give other numbers.
PURPOSES = {
    'init': 0,            # Initial weights.
    'data': 1,            # Order of the data set, and draws from a mixture.
    'latents': 2,         # Latents of training.
    'penalty': 3,         # Interpolation points and perturbations of penalties.
    'augmentation': 4,    # Flips of the data set's images.
    'noise': 5,           # Instance noise.
    'evaluation': 6,      # Latents of scores.
    'samples': 7,         # The fixed latents of sample grids.
    'view': 8,            # Augmentations of what the discriminator sees.
    'labels': 9,          # Choice of the pairs whose labels, real and fake, are swapped.
    'consistency': 10,    # Transforms of consistency penalties.
    'analysis': 11,       # Directions that `gan.dynamics` probes.
    'points': 12,         # The fixed data set of a mixture.
    'classes': 13,        # Classes of generated samples.
    'codes': 14,          # Latent codes that generated samples must show.
    'network': 15,        # Draws inside networks.
    'pool': 16,           # Choice of the samples kept in a pool.
}


def root_key(seed: int | Array) -> Array:
  """Make the typed root key [] of a run."""
  return jax.random.key(seed, impl=IMPLEMENTATION)


def purpose_key(root: Array, purpose: str) -> Array:
  """Derive the key [] of one purpose. Split it or fold it, never both: `split(key)[i]` can equal `fold_in(key, i)`."""
  return jax.random.fold_in(root, PURPOSES[purpose])


def normal(key: Array, shape: tuple[int, ...]) -> Array:
  """Draw standard normal numbers, float32, equal to those of `jax.random.normal`.

  The numbers are drawn as a vector and reshaped: on the CPU a four-dimensional draw takes six times as long to compile
  (1.7 s each), and the initialisation of a network has one draw for each kernel.
  """
  return jax.random.normal(key, (math.prod(shape),), jnp.float32).reshape(shape)


def uniform(key: Array, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Array:
  """Draw uniform numbers in [low, high), float32."""
  return jax.random.uniform(key, shape, jnp.float32, low, high)


def coin(key: Array, probability: ArrayLike, shape: tuple[int, ...]) -> Array:
  """Draw booleans that are true with `probability`."""
  return jax.random.bernoulli(key, jnp.asarray(probability, jnp.float32), shape)


def step_key(root: Array, purpose: str, step: int | Array) -> Array:
  """Derive the key [] of one purpose at one step; the purpose is folded in first, so no two pairs share a key."""
  return jax.random.fold_in(purpose_key(root, purpose), step)
