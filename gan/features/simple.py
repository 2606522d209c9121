"""Features without training or downloads: pixels, random projections of pixels, and any function of the user."""

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
MAX_PIXELS = 4096   # Largest H * W * C: the covariance has the square of this number of entries.


def pixels(shape: tuple[int, ...]) -> Features:
  """Return the pixels themselves as features, in [-1, 1].

  Args:
    shape: (H, W, C) of an image.

  Raises:
    DataError: if an image has more than MAX_PIXELS values: their covariance would need too much memory.
  """
  if np.prod(shape) > MAX_PIXELS:
    raise DataError(f'features=pixels: images of {"x".join(map(str, shape))} have {np.prod(shape)} values, and at most '
                    f'{MAX_PIXELS} are allowed (their covariance is too large); use features=random')
  return Features('pixels', lambda weights, images: {'features': _flat(images)}, (), '', 'none')


def random(shape: tuple[int, ...]) -> Features:
  """Return PROJECTIONS random projections of the pixels as features, the same projections for every run.

  Args:
    shape: (H, W, C) of an image.
  """
  size = int(np.prod(shape))
  matrix = np.random.default_rng(0).standard_normal((size, PROJECTIONS)).astype(np.float32) / np.float32(size**0.5)

  def extract(weights: PyTree, images: Array) -> dict[str, Array]:
    return {'features': jnp.matmul(_flat(images), weights, precision='highest')}

  return Features('random', extract, matrix, hashlib.sha256(matrix.tobytes()).hexdigest()[:16], 'none')


def callable_features(name: str) -> Features:
  """Make features of a function of the user.

  Args:
    name: 'module:function', importable. The function maps uint8 images [B, H, W, C] to features [B, D], or to
      {'features': [B, D], 'logits': [B, K]}, and is compiled by JAX. Its attribute `digest`, if there is one,
      identifies its weights; otherwise the source of its module does.

  Raises:
    DataError: if there is no such function; also from `extract`, if the function fails on images or returns anything
      else.
  """
  module_name, _, function_name = name.partition(':')
  try:
    module = importlib.import_module(module_name)
    function = getattr(module, function_name)
  except Exception as error:  # The import runs the user's code, which may fail in any way.
    raise DataError(f'features={name}: {error}; give module:function, importable from the current directory') from error
  digest = getattr(function, 'digest', None)
  if digest is None:
    try:
      digest = hashlib.sha256(inspect.getsource(module).encode()).hexdigest()[:16]
    except (OSError, TypeError):
      raise DataError(f'features={name}: {module_name} has no source code that could identify its weights; give the '
                      'function an attribute `digest`') from None

  def extract(weights: PyTree, images: Array) -> dict[str, Array]:
    del weights
    try:
      outputs = function(images)
      outputs = outputs if isinstance(outputs, dict) else {'features': outputs}
      outputs = {key: jnp.asarray(value, jnp.float32) for key, value in outputs.items()}
    except Exception as error:  # The user's function may fail in any way.
      raise DataError(f'features={name} failed on uint8 images {images.shape}: {type(error).__name__}: {error}; it '
                      'must map them to features [B, D], compiled by JAX') from error
    if 'features' not in outputs or outputs['features'].ndim != 2 or len(outputs['features']) != len(images):
      raise DataError(f'features={name} must return [B, D] for B = {len(images)} images; it returned '
                      f'{ {key: value.shape for key, value in outputs.items()} }')
    return outputs

  return Features(name, extract, (), str(digest), 'its own')


def _flat(images: Array) -> Array:
  return images.reshape(images.shape[0], -1).astype(jnp.float32) / 127.5 - 1.0
