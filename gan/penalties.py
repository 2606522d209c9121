"""Penalties on a discriminator: pure functions of `score`, a callable from samples to logits, and of arrays.

Each returns its expectation without any weight; weights, and which penalties a run has, are decided where the game is
put together. Batch norm in `score` would make every per-sample gradient here wrong: a logit would then depend on the
other samples, and the gradient of the sum of all logits is not the gradient of each.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

Score = Callable[[Array], Array]
PyTree = Any

LECAM_FORMS = ('published', 'paper')
TINY = 1e-12  # Inside roots: the gradient of a root at zero is NaN.


def with_squared_slope(score: Callable[[Array], tuple[Array, Any]], samples: Array) -> tuple[Array, Any, Array]:
  """Logits and their squared slopes from one forward pass.

  Args:
    score: samples [B, ...] -> (logits [L], anything); L divides B, where several samples are judged together.
    samples: [B, ...].

  Returns:
    The logits [L], the second result of `score`, and |grad_x D|^2 [L], over all samples that a logit judges.
  """
  logits, pull, aux = jax.vjp(score, samples, has_aux=True)
  (slopes,) = pull(jnp.ones_like(logits))
  return logits, aux, jnp.sum(jnp.square(slopes).reshape(logits.shape[0], -1), axis=1)


def squared_slope(score: Score, samples: Array) -> Array:
  """|grad_x D(x)|^2 [L] at each of `samples` [B, ...]."""
  return with_squared_slope(lambda x: (score(x), None), samples)[2]


def zero_centred(score: Score, samples: Array) -> Array:
  """E |grad_x D(x)|^2 (Mescheder et al. 2018, arXiv:1801.04406): R1 at real samples, R2 at generated ones.

  Between the two, at `interpolate`d samples, it is the zero-centred penalty of Thanh-Tung et al. 2019
  (arXiv:1902.03984). Its weight is gamma / 2 for R1 and R2.

  Args:
    score: samples [B, ...] -> logits [B].
    samples: where the slope is taken.
  """
  return jnp.mean(squared_slope(score, samples))


def finite_difference(logits: Array, perturbed: Array, std: ArrayLike) -> Array:
  """E (D(x + std n) - D(x))^2 / std^2, which tends to E |grad_x D|^2 (Lin et al. 2025, arXiv:2501.08316).

  Needs no second derivatives, for discriminators that are too large for them. The paper leaves out the division; with
  it the weight keeps the meaning that it has for `zero_centred` (the paper's lambda is gamma / (2 std^2)).

  Args:
    logits: [L] at samples.
    perturbed: [L] at the same samples with Gaussian noise of standard deviation `std` on each entry.
    std: [] in units of the samples.
  """
  return jnp.mean(jnp.square(perturbed - logits)) / jnp.square(std)


def gradient_penalty(score: Score, samples: Array, target: ArrayLike = 1.0, one_sided: bool = False) -> Array:
  """E (|grad_x D| - target)^2 (WGAN-GP, Gulrajani et al. 2017, arXiv:1704.00028). Its weight is lambda, no half.

  Args:
    score: samples [B, ...] -> logits [B].
    samples: where the slope is taken: `interpolate`d samples, or the surroundings of real ones (DRAGAN, `surround`).
    target: [] wanted norm.
    one_sided: whether only norms above the target are penalised.
  """
  excess = jnp.sqrt(squared_slope(score, samples) + TINY) - target
  return jnp.mean(jnp.square(jax.nn.relu(excess) if one_sided else excess))


def interpolate(reals: Array, fakes: Array, uniforms: Array) -> Array:
  """Points on the lines between pairs: u x + (1 - u) G(z), with one u of `uniforms` [B] for each pair."""
  u = uniforms.reshape(-1, *[1] * (reals.ndim - 1)).astype(reals.dtype)
  return u * reals + (1.0 - u) * fakes


def surround(reals: Array, std: ArrayLike, far: Array, noise: Array) -> Array:
  """Points near real samples, for DRAGAN (Kodali et al. 2017, arXiv:1705.07215): x + u std n.

  As in the authors' code: n is uniform and never negative, u chooses a point on the line from x to x + std n, and `std`
  is half of the data's standard deviation. So an entry moves by 1/8 of that on average, with a standard deviation of
  0.11 of it. The paper's text has normal noise, of a size that it leaves open.

  Args:
    reals: [B, ...].
    std: [] in units of the samples.
    far: u [B] in [0, 1), one for each sample.
    noise: n [B, ...] in [0, 1), one for each entry.
  """
  u = far.reshape(-1, *[1] * (reals.ndim - 1)).astype(reals.dtype)
  return reals + u * std * noise


def consistency(values: Array, transformed: Array) -> Array:
  """E (a - b)^2 between what a network says of samples and of their transforms (CR, Zhang et al. 2020, 1910.12027)."""
  return jnp.mean(jnp.square(values - transformed))


def lecam(real_logits: Array, fake_logits: Array, real_average: ArrayLike, fake_average: ArrayLike,
          form: str = 'published') -> Array:
  """Pulls logits to the running mean of the other side's (Tseng et al. 2021, arXiv:2104.03310).

  The paper's equation is E (D(x) - mean D(G(z)))^2 + E (mean D(x) - D(G(z)))^2. The authors' two programs (for BigGAN
  and for StyleGAN2) and StudioGAN have another one, with max(0, .) inside both squares: a real sample that D judges
  below the mean of generated ones, or a generated sample above the mean of real ones, is not pulled any further.

  All three count the present batch in the means. The authors' program for StyleGAN2 corrects the means for their start,
  as we do, and has the penalty from the first step on; the other two average, and penalise, after 1,000 steps only.

  Args:
    real_logits: [B].
    fake_logits: [B].
    real_average: [] running mean of real logits.
    fake_average: [] running mean of logits of generated samples.
    form: of LECAM_FORMS.
  """
  gaps = real_logits - fake_average, real_average - fake_logits
  if form == 'published':
    gaps = jax.nn.relu(gaps[0]), jax.nn.relu(gaps[1])
  return jnp.mean(jnp.square(gaps[0])) + jnp.mean(jnp.square(gaps[1]))


def orthogonal(params: PyTree) -> Array:
  """Sum over kernels of |W^T W - diag|^2: columns at right angles, of any length (Brock et al. 2019, arXiv:1809.11096).

  Args:
    params: parameters of a network; leaves with fewer than two axes do not count, kernels [..., I, O] are matrices of
      O columns.
  """
  def of_kernel(kernel: Array) -> Array:
    columns = kernel.reshape(-1, kernel.shape[-1])
    gram = columns.T @ columns
    return jnp.sum(jnp.square(gram - jnp.diag(jnp.diagonal(gram))))  # Before the squares: they would drown the rest.

  return sum((of_kernel(leaf) for leaf in jax.tree.leaves(params) if leaf.ndim > 1), jnp.zeros((), jnp.float32))
