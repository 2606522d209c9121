"""Optimizers: optax transformations whose numbers may be traced.

A `TxBuilder` maps numbers to a transformation. The compiled step calls it at every step with the present numbers of its
player (`lr`, the numbers of its optimizer, and `weight_decay` unless that is 0), so that these may be scheduled and may
differ between the members of a population. If b1 or b2 change, Adam's bias correction uses the present values as if
they had held in all steps so far.
"""

from collections.abc import Callable
from typing import NamedTuple

import optax
from jax.typing import ArrayLike

from gan.declare import FRACTION, NOT_NEGATIVE, POSITIVE, Setting, Settings

TxBuilder = Callable[[dict[str, ArrayLike]], optax.GradientTransformation]


class Optimizer(NamedTuple):
  """An optimizer: how it makes a direction from gradients, and its settings.

  Attributes:
    direction: numbers, by name -> transformation without the learning rate, which `make_optimizer` applies.
    settings: declarations of these numbers.
  """

  direction: Callable[[dict[str, ArrayLike]], optax.GradientTransformation]
  settings: Settings


_EPS = {'eps': Setting(1e-8, 'Constant added to the root of the second moment.', POSITIVE)}
OPTIMIZERS = {
    # Kingma & Ba 2015, arXiv:1412.6980.
    'adam': Optimizer(
        lambda n: optax.scale_by_adam(b1=n['b1'], b2=n['b2'], eps=n['eps'], eps_root=n.get('eps_root', 0.0)),
        {'b1': Setting(0.5, 'Decay of the first moment.', FRACTION),
         'b2': Setting(0.999, 'Decay of the second moment.', FRACTION), **_EPS}),
    # Tieleman & Hinton 2012. The WGAN paper uses RMSProp.
    'rmsprop': Optimizer(
        lambda n: optax.scale_by_rms(decay=n['b2'], eps_in_sqrt='eps_root' in n,
                                     eps=n['eps']**2 + n['eps_root'] if 'eps_root' in n else n['eps']),
        {'b2': Setting(0.999, 'Decay of the mean squared gradient.', FRACTION), **_EPS}),
    'sgd': Optimizer(lambda n: optax.trace(decay=n['b1']),
                     {'b1': Setting(0.5, 'Momentum; 0 is plain gradient descent.', FRACTION)}),
}
# Settings of every optimizer.
SETTINGS = {
    'lr': Setting(2e-4, 'Learning rate.', POSITIVE),
    'weight_decay': Setting(0.0, 'Weight decay, decoupled from the gradient (AdamW).', NOT_NEGATIVE),
}


def make_optimizer(name: str, optimistic: bool = False) -> TxBuilder:
  """Build the optimizer of one player.

  Args:
    name: key of OPTIMIZERS.
    optimistic: whether each direction d_t is corrected by the previous one, 2 d_t - d_{t-1} (Daskalakis et al. 2018,
      arXiv:1711.00141). The first step is d_1, as if d_0 = d_1; in the code of Gidel et al. 2019 (arXiv:1802.10551) it
      is 2 d_1, as if d_0 = 0.

  Raises:
    ValueError: if the name is unknown; the message lists the valid names.
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
