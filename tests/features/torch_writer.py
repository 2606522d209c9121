"""Writes files as torch.save does, without PyTorch, and such as it never would."""

import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from unittest import mock

import numpy as np

STORAGES = {np.dtype(dtype): name for dtype, name in
            (('f4', 'FloatStorage'), ('f8', 'DoubleStorage'), ('f2', 'HalfStorage'), ('i8', 'LongStorage'))}


def write(path, content, legacy=False, storages=None):
  """Pickle `content`, in which arrays become tensors; `storages` (key -> bytes) replaces what was to be written."""
  pickler, pickled = _dump(content)
  storages = pickler.storages if storages is None else storages
  if not legacy:
    with zipfile.ZipFile(path, 'w') as archive:
      archive.writestr('archive/data.pkl', pickled)
      archive.writestr('archive/byteorder', b'little')
      for key, data in storages.items():
        archive.writestr(f'archive/data/{key}', data)
    return
  with open(path, 'wb') as file:
    for header in (0x1950a86a20f9469cfc6c, 1001, {'protocol_version': 1001, 'little_endian': True}):
      pickle.dump(header, file, 2)
    file.write(pickled)
    pickle.dump(list(storages), file, 2)
    for key, data in storages.items():
      file.write(struct.pack('<q', len(data) // pickler.itemsizes[key]) + data)


class Tensor:
  """A tensor that claims any offset, shape and strides, in elements, in the memory of `base`."""

  def __init__(self, base, offset, shape, strides):
    self.base, self.rest = base, (offset, shape, strides)

  def __reduce__(self):
    return _named('torch._utils', '_rebuild_tensor_v2'), (_Storage(self.base), *self.rest, False, OrderedDict())


class Call:
  """What calls `function(*args)` when it is unpickled."""

  def __init__(self, function, *args):
    self.function, self.args = function, args

  def __reduce__(self):
    return self.function, self.args


class _Storage:

  def __init__(self, base):
    self.base = base


class _Pickler(pickle.Pickler):

  def __init__(self, file):
    super().__init__(file, 2)
    self.storages, self.itemsizes, self._keys = {}, {}, {}

  def persistent_id(self, obj):
    if not isinstance(obj, _Storage):
      return None
    key = self._keys.setdefault(id(obj.base), str(len(self._keys)))
    self.storages[key], self.itemsizes[key] = obj.base.tobytes(), obj.base.itemsize
    return 'storage', _named('torch', STORAGES[obj.base.dtype]), key, 'cpu', obj.base.size

  def reducer_override(self, obj):
    if not isinstance(obj, np.ndarray):
      return NotImplemented
    base = obj if obj.base is None else obj.base
    offset = obj.__array_interface__['data'][0] - base.__array_interface__['data'][0]
    strides = tuple(stride // obj.itemsize for stride in obj.strides)
    return Tensor(base, offset // obj.itemsize, obj.shape, strides).__reduce__()


def _dump(content):
  """Names are pickled only where they can be imported, so for a moment there is a torch."""
  modules = {'torch': types.ModuleType('torch'), 'torch._utils': types.ModuleType('torch._utils')}
  for (module, name), value in _NAMED.items():
    setattr(modules[module], name, value)
  file = io.BytesIO()
  with mock.patch.dict(sys.modules, modules):
    pickler = _Pickler(file)
    pickler.dump(content)
  return pickler, file.getvalue()


def _named(module, name):
  return _NAMED[module, name]


_NAMED = {(module, name): type(name, (), {'__module__': module}) for module, name in
          [('torch._utils', '_rebuild_tensor_v2'),
           *(('torch', name) for name in STORAGES.values())]}
