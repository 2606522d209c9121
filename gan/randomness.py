"""One constant for each purpose of randomness, and the only place where keys are derived.

A run owns one root key, made from its seed and never consumed. Whatever is drawn at a step comes from
`step_key(root, purpose, step)`, so a run is a function of (config, seed, step): no random state is carried or saved.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

IMPLEMENTATION = 'threefry2x32'   # Named, because JAX_DEFAULT_PRNG_IMPL would choose another.

# Never renumber: the numbers are part of what a seed means.
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
    'labels': 9,          # Flipped labels.
    'consistency': 10,    # Transforms of consistency penalties.
    'analysis': 11,       # Directions that `gan.dynamics` probes.
    'points': 12,         # The fixed data set of a mixture.
    'classes': 13,        # Classes of generated samples.
    'codes': 14,          # Codes that a generator is to show.
    'network': 15,        # Inside of networks.
    'pool': 16,           # Which samples are kept in a pool.
}


def root_key(seed: int | Array) -> Array:
  """Typed root key [] of a run."""
  return jax.random.key(seed, impl=IMPLEMENTATION)


def purpose_key(root: Array, purpose: str) -> Array:
  """Key [] of one purpose. Split it or fold it, never both: `split(key)[i]` can equal `fold_in(key, i)`."""
  return jax.random.fold_in(root, PURPOSES[purpose])


def normal(key: Array, shape: tuple[int, ...]) -> Array:
  """Standard normal numbers, float32, the very ones of `jax.random.normal`.

  Drawn as a vector: on the CPU a four-dimensional draw takes six times as long to compile (1.7 s each), and a network
  has one for each of its kernels.
  """
  return jax.random.normal(key, (math.prod(shape),), jnp.float32).reshape(shape)


def uniform(key: Array, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Array:
  """Uniform numbers in [low, high), float32."""
  return jax.random.uniform(key, shape, jnp.float32, low, high)


def coin(key: Array, probability: ArrayLike, shape: tuple[int, ...]) -> Array:
  """Bool, true with `probability`."""
  return jax.random.bernoulli(key, jnp.asarray(probability, jnp.float32), shape)


def step_key(root: Array, purpose: str, step: int | Array) -> Array:
  """Key [] of one purpose at one step; purpose first, so that no two (purpose, step) share a key."""
  return jax.random.fold_in(purpose_key(root, purpose), step)
