"""The penalties of the game of generation: their samples, their weights and their settings.

Their mathematics is in gan/penalties.py. To add a penalty, write a function of a `Moment`, a line in `PENALTIES` and a
test.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gan import augment, penalties
from gan.declare import ANY, FRACTION, NOT_NEGATIVE, POSITIVE, Setting, Settings, one_of
from gan.games import Devices, HParams, Moment, Outcome, Term, path_length
from gan.games.adversarial import logits
from gan.games.memory import no_means, running_means
from gan.randomness import normal, uniform
from gan.state import PyTree


class Options(NamedTuple):
  """Options that terms are built with; fixed when compiled.

  Attributes:
    one_sided: whether gradient penalties with a target ignore slopes below the target.
    lazy_every: R1 and R2 are added after every k-th discriminator update.
    lecam: key of penalties.LECAM_FORMS; None leaves out LeCam's term and its memory.
    path_every: path length is added after every k-th generator update.
    path_share: path length is taken at every k-th sample of a batch.
  """

  one_sided: bool = False
  lazy_every: int = 1
  lecam: str | None = None
  path_every: int = 1
  path_share: int = 1


class Penalty(NamedTuple):
  """A penalty: its term, its weight and its settings.

  Attributes:
    meaning: meaning of its weight, the field `penalty.<name>`; a weight of 0 leaves the penalty out of the program.
    term: (name, options) -> its term; None if these options leave it out.
    settings: settings that a run has if the weight is not 0; penalties may share a setting.
  """

  meaning: str
  term: Callable[[str, Options], Term | None]
  settings: Settings = MappingProxyType({})

  @property
  def weight(self) -> Setting:
    """Return the declaration of the weight."""
    return Setting(0.0, self.meaning, NOT_NEGATIVE)


def terms(*options: Any) -> tuple[Term, ...]:
  """Return the terms of all penalties, built with `Options(*options)`.

  A term whose weight is not among the numbers of a run is not part of its program.
  """
  all_terms = (penalty.term(name, Options(*options)) for name, penalty in PENALTIES.items())
  return tuple(term for term in all_terms if term is not None)


def plain(value: Callable[[Moment], Array], player: str = 'disc', **settings: Any) -> Callable[[str, Options], Term]:
  """Return (name, options) -> a term without memory that ignores the options; its weight is `penalty.<name>`."""
  def term(name: str, options: Options) -> Term:
    del options
    return Term(f'penalty/{name}', player, lambda moment, memory: Outcome(value(moment)), f'penalty.{name}', **settings)
  return term


def _lazy(value: Callable[[Moment], Array], slope: str) -> Callable[[str, Options], Term]:
  return lambda name, options: plain(value, scale=0.5, every=options.lazy_every, needs=_slope(slope))(name, options)


def _with_target(points: Callable[[Moment], Array]) -> Callable[[str, Options], Term]:
  return lambda name, options: plain(lambda moment: _sloped(moment, points(moment), options.one_sided))(name, options)


REAL_SLOPE, FAKE_SLOPE = 'real_slope', 'fake_slope'   # `Generation.play` computes them with the logits if needed.


def _slope(name: str) -> Callable[[HParams], frozenset[str]]:
  """Return the needs of a term: exact slopes are computed with the logits, finite differences need none."""
  return lambda hparams: frozenset() if 'penalty.difference_std' in hparams else frozenset({name})


def r1(moment: Moment) -> Array:
  """Return E |grad D|^2 at real samples (R1, Mescheder et al. 2018, arXiv:1801.04406)."""
  scene = moment.scene
  return _squared_slope(moment, 0, scene.judge.real, scene.real, scene.real_logits, scene.real_slope)


def r2(moment: Moment) -> Array:
  """Return E |grad D|^2 at generated samples (R2, Mescheder et al. 2018, arXiv:1801.04406)."""
  scene = moment.scene
  return _squared_slope(moment, 1, scene.judge.fake, scene.fake, scene.fake_logits, scene.fake_slope)


def _squared_slope(moment: Moment, which: int, score: Callable, samples: Array, logits: Array,
                   slope: Array | None) -> Array:
  if 'penalty.difference_std' not in moment.hparams:
    assert slope is not None, 'play computes the slope where a term needs it'
    return jnp.mean(slope)
  key = jax.random.split(jax.random.fold_in(moment.turn.key('penalty'), 1))[which]
  std = moment.hparams['penalty.difference_std']
  perturbed = score(samples + std * moment.devices.draw(normal, key, samples.shape))
  return penalties.finite_difference(logits, perturbed, std)


def _interpolation_keys(moment: Moment) -> Array:
  return jax.random.split(jax.random.fold_in(moment.turn.key('penalty'), 2))


def between(moment: Moment) -> Array:
  """Return points between real and generated samples, after augmentation (WGAN-GP, arXiv:1704.00028)."""
  judge, scene = moment.scene.judge, moment.scene
  real = judge.see_real(scene.real)
  uniforms = moment.devices.draw(uniform, _interpolation_keys(moment)[0], real.shape[:1])
  return penalties.interpolate(real, judge.see_fake(scene.fake), uniforms)


def around(moment: Moment) -> Array:
  """Return points around real samples, after augmentation (DRAGAN, arXiv:1705.07215)."""
  real, draw = moment.scene.judge.see_real(moment.scene.real), moment.devices.draw
  far_key, noise_key = jax.random.split(_interpolation_keys(moment)[1])
  far, noise = draw(uniform, far_key, real.shape[:1]), draw(uniform, noise_key, real.shape)
  return penalties.surround(real, moment.hparams['penalty.dragan_std'] * standard_deviation(real, moment.devices),
                            far, noise)


def standard_deviation(samples: Array, devices: Devices) -> Array:
  """Return the standard deviation [] of all entries of the `samples` [B, ...] of all devices."""
  def mean(entries: Array) -> Array:
    return jnp.mean(devices.gather(jnp.mean(entries.reshape(entries.shape[0], -1), axis=1)))
  return jnp.sqrt(mean(jnp.square(samples - mean(samples))))


def zero_gp(moment: Moment) -> Array:
  """Return E |grad D|^2 between real and generated samples (Thanh-Tung et al. 2019, arXiv:1902.03984)."""
  return penalties.zero_centred(moment.scene.judge.seen, between(moment))


def _sloped(moment: Moment, points: Array, one_sided: bool) -> Array:
  target = moment.hparams.get('penalty.target', 0.0)
  return penalties.gradient_penalty(moment.scene.judge.seen, points, target, one_sided)


def cr_real(moment: Moment) -> Array:
  """Return CR: the mean squared change of the logits if real samples are flipped and shifted (arXiv:1910.12027)."""
  scene = moment.scene
  return _consistency(moment, 0, scene.judge.real, scene.real, scene.real_logits)


def cr_fake(moment: Moment) -> Array:
  """Return the same at generated samples; `cr_real` and `cr_fake` make up bCR (Zhao et al. 2021, arXiv:2002.04724)."""
  scene = moment.scene
  return _consistency(moment, 1, scene.judge.fake, scene.fake, scene.fake_logits)


def _consistency(moment: Moment, which: int, score: Callable, samples: Array, logits: Array) -> Array:
  key = jax.random.split(jax.random.fold_in(moment.turn.key('consistency'), 1))[which]
  uniforms = moment.devices.draw(uniform, key, (samples.shape[0], augment.FLIP_AND_SHIFT_UNIFORMS))
  return penalties.consistency(logits, score(augment.flip_and_shift(samples, uniforms)))


def zcr_disc(moment: Moment) -> Array:
  """Return the discriminator's part of zCR: nearby latents should get the same logit (arXiv:2002.04724)."""
  return penalties.consistency(moment.scene.fake_logits, moment.scene.judge.fake(_nearby_fakes(moment)))


