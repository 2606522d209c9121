"""What is kept of a stream of images for the scores: moments, features, logits, similarities of pairs, a few images."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from tqdm import tqdm

from gan.features import Features
from gan.metrics import NonFiniteSamplesError
from gan.metrics.frechet import NUM_BLOCKS
from gan.metrics.moments import Moments, merged, moments_of
from gan.metrics.ms_ssim import ms_ssim
from gan.parallel import AXIS, Parallel

NUM_IMAGES = 256   # Of the first ones, kept as they are.

Batches = Iterable[tuple[Array | np.ndarray, int]]


class Collected(NamedTuple):
  """What is kept of a set of images; None or empty where no score needs it.

  Attributes:
    count: images seen.
    blocks: moments of the features of equal parts of the set, one after another.
    features: float32 [N, D].
    logits: float32 [N, K].
    similarities: [N / 2], MS-SSIM of neighbours in the stream.
    images: uint8 [min(N, NUM_IMAGES), H, W, C], the first ones.
  """

  count: int
  blocks: list[Moments]
  features: np.ndarray | None
  logits: np.ndarray | None
  similarities: np.ndarray | None
  images: np.ndarray

  @property
  def dim(self) -> int:
    """Length of a feature vector."""
    return len(self.blocks[0].mean)


@jax.jit
def to_bytes(samples: Array) -> tuple[Array, Array]:
  """Samples [B, H, W, C] in [-1, 1] as uint8, rounded as a saved image is, and which of them [B] are numbers."""
  finite = jnp.all(jnp.isfinite(samples), axis=tuple(range(1, samples.ndim)))
  return jnp.clip(jnp.rint((samples + 1.0) * 127.5), 0.0, 255.0).astype(jnp.uint8), finite


def make_extract(features: Features, parallel: Parallel | None = None) -> Callable[[np.ndarray | Array], dict]:
  """Builds extract(uint8 [N, H, W, C]) -> {'features': float32 [N, D], ...} on the host.

  Args:
    features: the network.
    parallel: devices that share each batch; one by default.
  """
  compiled, weights = jax.jit(features.extract), features.weights
  if parallel is not None and features.batch % parallel.mesh.size == 0:
    rows = jax.sharding.NamedSharding(parallel.mesh, jax.sharding.PartitionSpec(AXIS))
    weights = parallel.place(weights)
    compiled = jax.jit(lambda weights, images: features.extract(
        weights, jax.lax.with_sharding_constraint(images, rows)), out_shardings=parallel.replicated)

  def extract(images: np.ndarray | Array) -> dict[str, np.ndarray]:
    parts = []
    for start in range(0, len(images), features.batch):
      part = images[start:start + features.batch]
      missing = features.batch - len(part)
      found = compiled(weights, jnp.pad(part, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else part)
      parts.append({name: np.asarray(values)[:len(part)] for name, values in found.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

  return extract


class Collector:
  """Keeps what is needed of images that come in parts.

  Args:
    num: images altogether, at least 2.
    needs: of 'moments', 'features', 'logits', 'pairs'.
  """

  def __init__(self, num: int, needs: frozenset[str]):
    self._num, self._needs, self._num_blocks = num, needs, min(NUM_BLOCKS, num // 2)
    self._blocks: list[Moments | None] = [None] * self._num_blocks
    self._kept: dict[str, list[np.ndarray]] = {'features': [], 'logits': [], 'pairs': [], 'images': []}
    self._seen = self._bad = 0

  def add(self, images: Array | np.ndarray, found: dict[str, np.ndarray], bad: int = 0) -> None:
    """Takes the next images.

    Args:
      images: uint8 [B, H, W, C].
      found: what `make_extract` made of them; {} where no features are needed.
      bad: how many of them were no numbers.
    """
    count = len(images)
    if self._seen < NUM_IMAGES:
      self._kept['images'].append(np.asarray(images[:NUM_IMAGES - self._seen]))
    if 'pairs' in self._needs and count > 1:
      even = count // 2 * 2
      self._kept['pairs'].append(np.asarray(_similarity(images[:even:2], images[1:even:2])))
    for name in self._needs & {'features', 'logits'}:
      self._kept[name].append(found[name])
    if 'moments' in self._needs:
      of_row = (self._seen + np.arange(count)) * self._num_blocks // self._num
      for block in np.unique(of_row):
        part, before = moments_of(found['features'][of_row == block]), self._blocks[block]
        self._blocks[block] = part if before is None else merged(before, part)
    self._seen += count
    self._bad += bad

  def collected(self) -> Collected:
    """What was kept.

    Raises:
      NonFiniteSamplesError: if images were no numbers; says how many.
    """
    if self._bad:
      raise NonFiniteSamplesError(f'{self._bad} of {self._seen} samples are not finite: there is nothing to score')
    joined = {name: np.concatenate(parts) if parts else None for name, parts in self._kept.items()}
    return Collected(self._seen, [block for block in self._blocks if block is not None], joined['features'],
                     joined['logits'], joined['pairs'], joined['images'])


def collect(batches: Batches, num: int, needs: frozenset[str], extract: Callable | None, title: str = '') -> Collected:
  """Runs through images and keeps what is needed.

  Args:
    batches: (images [B, H, W, C], how many of them count); float in [-1, 1], or uint8.
    num: images altogether, at least 2.
    needs: see `Collector`.
    extract: made by `make_extract`; None where no features are needed.
    title: of the progress bar; '' shows none.

  Raises:
    NonFiniteSamplesError: if images are no numbers; says how many.
  """
  collector = Collector(num, needs)
  bar = tqdm(total=num, desc=title, unit='image', leave=False, disable=None if title else True)  # None: no terminal.
  for images, count in batches:
    bad = 0
    if images.dtype != np.uint8:
      images, finite = to_bytes(images)
      bad = count - int(np.asarray(finite)[:count].sum())
    found = extract(images) if extract else {}  # Of all, though some do not count: one shape, one program.
    collector.add(images[:count], {name: values[:count] for name, values in found.items()}, bad)
    bar.update(count)
  bar.close()
  return collector.collected()


_similarity = jax.jit(ms_ssim)
