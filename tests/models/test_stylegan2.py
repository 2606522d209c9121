"""StyleGAN2: its layers against NumPy, its parameter counts, and which style, noise and class goes where."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan.models import get_model, styles
from gan.models.conditional import Head
from gan.models.minibatch import MinibatchStddev
from gan.models.stylegan2 import MEAN_DECAY, Discriminator, Generator
from gan.models.styles import Mapper, StyledConv, ToImage
from gan.randomness import root_key
from tests.models.test_convolution import arrays, assert_close
from tests.models.test_equalized import numpy_lrelu
from tests.models.test_resampling import downsampled, matrix, numpy_modulated, numpy_up

TINY = {'width': 2, 'max_width': 4, 'mapping_layers': 2}
SIZE, BATCH, Z, W = 16, 4, 3, 5
# Settings (resolution, channels at full resolution, mapping layers, architecture of D) -> parameters of generator and
# discriminator, and of both with 10 classes; measured with the authors' code.
COUNTS = {
    'cifar': ((32, 1024, 2, 'orig'), (19_947_539, 20_720_641, 20_215_315, 23_089_664)),
    'auto 64': ((64, 256, 2, 'resnet'), (22_243_608, 23_407_361, 22_511_384, 25_776_384)),
    'auto 128': ((128, 128, 2, 'resnet'), (22_949_277, 23_882_369, 23_217_053, 26_251_392)),
    'auto 256': ((256, 64, 2, 'resnet'), (23_191_522, 24_001_089, 23_459_298, 26_370_112)),
    'paper256': ((256, 64, 8, 'resnet'), (24_767_458, 24_001_089, 25_035_234, 26_370_112)),
    'stylegan2': ((1024, 32, 8, 'resnet'), (30_370_060, 29_012_513, 30_637_836, 31_381_536))}


def draw(name, sampler, shape):
  """One draw for each name."""
  return sampler(jax.random.fold_in(root_key(7), sum(name.encode())), shape)


def size_of(net, *inputs, **named):
  variables = jax.eval_shape(lambda: net.init(jax.random.key(0), *inputs, train=True, **named))
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables['params']))


@pytest.mark.parametrize('name', COUNTS)
def test_parameter_counts(name):
  (size, width, layers, architecture), expected = COUNTS[name]
  labels, counts = jnp.zeros(2, jnp.int32), []
  for classes in (0, 10):
    gen = Generator(size, 3, width, mapping_layers=layers, classes=classes)
    disc = Discriminator(size, width, architecture=architecture, head=Head('projection', 10) if classes else Head())
    images = jnp.zeros((2, size, size, 3))
    counts += [size_of(gen, jnp.zeros((2, 512)), labels, draw=draw), size_of(disc, images, labels)]
  assert tuple(counts) == expected


@functools.cache
def generator(classes=0, **settings):
  """A small generator and its variables; the strengths of noise are not 0."""
  gen = get_model('gen', 'stylegan2', (SIZE, SIZE, 1), **TINY, w_dim=W, **settings).clone(classes=classes)
  labels = (jnp.zeros(2, jnp.int32),) if classes else ()
  variables = jax.jit(lambda: gen.init(jax.random.key(1), jnp.zeros((2, Z)), *labels, train=True, draw=draw))()
  return gen, jax.tree.map(lambda leaf: leaf + 0.1 if leaf.shape == () else leaf, variables)


def latents(seed=0, batch=BATCH):
  return np.random.default_rng(seed).normal(size=(batch, Z)).astype(np.float32)


@pytest.mark.parametrize('classes', [0, 3])
def test_mapping_network(classes):
  """Latent and embedded class are normalised apart; layers have a hundredth of the learning rate."""
  z, labels = latents(), np.array([0, 2, 1, 1])
  net = Mapper(6, 2, classes)
  params = net.init(jax.random.key(0), z, labels)['params']
  params = jax.tree.map(lambda leaf: leaf + 0.5 if leaf.ndim == 1 else leaf, params)   # Biases.

  def norm(x):
    return x / np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-8)
  x = norm(z.astype(np.float64))
  if classes:
    embedding = np.asarray(params['labels']['kernel'], np.float64)[labels] / np.sqrt(classes) + 0.5
    x = np.concatenate([x, norm(embedding)], axis=1)
  for i in range(2):
    layer = {name: np.asarray(leaf, np.float64) for name, leaf in params[f'layer{i}'].items()}
    x = numpy_lrelu(0.01 * (x @ layer['kernel'] / np.sqrt(x.shape[1]) + layer['bias']))
  assert_close(jax.jit(net.apply)({'params': params}, z, labels), x)
  assert 50 < np.std(params['layer0']['kernel']) < 150


@pytest.mark.parametrize('kind', ['3x3', 'up'])
def test_styled_convolution(kind):
  """Style, demodulated convolution, one plane of noise, bias, LeakyReLU times the root of 2: in this order."""
  x, w = arrays((2, 4, 4, 3), (2, W))
  noise = np.random.default_rng(1).normal(size=(2, 4 * (1 + (kind == 'up')), 4 * (1 + (kind == 'up')), 1))
  layer = StyledConv(6, kind)
  params = layer.init(jax.random.key(0), x, w, noise.astype(np.float32))['params']
  assert params['noise_strength'] == 0
  np.testing.assert_array_equal(params['style']['bias'], np.ones(3))
  params |= {'noise_strength': np.float32(0.7), 'bias': np.linspace(-1, 1, 6).astype(np.float32)}
  style = w.astype(np.float64) @ np.asarray(params['style']['kernel'], np.float64) / np.sqrt(W) + 1
  kernel = np.asarray(params['kernel'], np.float64)
  if kind == 'up':
    own = [kernel * s[:, None] / np.sqrt(np.sum((kernel * s[:, None])**2, axis=(0, 1, 2)) + 1e-8) for s in style]
    y = np.concatenate([numpy_up(image[None], k) for image, k in zip(x, own, strict=True)])
  else:
    y = numpy_modulated(x, kernel, style, demodulate=True)
  expected = numpy_lrelu(y + 0.7 * noise + params['bias'].astype(np.float64))
  ours = jax.jit(layer.apply)({'params': params}, x, w, noise.astype(np.float32))
  np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-5)


def test_activations_are_bounded_after_the_gain():
  x, w = jnp.full((1, 4, 4, 2), 1.0), jnp.zeros((1, W))
  layer = StyledConv(1, '3x3')
  params = layer.init(jax.random.key(0), x, w, jnp.zeros((1, 4, 4, 1)))['params']
  for bias, expected in ((300.0, styles.CLAMP), (170.0, 170 * np.sqrt(2)), (-3000.0, -styles.CLAMP)):
    y = layer.apply({'params': params | {'bias': jnp.full(1, bias), 'kernel': 0 * params['kernel']}}, x, w,
                    jnp.zeros((1, 4, 4, 1)))
    np.testing.assert_allclose(y, expected, rtol=1e-6)


def test_to_image():
  """Not demodulated: the style has the factor 1 / sqrt(C), and its scale shows."""
  x, w = arrays((2, 4, 4, 3), (2, W))
  layer = ToImage(2)
  params = layer.init(jax.random.key(0), x, w)['params'] | {'bias': np.float32([0.5, -1])}
  kernels = [np.asarray(leaf, np.float64) for leaf in (params['style']['kernel'], params['kernel'][0, 0])]
  style = (w @ kernels[0] / np.sqrt(W) + 1) / np.sqrt(3)
  expected = np.einsum('bhwc,bc,co->bhwo', x, style, kernels[1]) + params['bias']
  assert_close(layer.apply({'params': params}, x, w), expected)


def test_every_layer_has_its_style():
  """The image of a resolution shares the style of the next convolution, so there are 2 log2(S) - 2 of them."""
  gen, variables = generator()
  ws = np.arange(BATCH * gen.num_styles * W, dtype=np.float32).reshape(BATCH, gen.num_styles, W)
  seen = {}

  def record(call, args, kwargs, context):
    if not isinstance(context.module, StyledConv | ToImage):
      return call(*args, **kwargs)
    seen[context.module.name] = int(np.flatnonzero((ws == np.asarray(args[1])[:, None]).all(axis=(0, 2)))[0])
    sides = args[2].shape[:3] if len(args) == 3 else args[0].shape[:3]
    return jnp.zeros((*sides, getattr(context.module, 'features', 1)))

  with nn.intercept_methods(record):
    gen.apply(variables, ws, train=False, draw=draw, method='synthesize')
  assert gen.num_styles == 6
  assert seen == {'conv4_0': 0, 'image4': 1, 'conv8_0': 1, 'conv8_1': 2, 'image8': 3, 'conv16_0': 3, 'conv16_1': 4,
                  'image16': 5}


def test_styles_are_mixed_in_training_only():
  """From a layer on, uniform in [1, N), the style is another one; the first layer never, a tenth of the images not."""
  gen, variables = generator()
  z = np.tile(latents(batch=1), (3000, 1))
  run = functools.partial(gen.apply, variables, draw=draw, method='styles', mutable=['averages'])
  mix = jax.jit(lambda z, train: run(z, train=train)[0], static_argnums=1)
  alone = np.asarray(mix(z, False))
  np.testing.assert_array_equal(alone, np.broadcast_to(alone[:1, :1], alone.shape))
  same = np.isclose(mix(z, True), alone, atol=1e-5).all(axis=2)   # [images, layers]
  assert (np.diff(same.astype(int), axis=1) <= 0).all()
  assert same[:, 0].all()
  shares = np.bincount(same.sum(axis=1), minlength=7)[1:] / len(z)
  np.testing.assert_allclose(shares, [0.18] * 5 + [0.1], atol=0.03)
  never, _ = gen.clone(mixing=0.0).apply(variables, z[:2], train=True, draw=draw, method='styles', mutable=['averages'])
  np.testing.assert_allclose(never, alone[:2], atol=1e-5)


def test_the_mean_of_w_is_tracked_in_training_and_truncation_goes_there():
  gen, variables = generator(mixing=0.0)
  run = functools.partial(gen.apply, draw=draw, method='styles', mutable=['averages'])
  ws, changed = run(variables, latents(), train=True)
  np.testing.assert_array_equal(variables['averages']['w'], np.zeros(W))   # Initial weights have seen no latents.
  np.testing.assert_allclose(changed['averages']['w'], (1 - MEAN_DECAY) * np.mean(ws[:, 0], axis=0), rtol=1e-5)
  np.testing.assert_array_equal(run(variables, latents(), train=False)[1]['averages']['w'], np.zeros(W))

  mean = np.linspace(-1, 1, W).astype(np.float32)
  variables = {**variables, 'averages': {'w': mean}}
  sample = jax.jit(lambda z, **kw: gen.apply(variables, z, train=False, draw=draw, **kw))
  of_styles = jax.jit(lambda ws: gen.apply(variables, ws, train=False, draw=draw, method='synthesize'))
  for psi in (0.0, 0.7, 1.0):
    expected = of_styles(mean.reshape(1, 1, W) + np.float32(psi) * (ws - mean.reshape(1, 1, W)))
    np.testing.assert_allclose(sample(latents(), truncation=psi), expected, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(sample(latents(), truncation=1.0), sample(latents()), rtol=1e-4, atol=1e-5)
  assert np.abs(sample(latents(), truncation=0.7) - sample(latents())).max() > 1e-3


def test_noise_is_drawn_for_each_image_and_layer():
  """With a style for all, images differ by noise alone; without its strength they do not differ."""
  gen, variables = generator()
  z, names = np.tile(latents(batch=1), (2, 1)), []

  def recorded(name, sampler, shape):
    names.append((name, shape))
    return draw(name, sampler, shape)

  jax.eval_shape(functools.partial(gen.apply, variables, train=False, draw=recorded), z)
  make = jax.jit(lambda variables: gen.apply(variables, z, train=False, draw=draw))
  first, second = make(variables)
  assert np.abs(first - second).max() > 1e-3
  assert [shape for _, shape in names] == [(2, r, r, 1) for r in (4, 8, 8, 16, 16)]
  assert len({name for name, _ in names}) == 5
  silent = jax.tree.map(lambda leaf: 0 * leaf if leaf.shape == () else leaf, variables)
  first, second = make(silent)
  np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.parametrize(('architecture', 'expected'), [('resnet', math.sqrt(0.5)), ('orig', 0.0)])
def test_paths_around_the_convolutions_of_the_discriminator(architecture, expected):
  """If the convolutions of a block are 0, the block is its linear path: blurred, halved, times sqrt(1/2)."""
  x = 0.1 * arrays((2, SIZE, SIZE, 1))[0]
  disc = Discriminator(SIZE, **TINY, architecture=architecture)
  params = jax.jit(lambda: disc.init(jax.random.key(0), x, train=True)['params'])()
  params |= {name: jax.tree.map(jnp.zeros_like, params[name]) for name in ('conv16_0', 'conv16_1')}
  seen = {}

  def record(call, args, kwargs, context):
    seen[context.module.name] = (np.asarray(args[0]), call(*args, **kwargs)) if args else None
    return seen[context.module.name][1] if args else call(*args, **kwargs)

  with nn.intercept_methods(record):
    disc.apply({'params': params}, x, train=True)
  features, after = seen['conv16_0'][0], seen['conv8_0'][0]
  if architecture == 'orig':
    assert 'skip16' not in params
    np.testing.assert_array_equal(after, np.zeros_like(after))
    return
  assert set(params['skip16']) == {'kernel'}
  rows = matrix(downsampled, SIZE)
  halved = np.einsum('ih,jw,bhwc->bijc', rows, rows, features.astype(np.float64))
  assert_close(after, expected * halved @ params['skip16']['kernel'][0, 0] / math.sqrt(features.shape[-1]))


def test_the_class_is_projected_onto_the_last_features():
  """The logit is <features, mapped class> / sqrt(C); the mapping network of D has eight layers, whatever G has."""
  x, labels = arrays((2, SIZE, SIZE, 1))[0], np.array([2, 0])
  disc = get_model('disc', 'stylegan2', (SIZE, SIZE, 1), width=2, max_width=4).clone(head=Head('projection', 3))
  params = jax.jit(lambda: disc.init(jax.random.key(0), x, labels, train=True)['params'])()
  assert sum(name.startswith('layer') for name in params['mapper']) == 8
  seen = {}

  def record(call, args, kwargs, context):
    seen[context.module.name] = result = call(*args, **kwargs)
    return result

  with nn.intercept_methods(record):
    logits = disc.apply({'params': params}, x, labels, train=True)
  mapped = Mapper(4, 8, 3).apply({'params': params['mapper']}, None, labels)
  np.testing.assert_allclose(logits, np.sum(seen['logit'] * mapped, axis=1) / 2, rtol=1e-4)
  assert seen['logit'].shape == mapped.shape == (2, 4)


def test_classes_change_images_through_the_mapping_network():
  gen, variables = generator(classes=3)
  make = jax.jit(lambda labels: gen.apply(variables, latents(), labels, train=False, draw=draw))
  one, two = make(jnp.zeros(BATCH, jnp.int32)), make(jnp.ones(BATCH, jnp.int32))
  assert np.abs(one - two).max() > 1e-3
  np.testing.assert_allclose(make(jax.nn.one_hot(jnp.ones(BATCH, jnp.int32), 3)), two, rtol=1e-5)


def numpy_stddev(x, size):
  """Strided groups, biased variance, one number for each group."""
  groups = x.reshape(size, -1, *x.shape[1:])
  return np.tile(np.sqrt(np.var(groups, axis=0) + 1e-8).reshape(groups.shape[1], -1).mean(axis=1), size)


def test_minibatch_stddev_and_its_gradient():
  """The vector of the authors' code, 0 to 7 in groups of 4; and slopes by central differences in float64."""
  ramp = jnp.arange(8.0).reshape(8, 1, 1, 1)
  np.testing.assert_allclose(MinibatchStddev(4).apply({}, ramp)[..., 1].ravel(), np.full(8, math.sqrt(5)), rtol=1e-6)
  x, direction = arrays((8, 2, 2, 3), (8, 2, 2, 3))
  weights = np.arange(1.0, 9.0)
  slope = jax.grad(lambda x: jnp.sum(MinibatchStddev(4).apply({}, x)[:, 0, 0, -1] * weights.astype(np.float32)))(x)
  step = 1e-5 * direction.astype(np.float64)
  difference = (numpy_stddev(x + step, 4) - numpy_stddev(x - step, 4)) @ weights / 2e-5
  np.testing.assert_allclose(np.vdot(slope, direction), difference, rtol=1e-4)


