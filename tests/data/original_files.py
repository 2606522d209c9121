"""Small files in the formats in which MNIST, Fashion-MNIST and CIFAR-10 are published."""

import gzip
import io
import struct
import tarfile

import numpy as np

COUNTS = {'train': 150, 'test': 40}


def draw(name):
  """{split: (images [N, H, W, C], labels [N])}, random."""
  rng = np.random.default_rng(0)
  shape = (32, 32, 3) if name == 'cifar10' else (28, 28, 1)
  return {split: (rng.integers(0, 256, (count, *shape), np.uint8), rng.integers(0, 10, count).astype(np.uint8))
          for split, count in COUNTS.items()}


def write(folder, name, splits):
  """Write the files of a set whose `splits` are those of `draw`."""
  folder.mkdir(parents=True, exist_ok=True)
  if name == 'cifar10':
    write_cifar10(folder, splits)
  else:
    for split, (images, labels) in splits.items():
      prefix = {'train': 'train', 'test': 't10k'}[split]
      write_gzip(folder / f'{prefix}-images-idx3-ubyte.gz', idx(images[..., 0]))
      write_gzip(folder / f'{prefix}-labels-idx1-ubyte.gz', idx(labels))
  return folder


def idx(array):
  """Bytes of an idx file: two zeros, 8 for bytes, the number of axes; each length in four bytes; the values."""
  return struct.pack(f'>HBB{array.ndim}I', 0, 8, array.ndim, *array.shape) + array.tobytes()


def zipped(content):
  """Compressed bytes without the time, so that the name of a test that holds them is the same in every worker."""
  return gzip.compress(content, 1, mtime=0)


def write_gzip(path, content):
  path.write_bytes(zipped(content))


def write_cifar10(folder, splits, leave_out=(), cut=0):
  """Write an archive of five files for training and one for tests, without some of them, or each cut at its end."""
  with tarfile.open(folder / 'cifar-10-binary.tar.gz', 'w:gz', compresslevel=1) as archive:
    add(archive, 'cifar-10-batches-bin', None)
    for split, (images, labels) in splits.items():
      planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
      parts = np.array_split(np.concatenate([labels[:, None], planes], axis=1), 5 if split == 'train' else 1)
      for i, part in enumerate(parts, 1):
        file = f'data_batch_{i}.bin' if split == 'train' else 'test_batch.bin'
        if file not in leave_out:
          add(archive, f'cifar-10-batches-bin/{file}', part.tobytes()[:part.size - cut])


def add(archive, name, content):
  """Add a file, or a folder where there is no content."""
  info = tarfile.TarInfo(name)
  info.type, info.size = (tarfile.DIRTYPE, 0) if content is None else (tarfile.REGTYPE, len(content))
  archive.addfile(info, io.BytesIO(content or b''))
