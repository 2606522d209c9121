"""Inception-v3 as used for FID and the Inception Score (Szegedy et al. 2015, arXiv:1512.00567).

This is the graph that TensorFlow published on 2015-12-05 (Heusel et al. 2017, arXiv:1706.08500; Salimans et al. 2016,
arXiv:1606.03498), not the network of later releases. It differs from the paper in three ways: average pools leave the
padding out of the average, the pool of the last block is a maximum, and there are 1008 logits. Batch norm is used with
its running statistics only, so it is folded into the convolutions when weights are loaded.

The modules are named like the published weights: a name in a weight file is a path in `params`.
"""

# ruff: noqa: D102 -- a module's __call__ is described by its class.

from collections.abc import Callable, Mapping
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan.features import Features
from gan.features.resizing import RESIZINGS
from gan.features.torch_files import read_state_dict
from gan.features.weights import WeightsError, find
from gan.randomness import root_key
from gan.state import PyTree

IMAGE_SIZE = 299  # Pixels; the convolutional network takes any size, but scores are defined at this one.
_EPSILON = 1e-3   # Epsilon of batch norm.
_BATCH = 64       # Images in one call: half a gigabyte of activations.


def load(path: str | None, resizing: str, cache: Path, sha256: str | None = None) -> Features:
  """Load the network; `features` are for FID, KID, precision and recall, `logits` for the Inception Score.

  `extract` takes uint8 [B, H, W, C], C = 1 (repeated) or 3, and returns float32 features [B, 2048] and logits
  [B, 1008]. The logits have no bias: the Inception Score has always been computed without it.

  Args:
    path: a weight file; None means the published file, which is downloaded to `cache` once.
    resizing: key of RESIZINGS: 'tensorflow' as in published scores, 'clean' as in clean-fid.
    cache: directory of downloaded files.
    sha256: expected SHA-256 of the file at `path`; None means that of the published file.

  Raises:
    WeightsError: if the weight file is missing, has another hash, cannot be read, or belongs to another network.
    ValueError: if the resizing is unknown.
  """
  if resizing not in RESIZINGS:
    raise ValueError(f'resizing={resizing!r} is unknown; choose from {", ".join(RESIZINGS)}')
  path, digest = find(path, cache, sha256)
  state_dict = read_state_dict(path)
  try:
    params = to_flax(state_dict)
  except WeightsError as error:
    raise WeightsError(f'{path}: {error}') from error
  resize, title = RESIZINGS[resizing]

  def extract(params: PyTree, images: Array) -> dict[str, Array]:
    if images.dtype != jnp.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
      raise ValueError(f'images are {images.dtype} {list(images.shape)}; must be uint8 [B, H, W, C] with C = 1 or 3')
    x = (resize(images.astype(jnp.float32), IMAGE_SIZE) - 128.0) / 128.0
    x = jnp.broadcast_to(x, (*x.shape[:-1], 3))
    features, logits = InceptionV3().apply({'params': params}, x)
    return {'features': features, 'logits': logits}

  params = jax.tree.map(jnp.asarray, params)
  return Features('inception', extract, params, digest[:16], f'{title} to {IMAGE_SIZE}', batch=_BATCH)


def to_flax(state_dict: Mapping[str, np.ndarray]) -> PyTree:
  """Convert the published weights to `params` of `InceptionV3`; batch norm is folded into kernels and biases.

  Args:
    state_dict: arrays 'Mixed_5b.branch1x1.conv.weight' and so on, as in `published_shapes`. The counters
      '...bn.num_batches_tracked' may be missing; they and 'fc.bias' are not used.

  Raises:
    WeightsError: if entries are missing, unknown, or of another shape.
  """
  shapes = published_shapes()
  missing = [name for name in shapes if name not in state_dict and not name.endswith('.num_batches_tracked')]
  unknown = [name for name in state_dict if name not in shapes]
  wrong = [f'{name} is {list(state_dict[name].shape)}, must be {list(shape)}' for name, shape in shapes.items()
           if name in state_dict and state_dict[name].shape != shape]
  problems = [f'{title}: {", ".join(names[:5])}{f", and {len(names) - 5} more" if len(names) > 5 else ""}'
              for title, names in (('missing', missing), ('unknown', unknown), ('wrong shape', wrong)) if names]
  if problems:
    raise WeightsError(f'these are not the weights of the Inception network of FID ({"; ".join(problems)}). '
                       'Way out: leave --inception_weights out to use the published file')

  def fold(layer: str) -> dict[str, np.ndarray]:
    kernel, scale, bias, mean, variance = (
        np.asarray(state_dict[f'{layer}.{name}'], np.float64)
        for name in ('conv.weight', 'bn.weight', 'bn.bias', 'bn.running_mean', 'bn.running_var'))
    scale = scale / np.sqrt(variance + _EPSILON)
    return {'kernel': np.float32(kernel.transpose(2, 3, 1, 0) * scale), 'bias': np.float32(bias - mean * scale)}

  params = {'fc': {'kernel': np.float32(state_dict['fc.weight'].T)}}
  for name in shapes:
    if name.endswith('.conv.weight'):
      *parents, layer = name.removesuffix('.conv.weight').split('.')
      tree = params
      for parent in parents:
        tree = tree.setdefault(parent, {})
      tree[layer] = fold(name.removesuffix('.conv.weight'))
  return params


