"""Layers and heads that know classes, against NumPy in float64, in value and gradient."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan.models import dcgan
from gan.models.conditional import Head, Judged, LabelledDiscriminator, LabelledGenerator, judge
from gan.models.layers import BatchNorm, ClassTable, dense_init, one_hot

LABELS = jnp.array([2, 0, 1, 2, 2, 0])


def drawn(*shape, seed=0):
  return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def count(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_conditional_batch_norm_against_numpy():
  """Statistics belong to all classes; scale and offset to each. The gradient follows by finite differences."""
  x, scale, offset = drawn(6, 4, 4, 5), drawn(3, 5, seed=1), drawn(3, 5, seed=2)
  norm = BatchNorm(classes=3)
  variables = norm.init(jax.random.key(0), x, LABELS, train=True)
  params = {'scale': {'table': scale}, 'offset': {'table': offset}}
  assert jax.tree.map(jnp.shape, variables['params']) == jax.tree.map(jnp.shape, params)
  assert (variables['params']['scale']['table'] == 1).all()
  assert (variables['params']['offset']['table'] == 0).all()
  weights = np.random.default_rng(3).standard_normal(x.shape)

  def ours(x, params):
    out, _ = norm.apply({'params': params, 'batch_stats': variables['batch_stats']}, x, LABELS, train=True,
                        mutable=['batch_stats'])
    return jnp.sum(out * weights.astype(np.float32)), out

  def numpy(x, scale, offset):
    normed = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5)
    return normed * scale[LABELS][:, None, None] + offset[LABELS][:, None, None]

  x64, scale64, offset64 = (np.asarray(a, np.float64) for a in (x, scale, offset))
  (_, out), gradient = jax.value_and_grad(ours, (0, 1), has_aux=True)(x, params)
  np.testing.assert_allclose(out, numpy(x64, scale64, offset64), atol=2e-5)
  normed = numpy(x64, np.ones((3, 5)), np.zeros((3, 5)))
  for label in range(3):   # In closed form: only samples of the class count.
    of_class = np.asarray(LABELS) == label
    np.testing.assert_allclose(gradient[1]['offset']['table'][label], weights[of_class].sum((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(gradient[1]['scale']['table'][label], (weights * normed)[of_class].sum((0, 1, 2)),
                               rtol=1e-4, atol=1e-4)
  direction = np.random.default_rng(4).standard_normal(x.shape)
  plus, minus = (np.sum(weights * numpy(x64 + e * direction, scale64, offset64)) for e in (1e-5, -1e-5))
  np.testing.assert_allclose(np.sum(np.asarray(gradient[0], np.float64) * direction), (plus - minus) / 2e-5, rtol=1e-3)


def test_projection_against_numpy():
  """The logit is <w, phi> + b + <e_y, phi>; its gradient with respect to phi is w + e_y."""

  class Net(nn.Module):
    @nn.compact
    def __call__(self, features, labels):
      logits = nn.Dense(1, kernel_init=dense_init)(features)[:, 0]
      return judge(Head('projection', 3), features, logits, labels, dense_init)

  features = drawn(6, 7)
  params = Net().init(jax.random.key(0), features, LABELS)['params']
  w, b, table = (np.asarray(leaf, np.float64) for leaf in (
      params['Dense_0']['kernel'], params['Dense_0']['bias'], params['projection']['table']))
  logits = Net().apply({'params': params}, features, LABELS)
  phi = np.asarray(features, np.float64)
  np.testing.assert_allclose(logits, phi @ w[:, 0] + b + np.sum(phi * table[LABELS], axis=1), rtol=1e-4, atol=1e-5)
  gradient = jax.grad(lambda x: jnp.sum(Net().apply({'params': params}, x, LABELS)))(features)
  np.testing.assert_allclose(gradient, w[:, 0] + table[LABELS], rtol=1e-4, atol=1e-5)
  of_table = jax.grad(lambda p: jnp.sum(Net().apply({'params': p}, features, LABELS)))(params)['projection']['table']
  np.testing.assert_allclose(of_table, [phi[np.asarray(LABELS) == k].sum(0) for k in range(3)], rtol=1e-4, atol=1e-5)


def test_soft_classes_equal_hard_ones_at_the_corners():
  table = ClassTable(3, 5, dense_init)
  params = table.init(jax.random.key(0), LABELS)
  np.testing.assert_array_equal(table.apply(params, LABELS), table.apply(params, one_hot(LABELS, 3)))
  np.testing.assert_array_equal(table.apply(params, LABELS), params['params']['table'][LABELS])


def test_heads_do_not_change_the_logit():
  """A class head reads the features; the logit is that of the network without one."""
  images, plain = drawn(4, 16, 16, 1), dcgan.Discriminator(16, 4, batch_norm=False)
  with_head = plain.clone(head=Head('classes', 3))
  params = with_head.init(jax.random.key(0), images, train=False)['params']
  without = {name: leaf for name, leaf in params.items() if name != 'classes'}
  judged = with_head.apply({'params': params}, images, train=False)
  assert isinstance(judged, Judged)
  assert judged.classes.shape == (4, 3)
  assert judged.uniform is None
  np.testing.assert_array_equal(judged.logits, plain.apply({'params': without}, images, train=False))
  codes = plain.clone(head=Head('codes', 3, 2))
  judged = codes.apply(codes.init(jax.random.key(0), images, train=False), images, train=False)
  assert judged.classes.shape == (4, 3)
  assert judged.uniform.shape == (4, 2)


def test_counts_of_parameters():
  """In closed form: what each form of conditioning adds to DCGAN at 16 pixels, width 4."""
  z, images, labels = jnp.zeros((2, 8)), jnp.zeros((2, 16, 16, 1)), jnp.zeros(2, jnp.int32)

  def of(net, **inputs):
    return count(jax.eval_shape(lambda: net.init(jax.random.key(0), train=True, **inputs))['params'])

  gen, disc = dcgan.Generator(16, 1, 4), dcgan.Discriminator(16, 4, batch_norm=False)
  features = 4 * 4 * 8
  channels = 8 + 4   # Of both batch norms.
  assert of(gen.clone(classes=10), z=z, labels=labels) == of(gen, z=z) + 2 * 9 * channels
  assert of(LabelledGenerator(gen, 10, 6), z=z, labels=labels) == of(gen, z=z) + 10 * 6 + 6 * 16 * 8
  assert of(disc.clone(head=Head('projection', 10)), images=images, labels=labels) == \
      of(disc, images=images) + 10 * features
  assert of(disc.clone(head=Head('classes', 10)), images=images) == of(disc, images=images) + 10 * (features + 1)
  assert of(LabelledDiscriminator(disc, 10), images=images, labels=labels) == \
      of(disc, images=images) + 10 * 256 + 16 * 4


def test_a_discriminator_without_batch_norm_sees_contrast():
  """With biases D(a x) is not a D(x)."""
  net, images = dcgan.Discriminator(16, 4, batch_norm=False), drawn(2, 16, 16, 1)
  params = jax.tree.map(lambda leaf: leaf + 0.1, net.init(jax.random.key(0), images, train=False))
  logits, doubled = (net.apply(params, scale * images, train=False) for scale in (1, 2))
  assert not np.allclose(doubled, 2 * logits, rtol=1e-3)


def test_maps_of_packed_images_belong_to_their_samples():
  net = LabelledDiscriminator(dcgan.Discriminator(16, 4, batch_norm=False), 3, pack=2)
  images, labels = drawn(2, 16, 16, 2), jnp.array([[0, 1], [2, 1]])
  params = net.init(jax.random.key(0), images, labels, train=False)
  logits = net.apply(params, images, labels, train=False)
  other = net.apply(params, images, labels.at[0, 1].set(2), train=False)
  assert logits.shape == (2,)
  assert logits[0] != other[0]
  assert logits[1] == other[1]


def test_an_unknown_head_is_refused():
  with pytest.raises(ValueError, match="head 'nonesuch' is unknown; known: none, projection"):
    judge(Head('nonesuch'), jnp.zeros((2, 3)), jnp.zeros(2), None, dense_init)
