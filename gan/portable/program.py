"""A generator as a program: a pure function of weights and inputs, serialised by `jax.export`.

The weights are an argument of the program, not constants in it. So they are stored once, in a file that every framework
reads; the program stays small; and weights of another step, or changed ones, run in the same program.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, export

from gan.games.cast import Sampler
from gan.portable import PortableError
from gan.randomness import IMPLEMENTATION, purpose_key, root_key
from gan.state import PyTree

PLATFORMS = ('cpu', 'cuda', 'tpu')
KEY = 'key'          # Name of the input that random numbers inside the networks are made of.
DEFAULT = 'default'  # Platforms for which there is no function of their own.
# Samples that are compared at export: at most so many, of at most so many numbers.
MOST_SAMPLES, MOST_NUMBERS = 16, 2**22
# The largest difference between a program's sample and the network's own, relative to the largest number of a sample:
# both are compiled by themselves, so they agree to rounding.
TOLERANCE = 1e-3

Weights = Mapping[str, np.ndarray]
Function = Callable[..., Array]   # (weights, **inputs) -> samples [B, ...].


class Input(NamedTuple):
  """One input of a generator.

  Attributes:
    shape: shape of one sample, without the batch axis.
    dtype: dtype.
    meaning: a noun phrase for people.
    example: NumPy code for a batch of `n`, in which `rng` is a NumPy generator.
  """

  shape: tuple[int, ...]
  dtype: str
  meaning: str
  example: str


class Portable(NamedTuple):
  """A generator that can be exported.

  Attributes:
    functions: platform, or DEFAULT -> the function that is used there. They differ in the form of convolutions.
    weights: all arrays that the functions read, float32, by flat name.
    inputs: inputs by name; each has a batch axis in the program.
    random: whether it also takes KEY, uint32 [2], the key of random numbers inside the networks.
    draw: (n) -> a batch of n inputs, without KEY, to try it with.
  """

  functions: Mapping[str, Function]
  weights: dict[str, np.ndarray]
  inputs: Mapping[str, Input]
  random: bool
  draw: Callable[[int], dict[str, np.ndarray]]


class Checked(NamedTuple):
  """The comparison of a program with the network that it was made of.

  Attributes:
    inputs: inputs of the samples.
    samples: float32 [N, ...], computed by the program.
    difference: largest absolute difference from the samples that the network makes of these inputs here.
  """

  inputs: dict[str, np.ndarray]
  samples: np.ndarray
  difference: float


def flat(tree: PyTree, prefix: str) -> dict[str, np.ndarray]:
  """Return the arrays of a tree by flat name, such as 'params.conv.kernel' for the prefix 'params'.

  Raises:
    PortableError: if an array is not float32.
  """
  arrays = dict(zip(_names(tree, prefix), map(np.asarray, jax.tree.leaves(tree)), strict=True))
  if wrong := [f'{name} is {array.dtype}' for name, array in arrays.items() if array.dtype != np.float32]:
    raise PortableError(f'{wrong[0]}, and only weights of float32 are exported; keep other arrays out of the '
                        'parameters and statistics of the generator')
  return arrays


def unflatten(weights: Mapping[str, Any], like: PyTree, prefix: str) -> PyTree:
  """Return a tree like `like` with the arrays that `flat` gives these names."""
  return jax.tree.unflatten(jax.tree.structure(like), [weights[name] for name in _names(like, prefix)])


def _names(tree: PyTree, prefix: str) -> list[str]:
  paths = (path for path, _ in jax.tree_util.tree_leaves_with_path(tree))
  return [f'{prefix}.{jax.tree_util.keystr(path, simple=True, separator=".")}' for path in paths]


def drawn_from(key: Array) -> Callable[[str, Sampler, tuple[int, ...]], Array]:
  """Return the draws of networks that are random; element i of a draw depends on the key and i alone.

  Args:
    key: KEY, the data of a typed key, uint32 [2].
  """
  return lambda purpose, sampler, shape: sampler(jax.random.wrap_key_data(key, impl=IMPLEMENTATION), shape)


def compile_program(portable: Portable, batch: int | None = None) -> bytes:
  """Serialise the program call(weights, **inputs) -> samples [B, ...] for all PLATFORMS, with its first derivative.

  Args:
    portable: the generator.
    batch: number of samples of each call; None: any number.

  Raises:
    PortableError: if the generator cannot be traced for any number of samples.
  """
  functions = portable.functions

  def call(weights: dict[str, Array], **inputs: Array) -> Array:
    if len(functions) == 1:
      return functions[DEFAULT](weights, **inputs)
    return jax.lax.platform_dependent(weights, inputs, **{
        name: lambda weights, inputs, function=function: function(weights, **inputs)
        for name, function in functions.items()})

  def specs(rows: Any) -> dict[str, jax.ShapeDtypeStruct]:
    of_rows = {name: jax.ShapeDtypeStruct((rows, *value.shape), value.dtype) for name, value in portable.inputs.items()}
    return of_rows | ({KEY: jax.ShapeDtypeStruct((2,), jnp.uint32)} if portable.random else {})

  weights = {name: jax.ShapeDtypeStruct(array.shape, array.dtype) for name, array in portable.weights.items()}
  compiled = export.export(jax.jit(call), platforms=PLATFORMS)
  if batch is not None:
    return bytes(compiled(weights, **specs(batch)).serialize(vjp_order=1))
  try:
    return bytes(compiled(weights, **specs(export.symbolic_shape('batch')[0])).serialize(vjp_order=1))
  except Exception as error:  # What fails, and how, depends on the network.
    jax.eval_shape(call, weights, **specs(MOST_SAMPLES))   # What fails here, too, has another cause and is raised.
    text = str(error).strip().splitlines() or [type(error).__name__]
    raise PortableError(f'this generator cannot be exported for any number of samples at once ({text[0][:200]}); '
                        'fix the number of samples of each call, such as --batch=16') from error


def check(program: bytes, portable: Portable, batch: int | None = None) -> Checked:
  """Run a program once, as its reader will, and compare its samples with those of the network itself.

  Raises:
    PortableError: if they differ by more than rounding, or are not finite.
  """
  loaded = export.deserialize(program)
  count = batch or max(1, min(MOST_SAMPLES, MOST_NUMBERS // int(np.prod(loaded.out_avals[0].shape[1:]))))
  inputs = portable.draw(count)
  if portable.random:
    inputs[KEY] = np.asarray(jax.random.key_data(purpose_key(root_key(0), 'network')))
  samples = np.asarray(jax.jit(loaded.call)(portable.weights, **inputs))
  if not np.isfinite(samples).all():
    raise PortableError('samples of this generator are not finite numbers, so nothing was written; choose an earlier '
                        'checkpoint with --step=<number>')
  here = portable.functions.get(jax.default_backend(), portable.functions[DEFAULT])
  expected = np.asarray(jax.jit(here)(portable.weights, **inputs))
  difference = float(np.max(np.abs(samples - expected), initial=0.0))
  if not difference <= TOLERANCE * max(1.0, float(np.max(np.abs(expected), initial=0.0))):
    raise PortableError(f'the exported program differs by {difference:.3g} from the generator itself, so nothing was '
                        'written; please report this')
  return Checked(inputs, samples, difference)
