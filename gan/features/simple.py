"""Features without training or downloads: pixels, random projections of them, and any function of a person's own."""

import hashlib
import importlib
import inspect

import jax.numpy as jnp
import numpy as np
from jax import Array

from gan.data.source import DataError
from gan.features import Features
from gan.state import PyTree

PROJECTIONS = 128
MAX_PIXELS = 4096   # Numbers in an image: a covariance has their square.


def pixels(shape: tuple[int, ...]) -> Features:
  """The pixels themselves, in [-1, 1].

  Args:
    shape: of an image.

  Raises:
    DataError: if there are so many that their covariance would not fit in memory.
  """
  if np.prod(shape) > MAX_PIXELS:
    raise DataError(f'features=pixels of {"x".join(map(str, shape))} are {np.prod(shape)} numbers, more than the '
                    f'{MAX_PIXELS} whose covariance is practical; use features=random')
  return Features('pixels', lambda weights, images: {'features': _flat(images)}, (), '', 'none')


def random(shape: tuple[int, ...]) -> Features:
  """PROJECTIONS random projections of the pixels, the same ones for every run.

  Args:
    shape: of an image.
  """
  size = int(np.prod(shape))
  matrix = np.random.default_rng(0).standard_normal((size, PROJECTIONS)).astype(np.float32) / np.float32(size**0.5)

  def extract(weights: PyTree, images: Array) -> dict[str, Array]:
    return {'features': jnp.matmul(_flat(images), weights, precision='highest')}

  return Features('random', extract, matrix, hashlib.sha256(matrix.tobytes()).hexdigest()[:16], 'none')


def callable_features(name: str) -> Features:
  """Features from a function of a person's own.

  Args:
    name: 'module:function', importable. The function maps uint8 images [B, H, W, C] to features [B, D], or to
      {'features': [B, D], 'logits': [B, K]}, and is compiled by JAX. Its attribute `digest`, if it has one, tells its
      weights; otherwise the source of its module does.

  Raises:
    DataError: if there is no such function; from `extract`, if it fails on images or returns something else.
  """
  module_name, _, function_name = name.partition(':')
  try:
    module = importlib.import_module(module_name)
    function = getattr(module, function_name)
  except Exception as error:  # Importing runs a person's own code, which may fail in any way.
    raise DataError(f'features={name}: {error}; give module:function, importable from where you are') from error
  digest = getattr(function, 'digest', None)
  if digest is None:
    try:
      digest = hashlib.sha256(inspect.getsource(module).encode()).hexdigest()[:16]
    except (OSError, TypeError):
      raise DataError(f'features={name}: {module_name} has no source to tell its weights by; give the function an '
                      'attribute `digest`') from None

  def extract(weights: PyTree, images: Array) -> dict[str, Array]:
    del weights
    try:
      found = function(images)
      found = found if isinstance(found, dict) else {'features': found}
      found = {key: jnp.asarray(value, jnp.float32) for key, value in found.items()}
    except Exception as error:  # The function is a person's own, and may fail in any way.
      raise DataError(f'features={name} failed on uint8 images {images.shape}: {type(error).__name__}: {error}; it '
                      'must map them to features [B, D], compiled by JAX') from error
    if 'features' not in found or found['features'].ndim != 2 or len(found['features']) != len(images):
      raise DataError(f'features={name} must return [B, D] for B = {len(images)} images; it returned '
                      f'{ {key: value.shape for key, value in found.items()} }')
    return found

  return Features(name, extract, (), str(digest), 'its own')


def _flat(images: Array) -> Array:
  return images.reshape(images.shape[0], -1).astype(jnp.float32) / 127.5 - 1.0
