"""Gradients of the generator against a strong discriminator: both forms of its loss at the same states."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from matplotlib.ticker import FuncFormatter

from experiments.explain.ring import Ring, ring
from experiments.explain.style import DISC, GEN, INK, SATURATING, Explained, new_figure, plain
from gan import build
from gan.show.plots import render
from gan.state import GanState
from gan.step import make_deal

STEPS, EVERY = 1500, 25
# The discriminator has five times the updates and twice the learning rate of the generator.
STRONG = {'train.disc_steps': 5, 'optimizer.disc.lr': 2e-3, 'train.batch_size': 128, 'model.gen.width': 64,
          'model.disc.width': 64}
FORMS = ('saturating', 'nonsaturating')
LOOKS = {'saturating': (SATURATING, (0, (6, 2)), 'saturating'), 'nonsaturating': (GEN, '-', 'non-saturating')}


def make_norms(run: Ring) -> Callable[[GanState], dict[str, jax.Array]]:
  """Build norms(state), which measures the generator's gradients for both forms of the loss on one batch of latents.

  Returns:
    norms(state) -> {'saturating', 'nonsaturating': norm of the gradient in the generator's parameters; 'fake_prob':
    mean D(G(z)) of this batch}. There is no update.
  """
  games = {}
  for form in FORMS:
    config = run.config.copy_and_resolve_references()
    config.loss.name = form
    games[form] = build.build(config, run.data.columns, jax.devices()[:1])
  deal = make_deal(run.built.game)

  @jax.jit
  def norms(state: GanState) -> dict[str, jax.Array]:
    turn = deal(run.batches.batch((), state.rng, state.step, 0), state, 0)
    measured = {}
    for form, built in games.items():
      loss = functools.partial(built.game.loss, 'gen')
      grads, (_, scalars) = jax.grad(loss, has_aux=True)(state.gen.params, state, turn, built.hparams)
      measured[form] = optax.tree.norm(grads)
      measured['fake_prob'] = scalars['gen/fake_prob']
    return measured

  return norms


def record(form: str, steps: int = STEPS, every: int = EVERY, overrides: dict[str, Any] | None = None
           ) -> dict[str, np.ndarray]:
  """Train the generator with one form of the loss, and measure the gradients of both forms during training.

  Returns:
    'step', 'saturating', 'nonsaturating' and 'fake_prob' [T], and the number of 'modes' covered at the end.
  """
  run = ring(STRONG | {'loss.name': form} | (overrides or {}))
  norms, sample, rows = make_norms(run), run.sampler(), []
  for step, state, _ in run.train(list(range(0, steps + 1, every))):
    rows.append({'step': step} | {name: float(value) for name, value in norms(state).items()})
    points = sample(state, 1024)
  columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
  return columns | {'modes': np.array(run.scores(points)['modes'])}


def draw(steps: int = STEPS, every: int = EVERY, overrides: dict[str, Any] | None = None,
         record: Callable[..., dict[str, np.ndarray]] = record) -> Explained:
  """Draw both gradient norms and D(G(z)) during two trainings against a strong discriminator.

  Args:
    steps: number of steps of each training.
    every: steps between two measurements.
    overrides: overrides of the configuration, in addition to STRONG.
    record: (form, steps, every, overrides) -> the measurements.
  """
  runs = {form: record(form, steps, every, overrides) for form in FORMS}
  figure = new_figure(11.6, 6.6)
  panels = figure.subplots(2, 2, sharex=True, sharey='row', height_ratios=(1.7, 1))
  figure.subplots_adjust(left=0.075, right=0.985, bottom=0.085, top=0.94, wspace=0.07, hspace=0.13)
  facts = {}
  for column, (form, run) in enumerate(runs.items()):
    upper, lower = panels[:, column]
    for name in FORMS:
      colour, dashes, label = LOOKS[name]
      upper.plot(run['step'], run[name], color=colour, linestyle=dashes, linewidth=2.6 if name == form else 1.5,
                 label=f'{label}{", which trains it" if name == form else ", for comparison"}')
    lower.plot(run['step'], run['fake_prob'], color=DISC, linewidth=1.8)
    lower.axhline(0.5, color=INK, linewidth=0.9, linestyle=(0, (2, 3)), alpha=0.7)
    left = column == 0
    plain(upper, f'Trained with the {LOOKS[form][2]} loss', ylabel='norm of the gradient' if left else '')
    plain(lower, xlabel='steps', ylabel='D(G(z))' if left else '')
    upper.legend(loc='lower right', frameon=False, fontsize=9.5, labelcolor=INK, handlelength=2.8)
    late = run['step'] > run['step'][-1] / 2
    facts[form] = {name: float(np.median(run[name][late])) for name in (*FORMS, 'fake_prob')} | {
        'modes': int(run['modes'])}
    facts[form]['times'] = facts[form]['nonsaturating'] / facts[form]['saturating']
  lowest = min(run[name].min() for run in runs.values() for name in FORMS)
  panels[0, 0].set(yscale='log', ylim=(lowest / 6, None))  # Room for the legend.
  panels[0, 0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
  panels[1, 0].text(0.99, 0.53, '1/2: cannot tell', transform=panels[1, 0].get_yaxis_transform(), ha='right',
                    fontsize=9, color=INK)
  panels[1, 0].set(ylim=(-0.02, 1.0), yticks=(0, 0.5, 1))
  panels[1, 0].set_xlim(0, steps)
  return Explained(render(figure), {'runs': facts, 'steps': steps, 'disc_steps': STRONG['train.disc_steps']})
