"""Penalties: pure functions of `score`, a callable from samples to logits, and of arrays.

Each function returns the penalty without its weight; gan/games/regularisation.py decides the weights and which
penalties a run has. Batch norm in `score` would make every per-sample gradient here wrong: a logit would then depend on
the other samples, and the gradient of the sum of all logits would not be the gradient of each.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

Score = Callable[[Array], Array]
PyTree = Any

LECAM_FORMS = ('published', 'paper')
TINY = 1e-12  # Added inside roots: the gradient of a root at zero is NaN.


def with_squared_slope(score: Callable[[Array], tuple[Array, Any]], samples: Array) -> tuple[Array, Any, Array]:
  """Compute logits and their squared slopes with one forward pass.

  Args:
    score: samples [B, ...] -> (logits [L], anything). L divides B: in a packed discriminator a logit judges several
      samples together.
    samples: [B, ...].

  Returns:
    The logits [L], the second result of `score`, and |grad_x D|^2 [L], where x are all samples that a logit judges.
  """
  logits, pull, aux = jax.vjp(score, samples, has_aux=True)
  (slopes,) = pull(jnp.ones_like(logits))
  return logits, aux, jnp.sum(jnp.square(slopes).reshape(logits.shape[0], -1), axis=1)


def squared_slope(score: Score, samples: Array) -> Array:
  """Compute |grad_x D(x)|^2 [L] at `samples` [B, ...]."""
  return with_squared_slope(lambda x: (score(x), None), samples)[2]


def zero_centred(score: Score, samples: Array) -> Array:
  """Compute E |grad_x D(x)|^2 (Mescheder et al. 2018, arXiv:1801.04406): R1 at real samples, R2 at generated ones.

  At interpolated samples (`interpolate`) this is the zero-centred penalty of Thanh-Tung et al. 2019
  (arXiv:1902.03984). The weight of R1 and R2 is gamma / 2.

  Args:
    score: samples [B, ...] -> logits [B].
    samples: points at which the slope is computed.
  """
  return jnp.mean(squared_slope(score, samples))


def finite_difference(logits: Array, perturbed: Array, std: ArrayLike) -> Array:
  """Compute E (D(x + std n) - D(x))^2 / std^2, which tends to E |grad_x D|^2 (Lin et al. 2025, arXiv:2501.08316).

  This form needs no second derivatives and suits discriminators that are too large for them. The paper does not divide
  by std^2. With the division, the weight means the same as for `zero_centred` (the paper's lambda is
  gamma / (2 std^2)).

  Args:
    logits: [L] at samples.
    perturbed: [L] at the same samples with Gaussian noise of standard deviation `std` on each entry.
    std: [] in units of the samples.
  """
  return jnp.mean(jnp.square(perturbed - logits)) / jnp.square(std)


def gradient_penalty(score: Score, samples: Array, target: ArrayLike = 1.0, one_sided: bool = False) -> Array:
  """Compute E (|grad_x D| - target)^2 (WGAN-GP, Gulrajani et al. 2017, arXiv:1704.00028).

  The weight is the paper's lambda, without a factor 1/2.

  Args:
    score: samples [B, ...] -> logits [B].
    samples: points at which the slope is computed: from `interpolate`, or for DRAGAN from `surround`.
    target: [] desired norm.
    one_sided: whether only norms above the target are penalised.
  """
  excess = jnp.sqrt(squared_slope(score, samples) + TINY) - target
  return jnp.mean(jnp.square(jax.nn.relu(excess) if one_sided else excess))


def interpolate(reals: Array, fakes: Array, uniforms: Array) -> Array:
  """Return points on the lines between pairs: u x + (1 - u) G(z), with one u of `uniforms` [B] for each pair."""
  u = uniforms.reshape(-1, *[1] * (reals.ndim - 1)).astype(reals.dtype)
  return u * reals + (1.0 - u) * fakes


def surround(reals: Array, std: ArrayLike, far: Array, noise: Array) -> Array:
  """Return points near real samples, for DRAGAN (Kodali et al. 2017, arXiv:1705.07215): x + u std n.

  This follows the authors' code: n is uniform in [0, 1), u chooses a point on the line from x to x + std n, and `std`
  is half of the data's standard deviation s. An entry thus moves by s / 8 on average, with a standard deviation of
  0.11 s. The paper's text has normal noise and does not give its size.

  Args:
    reals: [B, ...].
    std: [] in units of the samples.
    far: u [B] in [0, 1), one for each sample.
    noise: n [B, ...] in [0, 1), one for each entry.
  """
  u = far.reshape(-1, *[1] * (reals.ndim - 1)).astype(reals.dtype)
  return reals + u * std * noise


def consistency(values: Array, transformed: Array) -> Array:
  """Compute E (a - b)^2 between outputs of a network at samples and at their transforms.

  This is consistency regularisation (CR, Zhang et al. 2020, arXiv:1910.12027).

  Args:
    values: outputs at the samples.
    transformed: outputs at the transformed samples, of the same shape.
  """
  return jnp.mean(jnp.square(values - transformed))


def lecam(real_logits: Array, fake_logits: Array, real_average: ArrayLike, fake_average: ArrayLike,
          form: str = 'published') -> Array:
  """Pull real logits to the running mean of fake logits, and fake logits to that of real logits.

  LeCam regularisation (Tseng et al. 2021, arXiv:2104.03310). The paper's equation is
  E (D(x) - mean D(G(z)))^2 + E (mean D(x) - D(G(z)))^2. The authors' two programs (for BigGAN and for StyleGAN2) and
  StudioGAN apply max(0, .) inside both squares: a real logit below the mean of fake logits is not penalised, and
  neither is a fake logit above the mean of real logits.

  All three programs count the present batch in the means. The authors' program for StyleGAN2 corrects the bias of the
  means at the start, as we do, and penalises from the first step on; the other two average and penalise only after
  1,000 steps.

  Args:
    real_logits: [B].
    fake_logits: [B].
    real_average: [] running mean of real logits.
    fake_average: [] running mean of fake logits.
    form: one of LECAM_FORMS: 'published' for the programs, 'paper' for the equation.
  """
  gaps = real_logits - fake_average, real_average - fake_logits
  if form == 'published':
    gaps = jax.nn.relu(gaps[0]), jax.nn.relu(gaps[1])
  return jnp.mean(jnp.square(gaps[0])) + jnp.mean(jnp.square(gaps[1]))


def path_lengths(synthesize: Callable[[Array], Array], styles: Array, noise: Array) -> Array:
  """Compute |J^T y| [B], where J is the Jacobian of each image by its styles and y is noise in the image's space.

  Path length regularisation of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958, section 3.2). As in the authors' code,
  y is divided by the root of the number of pixels, and the square is summed over a style and averaged over layers.

  Args:
    synthesize: styles [B, N, W] of N layers -> images [B, H, W, C].
    styles: [B, N, W].
    noise: y, standard normal numbers of the shape of the images.
  """
  _, pull = jax.vjp(synthesize, styles)
  (slopes,) = pull(noise / math.sqrt(noise.shape[1] * noise.shape[2]))
  return jnp.sqrt(jnp.mean(jnp.sum(jnp.square(slopes), axis=-1), axis=-1) + TINY)


def orthogonal(params: PyTree) -> Array:
  """Sum |W^T W - diag(W^T W)|^2 over the kernels W (Brock et al. 2019, arXiv:1809.11096).

  The penalty makes columns orthogonal and leaves their lengths free.

  Args:
    params: parameters of a network. Kernels [..., I, O] are matrices with O columns; leaves with fewer than two axes
      are ignored.
  """
  def of_kernel(kernel: Array) -> Array:
    columns = kernel.reshape(-1, kernel.shape[-1])
    gram = columns.T @ columns
    # Subtracting the squared diagonal afterwards would lose the small off-diagonal entries to rounding.
    return jnp.sum(jnp.square(gram - jnp.diag(jnp.diagonal(gram))))

  return sum((of_kernel(leaf) for leaf in jax.tree.leaves(params) if leaf.ndim > 1), jnp.zeros((), jnp.float32))
