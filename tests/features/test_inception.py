"""Inception without PyTorch: names and shapes, numbers that torch-fidelity computed, refusals.

tests/parity has the comparison with torch-fidelity itself.
"""

import hashlib
import math
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan.features import inception
from gan.features.resizing import clean_bicubic
from gan.features.weights import SHA256, WeightsError
from tests.features.torch_writer import write
from tests.parity.reference import draw_images, draw_state_dict

# Of draw_images(2, 32) under draw_state_dict(): every 512th feature and 252nd logit, from torch-fidelity 0.4.0.
FEATURES = [[1.6680067, 2.8497946, 0.1134941, 1.4456937], [1.6617258, 2.7091050, 0.1208098, 1.3757280]]
LOGITS = [[2.4327418, 0.3325825, -0.0532466, 0.0178713], [2.3280923, 0.3074621, -0.0547890, -0.0117520]]


@pytest.fixture(scope='module')
def load():
  """Loads the drawn weights from a file; 95 MB, so not left to pytest, which keeps the files of three runs."""
  with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, 'weights.pth')
    write(path, draw_state_dict())
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    yield lambda resizing='tensorflow', sha256=sha256: inception.load(str(path), resizing, path.parent, sha256)


def test_names_and_shapes():
  shapes = inception.published_shapes()
  assert len(shapes) == 566
  assert shapes['Conv2d_1a_3x3.conv.weight'] == (32, 3, 3, 3)
  assert shapes['Mixed_5b.branch5x5_2.bn.running_var'] == (64,)
  assert shapes['Mixed_6c.branch7x7dbl_2.conv.weight'] == (160, 160, 7, 1)
  assert shapes['Mixed_7c.branch_pool.conv.weight'] == (192, 2048, 1, 1)
  assert shapes['Mixed_7c.branch_pool.bn.num_batches_tracked'] == ()
  assert shapes['fc.weight'] == (1008, 2048)
  # Keras documents 23,851,784 parameters: 1000 classes, not 1008, and no scales in batch norm.
  counts = {name: math.prod(shape) for name, shape in shapes.items() if not name.endswith('num_batches_tracked')}
  scales = sum(count for name, count in counts.items() if name.endswith('bn.weight'))
  assert sum(counts.values()) - scales - 8 * 2049 == 23_851_784


def test_numbers_of_torch_fidelity(load):
  features = load()
  assert (features.name, features.resizing) == ('inception', 'TensorFlow bilinear to 299')
  assert len(features.digest) == 16
  found = jax.jit(features.extract)(features.weights, draw_images(2, 32))
  assert {name: (array.shape, array.dtype) for name, array in found.items()} == {
      'features': ((2, 2048), jnp.float32), 'logits': ((2, 1008), jnp.float32)}
  np.testing.assert_allclose(found['features'][:, ::512], FEATURES, atol=5e-5)
  np.testing.assert_allclose(found['logits'][:, ::252], LOGITS, atol=5e-5)


def test_grey_images_are_repeated_and_the_resizing_is_used(load):
  features = load('clean')
  assert features.resizing == 'clean bicubic to 299'
  grey = draw_images(1, 32, channels=1)
  found = jax.jit(features.extract)(features.weights, grey)['features']
  x = clean_bicubic(np.repeat(grey, 3, axis=-1).astype(np.float32), 299) / 128 - 1
  expected, _ = jax.jit(lambda params, x: inception.InceptionV3().apply({'params': params}, x))(features.weights, x)
  np.testing.assert_allclose(found, expected, atol=5e-5)


def test_mean_pool_leaves_the_padding_out():
  x = np.arange(12.0, dtype=np.float32).reshape(1, 3, 4, 1)
  y = inception.mean_pool(x)[0, ..., 0]
  np.testing.assert_allclose(y[0], [2.5, 3, 4, 4.5])   # Corner: mean of 0, 1, 4, 5.
  np.testing.assert_allclose(y[1], [4.5, 5, 6, 6.5])


def test_batch_norm_is_folded_as_its_formula_says():
  """Epsilon is 0.001: it shows where a variance is as small."""
  state_dict = dict(draw_state_dict())
  layer = 'Mixed_7a.branch3x3_2'
  state_dict[f'{layer}.bn.running_var'] = np.geomspace(1e-6, 1, 320, dtype=np.float32)
  kernel, scale, bias, mean, variance = (state_dict[f'{layer}.{name}'].astype(np.float64) for name in (
      'conv.weight', 'bn.weight', 'bn.bias', 'bn.running_mean', 'bn.running_var'))
  folded = inception.to_flax(state_dict)['Mixed_7a']['branch3x3_2']
  x = np.random.default_rng(0).normal(size=(192, 3, 3))
  expected = scale * (np.einsum('oihw,ihw->o', kernel, x) - mean) / np.sqrt(variance + 0.001) + bias
  found = np.einsum('hwio,ihw->o', folded['kernel'], x) + folded['bias']
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_counters_may_be_missing():
  state_dict = {name: array for name, array in draw_state_dict().items() if not name.endswith('num_batches_tracked')}
  assert jax.tree.structure(inception.to_flax(state_dict)) == jax.tree.structure(inception.to_flax(draw_state_dict()))


def test_other_weights_are_refused_by_name():
  state_dict = dict(draw_state_dict())
  del state_dict['Mixed_5b.branch1x1.conv.weight']
  state_dict['AuxLogits.fc.bias'] = np.zeros(1000)
  state_dict['fc.weight'] = np.zeros((1000, 2048))
  with pytest.raises(WeightsError, match=r'missing: Mixed_5b\.branch1x1\.conv\.weight; unknown: AuxLogits\.fc\.bias; '
                                         r'wrong shape: fc\.weight is \[1000, 2048\], must be \[1008, 2048\]'):
    inception.to_flax(state_dict)
  with pytest.raises(WeightsError, match=r'missing: Conv2d.*and 467 more.*unknown: a'):
    inception.to_flax({'a': np.zeros(2)})


def test_what_load_refuses(load, tmp_path):
  with pytest.raises(ValueError, match="resizing='bicubic' is unknown; choose from tensorflow, clean"):
    load('bicubic')
  with pytest.raises(WeightsError, match=SHA256):
    load(sha256=None)
  write(tmp_path / 'own.pth', {'a': np.zeros(2)})
  sha256 = hashlib.sha256((tmp_path / 'own.pth').read_bytes()).hexdigest()
  with pytest.raises(WeightsError, match=r'own\.pth: .*missing'):
    inception.load(str(tmp_path / 'own.pth'), 'clean', tmp_path, sha256)


@pytest.mark.parametrize(('shape', 'dtype'), [((2, 32, 32, 3), np.float32), ((32, 32, 3), np.uint8),
                                              ((2, 32, 32, 4), np.uint8), ((2, 3, 32, 32), np.uint8)])
def test_other_images_are_refused(load, shape, dtype):
  features = load()
  with pytest.raises(ValueError, match='must be uint8'):
    jax.eval_shape(features.extract, features.weights, jax.ShapeDtypeStruct(shape, dtype))
