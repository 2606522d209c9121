"""The display of a game: scalars of the console, plots of the page, and failures that a run is checked for.

This file holds data only; gan/run/report.py, gan/show/page.py and gan/show/frames.py print and draw them.
"""

from collections.abc import Sequence
from typing import NamedTuple

from gan.health import FAILURES

DISC, GEN, OTHER = '#e0752d', '#3d7bea', '#2a9d8f'   # Readable on white and on near-black.


class Line(NamedTuple):
  """One curve: the scalar, its label (not shown if empty), colour and dash pattern."""
  key: str
  label: str
  color: str
  style: str = '-'


class Plot(NamedTuple):
  """One plot with its heading and a sentence on how to read it."""
  heading: str
  text: str
  lines: Sequence[Line]
  half: bool = False           # Draw the line of 1/2, on axes from 0 to 1.
  log: bool = False
  prefix: str = ''             # Every scalar whose name begins with the prefix gets a curve, too; '': none.


class Show(NamedTuple):
  """The display of the runs of a game.

  Attributes:
    main: scalars of the console: (label, name, format). The first two are on the page's first line, too.
    plots: plots of the page, in order; a plot is left out if the run has none of its scalars.
    failures: failures that a verdict may name (`gan.health.FAILURES`).
    frame: kind of picture of a state, key of `gan.show.frames.FRAMES`.
    scored: whether samples are compared with the column 'images' of the data.
  """

  main: tuple[tuple[str, str, str], ...]
  plots: tuple[Plot, ...]
  failures: tuple[str, ...] = FAILURES
  frame: str = 'samples'
  scored: bool = True


LOSSES = (('disc/loss', 'disc/loss', '9.4f'), ('gen/loss', 'gen/loss', '9.4f'))
LABELS = {'r1': 'R1', 'r2': 'R2', 'gp': 'gradient penalty', 'zero_gp': 'zero-centred', 'dragan': 'DRAGAN',
          'lecam': 'LeCam', 'cr_real': 'CR', 'cr_fake': 'bCR', 'zcr_disc': 'zCR of D', 'zcr_gen': 'zCR of G',
          'path_length': 'path length', 'orthogonal': 'orthogonal, D', 'gen_orthogonal': 'orthogonal, G'}


def label_of(term: str) -> str:
  """Return the label of a term's curve."""
  return LABELS.get(term, term.replace('_', ' '))


PLOTS = (
    Plot('What the discriminator believes',
         'The mean probability of being real that D gives to real data, D(x), and to generated data, D(G(z)). At '
         'equilibrium theory predicts 1/2 for both (dashed): once the two kinds of data are alike, the best possible '
         'discriminator can only guess. Where logits are not log-odds (Wasserstein, hinge, least squares), '
         'trust the direction, not the value.',
         (Line('disc/real_prob', 'D(x)', DISC), Line('disc/fake_prob', 'D(G(z))', GEN),
          Line('gen/fake_prob', "D(G(z)) in G's turn", OTHER, ':')), half=True),
    Plot('Losses of both players',
         'Each loss depends on the opponent, so neither has to fall as training succeeds; steady values mean balance, '
         'a loss running away means that one side has lost.',
         (Line('disc/loss', 'discriminator', DISC), Line('gen/loss', 'generator', GEN))),
    Plot('How far apart the two kinds are judged',
         'The mean logit of real data minus that of generated data. It wanders around zero where the two are alike; a '
         'gap that only grows means that the discriminator wins.',
         (Line('disc/logit_gap', '', DISC),)),
    Plot('Accuracy of the discriminator',
         'The share of samples, real and generated, that D puts on the right side: 1/2 is guessing (dashed), '
         '1 means that it is never fooled.',
         (Line('disc/accuracy', '', DISC),), half=True),
    Plot('Gradient and update norms',
         'Logarithmic. A player whose gradient norm collapses no longer learns; a gradient norm that explodes comes '
         'before divergence. The update is what the optimizer makes of the gradient.',
         (Line('disc/grad_norm', 'disc gradient', DISC), Line('gen/grad_norm', 'gen gradient', GEN),
          Line('disc/update_norm', 'disc update', DISC, ':'), Line('gen/update_norm', 'gen update', GEN, ':')),
         log=True),
    Plot('How steep the discriminator is',
         'Logarithmic. The mean slope |grad D| at real and at generated samples: what the generator can learn from is '
         'the slope at its own samples. R1 and R2 keep both slopes small.',
         (Line('disc/real_slope', 'at real data', DISC), Line('disc/fake_slope', 'at generated data', GEN)), log=True),
    Plot('Angle between successive steps',
         'The cosine of the angle between one step of a player and its next. Near 1 the player goes straight on, near '
         '0 it wanders as noise does. Below 0 it turns back: players do so if they circle or if their steps are too '
         'large.',
         (Line('disc/update_cosine', 'discriminator', DISC), Line('gen/update_cosine', 'generator', GEN))),
    Plot('Penalties',
         'Logarithmic. Values are shown without their weights; R1 and R2 are mean squared slopes.', (), log=True,
         prefix='penalty/'),
)

GENERATION = Show((('D(x)', 'disc/real_prob', '.3f'), ('D(G(z))', 'disc/fake_prob', '.3f'), *LOSSES), PLOTS)
