"""What parity tests share: other people's packages without torchvision, and one set of drawn Inception weights.

Only `require` and the functions named torch_* need PyTorch.
"""

import functools
import importlib.machinery
import importlib.util
import io
import sys
import types

import numpy as np
import pytest

from gan.features import inception

TORCHVISION = ('torchvision', 'torchvision.datasets', 'torchvision.models', 'torchvision.models.utils',
               'torchvision.transforms', 'torchvision.transforms.functional', 'torchvision.utils')


class _StandIn(types.ModuleType):
  """A module in which every name that is no module is an empty class."""

  __path__ = ()
  __version__ = '0.0.0'

  def __getattr__(self, name):
    if name.startswith('__'):
      raise AttributeError(name)
    return sys.modules.get(f'{self.__name__}.{name}') or type(name, (), {})


def require(*names):
  """Import modules of requirements-parity.txt, or skip the tests of the file that asks."""
  if importlib.util.find_spec('torchvision') is None:
    for name in TORCHVISION:
      sys.modules[name] = _StandIn(name)
      sys.modules[name].__spec__ = importlib.machinery.ModuleSpec(name, None)
  return [pytest.importorskip(name, reason=f'{name} is absent: see requirements-parity.txt') for name in names]


@functools.cache
def draw_state_dict(seed=0):
  """Weights under the published names, under which activations neither vanish nor explode.

  Kernels are drawn as He et al. (2015, arXiv:1502.01852) do; statistics of batch norm are near 0 and 1, but far enough
  for an error in any of them to show. Kernels that sum to zero would tell images apart better (features then differ by
  a fifth of their mean, here by a seventeenth), but amplify rounding more than that: torch-fidelity in float32 is then
  2e-5 away from itself in float64, and two right implementations would look different.
  """
  rng = np.random.default_rng(seed)
  state_dict = {}
  for name, shape in inception.published_shapes().items():
    kind = name.rpartition('.')[2]
    if kind == 'num_batches_tracked':
      state_dict[name] = np.array(1000)
    elif len(shape) > 1:
      fan_in = np.prod(shape[1:])
      state_dict[name] = rng.standard_normal(shape, np.float32) * np.float32((2 / fan_in)**0.5)
    elif name.endswith(('bn.weight', 'running_var')):
      state_dict[name] = rng.uniform(0.8, 1.2, shape).astype(np.float32)
    else:   # Biases and means.
      state_dict[name] = rng.normal(0, 0.1, shape).astype(np.float32)
  return state_dict


def draw_images(count, height, width=None, channels=3, seed=0):
  """uint8 [count, height, width, channels]: blots, not noise, of which every random network sees only the mean."""
  rng = np.random.default_rng(seed)
  width = width or height
  coarse = rng.integers(0, 256, (count, 5, 5, channels))
  rows, columns = (np.arange(n) * 5 // n for n in (height, width))
  noise = rng.integers(-40, 41, (count, height, width, channels))
  return np.clip(coarse[:, rows][:, :, columns] + noise, 0, 255).astype(np.uint8)


def torch_save(state_dict, file, legacy=False):
  """Let PyTorch write `state_dict`, NumPy arrays or tensors."""
  import torch
  tensors = {name: torch.as_tensor(array) for name, array in state_dict.items()}
  torch.save(tensors, file, _use_new_zipfile_serialization=not legacy)


def torch_network(state_dict):
  """torch-fidelity's network, a torch.nn.Module: uint8 [B, 3, H, W] -> (features, logits without bias)."""
  [module] = require('torch_fidelity.feature_extractor_inceptionv3')
  file = io.BytesIO()
  torch_save(state_dict, file)
  file.seek(0)
  return module.FeatureExtractorInceptionV3('inception', ['2048', 'logits_unbiased'],
                                            feature_extractor_weights_path=file)


def torch_features(state_dict, images):
  """Features [B, 2048] and logits [B, 1008] of uint8 images [B, H, W, 3], as torch-fidelity has them."""
  import torch
  features, logits = torch_network(state_dict)(torch.as_tensor(images).permute(0, 3, 1, 2).contiguous())
  return features.numpy(), logits.numpy()
