"""Training of the classifier: the same weights for the same data on the same machine.

Nothing here can be configured, because each score would have to carry every setting that changes it.
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

VERSION = 2                # Raise this number when a change here or in classifier.py changes the weights.
SEED = 0
BATCH = 128
PEAK_LR = 3e-3             # Adam's rate: rises for a fifth of the steps, then falls to zero (one cosine cycle).
SMALL, WIDTH_SMALL = 10_000, 16   # A set with fewer than 10,000 images gets a network of width 16.
EPOCHS = 15                # Epochs, if the total number of images seen stays within the limits of the next line.
MIN_SEEN, MAX_SEEN_GREY, MAX_SEEN_COLOUR = 20_000, 180_000, 500_000   # Each image is seen at least once.
MAX_IMAGES = 200_000       # From larger sets, a random subset of this size is read into memory.
HOLD_OUT = 10              # Without a test split, one image in HOLD_OUT of each class is held out for the test.
SHIFT = 16                 # Images are shifted by up to 1 / SHIFT of their side.
READ_AT_ONCE = 2048
REPORT_EVERY = 10
# Mirrored digits and letters are not the same characters. The content of a folder is unknown.
NOT_MIRRORED = ('digits', 'mnist', 'mnist_corrupted', 'binarized_mnist', 'kmnist', 'emnist', 'omniglot', 'cmaterdb',
                'svhn_cropped', 'dmlab', 'folder')


class Trained(NamedTuple):
  """A trained classifier.

  Attributes:
    weights: Flax variables {'params', 'batch_stats'}, NumPy arrays.
    accuracy: share of test images that it classifies correctly; nan without test images.
    num_test: number of test images.
    held_out: whether the test images were held out from the training split, because there is no test split.
    confusion: counts on the test images [K, K], int64; rows are true classes, columns are predictions.
    shares: share of each class in the training data [K], float64.
  """

  weights: PyTree
  accuracy: float
  num_test: int
  held_out: bool
  confusion: np.ndarray
  shares: np.ndarray


def train(source: ImageSource, test: ImageSource | None, title: str = '') -> Trained:
  """Train a classifier of the classes of `source`, and count its mistakes.

  Args:
    source: training data.
    test: test data; None holds out a tenth of each class of `source`, at least one image of a class that has two. The
      held-out images are always the same, and are not trained on.
    title: title of the progress bar; '' shows no bar.

  Raises:
    DataError: if there are no classes, or if the network does not support the image size.
    FloatingPointError: if training diverges.
  """
  check(source)
  images, labels = _read(source)
  shares = np.bincount(labels, minlength=source.num_classes) / len(labels)
  test_images, test_labels = _read(test) if test else (images[:0], labels[:0])
  held_out = not len(test_labels)  # Also if the test split has no labels, as some published ones.
  if held_out:
    is_test = _held_out(labels)
    test_images, test_labels, images, labels = images[is_test], labels[is_test], images[~is_test], labels[~is_test]
  mirror = source.name.partition('/')[0].partition(':')[0] not in NOT_MIRRORED
  with jax.enable_x64(False):  # Adam in optax computes powers in JAX's widest dtype.
    weights = _fit(source.num_classes, images, labels, mirror, title)
  predicted = _predict(weights, test_images)
  confusion = np.zeros((source.num_classes, source.num_classes), np.int64)
  np.add.at(confusion, (test_labels, predicted), 1)
  accuracy = float(np.mean(predicted == test_labels)) if len(test_labels) else float('nan')
  return Trained(weights, accuracy, len(test_labels), held_out, confusion, shares)


def check(source: ImageSource) -> None:
  """Check whether a classifier can be trained on these data, without reading an image.

  Raises:
    DataError: if there are no classes, or if the network does not support the image size.
  """
  if not source.num_classes:
    raise DataError(f'features=classifier needs classes, which {source.name} lacks; use features=random or '
                    'features=pixels')
  height, width, _ = source.shape
  if height != width or height > IMAGE_SIZES[-1]:
    raise DataError(f'features=classifier needs square images of at most {IMAGE_SIZES[-1]} pixels, but the images of '
                    f'{source.name} have {height}x{width}; set --config.data.image_size={IMAGE_SIZES[-1]}, or use '
                    'features=random')


def num_steps(num_images: int, channels: int) -> int:
  """Return the number of training steps.

  Args:
    num_images: size of the training set.
    channels: 1 or 3; colour images are harder and get more steps.
  """
  most = MAX_SEEN_GREY if channels == 1 else MAX_SEEN_COLOUR
  return max(num_images, min(max(EPOCHS * num_images, MIN_SEEN), most)) // BATCH


def _held_out(labels: np.ndarray) -> np.ndarray:
  """Return a mask [N] of images for the test, drawn within each class: sets may be sorted by class, or alternate."""
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
  if n > MAX_IMAGES:  # Random, not evenly spaced, indices: the classes may alternate.
    chosen = np.sort(np.random.default_rng(SEED).choice(n, MAX_IMAGES, replace=False))
  parts = [*read_batches(source, chosen, READ_AT_ONCE)]
  images, labels = (np.concatenate([part[name] for part in parts]) for name in ('images', 'labels'))
  labelled = labels >= 0  # TFDS marks an unknown class by -1.
  return images[labelled], labels[labelled]


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
    for i in range(steps):  # No lax.scan: a batch takes so long that the overhead of calls does not matter.
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
    # No label smoothing: it erases the differences between images of one class (Müller et al. 2019, arXiv:1906.02629),
    # which the features must keep.
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
  """Shift images randomly by whole pixels, with repeated borders; if `mirror`, mirror each with probability 1/2."""
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
  """Predict the classes [N] of images."""
  if not len(images):
    return np.zeros(0, np.int64)
  features = make_features(weights, '')
  extract = jax.jit(features.extract)
  padded = np.pad(images, ((0, -len(images) % features.batch), (0, 0), (0, 0), (0, 0)))  # One program for all batches.
  parts = [np.argmax(extract(weights, part)['logits'], axis=1)
           for part in padded.reshape(-1, features.batch, *images.shape[1:])]
  return np.concatenate(parts)[:len(images)]
