"""Published weights of StyleGAN2-ADA: names and shapes, what is refused, and the folder that comes of a file.

`tests/parity/test_stylegan2.py` compares the images with the layers written again in PyTorch.
"""

import math
import pickle
import re
import shutil

import jax
import numpy as np
import pytest
import safetensors.numpy
from jax import export

from gan.models.stylegan2 import Generator
from gan.portable import PortableError, folder, stylegan2_ada
from gan.portable.stylegan2_ada import Sizes
from tests import runs
from tests.stylegan2_ada import draw_state_dict

# (pixels, channels, width, max_width, z_dim, w_dim, mapping_layers, classes) -> published number of parameters.
COUNTS = {(32, 3, 512, 512, 512, 512, 2, 0): 19_947_539, (32, 3, 512, 512, 512, 512, 2, 10): 20_215_315,
          (256, 3, 64, 512, 512, 512, 8, 0): 24_767_458, (1024, 3, 32, 512, 512, 512, 8, 0): 30_370_060}


def network_of(sizes):
  """Shapes of the parameters and statistics by flat name, and of the noise that the network draws."""
  noise = {}

  def draw(name, sampler, shape):
    del sampler
    noise[name.replace('/', '.')] = shape[1:3]
    return np.zeros(shape, np.float32)

  gen = Generator(sizes.pixels, sizes.channels, sizes.width, sizes.max_width, sizes.w_dim, sizes.mapping_layers,
                  mixing=0.0, classes=sizes.classes)
  labels = np.zeros(2, np.int32) if sizes.classes else None
  tree = jax.eval_shape(lambda: gen.init(jax.random.key(0), np.zeros((2, sizes.z_dim), np.float32), labels, train=True,
                                         draw=draw))
  tree = {'params': tree.pop('params'), 'stats': tree}
  return {f'{part}.{jax.tree_util.keystr(path, simple=True, separator=".")}': leaf.shape for part in tree
          for path, leaf in jax.tree_util.tree_leaves_with_path(tree[part])} | noise


@pytest.mark.parametrize('settings', COUNTS)
def test_every_name_has_its_place_in_our_network(settings):
  """In the published sizes: no array of ours is left out, and all have our shapes in our order of axes."""
  sizes = Sizes(*settings)
  ours = network_of(sizes)
  table = stylegan2_ada.names(sizes)
  assert sorted(name for name, _ in table.values()) == sorted(ours)
  for theirs, (name, shape) in table.items():
    reversed_axes = {4: (2, 3, 1, 0), 3: (1, 2, 0), 2: (0, 1) if name.startswith('noise') else (1, 0), 1: (0,), 0: ()}
    assert tuple(shape[axis] for axis in reversed_axes[len(shape)]) == ours[name], theirs
  assert sum(math.prod(shape) for name, shape in ours.items() if name.startswith('params')) == COUNTS[settings]


@pytest.mark.parametrize('drawn', [{}, {'pixels': 32, 'classes': 3, 'layers': 3, 'channels': 1}, {'max_width': 4}])
def test_sizes_follow_from_the_tensors(drawn):
  tensors = draw_state_dict(**drawn)
  sizes = stylegan2_ada.sizes_of(tensors)
  defaults = {'pixels': 16, 'channels': 3, 'width': 4, 'max_width': 8, 'z_dim': 6, 'w_dim': 10, 'layers': 2,
              'classes': 0} | drawn
  assert tuple(sizes) == tuple(defaults.values())
  stylegan2_ada.check(tensors, sizes)
  weights = stylegan2_ada.weights_of(tensors, sizes)
  assert {name: weight.shape for name, weight in weights.items()} == network_of(sizes)
  kernel = weights['params.synthesis.conv8_0.kernel']
  np.testing.assert_array_equal(kernel[1, 2, 3, 0], tensors['synthesis.b8.conv0.weight'][0, 3, 1, 2])
  np.testing.assert_array_equal(weights['noise.conv8_1'], tensors['synthesis.b8.conv1.noise_const'])


def without(name):
  return lambda tensors: tensors.pop(name)


def having(name, value):
  return lambda tensors: tensors.update({name: np.asarray(value, np.float32)})


