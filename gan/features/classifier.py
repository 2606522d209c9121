"""A small image classifier whose last hidden layer serves as features: the network, and `Features` made of its weights.

training.py trains it, and cached.py stores its weights.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan.features import Features
from gan.models.layers import StridedConv, dense_init
from gan.state import PyTree

IMAGE_SIZES = (8, 16, 32, 64)
NUM_FEATURES = 128
WIDTH = 32


class Classifier(nn.Module):
  """Classifier: images [B, S, S, C] in [-1, 1] -> (features [B, NUM_FEATURES], logits [B, num_classes]).

  S is at most 64. A black frame pads images to the next of IMAGE_SIZES: the 28 pixels of MNIST become 32. Strided
  convolutions halve the image down to 4x4 (from 8 pixels: 2x2). Then a hidden layer with batch norm and ReLU returns
  the features: each is non-negative, and before the ReLU has about unit variance on the training data. All
  convolutions are strided because XLA has no fast path for others on the CPU, least of all within a loop.

  Attributes:
    num_classes: number of logits K.
    width: channels after the first layer; doubled at each halving of the image.
  """

  num_classes: int
  width: int = WIDTH

  @nn.compact
  def __call__(self, x: Array, *, train: bool) -> tuple[Array, Array]:
    """Return the features and logits of a batch."""
    def norm(x: Array) -> Array:
      return nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)

    edge = next(size for size in IMAGE_SIZES if size >= x.shape[1]) - x.shape[1]
    if edge:
      frame = edge // 2, edge - edge // 2
      x = jnp.pad(x, ((0, 0), frame, frame, (0, 0)), constant_values=-1.0)
    for i in range(max(2, x.shape[1].bit_length() - 3)):
      x = nn.relu(norm(StridedConv(self.width * 2**i)(x)))
    x = nn.Dense(NUM_FEATURES, use_bias=False, kernel_init=dense_init)(x.reshape(x.shape[0], -1))
    features = nn.relu(norm(x))
    return features, nn.Dense(self.num_classes, kernel_init=dense_init)(features)


class ClassifierFeatures(NamedTuple):
  """A trained classifier and its mistakes on test images.

  Attributes:
    features: its features, and logits for K classes.
    accuracy: share of test images that it classifies correctly; nan without test images.
    num_test: number of test images.
    confusion: counts on the test images [K, K]; rows are true classes, columns are predictions.
    shares: share of each class in the training data [K].
    class_names: names of the classes.
  """

  features: Features
  accuracy: float
  num_test: int
  confusion: np.ndarray
  shares: np.ndarray
  class_names: tuple[str, ...]


def to_unit(images: Array) -> Array:
  """Convert uint8 to float32 in [-1, 1]."""
  return images.astype(jnp.float32) / 127.5 - 1.0


def make_features(weights: PyTree, digest: str) -> Features:
  """Make features of a trained network.

  Args:
    weights: Flax variables of a `Classifier`, {'params', 'batch_stats'}; their shapes determine its attributes.
    digest: hexadecimal digits that identify the weights.
  """
  params = weights['params']
  net = Classifier(params['Dense_1']['bias'].shape[0], params['StridedConv_0']['kernel'].shape[-1])

  def extract(weights: PyTree, images: Array) -> dict[str, Array]:
    with jax.default_matmul_precision('float32'):  # A score must not depend on a GPU's default precision.
      features, logits = net.apply(weights, to_unit(images), train=False)
    return {'features': features, 'logits': logits}

  return Features('classifier', extract, weights, digest, 'none')


def stacked(grey: ClassifierFeatures) -> ClassifierFeatures:
  """Make the classifier of stacked MNIST: the classifier of MNIST is applied to each of the three channels.

  Class 100a + 10b + c has the digits a, b, c in its channels. Its logit is the log of the product of the three digits'
  probabilities. The channels are drawn independently, so accuracy, confusion rates and shares are products, too.

  Args:
    grey: a classifier of K classes of images of one channel.

  Returns:
    Classifier with features [B, 3 * NUM_FEATURES], channel by channel, and logits [B, K^3]. `confusion` holds products
    of counts; `num_test` is that of `grey`.
  """
  def extract(weights: PyTree, images: Array) -> dict[str, Array]:
    batch, height, width, _ = images.shape
    channels = jnp.moveaxis(images, 3, 0).reshape(3 * batch, height, width, 1)
    outputs = grey.features.extract(weights, channels)
    a, b, c = jax.nn.log_softmax(outputs['logits']).reshape(3, batch, -1)
    logits = a[:, :, None, None] + b[:, None, :, None] + c[:, None, None, :]
    features = jnp.moveaxis(outputs['features'].reshape(3, batch, -1), 0, 1)
    return {'features': features.reshape(batch, -1), 'logits': logits.reshape(batch, -1)}

  def product(x: np.ndarray) -> np.ndarray:
    return np.kron(np.kron(x, x), x)

  names = tuple(f'{a}{b}{c}' for a in grey.class_names for b in grey.class_names for c in grey.class_names)
  return ClassifierFeatures(grey.features._replace(extract=extract), grey.accuracy**3, grey.num_test,
                            product(grey.confusion), product(grey.shares), names)