def test_a_logit_depends_on_the_group_of_its_sample_alone():
  x = arrays((8, SIZE, SIZE, 1))[0]
  disc = Discriminator(SIZE, **TINY)
  variables = jax.jit(lambda: disc.init(jax.random.key(0), x, train=True))()
  judge = jax.jit(lambda x: disc.apply(variables, x, train=True))
  changed = judge(np.concatenate([x[:1] + 1, x[1:]])) != judge(x)
  np.testing.assert_array_equal(np.flatnonzero(changed), [0, 2, 4, 6])


@pytest.mark.slow
def test_initial_statistics():
  """Those of the authors' code at 32 pixels: images have a standard deviation of about 1.26, styles of 0.94."""
  gen = Generator(32, 3, 512, mapping_layers=2)
  z = np.random.default_rng(0).normal(size=(16, 512)).astype(np.float32)

  @jax.jit
  def run():
    variables = gen.init(jax.random.key(0), z[:2], train=True, draw=draw)
    ws = gen.apply(variables, z, train=False, draw=draw, method='styles')
    return ws, gen.apply(variables, ws, train=False, draw=draw, method='synthesize')

  ws, images = run()
  np.testing.assert_allclose([np.std(ws), np.std(images)], [0.94, 1.26], atol=0.15)


@pytest.mark.parametrize('player', ['gen', 'disc'])
def test_half_precision_is_for_computation_only(player):
  net = (Generator(SIZE, 1, **TINY) if player == 'gen' else Discriminator(SIZE, **TINY)).clone(dtype=jnp.bfloat16)
  x, named = (jnp.zeros((4, Z)), {'draw': draw}) if player == 'gen' else (jnp.zeros((4, SIZE, SIZE, 1)), {})
  found = jax.eval_shape(lambda: net.init_with_output(jax.random.key(0), x, train=True, **named))
  assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype('float32')}


def test_unknown_sizes_and_architectures_are_refused():
  with pytest.raises(ValueError, match='image_size=28: StyleGAN2 is built for 16, 32, 64, 128, 256, 512, 1024 pixels'):
    size_of(Generator(28, 1), jnp.zeros((2, 3)), draw=draw)
  with pytest.raises(ValueError, match="architecture='skip' is unknown; known: resnet, orig"):
    size_of(Discriminator(16, architecture='skip'), jnp.zeros((2, 16, 16, 1)))
