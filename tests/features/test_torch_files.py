"""PyTorch's files, in both formats: what they hold, and all that must not come of them.

Files that PyTorch itself wrote are read in tests/parity.
"""

import os
import pickle
import subprocess
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from gan.features.torch_files import read_state_dict
from gan.features.weights import WeightsError
from tests.features.torch_writer import Call, Tensor, write

both = pytest.mark.parametrize('legacy', [False, True], ids=['zip', 'legacy'])


@both
def test_layouts_and_types(tmp_path, legacy):
  base = np.arange(24, dtype=np.float32).reshape(2, 3, 4).copy()
  arrays = OrderedDict(whole=base, transposed=base.T, part=base[1, 1:, ::2], last=base[1, 2, 3:].reshape(()),
                       double=np.array([0.1, -1e300]), half=np.array([0.1], np.float16), counter=np.array(2**40))
  write(tmp_path / 'file', arrays, legacy)
  found = read_state_dict(tmp_path / 'file')
  assert list(found) == list(arrays)
  for name, array in arrays.items():
    np.testing.assert_array_equal(found[name], array, err_msg=name, strict=True)


def test_big_endian_zip(tmp_path):
  array = np.array([1.5, -2.0, 1e-3], np.float32)
  write(tmp_path / 'file', {'a': array}, storages={'0': array.astype('>f4').tobytes()})
  with zipfile.ZipFile(tmp_path / 'file') as source, zipfile.ZipFile(tmp_path / 'big', 'w') as target:
    for name in source.namelist():
      target.writestr(name, b'big' if name.endswith('byteorder') else source.read(name))
  np.testing.assert_array_equal(read_state_dict(tmp_path / 'big')['a'], array)


@both
@pytest.mark.parametrize('function', [os.system, subprocess.Popen, eval, getattr, pickle.loads])
def test_hostile_pickle_is_refused_before_it_acts(tmp_path, legacy, function):
  victim = tmp_path / 'victim'
  args = {os.system: (f'touch {victim}',), subprocess.Popen: (['touch', str(victim)],),
          eval: (f'open({str(victim)!r}, "w")',), getattr: ({}, 'clear'), pickle.loads: (pickle.dumps(1),)}[function]
  write(tmp_path / 'file', {'a': np.zeros(2), 'b': Call(function, *args)}, legacy)
  with pytest.raises(WeightsError, match=r'asks for \w+\.\w+.*torch\.save\(module\.state_dict'):
    read_state_dict(tmp_path / 'file')
  assert not victim.exists()


@both
@pytest.mark.parametrize(('offset', 'shape', 'strides'), [
    (0, (7,), (1,)), (5, (2,), (1,)), (-1, (2,), (1,)), (0, (2, 2), (6, 1)), (0, (3,), (-1,)), (5, (2,), (-1,)),
    (0, (2, 3), (3,)), (0, (2.0,), (1,)), (0, (-2,), (1,)), (10**30, (1,), (1,)), (0, ('2',), (1,))])
def test_tensor_that_leaves_its_storage_is_refused(tmp_path, legacy, offset, shape, strides):
  write(tmp_path / 'file', {'a': Tensor(np.zeros(6, np.float32), offset, shape, strides)}, legacy)
  with pytest.raises(WeightsError, match='leaves its storage of 6 elements'):
    read_state_dict(tmp_path / 'file')


@both
@pytest.mark.parametrize(('content', 'message'), [
    ([np.zeros(2)], 'holds a list'),
    ({}, 'holds a dict'),
    ({'state_dict': {'a': np.zeros(2)}}, "entry 'state_dict' is a dict, not a tensor.*one level deeper"),
    ({'a': np.zeros(2), 'epoch': 3}, "entry 'epoch' is a int"),
    ({1: np.zeros(2)}, 'entry 1 is a _Tensor'),
    ({'a': Call(set, [1])}, r'asks for \w+\.set')])
def test_what_is_no_flat_state_dict_is_refused(tmp_path, legacy, content, message):
  write(tmp_path / 'file', content, legacy)
  with pytest.raises(WeightsError, match=message):
    read_state_dict(tmp_path / 'file')


@both
@pytest.mark.parametrize('size', [4, 12])
def test_storage_of_another_size_is_refused(tmp_path, legacy, size):
  write(tmp_path / 'file', {'a': np.zeros(2, np.float32)}, legacy, storages={'0': bytes(size)})
  with pytest.raises(WeightsError, match=f'storage 0 has {size // 4 if legacy else size} .*its tensors say'):
    read_state_dict(tmp_path / 'file')


@both
def test_file_that_is_cut_off_anywhere_is_refused(tmp_path, legacy):
  write(tmp_path / 'whole', OrderedDict(a=np.zeros(2, np.float32), b=np.ones(3)), legacy)
  data = (tmp_path / 'whole').read_bytes()
  for length in range(len(data)):
    (tmp_path / 'file').write_bytes(data[:length])
    with pytest.raises(WeightsError, match=r'Way out|cut off|begins as'):
      read_state_dict(tmp_path / 'file')


def test_other_files_are_refused(tmp_path):
  for content in (b'<html>Log in first</html>', pickle.dumps({'a': 1}), b'PK\x03\x04 and no more'):
    (tmp_path / 'file').write_bytes(content)
    with pytest.raises(WeightsError, match='file'):
      read_state_dict(tmp_path / 'file')
