"""Populations: many runs in one compiled program, whose members differ only in seed, objective and numbers.

`program` decides which runs can be members of one population, `compiled` trains and samples them together, `run` is the
run of a whole population, and `members` extracts one member as an ordinary run.
"""

from flax import struct
from jax import Array

from gan.state import GanState


@struct.dataclass
class PopulationState:
  """The state of a population: everything that training changes.

  Attributes:
    members: a GanState whose leaves have a leading axis of M members, except for `step` [], which all members share.
    alive: bool [M]; a member is frozen from the first step on whose scalars are not all finite.
    stopped_at: int32 [M]; number of steps that the member has finished.
    scalars: name -> [M], scalars of each member's last step.
  """

  members: GanState
  alive: Array
  stopped_at: Array
  scalars: dict[str, Array]
