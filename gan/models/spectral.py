"""Spectral normalisation (Miyato et al. 2018, arXiv:1802.05957), as a function of a parameter tree.

Nothing here depends on layers: the caller normalises the parameters before it applies a network, and carries the
vectors from step to step. A kernel [..., I, O] counts as the matrix [prod(...) * I, O] from inputs to outputs, the
transpose of the paper's W. So u [O] belongs to the outputs and v to the inputs.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util
from jax import Array

from gan.randomness import normal

PyTree = Any

EPS = 1e-12  # A vector whose norm is not above this has no direction, and a kernel whose sigma is not counts as zero.


def init_vectors(key: Array, params: PyTree) -> PyTree:
  """Draw initial estimates of the kernels' singular vectors, uniform on the sphere.

  Args:
    key: random key [].
    params: nested dict of parameters. Leaves with two or more axes are kernels; biases and scales have one axis.

  Returns:
    Nested dict with one entry for each kernel [..., I, O], at the kernel's path: u [O] of unit norm, in its dtype.
  """
  kernels = {path: leaf for path, leaf in traverse_util.flatten_dict(params).items() if leaf.ndim >= 2}
  keys = jax.random.split(key, len(kernels))
  drawn = {path: normal(key, kernels[path].shape[-1:]) for path, key in zip(sorted(kernels), keys, strict=True)}
  return traverse_util.unflatten_dict({path: (u / jnp.linalg.norm(u)).astype(kernels[path].dtype)
                                       for path, u in drawn.items()})


def normalize(params: PyTree, vectors: PyTree, *, update: bool, iterations: int = 1) -> tuple[PyTree, PyTree]:
  """Divide every kernel by the estimate sigma = v^T W u of its largest singular value.

  As in the paper, u and v count as constants: the derivative of sigma with respect to W is v u^T, which is the exact
  derivative once u and v have converged. A kernel of zeros has no direction and stays as it is.

  Args:
    params: nested dict of parameters.
    vectors: u [O] for each kernel to normalise, from `init_vectors` or an earlier call.
    update: whether to take steps of the power iteration, as in training. Otherwise u stays as it is, and v follows
      from it.
    iterations: steps of the power iteration, at least 1; the paper takes one for each update of the discriminator.

  Returns:
    The parameters, where leaves that are not in `vectors` are unchanged, and the new vectors.

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
  """Scale x to unit norm; return `otherwise` if x is zero."""
  norm = jnp.linalg.norm(x)
  return jnp.where(norm > EPS, x / jnp.maximum(norm, EPS), otherwise)


def _dot(a: Array, b: Array) -> Array:
  """Multiply in full float32: accelerators would round the factors of the product, and sigma scales a whole layer."""
  return jnp.dot(a, b, precision='highest')
