"""Inception, its resizing and its weight files against torch-fidelity, clean-fid and PyTorch, on drawn weights."""

import hashlib
import tempfile
from collections import OrderedDict
from pathlib import Path

import jax
import numpy as np
import pytest

from gan.features import inception, resizing
from gan.features.torch_files import read_state_dict
from tests.parity import reference

torch, interpolate, resize = reference.require('torch', 'torch_fidelity.interpolate_compat_tensorflow',
                                               'cleanfid.resize')
SIZES = [(32, 32), (28, 45), (13, 299), (299, 299), (400, 300), (301, 640)]


@pytest.fixture(scope='module')
def weights():
  """The drawn weights as torch.save writes them; 190 MB, so not left to pytest, which keeps the files of three runs."""
  with tempfile.TemporaryDirectory() as folder:
    paths = {name: Path(folder, f'{name}.pth') for name in ('zip', 'legacy')}
    for name, path in paths.items():
      reference.torch_save(reference.draw_state_dict(), path, legacy=name == 'legacy')
    yield paths


@pytest.mark.parametrize('form', ['zip', 'legacy'])
def test_state_dict_is_read_bit_for_bit(weights, form):
  drawn, found = reference.draw_state_dict(), read_state_dict(weights[form])
  assert found.keys() == drawn.keys()
  for name in drawn:
    np.testing.assert_array_equal(found[name], drawn[name], err_msg=name, strict=True)


@pytest.mark.parametrize('legacy', [False, True])
def test_layouts_and_types_are_read_as_pytorch_has_them(tmp_path, legacy):
  base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
  tensors = OrderedDict(
      whole=base, transposed=base.permute(2, 0, 1), row=base[1, 2], every_other=base[:, 1:, ::2], last=base[1, 2, 3],
      repeated=base[0, 0, 1].expand(2, 3), half=torch.randn(3).half(), double=torch.randn(2, 2).double(),
      long=torch.tensor(2**40), channels_last=torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last))
  reference.torch_save(tensors, tmp_path / 'file', legacy)
  found = read_state_dict(tmp_path / 'file')
  for name, tensor in tensors.items():
    np.testing.assert_array_equal(found[name], tensor.numpy(), err_msg=name, strict=True)


@pytest.mark.parametrize('legacy', [False, True])
def test_state_dict_of_a_module_is_read(tmp_path, legacy):
  """It is an OrderedDict with an attribute, unlike the plain dict of the other tests."""
  module = torch.nn.BatchNorm2d(3)
  torch.save(module.state_dict(), tmp_path / 'file', _use_new_zipfile_serialization=not legacy)
  assert {name: array.shape for name, array in read_state_dict(tmp_path / 'file').items()} == {
      'weight': (3,), 'bias': (3,), 'running_mean': (3,), 'running_var': (3,), 'num_batches_tracked': ()}


@pytest.mark.parametrize('legacy', [False, True])
def test_whole_module_is_refused(tmp_path, legacy):
  torch.save(torch.nn.Linear(2, 2), tmp_path / 'file', _use_new_zipfile_serialization=not legacy)
  with pytest.raises(inception.WeightsError, match=r'torch\.nn\.modules\.linear\.Linear'):
    read_state_dict(tmp_path / 'file')


@pytest.mark.parametrize(('form', 'size'), [('zip', 32), ('legacy', 299)])
def test_features_and_logits_equal_torch_fidelity(weights, form, size):
  """Measured: 3e-7 of the largest feature, 7e-7 of the largest logit."""
  path, images = weights[form], reference.draw_images(4, size)
  features = inception.load(str(path), 'tensorflow', path.parent, hashlib.sha256(path.read_bytes()).hexdigest())
  ours = jax.jit(features.extract)(features.weights, images)
  theirs = reference.torch_features(reference.draw_state_dict(), images)
  for name, expected in zip(('features', 'logits'), theirs, strict=True):
    largest = np.abs(expected).max()
    assert 1 < largest < 100
    assert expected.std(axis=0).mean() > 1e-3 * largest, 'images differ by far more than the tolerance'
    np.testing.assert_allclose(ours[name], expected, rtol=0, atol=1e-5 * largest, strict=True)


@pytest.mark.parametrize('shape', SIZES)
def test_tensorflow_bilinear_equals_torch_fidelity(shape):
  images = reference.draw_images(2, *shape).astype(np.float32)
  expected = interpolate.interpolate_bilinear_2d_like_tensorflow1x(
      torch.as_tensor(images).permute(0, 3, 1, 2), size=(299, 299), align_corners=False).permute(0, 2, 3, 1).numpy()
  ours = jax.jit(resizing.tensorflow_bilinear, static_argnums=1)(images, 299)
  np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-3, strict=True)


@pytest.mark.parametrize('shape', SIZES)
def test_clean_bicubic_equals_clean_fid(shape):
  images = reference.draw_images(2, *shape)
  expected = np.stack([resize.build_resizer('clean')(image) for image in images])
  ours = jax.jit(resizing.clean_bicubic, static_argnums=1)(images.astype(np.float32), 299)
  np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-3, strict=True)