def published_shapes() -> dict[str, tuple[int, ...]]:
  """Return the names and shapes of the 566 entries of the published state dict, in the order of the layers' names."""
  image = jax.ShapeDtypeStruct((1, IMAGE_SIZE, IMAGE_SIZE, 3), jnp.float32)
  params = jax.eval_shape(InceptionV3().init, root_key(0), image)['params']
  shapes = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    *layer, kind = (key.key for key in path)
    layer = '.'.join(layer)
    if kind == 'kernel' and layer != 'fc':
      height, width, inputs, outputs = leaf.shape
      shapes[f'{layer}.conv.weight'] = (outputs, inputs, height, width)
      shapes |= {f'{layer}.bn.{name}': (outputs,) for name in ('weight', 'bias', 'running_mean', 'running_var')}
      shapes[f'{layer}.bn.num_batches_tracked'] = ()
  inputs, outputs = params['fc']['kernel'].shape
  return shapes | {'fc.weight': (outputs, inputs), 'fc.bias': (outputs,)}


class InceptionV3(nn.Module):
  """Inception-v3: images [B, 299, 299, 3] in [-1, 1] -> features [B, 2048] and logits [B, 1008] without bias."""

  @nn.compact
  def __call__(self, x: Array) -> tuple[Array, Array]:
    x = conv(x, 'Conv2d_1a_3x3', 32, (3, 3), stride=2)       # [B, 149, 149, 32]
    x = conv(x, 'Conv2d_2a_3x3', 32, (3, 3), padding='VALID')
    x = conv(x, 'Conv2d_2b_3x3', 64, (3, 3))                 # [B, 147, 147, 64]
    x = nn.max_pool(x, (3, 3), (2, 2))
    x = conv(x, 'Conv2d_3b_1x1', 80)
    x = conv(x, 'Conv2d_4a_3x3', 192, (3, 3), padding='VALID')
    x = nn.max_pool(x, (3, 3), (2, 2))                       # [B, 35, 35, 192]
    x = Block35(32, name='Mixed_5b')(x)
    x = Block35(64, name='Mixed_5c')(x)
    x = Block35(64, name='Mixed_5d')(x)
    x = Reduction35(name='Mixed_6a')(x)                      # [B, 17, 17, 768]
    x = Block17(128, name='Mixed_6b')(x)
    x = Block17(160, name='Mixed_6c')(x)
    x = Block17(160, name='Mixed_6d')(x)
    x = Block17(192, name='Mixed_6e')(x)
    x = Reduction17(name='Mixed_7a')(x)                      # [B, 8, 8, 1280]
    x = Block8(mean_pool, name='Mixed_7b')(x)
    x = Block8(max_pool, name='Mixed_7c')(x)
    features = jnp.mean(x, axis=(1, 2))
    return features, nn.Dense(1008, use_bias=False, precision='highest', name='fc')(features)


class Block35(nn.Module):
  """[B, 35, 35, C] -> [B, 35, 35, 224 + pooled]; figure 5 of the paper, with the 5x5 convolution kept."""

  pooled: int

  @nn.compact
  def __call__(self, x: Array) -> Array:
    five = conv(x, 'branch5x5_1', 48)
    three = conv(x, 'branch3x3dbl_1', 64)
    three = conv(three, 'branch3x3dbl_2', 96, (3, 3))
    return jnp.concatenate([
        conv(x, 'branch1x1', 64),
        conv(five, 'branch5x5_2', 64, (5, 5)),
        conv(three, 'branch3x3dbl_3', 96, (3, 3)),
        conv(mean_pool(x), 'branch_pool', self.pooled)], axis=-1)


