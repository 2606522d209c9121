"""Published generators of StyleGAN2-ADA (Karras et al. 2020, arXiv:2006.06676), from a plain file of their tensors.

The authors publish pickles, which run code when they are opened; none is opened here. `docs/export.md` has the lines
that write the tensors of one to a plain file where it is trusted. Names and shapes of tensors are those of the official
PyTorch code, in which kernels are [outputs, inputs, height, width]. Ours have the reverse order of axes, and nothing
else differs: a style's affine layer, the factors of the equalised learning rate and the direction of kernels are alike.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from flax import traverse_util
from jax import Array

from gan.games.cast import Sampler
from gan.models.stylegan2 import IMAGE_SIZES, Generator
from gan.portable import PortableError
from gan.portable.program import DEFAULT, Function, Input, Portable

SUFFIXES = ('.npz', '.safetensors')
FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64   # Of all up-sampling; part of the file, but not learnt.
NOISE = 'noise'      # Prefix of the weights that are the fixed noise of each convolution.
SHOWN = 4            # Names in a message.
_WAY_OUT = 'write all of G_ema.state_dict() to it, as docs/export.md shows'

Tensors = Mapping[str, np.ndarray]


class Sizes(NamedTuple):
  """The settings of a published generator, which its tensors imply.

  Attributes:
    pixels: side of an image.
    channels: channels of an image.
    width: channels of the features at full resolution.
    max_width: channels of the features at 4x4.
    z_dim: length of a latent.
    w_dim: length of a style.
    mapping_layers: number of layers of the mapping network.
    classes: number of classes; 0: none.
  """

  pixels: int
  channels: int
  width: int
  max_width: int
  z_dim: int
  w_dim: int
  mapping_layers: int
  classes: int

  @property
  def resolutions(self) -> list[int]:
    """Return the sides of images from 4 to that of the result."""
    return [2**i for i in range(2, self.pixels.bit_length())]

  def features(self, resolution: int) -> int:
    """Return the channels of the features at a resolution."""
    return min(self.width * self.pixels // resolution, self.max_width)


def read(path: str | Path) -> dict[str, np.ndarray]:
  """Read the tensors of a file .npz or .safetensors, as float32; nothing in the file is run.

  Raises:
    PortableError: if the file cannot be read, or holds anything but numbers.
  """
  path = Path(path)
  if path.suffix not in SUFFIXES:
    raise PortableError(f'the name of the file must end in {" or ".join(SUFFIXES)}: a pickle runs code when it is '
                        'opened, so its tensors must be written to a plain file first, as docs/export.md shows')
  try:
    if path.suffix == '.npz':
      with np.load(path, allow_pickle=False) as archive:
        tensors = dict(archive)
    else:
      tensors = safetensors.numpy.load_file(path)
  except Exception as error:   # A damaged archive may raise many kinds of exceptions.
    raise PortableError(f'the file cannot be read ({error}); {_WAY_OUT}') from None
  if wrong := [name for name, tensor in tensors.items() if tensor.dtype.kind not in 'fiu']:
    raise PortableError(f'{wrong[0]} holds {tensors[wrong[0]].dtype}, not numbers; {_WAY_OUT}')
  return {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}


def sizes_of(tensors: Tensors) -> Sizes:
  """Return the settings that the shapes of tensors imply; `check` says whether all tensors agree with them.

  Raises:
    PortableError: if a tensor that decides is absent or has too few axes, or the size of images is not one of ours.
  """
  pixels = max((int(match[1]) for name in tensors if (match := re.match(r'synthesis\.b(\d+)\.', name))), default=4)
  # Name -> number of axes.
  deciding = {'synthesis.b4.const': 3, f'synthesis.b{pixels}.conv1.weight': 4, f'synthesis.b{pixels}.torgb.weight': 4,
              'mapping.fc0.weight': 2, 'mapping.w_avg': 1}
  for name, axes in deciding.items():
    if name not in tensors:
      raise PortableError(f'{name} is missing, which every generator of StyleGAN2-ADA has (there are {len(tensors)} '
                          f'tensors, such as {", ".join(list(tensors)[:SHOWN])}); {_WAY_OUT}')
    if tensors[name].ndim != axes:
      raise PortableError(f'{name} has the shape {list(tensors[name].shape)} and must have {axes} axes; {_WAY_OUT}')
  if pixels not in IMAGE_SIZES:
    raise PortableError(f'the tensors are those of a generator of {pixels} pixels; ours have '
                        f'{", ".join(map(str, IMAGE_SIZES))}')
  const, conv, torgb, dense, mean = (tensors[name].shape for name in deciding)
  embed = tensors.get('mapping.embed.weight')
  classes = embed.shape[-1] if embed is not None else 0
  layers = sum(bool(re.fullmatch(r'mapping\.fc\d+\.weight', name)) for name in tensors)
  return Sizes(pixels, torgb[0], conv[0], const[0], dense[1] - (mean[0] if classes else 0), mean[0], layers, classes)


def names(sizes: Sizes) -> dict[str, tuple[str, tuple[int, ...]]]:
  """Return where each tensor goes: official name -> (our flat name, official shape)."""
  w = sizes.w_dim
  table = {'mapping.w_avg': ('stats.averages.w', (w,))}

  def dense(theirs: str, ours: str, outputs: int, inputs: int) -> None:
    table[f'{theirs}.weight'] = (f'params.{ours}.kernel', (outputs, inputs))
    table[f'{theirs}.bias'] = (f'params.{ours}.bias', (outputs,))

  for i in range(sizes.mapping_layers):
    inputs = w if i else sizes.z_dim + (w if sizes.classes else 0)
    dense(f'mapping.fc{i}', f'mapper.layer{i}', w, inputs)
  if sizes.classes:
    dense('mapping.embed', 'mapper.labels', w, sizes.classes)
  table['synthesis.b4.const'] = ('params.synthesis.start', (sizes.features(4), 4, 4))
  for resolution in sizes.resolutions:
    features, block = sizes.features(resolution), f'synthesis.b{resolution}'
    before = sizes.features(resolution // 2)
    # At 4x4 there is no up-sampling convolution, and their only one is called conv1.
    convs = [('conv1', 'conv4_0', features)] if resolution == 4 else [
        ('conv0', f'conv{resolution}_0', before), ('conv1', f'conv{resolution}_1', features)]
    for theirs, ours, inputs in convs:
      dense(f'{block}.{theirs}.affine', f'synthesis.{ours}.style', inputs, w)
      table[f'{block}.{theirs}.weight'] = (f'params.synthesis.{ours}.kernel', (features, inputs, 3, 3))
      table[f'{block}.{theirs}.bias'] = (f'params.synthesis.{ours}.bias', (features,))
      table[f'{block}.{theirs}.noise_strength'] = (f'params.synthesis.{ours}.noise_strength', ())
      table[f'{block}.{theirs}.noise_const'] = (f'{NOISE}.{ours}', (resolution, resolution))
    dense(f'{block}.torgb.affine', f'synthesis.image{resolution}.style', features, w)
    table[f'{block}.torgb.weight'] = (f'params.synthesis.image{resolution}.kernel', (sizes.channels, features, 1, 1))
    table[f'{block}.torgb.bias'] = (f'params.synthesis.image{resolution}.bias', (sizes.channels,))
  return table


def check(tensors: Tensors, sizes: Sizes) -> None:
  """Check that the tensors are exactly those of a generator of these sizes.

  Raises:
    PortableError: if a tensor is missing, unknown or has another shape; the message names it.
  """
  table = names(sizes)
  described = f'a generator of {sizes.pixels} pixels with {sizes.width} to {sizes.max_width} channels'
  if missing := [name for name in table if name not in tensors]:
    raise PortableError(f'{_listed(missing)} missing, which {described} has; {_WAY_OUT}')
  filters = {name for name in tensors if name.endswith('.resample_filter')}
  if unknown := [name for name in tensors if name not in table and name not in filters]:
    raise PortableError(f'{_listed(unknown)} unknown: only the architecture `skip` of StyleGAN2-ADA is converted, with '
                        'its mapping network, and other networks have other tensors')
  if wrong := [name for name, (_, shape) in table.items() if tensors[name].shape != shape]:
    name = wrong[0]
    raise PortableError(f'{name} has the shape {list(tensors[name].shape)} and must have {list(table[name][1])} in '
                        f'{described}; {_WAY_OUT}')
  if other := [name for name in filters if tensors[name].shape != FILTER.shape
               or not np.allclose(tensors[name], FILTER, atol=1e-4)]:
    raise PortableError(f'{other[0]} is not the filter [1, 3, 3, 1], the only one that this generator has')


def _listed(names: list[str]) -> str:
  more = f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''
  return f'{", ".join(names[:SHOWN])}{more} {"is" if len(names) == 1 else "are"}'


def weights_of(tensors: Tensors, sizes: Sizes) -> dict[str, np.ndarray]:
  """Return the tensors under our flat names, in our order of axes; `check` must have passed."""
  return {ours: tensors[theirs] if ours.startswith(NOISE) else np.array(_reordered(tensors[theirs]), order='C')
          for theirs, (ours, _) in names(sizes).items()}


def _reordered(tensor: np.ndarray) -> np.ndarray:
  """Turn [O, C, H, W] into [H, W, C, O], [C, H, W] into [H, W, C], and [O, C] into [C, O]."""
  return tensor.transpose({4: (2, 3, 1, 0), 3: (1, 2, 0), 2: (1, 0)}.get(tensor.ndim, range(tensor.ndim)))


def portable(tensors: Tensors, sizes: Sizes, truncation: float | None = None) -> Portable:
  """Describe a published generator, whose noise is the fixed one that was published with it.

  Args:
    tensors: the published tensors; `check` must have passed.
    sizes: settings of the generator.
    truncation: how much of the distance from the mean style is kept, in [0, 1]; None: all.
  """
  def draw(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((count, sizes.z_dim), np.float32)
    return {'z': z} | ({'labels': rng.integers(sizes.classes, size=count, dtype=np.int32)} if sizes.classes else {})

  inputs = {'z': Input((sizes.z_dim,), 'float32', 'latents, standard normal',
                       f"rng.standard_normal((n, {sizes.z_dim}), 'float32')")}
  if sizes.classes:
    inputs['labels'] = Input((), 'int32', f'classes, 0 to {sizes.classes - 1}',
                             f"rng.integers({sizes.classes}, size=n, dtype='int32')")
  functions = {platform: _function(_generator(sizes, form), truncation)
               for platform, form in (('cpu', 'matmul'), (DEFAULT, 'lax'))}
  return Portable(functions, weights_of(tensors, sizes), inputs, False, draw)


def _generator(sizes: Sizes, form: str) -> Generator:
  return Generator(sizes.pixels, sizes.channels, sizes.width, sizes.max_width, sizes.w_dim, sizes.mapping_layers,
                   mixing=0.0, classes=sizes.classes, convolution=form)


def _function(generator: Generator, truncation: float | None) -> Function:
  def function(weights: Mapping[str, Array], **inputs: Array) -> Array:
    def draw(name: str, sampler: Sampler, shape: tuple[int, ...]) -> Array:
      del sampler   # The noise is given: of the layer conv8_0 it is the weight noise.conv8_0.
      return jnp.broadcast_to(weights[name.replace('/', '.')][None, :, :, None], shape)

    tree = traverse_util.unflatten_dict(dict(weights), sep='.')
    return generator.apply({'params': tree['params'], **tree['stats']}, train=False, draw=draw, truncation=truncation,
                           **inputs)

  return function
