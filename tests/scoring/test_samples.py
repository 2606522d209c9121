"""Files of samples: which are scored, and which are refused rather than read as something else."""

import zipfile

import numpy as np
import pytest

from gan.config import base_config
from gan.config.complete import complete
from gan.data import toy
from gan.data.source import DataError, ImageSource
from gan.scoring.collect import to_bytes
from gan.scoring.samples import open_samples, provenance

UNIFORM = np.random.default_rng(0).random((9, 4, 4, 1))
IMAGES = ImageSource('some', 'train', (4, 4, 1), (), [((255 * image).astype(np.uint8), 0) for image in UNIFORM])


def opened(path, data):
  drawn = open_samples(str(path), complete(base_config()), data)
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
    (UNIFORM, r'images are floats in \[.*\] \(outliers ignored\), and look like \[0, 1\].*store 2 x - 1, or uint8'),
    (UNIFORM > 0.5, 'holds bool; images must be uint8'), ((UNIFORM > 0.5).astype(np.int32), 'holds int32'),
    (2 * UNIFORM - 1 + 1j * UNIFORM, 'holds complex128'), (UNIFORM.astype(str), 'holds <U'),
    (255 * UNIFORM, r'look like \[0, 255\]; images must be uint8 in \[0, 255\], or floats in \[-1, 1\]')])
def test_images_of_another_range_or_type_are_refused(tmp_path, samples, message):
  np.savez(tmp_path / 'theirs.npz', samples=samples)
  with pytest.raises(DataError, match=message):
    opened(tmp_path / 'theirs.npz', IMAGES)


def made(kind, num=80):
  """Images [num, 8, 8, C] as uint8, of several kinds of data."""
  rng = np.random.default_rng(list(map(ord, kind)))
  if kind == 'dark':         # Strokes on black, as MNIST has them.
    return (rng.random((num, 8, 8, 1)) ** 0.3 * 255 * (rng.random((num, 8, 8, 1)) < 0.2)).astype(np.uint8)
  if kind == 'paper':        # Black strokes on white.
    return np.where(rng.random((num, 8, 8, 1)) < 0.06, 0, 255).astype(np.uint8)
  if kind == 'colours':      # Nearly normal, as photographs are.
    return np.clip(rng.normal(120, 60, (num, 8, 8, 3)), 0, 255).astype(np.uint8)
  return (255 * rng.random((num, 8, 8, 1))).astype(np.uint8)


KINDS = ('dark', 'paper', 'colours', 'noise')
RIGHT = {
    'uint8': lambda x: x, 'black and white uint8': lambda x: 255 * (x > 127).astype(np.uint8),
    'floats': lambda x: x / 127.5 - 1, 'half floats': lambda x: (x / 127.5 - 1).astype(np.float16),
    'black and white': lambda x: np.where(x > 127, 1.0, -1.0), 'low contrast': lambda x: 0.2 * (x / 127.5 - 1),
    'darker': lambda x: 0.3 * x / 127.5 - 1, 'exceeding by rounding': lambda x: 1.002 * (x / 127.5 - 1)}
WRONG = {
    '[0, 1]': lambda x: x / 255, '[0, 1] minus its mean': lambda x: (x - x.mean()) / 255,
    '[0, 1] with undershoots': lambda x: x / 255 - 0.05 * (x == 0), '[0, 255] floats': lambda x: x.astype(np.float32),
    'standardised': lambda x: (x - x.mean()) / x.std(),
    'standardised channels': lambda x: (x - x.mean((0, 1, 2))) / x.std((0, 1, 2)),
    'standardised and clipped': lambda x: np.clip((x - x.mean()) / x.std(), -1, 1),
    'uint8 of 0 and 1': lambda x: (x > 127).astype(np.uint8), 'cast': lambda x: (x / 256).astype(np.uint8),
    '[0, 16]': lambda x: (x // 16).astype(np.uint8), 'int64': lambda x: x.astype(np.int64),
    'bool': lambda x: x > 127}


def strayed(stored, strays, value):
  """The same with a few values of something else."""
  stored = stored.copy()
  stored.ravel()[np.random.default_rng(0).choice(stored.size, strays, replace=False)] = value
  return stored


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('stored', RIGHT)
@pytest.mark.parametrize(('strays', 'value'), [(0, 0), (3, 200)])
def test_images_in_a_known_range_are_those_that_were_meant(tmp_path, kind, stored, strays, value):
  """Low in contrast, dark, or with a few stray values: the bytes are right."""
  images = made(kind)
  meant = RIGHT[stored](images)
  value = value % 256 if meant.dtype == np.uint8 else value
  np.savez(tmp_path / 'x.npz', samples=strayed(meant, strays, value))
  data = ImageSource('data', 'train', images.shape[1:], (), [(image, 0) for image in made(kind)[::-1]])
  drawn = open_samples(str(tmp_path / 'x.npz'), complete(base_config()), data)
  assert drawn.range == ('uint8 in [0, 255]' if meant.dtype == np.uint8 else 'floats in [-1, 1]')
  found = np.concatenate([np.asarray(part)[:count] for part, count in drawn.batches])
  expected = meant[np.random.default_rng(0).permutation(len(meant))]
  found, expected = (x if x.dtype == np.uint8 else np.asarray(to_bytes(x.astype(np.float32))[0])
                     for x in (found, expected))
  assert np.count_nonzero(found != expected) <= strays


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('stored', WRONG)
@pytest.mark.parametrize(('strays', 'value'), [(1, -1e-6), (3, 200)])
def test_images_in_another_range_are_refused_whatever_a_few_values_say(tmp_path, kind, stored, strays, value):
  images = made(kind)
  wrong = WRONG[stored](images)
  value = value if wrong.dtype.kind == 'f' else abs(value)
  np.savez(tmp_path / 'x.npz', samples=strayed(wrong, strays, value))
  data = ImageSource('data', 'train', images.shape[1:], (), [(image, 0) for image in made(kind)[::-1]])
  with pytest.raises(DataError, match=r'x\.npz.*images must be uint8 in \[0, 255\], or floats in \[-1, 1\]'):
    open_samples(str(tmp_path / 'x.npz'), complete(base_config()), data)


def test_low_contrast_is_said(tmp_path, capsys):
  images = made('noise')
  data = ImageSource('data', 'train', images.shape[1:], (), [(image, 0) for image in images])
  for contrast, said in ((1.0, 0), (0.2, 1)):
    np.savez(tmp_path / 'x.npz', samples=contrast * (images / 127.5 - 1))
    drawn = open_samples(str(tmp_path / 'x.npz'), complete(base_config()), data)
    out = capsys.readouterr().out
    assert out.count('Warning') == said
  assert 'read as floats in [-1, 1]; their contrast is 0.2 times that of the data' in out
  assert provenance(drawn)['samples_range'] == 'floats in [-1, 1]'


def test_bright_data_are_no_reason_to_refuse(tmp_path):
  """Floats that are all positive look like [0, 1], unless the data are so bright themselves."""
  bright = np.random.default_rng(0).integers(180, 256, (80, 8, 8, 1)).astype(np.uint8)
  data = ImageSource('data', 'train', (8, 8, 1), (), [(image, 0) for image in bright])
  np.savez(tmp_path / 'x.npz', samples=bright / 127.5 - 1)
  assert open_samples(str(tmp_path / 'x.npz'), complete(base_config()), data).num == 80
  np.savez(tmp_path / 'x.npz', samples=bright / 255)
  with pytest.raises(DataError, match=r'look like \[0, 1\]'):
    open_samples(str(tmp_path / 'x.npz'), complete(base_config()), data)


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
