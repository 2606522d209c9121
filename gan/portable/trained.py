"""The generator of a trained run, as a pure function of its weights and inputs."""

from collections.abc import Mapping

import jax
import numpy as np
from jax import Array

from gan.data.source import Column
from gan.games import Game, Inputs
from gan.games.cast import PLAYERS, owner
from gan.portable import PortableError
from gan.portable.program import DEFAULT, KEY, Function, Input, Portable, drawn_from, flat, unflatten
from gan.randomness import purpose_key, root_key
from gan.sampling import draw_from
from gan.state import PyTree

PARAMS, STATS = 'params', 'stats'
SEED = 0   # As the default of gan.sample: the first samples are the same.


def portable(games: Mapping[str, Game], gen: PyTree, columns: Mapping[str, Column],
             class_names: tuple[str, ...] = ()) -> Portable:
  """Describe the generator of a run.

  Args:
    games: platform, or DEFAULT -> the game as it is computed there; games differ in the form of convolutions.
    gen: {'params', 'stats'} of the generator's networks.
    columns: columns of the data, of which the samples of some games are made.
    class_names: names of the classes of the data.

  Raises:
    PortableError: if the generator is no network, or has arrays that cannot be exported.
  """
  game = games[DEFAULT]
  leaves = jax.tree.leaves(gen[PARAMS])
  if sum(leaf.size for leaf in leaves) == 1:
    raise PortableError(f'this generator is the single number {float(leaves[0].ravel()[0]):.6g} of a game in closed '
                        'form, not a network, so there is nothing to export; gan.sample --npz draws from it')
  weights = flat(gen[PARAMS], PARAMS) | flat(gen[STATS], STATS)
  networks = [network for name, network in game.networks.items() if owner(name) == PLAYERS[0]]

  def draw(count: int) -> dict[str, np.ndarray]:
    root = purpose_key(root_key(SEED), 'samples')
    data = {name: np.asarray(jax.random.normal(jax.random.fold_in(root, i), (count, *columns[name].shape)))
            for i, name in enumerate(game.conditions)}
    return {name: np.asarray(value) for name, value in _drawn(game, root, count).items()} | data

  shapes = {name: (value.shape[1:], str(value.dtype))
            for name, value in jax.eval_shape(lambda: _drawn(game, root_key(SEED), 2)).items()}
  shapes |= {name: (columns[name].seen.shape, str(columns[name].seen.dtype)) for name in game.conditions}
  inputs = {name: _described(game, name, *shape, class_names) for name, shape in shapes.items()}
  same = all(_networks(other) == _networks(game) for other in games.values())
  functions = {DEFAULT: _function(game, gen)} if same else {name: _function(other, gen)
                                                            for name, other in games.items()}
  return Portable(functions, weights, inputs, any(network.random for network in networks), draw)


def _networks(game: Game) -> list[object]:
  """Return the modules of the generator; modules with equal settings are equal."""
  return [network.module for name, network in game.networks.items() if owner(name) == PLAYERS[0]]


def _drawn(game: Game, root: Array, count: int) -> Inputs:
  """Draw the inputs that are not data, as the first chunk of `gan.sampling` does."""
  return game.draw(draw_from(root, np.int32(0)), {}, count)


def _function(game: Game, like: PyTree) -> Function:
  def function(weights: Mapping[str, Array], **inputs: Array) -> Array:
    key: Array | None = inputs.pop(KEY, None)
    gen = {name: unflatten(weights, like[name], name) for name in (PARAMS, STATS)}
    return game.sample(gen, inputs, None if key is None else drawn_from(key))

  return function


def _described(game: Game, name: str, shape: tuple[int, ...], dtype: str, class_names: tuple[str, ...]) -> Input:
  """Describe an input for people, with NumPy code that makes a batch of it where it is drawn."""
  sizes = ''.join(f', {size}' for size in shape)
  if name == 'z':
    normal = getattr(game, 'z', 'normal') == 'normal'
    return Input(shape, dtype, 'latents, standard normal' if normal else 'latents, uniform on [-1, 1]',
                 f"rng.standard_normal((n{sizes}), 'float32')" if normal else
                 f"rng.uniform(-1, 1, (n{sizes})).astype('float32')")
  if game.classes and name == game.classes[0]:
    count = game.classes[1]
    what = 'codes of the category' if name == 'category' else 'classes'
    names = f': {", ".join(class_names)}' if name == 'labels' and _are_words(class_names) else ''
    return Input(shape, dtype, f'{what}, 0 to {count - 1}{names}', f"rng.integers({count}, size=n, dtype='int32')")
  if name == 'uniform':
    return Input(shape, dtype, 'uniform codes, in [-1, 1]', f"rng.uniform(-1, 1, (n{sizes})).astype('float32')")
  return Input(shape, dtype, f'the column {name} of the data, of which samples are made',
               f"rng.standard_normal((n{sizes})).astype('{dtype}')")


def _are_words(names: tuple[str, ...]) -> bool:
  return bool(names) and list(names) != [str(i) for i in range(len(names))]
