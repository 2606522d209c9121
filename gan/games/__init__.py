"""Games: networks, random draws, shared forward passes, and the terms that add up to each player's loss.

`cast` calls networks, `turn` holds one batch and its draws, `term` is a summand of a loss, and `game` derives both
losses from them. The games themselves are `generation` and `plane`; `table` lists them by name, and `show` says how
they are shown.
"""

from gan.games.cast import Network
from gan.games.game import Game, GameError, Setup, memories
from gan.games.term import HParams, Kept, Memories, Moment, Outcome, Played, Scalars, Term
from gan.games.turn import ONE_DEVICE, Devices, Inputs, Turn

__all__ = ['ONE_DEVICE', 'Devices', 'Game', 'GameError', 'HParams', 'Inputs', 'Kept', 'Memories', 'Moment', 'Network',
           'Outcome', 'Played', 'Scalars', 'Setup', 'Term', 'Turn', 'memories']