def zcr_gen(moment: Moment) -> Array:
  """Return the mean squared distance of samples from nearby latents; the generator's part of zCR is minus this."""
  return penalties.consistency(moment.scene.fake, _nearby_fakes(moment))


def _nearby_fakes(moment: Moment) -> Array:
  """Return samples from latents near those of this turn."""
  z = moment.turn.inputs['z']
  noise = moment.devices.draw(normal, jax.random.fold_in(moment.turn.key('consistency'), 2), z.shape)
  nearby = z + moment.hparams['penalty.zcr_std'] * noise
  return moment.cast('gen', **{**moment.turn.inputs, 'z': nearby})[0]


def lecam_term(form: str) -> Term:
  """Return LeCam's term (arXiv:2104.03310): it pulls logits to running means, which include the present batch."""
  def value(moment: Moment, means: PyTree) -> Outcome:
    real, fake = logits(moment)
    step, start = moment.turn.step, moment.hparams.get('penalty.lecam_start', 0)
    # Until the penalty starts, the means are those of the latest batch, as in the authors' code for BigGAN.
    decay = jnp.where(step < start, 0.0, moment.hparams.get('penalty.lecam_decay', 0.0))
    means = jax.lax.stop_gradient(running_means(means, jnp.mean(real), jnp.mean(fake), decay))
    return Outcome(penalties.lecam(real, fake, means['real'], means['fake'], form), memory=means)

  def started(hparams: HParams, step: Array) -> Array:
    return step >= hparams.get('penalty.lecam_start', 0)

  return Term('penalty/lecam', 'disc', value, 'penalty.lecam', scale=started, memory=no_means)


