"""Optimizer settings -> optax transformations whose numbers may be traced.

A `TxBuilder` is a transformation waiting for its numbers: inside the compiled step it receives the scalars of its
player (`lr`, `b1`, `b2`, `eps`, and `weight_decay` if there is any) as they are at this step, so that they may be
scheduled, and members of a population may differ in them. Where b1 or b2 change, Adam corrects its moments for their
start as if all steps so far had had the present ones.
"""

from collections.abc import Callable

import optax
from jax.typing import ArrayLike

TxBuilder = Callable[[dict[str, ArrayLike]], optax.GradientTransformation]

OPTIMIZERS = {
    # Kingma & Ba 2015, arXiv:1412.6980.
    'adam': lambda n: optax.scale_by_adam(b1=n['b1'], b2=n['b2'], eps=n['eps'], eps_root=n.get('eps_root', 0.0)),
    # Tieleman & Hinton 2012; b2 is the decay of the squares. The WGAN paper's choice.
    'rmsprop': lambda n: optax.scale_by_rms(decay=n['b2'], eps_in_sqrt='eps_root' in n,
                                            eps=n['eps']**2 + n['eps_root'] if 'eps_root' in n else n['eps']),
    # b1 is the momentum; 0 is plain gradient descent.
    'sgd': lambda n: optax.trace(decay=n['b1']),
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
    direction = [OPTIMIZERS[name](numbers)]
    if optimistic:
      direction.append(optax.scale_by_optimistic_gradient())
    if 'weight_decay' in numbers:  # Decoupled from the direction (Loshchilov & Hutter 2019, arXiv:1711.05101).
      direction.append(optax.add_decayed_weights(numbers['weight_decay']))
    return optax.chain(*direction, optax.scale(-numbers['lr']))

  return build
