"""f-divergences in one dimension: the optimal discriminator, and the Gaussian that minimises each divergence.

Integrals are sums over a fine grid. The divergences are implemented here from their definitions, independently of the
f-GAN objectives of `gan`; `library_bound` confirms that both agree.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from matplotlib.ticker import NullLocator
from scipy.stats import norm

from experiments.explain.style import DATA, DISC, GEN, INK, Explained, new_figure, plain
from gan.losses import LOSSES
from gan.show.plots import render

X = np.linspace(-14.0, 14.0, 5601)
STEP = X[1] - X[0]
WEIGHTS, MEANS, SPREADS = (0.6, 0.4), (-1.6, 1.9), (0.45, 0.6)   # The data: two unequal humps.
Q = (0.6, 1.0)                                                   # Mean and spread of the generator in the first panel.


class Divergence(NamedTuple):
  """A divergence D_f(p || q) = E_q f(p / q), in terms of r = log(p / q), which stays finite where p / q does not.

  Attributes:
    name: name in the picture.
    f: r -> f(exp(r)) exp(-r), the integrand under p.
    optimal_logit: r -> the logit v for which g(v) of `gan.losses` is f'(exp(r)).
    color: colour of its curve.
    dashes: line style of its curve.
  """

  name: str
  f: Callable[[np.ndarray], np.ndarray]
  optimal_logit: Callable[[np.ndarray], np.ndarray]
  color: str
  dashes: str | tuple


# The order is from mass-covering to mode-seeking. Keys are those of LOSSES.
DIVERGENCES = {
    'fgan_pearson': Divergence('Pearson χ²', lambda r: np.exp(r) - 2 + np.exp(-r), lambda r: 2 * np.expm1(r),
                               '#0b5fa5', '-'),
    'fgan_kl': Divergence('KL(p‖q)', lambda r: r, lambda r: r + 1, '#2a9d8f', '-'),
    'fgan_squared_hellinger': Divergence('squared Hellinger', lambda r: (1 - np.exp(-r / 2)) ** 2, lambda r: r / 2,
                                         '#6b7686', (0, (6, 2))),
    'fgan_jensen_shannon': Divergence(
        'Jensen-Shannon', lambda r: r - (1 + np.exp(-r)) * (np.logaddexp(r, 0) - np.log(2)), lambda r: r,
        '#b8860b', (0, (2, 1.2))),
    'fgan_total_variation': Divergence('total variation', lambda r: np.abs(1 - np.exp(-r)) / 2,
                                       lambda r: 40 * np.sign(r), '#7a4fb5', (0, (6, 2, 1.5, 2))),
    'fgan_reverse_kl': Divergence('reverse KL(q‖p)', lambda r: -r * np.exp(-r), lambda r: r, '#c2334d', '-'),
}


def log_p(x: np.ndarray) -> np.ndarray:
  """Return the log density of the data [N]."""
  return np.logaddexp(*(np.log(w) + norm.logpdf(x, m, s)
                        for w, m, s in zip(WEIGHTS, MEANS, SPREADS, strict=True)))


def divergence(key: str, mean: float, spread: float) -> float:
  """Return D_f(p || q) for a Gaussian q; inf if it overflows."""
  p, q = log_p(X), norm.logpdf(X, mean, spread)
  with np.errstate(over='ignore', invalid='ignore'):
    r = p - q
    # For large r the integrand p f(r) does not overflow; for very negative r, exp(-r) p = q does not: both are equal.
    value = np.sum(np.exp(p) * DIVERGENCES[key].f(np.clip(r, -300, 300))) * STEP
  return float(value) if np.isfinite(value) else np.inf


def library_bound(key: str, mean: float, spread: float) -> float:
  """Return minus the discriminator loss of `gan.losses` with the optimal T = f'(p / q), integrated over x.

  Any T gives a lower bound of the divergence, so logits may be clipped to the range of float32.
  """
  p, q = log_p(X), norm.logpdf(X, mean, spread)
  has_mass = np.maximum(p, q) > -40  # Elsewhere p and q are negligible, and p / q leaves the range of float32.
  logits = jnp.asarray(np.maximum(DIVERGENCES[key].optimal_logit((p - q)[has_mass]), -80.0), jnp.float32)
  parts = jax.jit(jax.vmap(lambda logit: LOSSES[key].disc(logit[None], logit[None])[1]))(logits)
  on_real, on_fake = (np.asarray(parts[name], np.float64) for name in ('on_real', 'on_fake'))
  return float(-np.sum(np.exp(p[has_mass]) * on_real + np.exp(q[has_mass]) * on_fake) * STEP)


def best_gaussian(key: str) -> tuple[float, float, float]:
  """Find the Gaussian that minimises a divergence, from three starts; return its mean, its spread and the minimum."""
  def objective(v: np.ndarray) -> float:
    return min(divergence(key, v[0], float(np.exp(v[1]))), 1e6)
  results = [scipy.optimize.minimize(objective, start, method='Nelder-Mead', options={'xatol': 1e-3, 'fatol': 1e-6})
             for start in ((MEANS[0], np.log(SPREADS[0])), (MEANS[1], np.log(SPREADS[1])), (0.0, np.log(2.0)))]
  best = min(results, key=lambda result: result.fun)
  return float(best.x[0]), float(np.exp(best.x[1])), float(best.fun)


def humps_covered(mean: float, spread: float) -> int:
  """Count the humps of the data whose centre is within two spreads of q's mean."""
  return sum(abs(mean - m) <= 2 * spread for m in MEANS)


