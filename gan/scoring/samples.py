"""The samples to be scored: from a generator at a checkpoint, from the data themselves, or from a file."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from gan import randomness
from gan.data import get_source, toy
from gan.data.pipeline import make_conditions
from gan.data.source import DataError, ImageSource, read_batches
from gan.run import environment
from gan.run.restore import Restored
from gan.sampling import CHUNK, classes_of, make_stream
from gan.scoring import ranges
from gan.scoring.collect import NUM_IMAGES, Batches

GENERATORS = ('ema', 'raw')
SPLITS = ('train', 'test')
VERSIONS = ('python', 'version.jax', 'version.flax', 'version.numpy', 'platform', 'device_kind', 'settings',
            'git_commit')


class Drawn(NamedTuple):
  """Samples to be scored.

  Attributes:
    name: 'ema', 'raw', 'train', 'test', or the name of a file.
    batches: pairs (samples, count); only the first `count` samples are scored, the others are padding.
    num: total number of samples.
    step: step of the generator; -1 if there is no generator.
    seed: seed of the latents, or of the order of the data; -1 for a file.
    classes: classes, or categorical codes, that generated samples are made of; None without classes.
    range: range in which images are stored, one of those of `gan.scoring.ranges`; '' for points.
  """

  name: str
  batches: Batches
  num: int
  step: int
  seed: int
  range: str = ''
  classes: np.ndarray | None = None


def open_samples(which: str, config: ml_collections.ConfigDict, data: ImageSource | toy.Mixture,
                 restored: Restored | None = None, seed: int | None = None) -> Drawn:
  """Open samples.

  Args:
    which: one of GENERATORS or SPLITS, or the path of an .npz file with an array `samples`: images as uint8 or floats
      in [-1, 1], or points.
    config: configuration of the run; `eval.num_samples` limits the number of samples.
    data: data set of the run.
    restored: the run at a checkpoint, for GENERATORS.
    seed: seed of the latents; None means the latents that are scored while the run trains.

  Raises:
    DataError: if a file does not exist, cannot be read, or holds samples of another shape, type or range.
  """
  num = config.eval.num_samples
  if which in GENERATORS:
    state, built = restored.state, restored.built
    root = state.rng if seed is None else randomness.root_key(np.uint32(seed))
    gen = {'params': state.gen.params, 'stats': state.gen.stats} if which == 'raw' else state.ema
    stream = make_stream(built.game, built.parallel, make_conditions(data, built.game.conditions, CHUNK))
    key = randomness.purpose_key(root, 'evaluation')
    batches = stream(gen, key, num)
    kind = '' if isinstance(data, toy.Mixture) else ranges.FLOATS
    return Drawn(which, batches, num, restored.step, config.seed if seed is None else seed, kind,
                 classes_of(built.game, key, num))
  if which in SPLITS:
    if isinstance(data, toy.Mixture):
      if which == 'train' and data.num_points:
        points = np.random.default_rng(seed or 0).permutation(np.asarray(data.points()))[:num]
      else:
        points = np.asarray(data.draw(randomness.purpose_key(randomness.root_key(seed or 0), 'evaluation'), num))
      return Drawn(which, _chunks(points), len(points), -1, seed or 0)
    source = data if which == data.split else get_source(config.data.name, config.data.image_size, which,
                                                         path=config.data.path or None)
    order = np.random.default_rng(seed or 0).permutation(source.num_examples)[:num]
    batches = ((part['images'], len(part['images'])) for part in read_batches(source, order, CHUNK))
    return Drawn(which, batches, len(order), -1, seed or 0, ranges.BYTES)
  samples, kind = _read_file(Path(which), data)
  samples = samples[np.random.default_rng(seed or 0).permutation(len(samples))[:num]]  # They may be sorted by class.
  return Drawn(Path(which).name, _chunks(samples), len(samples), -1, -1, kind)


def provenance(drawn: Drawn) -> dict[str, Any]:
  """Return the fields of a line that describe the samples and the program that scored them."""
  env = environment.describe([])
  return {'samples': drawn.name, 'num_samples': drawn.num, 'step': drawn.step, 'seed': drawn.seed,
          'samples_range': drawn.range, 'during_training': False} | {key: env[key] for key in VERSIONS}


def _chunks(samples: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
  """Yield chunks of equal size, so that one program serves all; the last chunk is padded with zeros."""
  for start in range(0, len(samples), CHUNK):
    part = samples[start:start + CHUNK]
    yield np.pad(part, ((0, CHUNK - len(part)), *[(0, 0)] * (part.ndim - 1))), len(part)


def _read_file(path: Path, data: ImageSource | toy.Mixture) -> tuple[np.ndarray, str]:
  images = not isinstance(data, toy.Mixture)
  shape = data.shape if images else data.modes.shape[1:]
  choices = f'--samples must be {", ".join((*GENERATORS, *SPLITS))}, or an .npz file with an array `samples`'
  if path.suffix != '.npz' or not path.exists():
    raise DataError(f'--samples={path}: {"no such file" if path.suffix == ".npz" else "unknown"}; {choices}')
  try:  # np.load is not used: it reads a file that is no archive as an array or a pickle.
    with zipfile.ZipFile(path) as archive, archive.open('samples.npy') as member:
      samples = np.lib.format.read_array(member, allow_pickle=False)
  except (KeyError, ValueError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
    raise DataError(f'--samples={path} is no readable .npz with an array `samples` ({error}); write it with '
                    'np.savez(path, samples=samples)') from None
  if samples.shape[1:] != tuple(shape) or len(samples) < 2:
    raise DataError(f'--samples={path} holds an array of shape {samples.shape}; samples of this run have shape '
                    f'{tuple(shape)}, so the array must be [N, {", ".join(map(str, shape))}] with N of 2 or more')
  if samples.dtype.kind not in ('f' if images else 'fiu') and not (images and samples.dtype == np.uint8):
    raise DataError(f'--samples={path} holds {samples.dtype}; ' + (
        f'{ranges.WAY_OUT}: convert them' if images else 'points must be floats or integers'))
  kind = _checked_range(path, samples, data) if images else ''
  return samples if images and samples.dtype == np.uint8 else samples.astype(np.float32), kind


def _checked_range(path: Path, samples: np.ndarray, data: ImageSource) -> str:
  some = np.linspace(0, data.num_examples - 1, min(NUM_IMAGES, data.num_examples)).astype(int)
  try:
    stored = ranges.range_of(samples, data.read(some)['images'])
  except DataError as error:
    raise DataError(f'--samples={path}: {error}') from None
  if stored.warning:
    print(f'Warning: --samples={path}: {stored.warning}', flush=True)
  return stored.name
