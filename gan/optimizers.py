"""Optimizer settings -> optax transformations whose numbers may be traced.

A `TxBuilder` is a transformation waiting for its numbers: inside the compiled step it receives the scalars of its
player (`lr`, those of its optimizer, and `weight_decay` if there is any) as they are at this step, so that they may be
scheduled, and members of a population may differ in them. Where b1 or b2 change, Adam corrects its moments for their
start as if all steps so far had had the present ones.
"""

from collections.abc import Callable
from typing import NamedTuple

import optax
from jax.typing import ArrayLike

from gan.declare import FRACTION, NOT_NEGATIVE, POSITIVE, Setting, Settings

TxBuilder = Callable[[dict[str, ArrayLike]], optax.GradientTransformation]



class Optimizer(NamedTuple):
  """How to build a direction from gradients.

  Attributes:
    direction: numbers, by name -> transformation; without the learning rate, which `make_optimizer` applies.
    settings: its numbers.
  """

  direction: Callable[[dict[str, ArrayLike]], optax.GradientTransformation]
  settings: Settings


_EPS = {'eps': Setting(1e-8, 'Added to the root of the second moment.', POSITIVE)}
OPTIMIZERS = {
    # Kingma & Ba 2015, arXiv:1412.6980.
    'adam': Optimizer(
        lambda n: optax.scale_by_adam(b1=n['b1'], b2=n['b2'], eps=n['eps'], eps_root=n.get('eps_root', 0.0)),
        {'b1': Setting(0.5, 'Decay of the first moment.', FRACTION),
         'b2': Setting(0.999, 'Decay of the second moment.', FRACTION), **_EPS}),
    # Tieleman & Hinton 2012. The WGAN paper's choice.
    'rmsprop': Optimizer(
        lambda n: optax.scale_by_rms(decay=n['b2'], eps_in_sqrt='eps_root' in n,
                                     eps=n['eps']**2 + n['eps_root'] if 'eps_root' in n else n['eps']),
        {'b2': Setting(0.999, 'Decay of the squares.', FRACTION), **_EPS}),
    'sgd': Optimizer(lambda n: optax.trace(decay=n['b1']),
                     {'b1': Setting(0.5, 'Momentum; 0 is plain gradient descent.', FRACTION)}),
}
# Settings of every optimizer.
SETTINGS = {
    'lr': Setting(2e-4, 'Learning rate.', POSITIVE),
    'weight_decay': Setting(0.0, 'Decoupled from the gradient (AdamW).', NOT_NEGATIVE),
}


def make_optimizer(name: str, optimistic: bool = False) -> TxBuilder:
  """Builds one player's optimizer.

  Args:
    name: key of OPTIMIZERS.
    optimistic: whether each direction is corrected by the one before, 2 d_t - d_{t-1} (Daskalakis et al. 2018,
      arXiv:1711.00141). The first step is d_1, as if the one before it had been the same; in the code of Gidel et al.
      2019 (arXiv:1802.10551) it is 2 d_1, as if it had been 0.

  Raises:
    ValueError: if the name is unknown; lists the known ones.
  """
  if name not in OPTIMIZERS:
    raise ValueError(f'optimizer {name!r} is unknown; known: {", ".join(sorted(OPTIMIZERS))}')

  def build(numbers: dict[str, ArrayLike]) -> optax.GradientTransformation:
    direction = [OPTIMIZERS[name].direction(numbers)]
    if optimistic:
      direction.append(optax.scale_by_optimistic_gradient())
    if 'weight_decay' in numbers:  # Decoupled from the direction (Loshchilov & Hutter 2019, arXiv:1711.05101).
      direction.append(optax.add_decayed_weights(numbers['weight_decay']))
    return optax.chain(*direction, optax.scale(-numbers['lr']))

  return build