_NORM = {'target': Setting(1.0, "gp and dragan: target of the gradient's norm.", NOT_NEGATIVE),
         'one_sided': Setting(False, 'gp and dragan: ignore norms below the target.', ANY)}
_LAZY = {'every': Setting(1, 'R1 and R2: add them only after every k-th update of D, k times as heavy.', POSITIVE),
         'difference_std': Setting(0.0, 'R1 and R2: std of the noise for finite differences; 0: exact gradients.',
                                   NOT_NEGATIVE)}
_NEARBY = {'zcr_std': Setting(0.05, 'zCR: std of the noise eps between nearby latents, in units of latents.', POSITIVE)}
PENALTIES = {
    'gp': Penalty('WGAN-GP: lambda in lambda E(|grad D| - target)^2 between real and generated samples.',
                  _with_target(between), _NORM),
    'dragan': Penalty('DRAGAN: lambda in lambda E(|grad D| - target)^2 around real samples.', _with_target(around), {
        **_NORM,
        'dragan_std': Setting(0.5, "DRAGAN: bound of the uniform noise, in units of the batch's standard deviation.",
                              POSITIVE)}),
    'zero_gp': Penalty('Zero-centred: lambda in lambda E|grad D|^2 between real and generated samples.',
                       plain(zero_gp)),
    'cr_real': Penalty('CR: weight that pulls D(x) and D(flipped and shifted x) together, for real samples x.',
                       plain(cr_real)),
    'cr_fake': Penalty('bCR: weight that pulls D(x) and D(flipped and shifted x) together, for generated samples x.',
                       plain(cr_fake)),
    'r1': Penalty('R1: gamma in gamma/2 E|grad D|^2 at real samples.', _lazy(r1, REAL_SLOPE), _LAZY),
    'r2': Penalty('R2: gamma in gamma/2 E|grad D|^2 at generated samples.', _lazy(r2, FAKE_SLOPE), _LAZY),
    'zcr_disc': Penalty('zCR, discriminator: weight that pulls D(G(z)) and D(G(z + eps)) together.', plain(zcr_disc),
                        _NEARBY),
    'orthogonal': Penalty("Weight that pulls the columns of the discriminator's kernels to right angles.",
                          plain(lambda moment: penalties.orthogonal(moment.cast.params['disc']))),
    'lecam': Penalty('LeCam: weight that pulls real logits to the running mean of fake ones, and the reverse.',
                     lambda name, options: lecam_term(options.lecam) if options.lecam else None, {
        'lecam_decay': Setting(0.99, 'LeCam: decay of the running means per update of D.', FRACTION),
        'lecam_form': Setting('published', "LeCam: published (the authors' code: only gaps of the right sign count) or "
                              "paper (the paper's equation).", one_of(penalties.LECAM_FORMS)),
        'lecam_start': Setting(0, 'LeCam: steps without the penalty; until then its means are those of the latest '
                               'batch.', NOT_NEGATIVE)}),
    'zcr_gen': Penalty('zCR, generator: weight that pushes G(z) and G(z + eps) apart.',
                       plain(zcr_gen, 'gen', scale=-1.0), _NEARBY),
    'gen_orthogonal': Penalty("Weight that pulls the columns of the generator's kernels to right angles.",
                              plain(lambda moment: penalties.orthogonal(moment.cast.params['gen']), 'gen')),
    'path_length': Penalty("Path length: weight that keeps StyleGAN2's image equally steep in w, in all directions.",
                           lambda name, options: path_length.term(name, options.path_every, options.path_share),
                           path_length.SETTINGS),
    'clip': Penalty('Bound on the magnitude of each parameter of D after each update; 0: none. Not a term of the loss.',
                    lambda name, options: None),
}
