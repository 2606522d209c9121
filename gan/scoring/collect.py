"""Statistics that the scores need of a stream of images: moments, features, logits, similarities, a few images."""

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

NUM_IMAGES = 256   # The first images of a stream are kept themselves.

Batches = Iterable[tuple[Array | np.ndarray, int]]


class Collected(NamedTuple):
  """Statistics of a set of images; None or empty if no score needs them.

  Attributes:
    count: number of images N.
    blocks: moments of the features of successive equal parts of the set.
    features: float32 [N, D].
    logits: float32 [N, K].
    similarities: [N / 2], MS-SSIM of successive pairs of the stream.
    images: uint8 [min(N, NUM_IMAGES), H, W, C], the first images.
    classes: classes, or categorical codes, [N] that the samples were made of; None if there are none.
  """

  count: int
  blocks: list[Moments]
  features: np.ndarray | None
  logits: np.ndarray | None
  similarities: np.ndarray | None
  images: np.ndarray
  classes: np.ndarray | None = None

  @property
  def dim(self) -> int:
    """Length of a feature vector."""
    return len(self.blocks[0].mean)


@jax.jit
def to_bytes(samples: Array) -> tuple[Array, Array]:
  """Convert samples [B, H, W, C] in [-1, 1] to uint8, rounded as in saved images; also return which [B] are finite."""
  finite = jnp.all(jnp.isfinite(samples), axis=tuple(range(1, samples.ndim)))
  return jnp.clip(jnp.rint((samples + 1.0) * 127.5), 0.0, 255.0).astype(jnp.uint8), finite


def make_extract(features: Features, parallel: Parallel | None = None) -> Callable[[np.ndarray | Array], dict]:
  """Build extract(uint8 [N, H, W, C]) -> {'features': float32 [N, D], ...} on the host.

  Args:
    features: the feature network.
    parallel: devices that share each batch; one device by default.
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
      outputs = compiled(weights, jnp.pad(part, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else part)
      parts.append({name: np.asarray(values)[:len(part)] for name, values in outputs.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

  return extract


class Collector:
  """Collects statistics of images that arrive in parts.

  Args:
    num: total number of images, at least 2.
    needs: statistics to collect, any of 'moments', 'features', 'logits', 'pairs'.
  """

  def __init__(self, num: int, needs: frozenset[str]):
    self._num, self._needs, self._num_blocks = num, needs, min(NUM_BLOCKS, num // 2)
    self._blocks: list[Moments | None] = [None] * self._num_blocks
    self._kept: dict[str, list[np.ndarray]] = {'features': [], 'logits': [], 'pairs': [], 'images': []}
    self._seen = self._bad = 0

  def add(self, images: Array | np.ndarray, outputs: dict[str, np.ndarray], bad: int = 0) -> None:
    """Add the next images.

    Args:
      images: uint8 [B, H, W, C].
      outputs: outputs of the feature network for them (see `make_extract`); {} if no features are needed.
      bad: number of samples among them that contained NaN or infinity.
    """
    count = len(images)
    if self._seen < NUM_IMAGES:
      self._kept['images'].append(np.asarray(images[:NUM_IMAGES - self._seen]))
    if 'pairs' in self._needs and count > 1:
      even = count // 2 * 2
      self._kept['pairs'].append(np.asarray(_similarity(images[:even:2], images[1:even:2])))
    for name in self._needs & {'features', 'logits'}:
      self._kept[name].append(outputs[name])
    if 'moments' in self._needs:
      block_of_image = (self._seen + np.arange(count)) * self._num_blocks // self._num
      for block in np.unique(block_of_image):
        part, before = moments_of(outputs['features'][block_of_image == block]), self._blocks[block]
        self._blocks[block] = part if before is None else merged(before, part)
    self._seen += count
    self._bad += bad

  def collected(self) -> Collected:
    """Return the statistics of all images.

    Raises:
      NonFiniteSamplesError: if samples contained NaN or infinity; the message says how many did.
    """
    if self._bad:
      raise NonFiniteSamplesError(f'{self._bad} of {self._seen} samples are not finite: there is nothing to score')
    joined = {name: np.concatenate(parts) if parts else None for name, parts in self._kept.items()}
    return Collected(self._seen, [block for block in self._blocks if block is not None], joined['features'],
                     joined['logits'], joined['pairs'], joined['images'])


def collect(batches: Batches, num: int, needs: frozenset[str], extract: Callable | None, title: str = '') -> Collected:
  """Collect statistics of a stream of images.

  Args:
    batches: pairs (images [B, H, W, C], count): only the first `count` images are used, the others are padding. Images
      are float in [-1, 1], or uint8.
    num: total number of images, at least 2.
    needs: see `Collector`.
    extract: made by `make_extract`; None if no features are needed.
    title: title of the progress bar; '' shows no bar.

  Raises:
    NonFiniteSamplesError: if samples contain NaN or infinity; the message says how many do.
  """
  collector = Collector(num, needs)
  disable = None if title else True  # None shows the bar on terminals only.
  bar = tqdm(total=num, desc=title, unit='image', leave=False, disable=disable)
  for images, count in batches:
    bad = 0
    if images.dtype != np.uint8:
      images, finite = to_bytes(images)
      bad = count - int(np.asarray(finite)[:count].sum())
    outputs = extract(images) if extract else {}  # Padding included: all batches have one shape, hence one program.
    collector.add(images[:count], {name: values[:count] for name, values in outputs.items()}, bad)
    bar.update(count)
  bar.close()
  return collector.collected()


_similarity = jax.jit(ms_ssim)
