"""Drawn weights of a generator of StyleGAN2-ADA, under the names that the official code gives them."""

import numpy as np


def draw_state_dict(pixels=16, width=4, max_width=8, channels=3, z_dim=6, w_dim=10, layers=2, classes=0, seed=0):
  """All tensors of G_ema.state_dict(), buffers included; activations neither vanish nor explode."""
  rng = np.random.default_rng(seed)
  found = {'mapping.w_avg': 0.3 * rng.normal(size=w_dim)}
  fir = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64

  def dense(name, outputs, inputs, scale=1.0, bias=0.0):
    found[f'{name}.weight'] = scale * rng.normal(size=(outputs, inputs))
    found[f'{name}.bias'] = bias + 0.3 * scale * rng.normal(size=outputs)

  if classes:
    dense('mapping.embed', w_dim, classes)
  for i in range(layers):
    dense(f'mapping.fc{i}', w_dim, w_dim if i else z_dim + bool(classes) * w_dim, scale=100.0)
  before = None
  for resolution in (2**i for i in range(2, pixels.bit_length())):
    features, block = min(width * pixels // resolution, max_width), f'synthesis.b{resolution}'
    found[f'{block}.resample_filter'] = fir
    if before is None:
      found[f'{block}.const'] = rng.normal(size=(features, 4, 4))
    for conv, inputs in (('conv0', before), ('conv1', features)) if before else (('conv1', features),):
      dense(f'{block}.{conv}.affine', inputs, w_dim, bias=1.0)
      found |= {f'{block}.{conv}.{name}': value for name, value in {
          'weight': rng.normal(size=(features, inputs, 3, 3)), 'bias': 0.3 * rng.normal(size=features),
          'noise_strength': 0.5 * rng.normal(size=()), 'noise_const': rng.normal(size=(resolution, resolution)),
          'resample_filter': fir}.items()}
    dense(f'{block}.torgb.affine', features, w_dim, bias=1.0)
    found[f'{block}.torgb.weight'] = rng.normal(size=(channels, features, 1, 1))
    found[f'{block}.torgb.bias'] = 0.3 * rng.normal(size=channels)
    before = features
  return {name: np.asarray(value, np.float32) for name, value in found.items()}
