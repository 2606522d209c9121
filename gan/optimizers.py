"""Optimizer settings -> optax transformations whose numbers may be traced.

A `TxBuilder` is a transformation waiting for its numbers: inside the compiled step it receives the scalars of its
player (`lr`, those of its optimizer, and `weight_decay` if there is any) and the step, so that members of a population
may differ in them.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike

from gan.declare import FRACTION, NOT_NEGATIVE, POSITIVE, Setting, Settings, one_of

TxBuilder = Callable[[dict[str, ArrayLike], ArrayLike], optax.GradientTransformation]



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
SCHEDULES = {
    'constant': lambda decay_steps: optax.constant_schedule(1.0),
    'linear': lambda decay_steps: optax.linear_schedule(1.0, 0.0, decay_steps),
    'cosine': lambda decay_steps: optax.cosine_decay_schedule(1.0, decay_steps),
}
# Settings of every optimizer.
SETTINGS = {
    'lr': Setting(2e-4, 'Learning rate.', POSITIVE),
    'weight_decay': Setting(0.0, 'Decoupled from the gradient (AdamW).', NOT_NEGATIVE),
    'schedule': Setting('constant', 'Factor on lr, from 1 to 0.', one_of(SCHEDULES)),
    'decay_steps': Setting(0, 'Length of the schedule, in steps, whatever train.num_steps is.', NOT_NEGATIVE),
    'warmup_steps': Setting(0, 'Steps over which lr rises linearly.', NOT_NEGATIVE),
}


def make_optimizer(name: str, schedule: str = 'constant', warmup_steps: int = 0, decay_steps: int = 0,
                   optimistic: bool = False) -> TxBuilder:
  """Builds one player's optimizer.

  Args:
    name: key of OPTIMIZERS.
    schedule: key of SCHEDULES; the factor on the learning rate goes from 1 to 0 over `decay_steps` and stays there.
    warmup_steps: steps over which the factor first rises from 0 to 1, on top of the schedule.
    decay_steps: length of the schedule, in steps, whatever `disc_steps` and `update.gen_steps` are.
    optimistic: whether each direction is corrected by the one before, 2 d_t - d_{t-1} (Daskalakis et al. 2018,
      arXiv:1711.00141). The first step is d_1, as if the one before it had been the same; in the code of Gidel et al.
      2019 (arXiv:1802.10551) it is 2 d_1, as if it had been 0.

  Raises:
    ValueError: if a name is unknown; lists the known ones.
  """
  for kind, value, table in (('optimizer', name, OPTIMIZERS), ('schedule', schedule, SCHEDULES)):
    if value not in table:
      raise ValueError(f'{kind} {value!r} is unknown; known: {", ".join(sorted(table))}')
  decay = SCHEDULES[schedule](decay_steps)

  def factor(step: ArrayLike) -> Array:
    step = jnp.asarray(step, jnp.float32)
    warmup = jnp.minimum(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    return warmup * decay(step)

  def build(numbers: dict[str, ArrayLike], step: ArrayLike) -> optax.GradientTransformation:
    direction = [OPTIMIZERS[name].direction(numbers)]
    if optimistic:
      direction.append(optax.scale_by_optimistic_gradient())
    if 'weight_decay' in numbers:  # Decoupled from the direction (Loshchilov & Hutter 2019, arXiv:1711.05101).
      direction.append(optax.add_decayed_weights(numbers['weight_decay']))
    return optax.chain(*direction, optax.scale(-numbers['lr'] * factor(step)))

  return build
