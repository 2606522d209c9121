"""Many runs as one compiled program: members that differ in seed, objective and numbers only.

`program` says which runs those are, `compiled` trains and samples them together, `run` is the run of a whole
population, `members` takes one of them out again.
"""

from flax import struct
from jax import Array

from gan.state import GanState


@struct.dataclass
class PopulationState:
  """All of a population that changes.

  Attributes:
    members: a GanState whose leaves have a leading axis of M members, but for `step` [], which they share.
    alive: bool [M]; a member whose scalars are not all finite is frozen from then on.
    stopped_at: int32 [M]; steps that the member has finished.
    scalars: name -> [M], those of each member's last step.
  """

  members: GanState
  alive: Array
  stopped_at: Array
  scalars: dict[str, Array]
