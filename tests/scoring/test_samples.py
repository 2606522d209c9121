"""Files of samples: which are scored, and which are refused rather than read as something else."""

import zipfile

import numpy as np
import pytest

from gan.config import base_config
from gan.data import toy
from gan.data.source import DataError, ImageSource
from gan.scoring.samples import open_samples

UNIFORM = np.random.default_rng(0).random((9, 4, 4, 1))
IMAGES = ImageSource('some', 'train', (4, 4, 1), (), [])


def opened(path, data):
  drawn = open_samples(str(path), base_config(), data)
  return np.concatenate([np.asarray(part)[:count] for part, count in drawn.batches])


@pytest.mark.parametrize(('samples', 'data'), [
    ((255 * UNIFORM).astype(np.uint8), IMAGES), (2 * UNIFORM - 1, IMAGES),
    ((2 * UNIFORM - 1).astype(np.float16), IMAGES),
    (UNIFORM[:, 0, :2, 0], toy.ring()), (np.arange(8).reshape(4, 2), toy.ring()),
    (np.arange(8, dtype=np.uint8).reshape(4, 2), toy.ring())])
@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
def test_samples_come_back(tmp_path, save, samples, data):
  save(tmp_path / 'theirs.npz', samples=samples)
  found = opened(tmp_path / 'theirs.npz', data)
  assert found.dtype == (np.uint8 if data is IMAGES and samples.dtype == np.uint8 else np.float32)
  # In random order, in which they may not have been stored: scores split samples into parts that have to be alike.
  assert not np.allclose(found, samples)
  order = np.random.default_rng(0).permutation(len(samples))
  np.testing.assert_allclose(found, samples[order], rtol=1e-6)


@pytest.mark.parametrize(('samples', 'message'), [
    (UNIFORM, r'images lie in \[.*\] and look like \[0, 1\].*store 2 x - 1, or uint8'),
    (UNIFORM > 0.5, 'holds bool; images must be uint8, or floats'), ((UNIFORM > 0.5).astype(np.int32), 'holds int32'),
    (2 * UNIFORM - 1 + 1j * UNIFORM, 'holds complex128'), (UNIFORM.astype(str), 'holds <U'),
    (255 * UNIFORM, r'they must be uint8, or floats in \[-1, 1\]')])
def test_images_of_another_range_or_type_are_refused(tmp_path, samples, message):
  np.savez(tmp_path / 'theirs.npz', samples=samples)
  with pytest.raises(DataError, match=message):
    opened(tmp_path / 'theirs.npz', IMAGES)


@pytest.mark.parametrize('kind', [bool, complex, str, 'timedelta64[s]'])
def test_points_are_numbers(tmp_path, kind):
  np.savez(tmp_path / 'theirs.npz', samples=np.arange(8).reshape(4, 2).astype(kind))
  with pytest.raises(DataError, match='points must be floats or integers'):
    opened(tmp_path / 'theirs.npz', toy.ring())


def test_one_message_for_whatever_is_no_archive_of_samples(tmp_path):
  np.savez_compressed(tmp_path / 'good.npz', samples=2 * UNIFORM - 1)
  good = (tmp_path / 'good.npz').read_bytes()
  middle = len(good) // 2
  for name, content in {'empty': b'', 'text': b'hello\n', 'cut': good[:middle],
                        'flipped': good[:middle] + bytes([good[middle] ^ 255]) + good[middle + 1:]}.items():
    (tmp_path / f'{name}.npz').write_bytes(content)
  with open(tmp_path / 'array.npz', 'wb') as file:
    np.save(file, UNIFORM)
  for name, member in {'member': 'samples', 'content': 'samples.npy'}.items():
    with zipfile.ZipFile(tmp_path / f'{name}.npz', 'w') as archive:
      archive.writestr(member, b'garbage')
  np.savez(tmp_path / 'objects.npz', samples=np.array([None, 1]))
  np.savez(tmp_path / 'other.npz', images=UNIFORM)
  (tmp_path / 'folder.npz').mkdir()
  bad = sorted(set(tmp_path.glob('*.npz')) - {tmp_path / 'good.npz'})
  assert len(bad) == 10
  for path in bad:
    with pytest.raises(DataError, match=r'is no readable \.npz with an array `samples`') as raised:
      opened(path, IMAGES)
    assert 'unsafely' not in str(raised.value), 'nobody is to load a pickle'
