"""Published weights of StyleGAN2-ADA: the exported generator against its layers written again in PyTorch.

The statement below follows the papers (arXiv:1812.04948, 1912.04958, 2006.06676) and reads the published names. Each
image has a kernel of its own, zeros are put between pixels, and all is in float64; ours shares kernels and has neither.
"""

import numpy as np
import pytest
from jax import export

from gan.portable import stylegan2_ada
from gan.portable.program import compile_program
from tests.parity import reference
from tests.stylegan2_ada import draw_state_dict

[torch] = reference.require('torch')
CASES = {
    'grey, 16 pixels': {'channels': 1},
    'by class, 32 pixels': {'pixels': 32, 'width': 3, 'max_width': 9, 'classes': 4, 'layers': 3},
    'equal lengths': {'z_dim': 10, 'w_dim': 10, 'classes': 2, 'max_width': 5, 'width': 5},
}


def dense(tensors, name, x, rate=1.0):
  """Fully connected, with an equalised learning rate."""
  weight, bias = tensors[f'{name}.weight'], tensors[f'{name}.bias']
  return x @ (weight * rate / weight.shape[1]**0.5).T + rate * bias


def lrelu(x):
  return torch.where(x < 0, 0.2 * x, x) * 2**0.5


def unit(x):
  return x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()


def styles(tensors, z, labels):
  x = unit(z)
  if labels is not None:
    one_hot = torch.nn.functional.one_hot(labels, tensors['mapping.embed.weight'].shape[1]).to(x)
    x = torch.cat([x, unit(dense(tensors, 'mapping.embed', one_hot))], dim=1)
  for i in range(sum(name.startswith('mapping.fc') for name in tensors) // 2):
    x = lrelu(dense(tensors, f'mapping.fc{i}', x, rate=0.01))
  return x


def blurred(x, before, after):
  """Convolved with [1, 3, 3, 1] in both directions, times 4, after padding with zeros."""
  taps = torch.tensor([1.0, 3, 3, 1]).to(x) / 4
  x = torch.nn.functional.pad(x, (before, after, before, after))
  kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 4, 4)
  return torch.nn.functional.conv2d(x, kernel, groups=x.shape[1])


def spread(x):
  """Zeros between the pixels and after the last."""
  y = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
  y[:, :, ::2, ::2] = x
  return y


def convolved(tensors, name, x, w, up=False, demodulated=True):
  """Each image by a kernel of its own."""
  weight, style = tensors[f'{name}.weight'], dense(tensors, f'{name}.affine', w)
  if not demodulated:
    style = style / weight.shape[1]**0.5
  images = []
  for image, scales in zip(x, style, strict=True):
    kernel = weight * scales[:, None, None]
    if demodulated:
      kernel = kernel / (kernel.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
    if up:   # A true convolution of the spread image, then the filter.
      padded = torch.nn.functional.pad(spread(image[None]), (2, 1, 2, 1))
      images.append(blurred(torch.nn.functional.conv2d(padded, kernel.flip(2, 3)), 1, 1))
    else:
      images.append(torch.nn.functional.conv2d(image[None], kernel, padding=kernel.shape[2] // 2))
  return torch.cat(images)


def generated(tensors, z, labels=None, truncation=1.0):
  """Images [B, C, S, S] of latents [B, Z]."""
  mean = tensors['mapping.w_avg']
  w = mean + truncation * (styles(tensors, z, labels) - mean)
  pixels = max(int(name.split('.')[1][1:]) for name in tensors if name.startswith('synthesis.'))
  x, image, resolution = tensors['synthesis.b4.const'].expand(len(z), -1, -1, -1), None, 4
  while resolution <= pixels:
    block = f'synthesis.b{resolution}'
    for conv in ('conv0', 'conv1') if resolution > 4 else ('conv1',):
      name = f'{block}.{conv}'
      x = convolved(tensors, name, x, w, up=conv == 'conv0')
      x = x + tensors[f'{name}.noise_const'] * tensors[f'{name}.noise_strength']
      x = lrelu(x + tensors[f'{name}.bias'][:, None, None]).clamp(-256, 256)
    part = convolved(tensors, f'{block}.torgb', x, w, demodulated=False) + tensors[f'{block}.torgb.bias'][:, None, None]
    image = part if image is None else blurred(spread(image), 2, 1) + part
    resolution *= 2
  return image


@pytest.mark.parametrize('truncation', [None, 0.6])
@pytest.mark.parametrize('case', CASES)
def test_converted_weights_give_the_same_images(case, truncation):
  published = draw_state_dict(**CASES[case])
  sizes = stylegan2_ada.sizes_of(published)
  stylegan2_ada.check(published, sizes)
  portable = stylegan2_ada.portable(published, sizes, truncation)
  inputs = portable.draw(3)
  samples = export.deserialize(compile_program(portable)).call(portable.weights, **inputs)
  tensors = {name: torch.as_tensor(value).double() for name, value in published.items()}
  labels = torch.as_tensor(inputs['labels']).long() if 'labels' in inputs else None
  expected = generated(tensors, torch.as_tensor(inputs['z']).double(), labels, truncation or 1.0)
  assert expected.std() > 0.5
  np.testing.assert_allclose(np.moveaxis(np.asarray(samples), 3, 1), expected.numpy(), atol=1e-4, rtol=1e-4)
