"""The game of generation: fakes from latents against a data set. The one place that applies the networks."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan import penalties
from gan.games import Game, Turn, memory, regularisation
from gan.games.regularisation import Judge, Scored
from gan.games.view import View, draw, look, packed
from gan.losses import LossPair
from gan.models import spectral
from gan.randomness import coin
from gan.state import GanState, PyTree

SPECTRAL = 'spectral_norm'


class Nets(NamedTuple):
  """The modules of both players."""

  gen: nn.Module
  disc: nn.Module


class Rules(NamedTuple):
  """What a game of generation has besides networks and an objective; fixed when compiled.

  Attributes:
    joint: whether the discriminator sees real and fake samples in one concatenated pass. The same function, and
      faster, where samples are judged one by one. With batch norm it would be another function: there real and fake
      are separate batches, as in DCGAN (Radford et al. 2015).
    view: augmentation and packing.
    spectral_norm: whether the discriminator's kernels are divided by their largest singular values.
    lecam: key of penalties.LECAM_FORMS, if running means of the logits are kept for the penalty of that name.
    one_sided: whether gradient penalties with a target spare slopes below it.
    lazy_every: discriminator updates between two additions of R1 and R2; 1 adds them always.
  """

  joint: bool = False
  view: View = View()
  spectral_norm: bool = False
  lecam: str | None = None
  one_sided: bool = False
  lazy_every: int = 1


PLAIN = Rules()


def apply(net: nn.Module, params: PyTree, stats: PyTree, x: Array, *, train: bool) -> tuple[Array, PyTree]:
  """Runs a network; returns its output and its new `stats` (unchanged unless `train`)."""
  updated = {}
  if SPECTRAL in stats:
    params, updated[SPECTRAL] = spectral.normalize(params, stats[SPECTRAL], update=train)
  collections = {name: stats[name] for name in stats if name not in (SPECTRAL, *memory.NAMES)}
  if train and collections:
    output, changed = net.apply({'params': params, **collections}, x, train=True, mutable=list(collections))
    return output, {**stats, **updated, **changed}
  return net.apply({'params': params, **collections}, x, train=train), {**stats, **updated}


def make_game(nets: Nets, loss: LossPair, z_dim: int, sample_shape: tuple[int, ...], rules: Rules = PLAIN,
              draw_global: Callable = lambda sampler, key, shape: sampler(key, shape),
              gather: Callable[[Array], Array] = lambda x: x) -> Game:
  """Lifts an objective on logits to losses over parameter pytrees.

  Args:
    nets: the two networks.
    loss: the objective; its settings are read from `hparams` under 'loss.<setting>'.
    z_dim: length of a latent.
    sample_shape: shape of one sample.
    rules: what else belongs to the game.
    draw_global: (sampler, key, shape [B, ...]) -> this device's part, of that shape, of one draw for all devices.
    gather: this device's logits [L] -> those of all devices. Objectives see the global batch: some mix its samples.
  """

  def init(rng: Array) -> tuple[tuple[PyTree, PyTree], tuple[PyTree, PyTree]]:
    gen_rng, disc_rng = jax.random.split(rng)
    gen = dict(nets.gen.init(gen_rng, jnp.zeros((2, z_dim), jnp.float32), train=True))
    shown = packed(jnp.zeros((2 * rules.view.pack, *sample_shape), jnp.float32), rules.view.pack)
    disc = dict(nets.disc.init(disc_rng, shown, train=True))
    params = disc.pop('params')
    if rules.spectral_norm:  # 2: the split above has the keys 0 and 1.
      disc[SPECTRAL] = spectral.init_vectors(jax.random.fold_in(rng, 2), params)
    return (gen.pop('params'), gen), (params, disc | memory.initial(rules.lecam is not None, rules.view.adaptive))

  def bind(hparams: dict[str, Array]) -> LossPair:
    return loss.bind({name: hparams[f'loss.{name}'] for name in loss.settings if f'loss.{name}' in hparams})

  def score_both(disc_params: PyTree, fakes: Array, state: GanState, turn: Turn, hparams: dict[str, Array], joint: bool,
                 slopes: tuple[bool, bool] = (False, False)) -> tuple[Scored, Judge, PyTree]:
    """Both batches through the discriminator; with |grad_x D|^2 of the real and of the generated one if asked."""
    reals = turn.batch['images']
    real_draws, fake_draws = draw(rules.view, turn, reals.shape, hparams, draw_global)
    probability = memory.probability(state.disc.stats)

    def see(samples: Array, draws: dict[str, Array]) -> Array:
      return look(rules.view, samples, draws, probability, state.step, hparams)

    def score(samples: Array, draws: dict[str, Array], stats: PyTree) -> tuple[Array, PyTree]:
      return apply(nets.disc, disc_params, stats, see(samples, draws), train=True)

    def run(samples: Array, draws: dict[str, Array], stats: PyTree, slope: bool) -> tuple[Array, PyTree, Array | None]:
      if slope:
        return penalties.with_squared_slope(functools.partial(score, draws=draws, stats=stats), samples)
      return *score(samples, draws, stats), None

    stats = before = state.disc.stats
    if joint and slopes[0] == slopes[1]:
      both, draws = jax.tree.map(lambda *pair: jnp.concatenate(pair), (reals, real_draws), (fakes, fake_draws))
      before_fake = before
      logits, stats, slope = run(both, draws, stats, slopes[0])
      real_logits, fake_logits = jnp.split(logits, 2)
      real_slope, fake_slope = (None, None) if slope is None else jnp.split(slope, 2)
    else:
      real_logits, stats, real_slope = run(reals, real_draws, stats, slopes[0])
      # Batch norm goes on from batch to batch; spectral norm takes one iteration, as both are judged by one network.
      before_fake = stats = stats | {name: before[name] for name in before if name == SPECTRAL}
      fake_logits, stats, fake_slope = run(fakes, fake_draws, stats, slopes[1])
    # From the stats that each pass began with: spectral norm would otherwise be an iteration further, another function.
    judge = Judge(real=lambda x: score(x, real_draws, before)[0],
                  fake=lambda x: score(x, fake_draws, before_fake)[0],
                  see_real=lambda x: see(x, real_draws), see_fake=lambda x: see(x, fake_draws),
                  seen=lambda x: apply(nets.disc, disc_params, before, x, train=True)[0])
    return Scored(reals, fakes, real_logits, fake_logits, real_slope, fake_slope), judge, stats

  def exact_slopes(hparams: dict[str, Array]) -> tuple[bool, bool]:
    exact = 'penalty.difference_std' not in hparams
    return exact and 'penalty.r1' in hparams, exact and 'penalty.r2' in hparams

  def disc_value(disc_params: PyTree, gen_params: PyTree, scored: Scored, judge: Judge, stats: PyTree, state: GanState,
                 turn: Turn, hparams: dict[str, Array], lazy: bool) -> tuple[Array, PyTree, dict[str, Array]]:
    """The discriminator's objective and penalties, its new stats, and scalars; R1 and R2 are not there if `lazy`."""
    bound, real_logits, fake_logits = bind(hparams), gather(scored.real_logits), gather(scored.fake_logits)
    as_real, as_fake = real_logits, fake_logits
    if 'loss.label_flip' in hparams:
      flipped = coin(turn.key('labels'), hparams['loss.label_flip'], real_logits.shape)
      as_real, as_fake = jnp.where(flipped, fake_logits, real_logits), jnp.where(flipped, real_logits, fake_logits)
    value, parts = bound.disc(as_real, as_fake)
    real_prob, fake_prob = bound.probability(real_logits, fake_logits)
    scalars = {'disc/loss': value} | {f'disc/{name}': part for name, part in parts.items()} | {
        'disc/real_prob': jnp.mean(real_prob),
        'disc/fake_prob': jnp.mean(fake_prob),
        # Who cannot tell is right half of the time.
        'disc/accuracy': 0.5 + 0.25 * (jnp.mean(jnp.sign(real_prob - 0.5)) - jnp.mean(jnp.sign(fake_prob - 0.5))),
        'disc/logit_gap': jnp.mean(real_logits) - jnp.mean(fake_logits)}

    terms = regularisation.interpolated_terms(scored, judge, turn, hparams, rules.one_sided, draw_global, gather)
    terms |= regularisation.consistency_terms(scored, judge, turn, hparams, draw_global)
    if not lazy:
      terms |= regularisation.slope_terms(scored, judge, turn, hparams, draw_global)
    if 'penalty.zcr_disc' in hparams:
      nearby = regularisation.nearby_latents(turn, hparams, draw_global)
      others, _ = apply(nets.gen, gen_params, state.gen.stats, nearby, train=True)
      terms['zcr_disc'] = hparams['penalty.zcr_disc'], penalties.consistency(scored.fake_logits, judge.fake(others))
    if 'penalty.orthogonal' in hparams:
      terms['orthogonal'] = hparams['penalty.orthogonal'], penalties.orthogonal(disc_params)
    num_samples = real_logits.shape[0] * rules.view.pack
    stats = memory.remember(stats, real_logits, fake_logits, real_prob, num_samples, state.step, hparams)
    if 'penalty.lecam' in hparams:
      means, started = stats[memory.LECAM], state.step >= hparams.get('penalty.lecam_start', 0)
      terms['lecam'] = started * hparams['penalty.lecam'], penalties.lecam(
          real_logits, fake_logits, means['real'], means['fake'], rules.lecam)
    if rules.view.adaptive:
      scalars['disc/augment_probability'] = memory.probability(stats)
    penalty, penalty_scalars = regularisation.total(terms)
    return value + penalty, stats, scalars | penalty_scalars

  def gen_value(gen_params: PyTree, scored: Scored, state: GanState, turn: Turn,
                hparams: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    """The generator's objective and penalties, and scalars."""
    bound, real_logits, fake_logits = bind(hparams), gather(scored.real_logits), gather(scored.fake_logits)
    value, parts = bound.gen(real_logits, fake_logits)
    scalars = {'gen/loss': value} | {f'gen/{name}': part for name, part in parts.items()} | {
        'gen/fake_prob': jnp.mean(bound.probability(real_logits, fake_logits)[1])}
    terms = {}
    if 'penalty.zcr_gen' in hparams:  # Against the sign of all others: nearby latents should not give one sample.
      nearby = regularisation.nearby_latents(turn, hparams, draw_global)
      others, _ = apply(nets.gen, gen_params, state.gen.stats, nearby, train=True)
      terms['zcr_gen'] = -hparams['penalty.zcr_gen'], penalties.consistency(scored.fake, others)
    if 'penalty.gen_orthogonal' in hparams:
      terms['gen_orthogonal'] = hparams['penalty.gen_orthogonal'], penalties.orthogonal(gen_params)
    penalty, penalty_scalars = regularisation.total(terms)
    return value + penalty, scalars | penalty_scalars

  def disc_loss(disc_params: PyTree, state: GanState, turn: Turn, hparams: dict[str, Array]):
    """Discriminator loss at `disc_params`, with the generator held fixed."""
    frozen = jax.lax.stop_gradient(state.gen.params)
    fakes = jax.lax.stop_gradient(apply(nets.gen, frozen, state.gen.stats, turn.z, train=True)[0])
    lazy = rules.lazy_every > 1
    slopes = (False, False) if lazy else exact_slopes(hparams)
    scored, judge, stats = score_both(disc_params, fakes, state, turn, hparams, rules.joint, slopes)
    value, stats, scalars = disc_value(disc_params, frozen, scored, judge, stats, state, turn, hparams, lazy)
    return value, (stats, scalars)

  def gen_loss(gen_params: PyTree, state: GanState, turn: Turn, hparams: dict[str, Array]):
    """Generator loss at `gen_params`, with the discriminator held fixed."""
    frozen = jax.lax.stop_gradient(state.disc.params)  # Parameters only: gradients must still cross the activations.
    fakes, stats = apply(nets.gen, gen_params, state.gen.stats, turn.z, train=True)
    # Never jointly: the compiler drops the pass over real samples for losses that do not use it.
    scored, _, _ = score_both(frozen, fakes, state, turn, hparams, joint=False)
    value, scalars = gen_value(gen_params, scored, state, turn, hparams)
    return value, (stats, scalars)

  def losses(params: dict[str, PyTree], state: GanState, turn: Turn, hparams: dict[str, Array]):
    """Both losses at {'gen', 'disc'} parameters from one forward pass; each depends on both players."""
    fakes, gen_stats = apply(nets.gen, params['gen'], state.gen.stats, turn.z, train=True)
    scored, judge, stats = score_both(params['disc'], fakes, state, turn, hparams, rules.joint, exact_slopes(hparams))
    disc, disc_stats, scalars = disc_value(params['disc'], params['gen'], scored, judge, stats, state, turn, hparams,
                                           lazy=False)
    gen, gen_scalars = gen_value(params['gen'], scored, state, turn, hparams)
    return (disc, gen), ({'gen': gen_stats, 'disc': disc_stats}, scalars | gen_scalars)

  def lazy_penalty(disc_params: PyTree, state: GanState, turn: Turn, hparams: dict[str, Array]):
    """R1 and R2 of `lazy_every` updates at once."""
    fakes = jax.lax.stop_gradient(apply(nets.gen, state.gen.params, state.gen.stats, turn.z, train=True)[0])
    scored, judge, _ = score_both(disc_params, fakes, state, turn, hparams, rules.joint, exact_slopes(hparams))
    value, scalars = regularisation.total(regularisation.slope_terms(scored, judge, turn, hparams, draw_global))
    return rules.lazy_every * value, (state.disc.stats, scalars)

  def slopes(state: GanState, turn: Turn, hparams: dict[str, Array]) -> dict[str, Array]:
    """Mean |grad_x D| at real and at generated samples, of a discriminator that judges them one by one."""
    fakes, _ = apply(nets.gen, state.gen.params, state.gen.stats, turn.z, train=True)
    scored, _, _ = score_both(state.disc.params, fakes, state, turn, hparams, rules.joint, slopes=(True, True))
    return {'disc/real_slope': jnp.mean(jnp.sqrt(scored.real_slope)),
            'disc/fake_slope': jnp.mean(jnp.sqrt(scored.fake_slope))}

  def sample(gen: PyTree, z: Array) -> Array:
    return apply(nets.gen, gen['params'], gen['stats'], z, train=False)[0]

  return Game(init, disc_loss, gen_loss, losses, sample, lazy_penalty if rules.lazy_every > 1 else None,
              rules.lazy_every, slopes if rules.joint else None)