@pytest.mark.parametrize(('change', 'message'), [
    (without('synthesis.b8.conv1.bias'), r'^synthesis\.b8\.conv1\.bias is missing, which a generator of 16 pixels'),
    (without('synthesis.b4.const'), r'^synthesis\.b4\.const is missing, which every generator'),
    (without('mapping.w_avg'), r'^mapping\.w_avg is missing'),
    (having('synthesis.b16.conv1.weight', np.zeros((4, 3, 3, 3))), r'^synthesis\.b16\.conv1\.weight has the shape '
     r'\[4, 3, 3, 3\] and must have \[4, 4, 3, 3\]'),
    (having('mapping.fc0.weight', np.zeros(3)), r'^mapping\.fc0\.weight has the shape \[3\] and must have 2 axes'),
    (having('synthesis.b8.skip.weight', np.zeros((8, 8, 1, 1))), r'^synthesis\.b8\.skip\.weight is unknown'),
    (having('synthesis.b8.conv0.resample_filter', np.ones((4, 4)) / 16), r'resample_filter is not the filter'),
    (lambda tensors: [tensors.pop(name) for name in list(tensors) if '.b16.conv0.' in name],
     r'^synthesis\.b16\.conv0\.affine\.weight, .* and 2 more are missing')])
def test_what_does_not_fit_is_named(change, message):
  tensors = draw_state_dict()
  change(tensors)
  with pytest.raises(PortableError, match=message):
    stylegan2_ada.check(tensors, stylegan2_ada.sizes_of(tensors))


def test_images_of_another_size_are_refused():
  with pytest.raises(PortableError, match='of 8 pixels; ours have 16, 32'):
    stylegan2_ada.sizes_of(draw_state_dict(pixels=8))


def test_files_are_plain(tmp_path):
  """Both formats and other float types are read; what may run code, or is damaged, is refused."""
  tensors = draw_state_dict()
  np.savez(tmp_path / 'a.npz', **{name: tensor.astype(np.float64) for name, tensor in tensors.items()})
  safetensors.numpy.save_file(tensors, tmp_path / 'a.safetensors')
  for name in ('a.npz', 'a.safetensors'):
    found = stylegan2_ada.read(tmp_path / name)
    assert found.keys() == tensors.keys()
    for key, tensor in tensors.items():
      np.testing.assert_array_equal(found[key], tensor, strict=True)
  (tmp_path / 'a.pkl').write_bytes(pickle.dumps(tensors))
  shutil.copy(tmp_path / 'a.pkl', tmp_path / 'pickle.npz')
  np.savez(tmp_path / 'objects.npz', a=np.array([{}]))
  np.savez(tmp_path / 'words.npz', a=np.array(['a']))
  (tmp_path / 'cut.npz').write_bytes((tmp_path / 'a.npz').read_bytes()[:999])
  (tmp_path / 'cut.safetensors').write_bytes((tmp_path / 'a.safetensors').read_bytes()[:999])
  for name, message in {'a.pkl': 'must end in .npz or .safetensors: a pickle runs code', 'pickle.npz': 'cannot be read',
                        'objects.npz': 'cannot be read', 'words.npz': 'not numbers', 'cut.npz': 'cannot be read',
                        'cut.safetensors': 'cannot be read', 'none.npz': 'No such file'}.items():
    with pytest.raises(PortableError, match=re.escape(message)):
      stylegan2_ada.read(tmp_path / name)


def test_a_file_becomes_a_folder(tmp_path):
  tensors = draw_state_dict(classes=3, channels=1)
  np.savez(tmp_path / 'weights.npz', **tensors)
  code, out, err = runs.run('gan.convert', f'--stylegan2={tmp_path / "weights.npz"}', f'--out={tmp_path / "out"}')
  assert code == 0, err
  assert 'StyleGAN2 of 16 pixels, 3 classes' in out
  where = tmp_path / 'out'
  assert {path.name for path in where.iterdir()} == {*folder.FILES, folder.CARD}
  text = (where / folder.CARD).read_text()
  for part in ('weights.npz', '| mapping layers | 2 |', '| `labels` | [N] | int32 | classes, 0 to 2 |', 'fixed one'):
    assert part in text
  weights = safetensors.numpy.load_file(where / folder.WEIGHTS)
  sample = export.deserialize((where / folder.PROGRAM).read_bytes()).call
  check = dict(np.load(where / folder.CHECK))
  expected = check.pop('samples')
  assert np.abs(sample(weights, **check) - expected).max() < 1e-5
  # The noise is a weight like others: without it, images differ.
  silent = {name: np.zeros_like(weight) if name.startswith('noise') else weight for name, weight in weights.items()}
  assert np.abs(sample(silent, **check) - expected).max() > 0.1

  code, _, err = runs.run('gan.convert', f'--stylegan2={tmp_path / "none.npz"}', f'--out={tmp_path / "other"}')
  assert code == 2
  assert 'No such file' in err
  assert 'Traceback' not in err