def draw(shifts: int = 121) -> Explained:
  """Draw the optimal discriminator, the divergences against the mean of q, and the best q of each divergence.

  Args:
    shifts: number of points of the curves in the second panel.
  """
  figure = new_figure(11.6, 8.4)
  top = figure.add_gridspec(1, 2, left=0.06, right=0.985, top=0.95, bottom=0.575, wspace=0.2)
  bottom = figure.add_gridspec(2, 3, left=0.06, right=0.985, top=0.45, bottom=0.04, wspace=0.08, hspace=0.42)
  p, q = np.exp(log_p(X)), norm.pdf(X, *Q)

  axes = figure.add_subplot(top[0])
  axes.fill_between(X, p, color=DATA, alpha=0.45, linewidth=0, label='data p')
  axes.plot(X, q, color=GEN, linewidth=2.2, label='generator q')
  axes.plot(X, 1 / (1 + np.exp(norm.logpdf(X, *Q) - log_p(X))), color=DISC, linewidth=2.2, linestyle=(0, (6, 2)),
            label='optimal D = p / (p + q)')
  axes.axhline(0.5, color=INK, linewidth=0.9, linestyle=(0, (2, 3)), alpha=0.7)
  axes.text(0.35, 0.515, '1/2: cannot tell', fontsize=9, color=INK, ha='center')
  plain(axes, 'The optimal discriminator', 'x', 'density, and probability of being real')
  axes.set(xlim=(-4, 4.4), ylim=(0, 1.27))
  axes.legend(loc='upper left', ncols=3, frameon=False, fontsize=9.5, labelcolor=INK, handlelength=2.0,
              columnspacing=1.2)

  axes = figure.add_subplot(top[1])
  means = np.linspace(-8, 8, shifts)
  for key, entry in DIVERGENCES.items():
    values = np.array([divergence(key, mean, Q[1]) for mean in means])
    axes.plot(means, np.where(np.isfinite(values), values, np.nan), color=entry.color, linestyle=entry.dashes,
              linewidth=2.0, label=entry.name)
  plain(axes, f'Each divergence against the mean of q (spread {Q[1]:g})', 'mean of q', 'divergence, logarithmic')
  axes.set(xlim=(-8, 8), ylim=(0.3, 90), yscale='log')
  axes.set_yticks([0.5, 1, 2, 5, 10, 20], ['0.5', '1', '2', '5', '10', '20'])
  axes.yaxis.set_minor_locator(NullLocator())
  axes.legend(loc='upper center', ncols=3, frameon=True, facecolor='white', edgecolor='none', framealpha=0.9,
              fontsize=9, labelcolor=INK, handlelength=2.2, columnspacing=1.2)

  best, checks = {}, {}
  for i, (key, entry) in enumerate(DIVERGENCES.items()):
    mean, spread, value = best_gaussian(key)
    axes = figure.add_subplot(bottom[divmod(i, 3)])
    axes.fill_between(X, p, color=DATA, alpha=0.45, linewidth=0)
    axes.plot(X, norm.pdf(X, mean, spread), color=GEN, linewidth=2.2)
    covered = humps_covered(mean, spread)
    plain(axes, entry.name)
    axes.set_title('covers both humps' if covered == 2 else 'settles on one hump', loc='right', fontsize=9.5,
                   color=INK, pad=9)
    axes.set(xlim=(-4.5, 5), ylim=(0, 1.02), yticks=[])
    axes.text(0.975, 0.93, f'mean {mean:.2f}, spread {spread:.2f}'.replace('-', '−'), transform=axes.transAxes,
              ha='right', va='top', fontsize=9, color=INK)
    best[key] = {'name': entry.name, 'mean': mean, 'spread': spread, 'value': value, 'humps': covered}
    checks[key] = {'divergence': divergence(key, *Q), 'library': library_bound(key, *Q)}
  figure.text(0.06, 0.505, 'The Gaussian that minimises each divergence (blue) for the same data (grey)',
              fontsize=11, weight='bold', color=INK)
  gap = max(abs(check['divergence'] - check['library']) for check in checks.values())
  return Explained(render(figure), {'best': best, 'checks': checks, 'gap': gap})
