"""The generator's loss of one sample and its slope, for both forms of the original GAN."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.explain.style import DISC, GEN, INK, SATURATING, SOFT, Explained, new_figure, plain
from gan.losses import LOSSES
from gan.show.plots import render

REJECTED = 0.1                 # Samples with a smaller D(G(z)) are called rejected.
FORMS = {'saturating': ('saturating:  log(1 − D)', SATURATING, (0, (6, 2))),
         'nonsaturating': ('non-saturating:  −log D', GEN, '-')}


def curves(name: str, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Compute the generator's loss of single samples and its slope in their logits, by `gan.losses`.

  Args:
    name: key of LOSSES.
    logits: [N], logits of generated samples.

  Returns:
    Loss and slope, [N] each.
  """
  def loss(logit: jax.Array) -> jax.Array:
    return LOSSES[name].gen(jnp.zeros(1), logit[None])[0]
  values, slopes = jax.jit(jax.vmap(jax.value_and_grad(loss)))(jnp.asarray(logits, jnp.float32))
  return np.asarray(values), np.asarray(slopes)


def draw() -> Explained:
  """Draw the loss and the size of its slope against D(G(z))."""
  logits = np.linspace(-6.9, 6.9, 600)
  belief = 1 / (1 + np.exp(-logits))
  bad = np.log(0.01 / 0.99)
  figure = new_figure(11.6, 4.9)
  left, right = figure.subplots(1, 2)
  figure.subplots_adjust(left=0.065, right=0.985, bottom=0.13, top=0.9, wspace=0.2)
  at_bad = {}
  for name, (label, colour, dashes) in FORMS.items():
    values, slopes = curves(name, logits)
    line = {'color': colour, 'linestyle': dashes, 'linewidth': 2.4}
    left.plot(belief, values, label=label, **line)
    right.plot(belief, np.abs(slopes), **line)
    at_bad[name] = float(np.abs(curves(name, np.array([bad]))[1][0]))
  for axes in (left, right):
    axes.axvspan(0, REJECTED, color=DISC, alpha=0.13, linewidth=0, zorder=0.5)
    axes.set_xlim(0, 1)
  plain(left, 'The loss of one generated sample', 'D(G(z)): how real D thinks the sample is', 'loss, in nats')
  plain(right, 'How hard it pulls: size of the slope in the logit', 'D(G(z))', '|d loss / d logit|, logarithmic')
  left.set_ylim(-5, 5)
  left.legend(loc='upper right', frameon=False, fontsize=10.5, labelcolor=INK, handlelength=2.6)
  left.text(0.125, -3.55, 'shaded: samples that D rejects.\nA generator starts here: one curve\n'
                          'is nearly level, the other steep', fontsize=9.5, color=INK, va='center', linespacing=1.35)
  right.set(yscale='log', ylim=(1e-3, 2))
  right.tick_params(pad=6)
  right.set_yticks([1e-3, 1e-2, 1e-1, 1], ['0.001', '0.01', '0.1', '1'])
  right.text(0.62, 0.73, 'slope −D', color=SATURATING, fontsize=11, weight='bold', ha='center', va='bottom')
  right.text(0.79, 0.135, 'slope −(1 − D)', color=GEN, fontsize=11, weight='bold', ha='right')
  right.annotate('', (0.01, at_bad['saturating']), (0.01, at_bad['nonsaturating']),
                 arrowprops={'arrowstyle': '<->', 'color': INK, 'linewidth': 1.2, 'shrinkA': 1, 'shrinkB': 1})
  times = at_bad['nonsaturating'] / at_bad['saturating']
  right.text(0.125, 0.011, f'at D = 0.01 the saturating pull is\n{times:.0f} times weaker: the ratio of\n'
                           'the two slopes is D / (1 − D)', fontsize=9.5, color=INK, va='center', linespacing=1.35)
  right.plot([0.013, 0.118], [0.0155, 0.011], color=SOFT, linewidth=0.9)
  return Explained(render(figure), {'times': times, 'saturating': at_bad['saturating'],
                                    'nonsaturating': at_bad['nonsaturating']})
