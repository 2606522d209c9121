"""Training of the classifier: the same weights for the same data on the same machine.

Nothing here can be configured. A setting that mattered to a score would have to be told beside each score.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from tqdm import tqdm

from gan.data.source import DataError, ImageSource, read_batches
from gan.features.classifier import IMAGE_SIZES, WIDTH, Classifier, make_features, to_unit
from gan.randomness import purpose_key, root_key
from gan.state import PyTree

VERSION = 2                # Raise it when a change here or in classifier.py changes the weights.
SEED = 0
BATCH = 128
PEAK_LR = 3e-3             # Of Adam; rises for a fifth of the steps, then falls to zero (one cycle of a cosine).
SMALL, WIDTH_SMALL = 10_000, 16   # Fewer images than that are learnt by a narrower network.
EPOCHS = 15                # Of small sets. Large ones are looked at less often:
MIN_SEEN, MAX_SEEN_GREY, MAX_SEEN_COLOUR = 20_000, 180_000, 500_000   # Images, but each at least once.
MAX_IMAGES = 200_000       # In memory; of more, that many are drawn at random.
HOLD_OUT = 10              # Where there is no test split, a tenth of each class is kept for the test.
SHIFT = 16                 # Images are moved by up to a sixteenth of their side.
READ_AT_ONCE = 2048
REPORT_EVERY = 10
# Mirrored digits and letters are others, or none. Of a folder nothing is known.
NOT_MIRRORED = ('digits', 'mnist', 'mnist_corrupted', 'binarized_mnist', 'kmnist', 'emnist', 'omniglot', 'cmaterdb',
                'svhn_cropped', 'dmlab', 'folder')


class Trained(NamedTuple):
  """A trained classifier.

  Attributes:
    weights: Flax variables {'params', 'batch_stats'}, NumPy arrays.
    accuracy: share of the test images [] that it is right about; nan where there are none.
    num_test: how many there were.
    held_out: whether they are training images that it did not learn from, for want of a test split.
    confusion: counts on the test images [K, K], int64; rows true classes, columns predictions.
    shares: share of each class in the training data [K], float64.
  """

  weights: PyTree
  accuracy: float
  num_test: int
  held_out: bool
  confusion: np.ndarray
  shares: np.ndarray


def train(source: ImageSource, test: ImageSource | None, title: str = '') -> Trained:
  """Trains a classifier of the classes of `source`, and counts its mistakes.

  Args:
    source: what it learns from.
    test: what it is tested on; None: a tenth of each class of `source`, at least one image of a class that has two,
      drawn once and for all. It does not learn from these.
    title: of the progress bar; '' shows none.

  Raises:
    DataError: if there are no classes, or the images have another size than those that the network is built for.
    FloatingPointError: if it diverges.
  """
  check(source)
  images, labels = _read(source)
  shares = np.bincount(labels, minlength=source.num_classes) / len(labels)
  test_images, test_labels = _read(test) if test else (images[:0], labels[:0])
  held_out = not len(test_labels)  # Some published test splits have no labels either.
  if held_out:
    is_test = _held_out(labels)
    test_images, test_labels, images, labels = images[is_test], labels[is_test], images[~is_test], labels[~is_test]
  mirror = source.name.partition('/')[0].partition(':')[0] not in NOT_MIRRORED
  with jax.enable_x64(False):  # Adam as optax has it takes its powers in JAX's widest dtype.
    weights = _fit(source.num_classes, images, labels, mirror, title)
  predicted = _predict(weights, test_images)
  confusion = np.zeros((source.num_classes, source.num_classes), np.int64)
  np.add.at(confusion, (test_labels, predicted), 1)
  accuracy = float(np.mean(predicted == test_labels)) if len(test_labels) else float('nan')
  return Trained(weights, accuracy, len(test_labels), held_out, confusion, shares)


def check(source: ImageSource) -> None:
  """Refuses data that no classifier can be trained on, with the errors of `train`; reads no image."""
  if not source.num_classes:
    raise DataError(f'features=classifier needs classes, which {source.name} has not; use features=random or '
                    'features=pixels')
  height, width, _ = source.shape
  if height != width or height > IMAGE_SIZES[-1]:
    raise DataError(f'features=classifier looks at squares of up to {IMAGE_SIZES[-1]} pixels, and the images of '
                    f'{source.name} have {height}x{width}; set --config.data.image_size={IMAGE_SIZES[-1]}, or use '
                    'features=random')


def num_steps(num_images: int, channels: int) -> int:
  """How many batches a classifier learns from.

  Args:
    num_images: size of the training set.
    channels: 1 or 3; colour images are harder.
  """
  most = MAX_SEEN_GREY if channels == 1 else MAX_SEEN_COLOUR
  return max(num_images, min(max(EPOCHS * num_images, MIN_SEEN), most)) // BATCH


def _held_out(labels: np.ndarray) -> np.ndarray:
  """Which images [N] are kept for the test; within each class, because a set may be sorted by class, or in turns."""
  rng = np.random.default_rng(SEED)
  is_test = np.zeros(len(labels), bool)
  for label in np.unique(labels):
    members = rng.permutation(np.flatnonzero(labels == label))
    if len(members) > 1:
      is_test[members[:-(-len(members) // HOLD_OUT)]] = True
  return is_test


def _read(source: ImageSource) -> tuple[np.ndarray, np.ndarray]:
  n = source.num_examples
  chosen = np.arange(n)
  if n > MAX_IMAGES:  # At random, not evenly spaced: classes may come in turns.
    chosen = np.sort(np.random.default_rng(SEED).choice(n, MAX_IMAGES, replace=False))
  parts = [*read_batches(source, chosen, READ_AT_ONCE)]
  images, labels = (np.concatenate([part[name] for part in parts]) for name in ('images', 'labels'))
  known = labels >= 0  # TFDS marks an unknown class by -1.
  return images[known], labels[known]


def _fit(num_classes: int, images: np.ndarray, labels: np.ndarray, mirror: bool, title: str) -> PyTree:
  n, size, _, channels = images.shape
  steps = num_steps(n, channels)
  net = Classifier(num_classes, WIDTH_SMALL if n < SMALL else WIDTH)
  init = jax.jit(functools.partial(net.init, train=False))
  weights = init(purpose_key(root_key(SEED), 'init'), jnp.zeros((1, size, size, channels), jnp.float32))
  tx = optax.adam(optax.cosine_onecycle_schedule(steps, PEAK_LR, pct_start=0.2))
  opt_state, step = tx.init(weights['params']), _make_step(net, tx)
  rng = np.random.default_rng(SEED)
  order = np.concatenate([rng.permutation(n) for _ in range(-(-steps * BATCH // n))])
  with tqdm(total=steps, desc=title, unit='step', disable=None if title else True, leave=False) as bar:
    for i in range(steps):  # One call for each step: a batch takes so long that calls do not count.
      chosen = order[i * BATCH:(i + 1) * BATCH]
      weights, opt_state, loss = step(weights, opt_state, _augmented(images[chosen], mirror, rng), labels[chosen])
      if i % REPORT_EVERY == 0 or i == steps - 1:
        if not np.isfinite(loss):
          raise FloatingPointError(f'the loss of the classifier is {loss} at step {i} of {steps}')
        bar.set_postfix(loss=f'{loss:.3f}', refresh=False)
        bar.update(i + 1 - bar.n)
  return jax.device_get(weights)


def _make_step(net: Classifier, tx: optax.GradientTransformation) -> Callable:
  def loss_fn(params: PyTree, stats: PyTree, images: Array, labels: Array) -> tuple[Array, PyTree]:
    weights = {'params': params, 'batch_stats': stats}
    (_, logits), new = net.apply(weights, to_unit(images), train=True, mutable=['batch_stats'])
    # No smoothing of labels: it erases what tells images of one class apart (Müller et al. 2019, arXiv:1906.02629),
    # and features are here to see just that.
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), new['batch_stats']

  @functools.partial(jax.jit, donate_argnums=(0, 1))
  def step(weights: PyTree, opt_state: PyTree, images: Array, labels: Array) -> tuple[PyTree, PyTree, Array]:
    grad = jax.value_and_grad(loss_fn, has_aux=True)
    (loss, stats), grads = grad(weights['params'], weights['batch_stats'], images, labels)
    updates, opt_state = tx.update(grads, opt_state)
    params = optax.apply_updates(weights['params'], updates)
    return {'params': params, 'batch_stats': stats}, opt_state, loss

  return step


def _augmented(images: np.ndarray, mirror: bool, rng: np.random.Generator) -> np.ndarray:
  """Images moved by whole pixels, the border repeated, and half of them mirrored where that is allowed."""
  batch, size = images.shape[:2]
  far = size // SHIFT
  wide = np.pad(images, ((0, 0), (far, far), (far, far), (0, 0)), mode='edge')
  rows, columns = rng.integers(0, 2 * far + 1, (2, batch))
  moved = np.stack([image[i:i + size, j:j + size] for image, i, j in zip(wide, rows, columns, strict=True)])
  if mirror:
    flipped = rng.random(batch) < 0.5
    moved[flipped] = moved[flipped, :, ::-1]
  return moved


def _predict(weights: PyTree, images: np.ndarray) -> np.ndarray:
  """Classes [N]."""
  if not len(images):
    return np.zeros(0, np.int64)
  features = make_features(weights, '')
  extract = jax.jit(features.extract)
  padded = np.pad(images, ((0, -len(images) % features.batch), (0, 0), (0, 0), (0, 0)))  # One program for all batches.
  parts = [np.argmax(extract(weights, part)['logits'], axis=1)
           for part in padded.reshape(-1, features.batch, *images.shape[1:])]
  return np.concatenate(parts)[:len(images)]
