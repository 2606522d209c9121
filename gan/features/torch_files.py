"""A safe reader for PyTorch's files of tensors, without PyTorch.

Such a file is a pickle, and a pickle is a program: it may call any function that it names. This reader allows three
names: the ordered dict, the types of storages, and the function that makes a tensor of a storage, which is replaced by
a harmless one. A file with other names is refused. Both formats of torch.save are read: the present zip archive, and
the stream of versions before 1.6.
"""

import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from gan.features.weights import WeightsError

_DTYPES = {'FloatStorage': 'f4', 'DoubleStorage': 'f8', 'HalfStorage': 'f2', 'LongStorage': 'i8'}
_MAGIC, _PROTOCOL = 0x1950a86a20f9469cfc6c, 1001   # The first two values of a file of the older format.


class _Storage(NamedTuple):
  """A flat array in the file, which is read later."""

  dtype: str   # A value of _DTYPES.
  key: str
  length: int


class _Tensor(NamedTuple):
  """A view of a storage: offset and strides count elements."""

  storage: _Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
  """Read a file that torch.save(module.state_dict(), path) wrote, in either of its formats.

  Args:
    path: the file: one flat dict of tensors, none empty, of float16, float32, float64 or int64 in any memory layout.

  Returns:
    Read-only arrays by name; some may share memory, as their tensors did.

  Raises:
    WeightsError: if the file holds or names anything else, or is damaged.
  """
  try:
    with open(path, 'rb') as file:
      zipped = file.read(4) == b'PK\x03\x04'
      file.seek(0)
      tensors, storages = (_read_zip if zipped else _read_stream)(file)
    return {name: _view(tensor, storages) for name, tensor in tensors.items()}
  except WeightsError as error:
    raise WeightsError(f'{path} is refused: {error}') from error
  except Exception as error:   # A damaged pickle may raise any exception.
    raise WeightsError(f'{path} is no state dict of PyTorch, or is damaged ({type(error).__name__}: {error}). Way out: '
                       'write it again with torch.save(module.state_dict(), path)') from error


def _read_zip(file: BinaryIO) -> tuple[dict[str, _Tensor], dict[str, np.ndarray]]:
  with zipfile.ZipFile(file) as archive:
    [pickled] = [name for name in archive.namelist() if name.endswith('/data.pkl')]
    folder = pickled.removesuffix('data.pkl')
    big = f'{folder}byteorder' in archive.namelist() and archive.read(f'{folder}byteorder') == b'big'
    with archive.open(pickled) as stream:
      tensors = _check(_Unpickler(stream).load())
    storages = {}
    for key, storage in _needed(tensors).items():
      info = archive.getinfo(f'{folder}data/{key}')
      if info.file_size != _num_bytes(storage):   # Checked before reading: a few bytes may unpack to gigabytes.
        raise WeightsError(f'storage {key} has {info.file_size} bytes, its tensors say {_num_bytes(storage)}')
      storages[key] = _array(archive.read(info), storage, '>' if big else '<')
  return tensors, storages


def _read_stream(file: BinaryIO) -> tuple[dict[str, _Tensor], dict[str, np.ndarray]]:
  """Read the older format: pickles of magic number, protocol, machine, tensors and keys; then raw storages."""
  if _Unpickler(file).load() != _MAGIC or _Unpickler(file).load() != _PROTOCOL:
    raise WeightsError('it does not begin like either format of torch.save')
  _Unpickler(file).load()
  tensors = _check(_Unpickler(file).load())
  needed, storages = _needed(tensors), {}
  for key in _Unpickler(file).load():
    storage = needed[key]
    [length] = struct.unpack('<q', file.read(8))
    if length != storage.length:
      raise WeightsError(f'storage {key} has {length} elements, its tensors say {storage.length}')
    storages[key] = _array(file.read(_num_bytes(storage)), storage, '<')
  return tensors, storages


class _Unpickler(pickle.Unpickler):
  """Unpickler of plain values, ordered dicts, `_Storage`s and `_Tensor`s; it refuses every other name."""

  def find_class(self, module: str, name: str) -> Callable[..., Any] | str:
    if (module, name) == ('collections', 'OrderedDict'):
      return OrderedDict
    if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
      # A new function each time: a pickle may set attributes of the function.
      return lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, tuple(shape), tuple(strides))
    if module == 'torch' and name in _DTYPES:
      return _DTYPES[name]
    raise WeightsError(f'it asks for {module}.{name}, which a state dict of plain tensors never needs. The file may '
                       'hold a whole model, or be hostile. Way out: torch.save(module.state_dict(), path), float32 on '
                       'the CPU')

  def persistent_load(self, pid: Any) -> _Storage:
    kind, dtype, key, _, length, *views = pid   # The fourth entry is the device.
    if kind != 'storage' or dtype not in _DTYPES.values() or any(view is not None for view in views):
      raise WeightsError(f'it refers to {pid!r:.200}, which is no storage of {", ".join(_DTYPES)}')
    return _Storage(dtype, str(key), int(length))


def _check(tensors: Any) -> dict[str, _Tensor]:
  if not isinstance(tensors, dict) or not tensors:
    raise WeightsError(f'it holds a {type(tensors).__name__}, not a dict of tensors')
  wrong = {name: type(tensor).__name__ for name, tensor in dict.items(tensors)
           if not isinstance(name, str) or not isinstance(tensor, _Tensor) or not isinstance(tensor.storage, _Storage)}
  if wrong:
    name, kind = next(iter(wrong.items()))
    raise WeightsError(f'its entry {name!r:.80} is a {kind}, not a tensor: a checkpoint may hold the state dict one '
                       'level deeper. Way out: torch.save(module.state_dict(), path)')
  return dict(dict.items(tensors))


def _needed(tensors: dict[str, _Tensor]) -> dict[str, _Storage]:
  return {tensor.storage.key: tensor.storage for tensor in tensors.values()}


def _num_bytes(storage: _Storage) -> int:
  return storage.length * np.dtype(storage.dtype).itemsize


def _array(data: bytes, storage: _Storage, order: str) -> np.ndarray:
  if len(data) != _num_bytes(storage):
    raise WeightsError(f'storage {storage.key} has {len(data)} of {_num_bytes(storage)} bytes: the file is cut off')
  return np.frombuffer(data, order + storage.dtype).astype(storage.dtype, copy=False)


def _view(tensor: _Tensor, storages: dict[str, np.ndarray]) -> np.ndarray:
  _, offset, shape, strides = tensor
  data = storages[tensor.storage.key]
  sound = len(shape) == len(strides) and all(isinstance(n, int) and n >= 0 for n in (offset, *shape, *strides))
  # NumPy does not check strides: wrong ones would read memory beyond the storage.
  if not sound or offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True)) >= data.size:
    raise WeightsError(f'a tensor of shape {shape}, strides {strides} and offset {offset} leaves its storage of '
                       f'{data.size} elements')
  strides = [stride * data.itemsize for stride in strides]
  return np.lib.stride_tricks.as_strided(data[offset:], shape, strides, writeable=False)