class Reduction35(nn.Module):
  """[B, 35, 35, C] -> [B, 17, 17, 480 + C]; figure 10 of the paper."""

  @nn.compact
  def __call__(self, x: Array) -> Array:
    three = conv(x, 'branch3x3dbl_1', 64)
    three = conv(three, 'branch3x3dbl_2', 96, (3, 3))
    return jnp.concatenate([
        conv(x, 'branch3x3', 384, (3, 3), stride=2),
        conv(three, 'branch3x3dbl_3', 96, (3, 3), stride=2),
        nn.max_pool(x, (3, 3), (2, 2))], axis=-1)


class Block17(nn.Module):
  """[B, 17, 17, C] -> [B, 17, 17, 768]; figure 6 of the paper, n = 7. `width` is inside the 7x7 branches."""

  width: int

  @nn.compact
  def __call__(self, x: Array) -> Array:
    once = conv(x, 'branch7x7_1', self.width)
    once = conv(once, 'branch7x7_2', self.width, (1, 7))
    twice = conv(x, 'branch7x7dbl_1', self.width)
    twice = conv(twice, 'branch7x7dbl_2', self.width, (7, 1))
    twice = conv(twice, 'branch7x7dbl_3', self.width, (1, 7))
    twice = conv(twice, 'branch7x7dbl_4', self.width, (7, 1))
    return jnp.concatenate([
        conv(x, 'branch1x1', 192),
        conv(once, 'branch7x7_3', 192, (7, 1)),
        conv(twice, 'branch7x7dbl_5', 192, (1, 7)),
        conv(mean_pool(x), 'branch_pool', 192)], axis=-1)


class Reduction17(nn.Module):
  """[B, 17, 17, C] -> [B, 8, 8, 512 + C]."""

  @nn.compact
  def __call__(self, x: Array) -> Array:
    three = conv(x, 'branch3x3_1', 192)
    seven = conv(x, 'branch7x7x3_1', 192)
    seven = conv(seven, 'branch7x7x3_2', 192, (1, 7))
    seven = conv(seven, 'branch7x7x3_3', 192, (7, 1))
    return jnp.concatenate([
        conv(three, 'branch3x3_2', 320, (3, 3), stride=2),
        conv(seven, 'branch7x7x3_4', 192, (3, 3), stride=2),
        nn.max_pool(x, (3, 3), (2, 2))], axis=-1)


class Block8(nn.Module):
  """[B, 8, 8, C] -> [B, 8, 8, 2048]; figure 7 of the paper. `pool` is a mean, in the last block a maximum."""

  pool: Callable[[Array], Array]

  @nn.compact
  def __call__(self, x: Array) -> Array:
    once = conv(x, 'branch3x3_1', 384)
    twice = conv(x, 'branch3x3dbl_1', 448)
    twice = conv(twice, 'branch3x3dbl_2', 384, (3, 3))
    return jnp.concatenate([
        conv(x, 'branch1x1', 320),
        conv(once, 'branch3x3_2a', 384, (1, 3)),
        conv(once, 'branch3x3_2b', 384, (3, 1)),
        conv(twice, 'branch3x3dbl_3a', 384, (1, 3)),
        conv(twice, 'branch3x3dbl_3b', 384, (3, 1)),
        conv(self.pool(x), 'branch_pool', 192)], axis=-1)


def conv(x: Array, name: str, features: int, kernel: tuple[int, int] = (1, 1), stride: int = 1,
         padding: str | None = None) -> Array:
  """Apply convolution, folded batch norm and ReLU. `padding` is 'VALID' for strided convolutions, otherwise 'SAME'."""
  padding = padding or ('VALID' if stride > 1 else 'SAME')
  # Full float32: TF32, an accelerator's default, would change the features.
  return nn.relu(nn.Conv(features, kernel, stride, padding, precision='highest', name=name)(x))


def mean_pool(x: Array) -> Array:
  """Average over 3x3 pixels; at the border, over the pixels inside the image."""
  total, count = (nn.pooling.pool(each, 0.0, jax.lax.add, (3, 3), (1, 1), 'SAME')
                  for each in (x, jnp.ones_like(x[:1, ..., :1])))
  return total / count  # The same as `nn.avg_pool`, which however counts in JAX's widest dtype.


def max_pool(x: Array) -> Array:
  """Take the maximum over 3x3 pixels."""
  return nn.max_pool(x, (3, 3), padding='SAME')
