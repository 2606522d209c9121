"""What a game is: networks, draws, one play of them, and the terms of which each player's loss is the sum.

`cast` calls networks, `turn` is what is dealt, `term` a summand of a loss, `game` the whole. The games themselves are
`generation` and `plane`; `table` has them by name, and `show` says how they are shown.
"""

from gan.games.cast import Network
from gan.games.game import Game, GameError, Setup, memories
from gan.games.term import HParams, Kept, Memories, Moment, Outcome, Played, Scalars, Term
from gan.games.turn import ONE_DEVICE, Devices, Inputs, Turn

__all__ = ['ONE_DEVICE', 'Devices', 'Game', 'GameError', 'HParams', 'Inputs', 'Kept', 'Memories', 'Moment', 'Network',
           'Outcome', 'Played', 'Scalars', 'Setup', 'Term', 'Turn', 'memories']
