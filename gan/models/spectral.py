"""Spectral normalisation (Miyato et al. 2018, arXiv:1802.05957), as a function of a parameter tree.

Nothing here knows a layer: whoever applies a network normalises its parameters first, and carries the vectors from
step to step. A kernel [..., I, O] is the matrix [prod(...) * I, O] that takes the inputs under it to the outputs, the
transpose of the paper's W; so u [O] belongs to its outputs and v to its inputs.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util
from jax import Array

from gan.randomness import normal

PyTree = Any

EPS = 1e-12  # Norms up to this are no directions: such a kernel counts as zero.


def init_vectors(key: Array, params: PyTree) -> PyTree:
  """Draws first estimates of the kernels' singular vectors, uniform on the sphere.

  Args:
    key: random key [].
    params: nested dict of parameters. Its kernels are the leaves of two or more axes; biases and scales have one.

  Returns:
    Nested dict with u [O] of unit norm, in the kernel's dtype, at the path of each kernel [..., I, O]; nothing else.
  """
  kernels = {path: leaf for path, leaf in traverse_util.flatten_dict(params).items() if leaf.ndim >= 2}
  keys = jax.random.split(key, len(kernels))
  drawn = {path: normal(key, kernels[path].shape[-1:]) for path, key in zip(sorted(kernels), keys, strict=True)}
  return traverse_util.unflatten_dict({path: (u / jnp.linalg.norm(u)).astype(kernels[path].dtype)
                                       for path, u in drawn.items()})


def normalize(params: PyTree, vectors: PyTree, *, update: bool, iterations: int = 1) -> tuple[PyTree, PyTree]:
  """Divides every kernel by the estimate sigma = v^T W u of its largest singular value.

  As in the paper u and v count as constants: the derivative of sigma with respect to W is v u^T, which is the true one
  once they have converged. A kernel of zeros has no direction and stays as it is.

  Args:
    params: nested dict of parameters.
    vectors: u [O] for each kernel to normalise, from `init_vectors` or an earlier call.
    update: whether to take steps of the power iteration, as in training. Without, the given u serve, with the v that
      follow from them.
    iterations: steps of the power iteration, at least 1; the paper takes one for each update of the discriminator.

  Returns:
    The parameters, with all that is not named in `vectors` untouched, and the new vectors.

  Raises:
    ValueError: if iterations is less than 1.
  """
  if iterations < 1:
    raise ValueError(f'iterations={iterations}: the power iteration takes at least 1; to keep the vectors, '
                     'use update=False')
  params = traverse_util.flatten_dict(params, keep_empty_nodes=True)
  vectors = traverse_util.flatten_dict(vectors)
  for path, u in vectors.items():
    params[path], vectors[path] = _normalize_kernel(params[path], u, iterations if update else 0)
  return traverse_util.unflatten_dict(params), traverse_util.unflatten_dict(vectors)


def _normalize_kernel(kernel: Array, u: Array, iterations: int) -> tuple[Array, Array]:
  matrix = kernel.reshape(-1, kernel.shape[-1])
  fixed, u = jax.lax.stop_gradient((matrix, u))

  def towards_v(u: Array) -> Array:
    return _direction(_dot(fixed, u), jnp.zeros_like(fixed[:, 0]))

  def iterate(_: int, pair: tuple[Array, Array]) -> tuple[Array, Array]:
    v = towards_v(pair[0])
    return _direction(_dot(v, fixed), pair[0]), v

  u, v = jax.lax.fori_loop(0, iterations, iterate, (u, towards_v(u)))
  sigma = _dot(v, _dot(matrix, u))
  return kernel / jnp.where(sigma > EPS, sigma, 1.0), u


def _direction(x: Array, otherwise: Array) -> Array:
  """Scales x to unit norm; gives `otherwise` where x is zero, so that no vector is lost."""
  norm = jnp.linalg.norm(x)
  return jnp.where(norm > EPS, x / jnp.maximum(norm, EPS), otherwise)


def _dot(a: Array, b: Array) -> Array:
  """In full float32: accelerators round the factors of a product otherwise, and sigma scales a whole layer."""
  return jnp.dot(a, b, precision='highest')
