"""The penalties of the game of generation: which, at which samples, with which weights and settings.

Their mathematics is in penalties.py. To add one: a function of a `Moment`, a line in `PENALTIES`, a test.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gan import augment, penalties
from gan.declare import ANY, FRACTION, NOT_NEGATIVE, POSITIVE, Setting, Settings, one_of
from gan.games import Devices, HParams, Moment, Outcome, Term
from gan.games.adversarial import logits
from gan.games.memory import no_means, running_means
from gan.randomness import normal, uniform
from gan.state import PyTree


class Options(NamedTuple):
  """What terms are built from; fixed when compiled.

  Attributes:
    one_sided: whether gradient penalties with a target spare slopes below it.
    lazy_every: discriminator updates between two additions of R1 and R2.
    lecam: key of penalties.LECAM_FORMS; None leaves LeCam's term out, and with it what it remembers.
  """

  one_sided: bool = False
  lazy_every: int = 1
  lecam: str | None = None


class Penalty(NamedTuple):
  """A penalty: what a configuration may set of it, and its term.

  Attributes:
    meaning: of its weight, the field `penalty.<name>`; 0: it is no part of the program.
    term: (name, options) -> its term; None if there is none with these options.
    settings: that it shares with others or has for itself, where its weight is not 0.
  """

  meaning: str
  term: Callable[[str, Options], Term | None]
  settings: Settings = MappingProxyType({})

  @property
  def weight(self) -> Setting:
    """Its declaration."""
    return Setting(0.0, self.meaning, NOT_NEGATIVE)


def terms(*options: Any) -> tuple[Term, ...]:
  """All penalties, built with `Options(*options)`; those of which a run has no weight are no part of its program."""
  found = (penalty.term(name, Options(*options)) for name, penalty in PENALTIES.items())
  return tuple(term for term in found if term is not None)


def plain(value: Callable[[Moment], Array], player: str = 'disc', **settings: Any) -> Callable[[str, Options], Term]:
  """A penalty that remembers nothing and knows no options, with its weight in `penalty.<name>`."""
  def term(name: str, options: Options) -> Term:
    del options
    return Term(f'penalty/{name}', player, lambda moment, memory: Outcome(value(moment)), f'penalty.{name}', **settings)
  return term


def _lazy(value: Callable[[Moment], Array], slope: str) -> Callable[[str, Options], Term]:
  return lambda name, options: plain(value, scale=0.5, every=options.lazy_every, needs=_slope(slope))(name, options)


def _with_target(points: Callable[[Moment], Array]) -> Callable[[str, Options], Term]:
  return lambda name, options: plain(lambda moment: _sloped(moment, points(moment), options.one_sided))(name, options)


REAL_SLOPE, FAKE_SLOPE = 'real_slope', 'fake_slope'   # What `Generation.play` takes along with the logits if needed.


def _slope(name: str) -> Callable[[HParams], frozenset[str]]:
  """Exact slopes are taken along with the logits; finite differences need none."""
  return lambda hparams: frozenset() if 'penalty.difference_std' in hparams else frozenset({name})


def r1(moment: Moment) -> Array:
  """E |grad D|^2 at real samples."""
  scene = moment.scene
  return _squared_slope(moment, 0, scene.judge.real, scene.real, scene.real_logits, scene.real_slope)


def r2(moment: Moment) -> Array:
  """E |grad D|^2 at generated samples."""
  scene = moment.scene
  return _squared_slope(moment, 1, scene.judge.fake, scene.fake, scene.fake_logits, scene.fake_slope)


def _squared_slope(moment: Moment, which: int, score: Callable, samples: Array, logits: Array,
                   slope: Array | None) -> Array:
  if 'penalty.difference_std' not in moment.hparams:
    return jnp.mean(slope)
  key = jax.random.split(jax.random.fold_in(moment.turn.key('penalty'), 1))[which]
  std = moment.hparams['penalty.difference_std']
  perturbed = score(samples + std * moment.devices.draw(normal, key, samples.shape))
  return penalties.finite_difference(logits, perturbed, std)


def _interpolation_keys(moment: Moment) -> Array:
  return jax.random.split(jax.random.fold_in(moment.turn.key('penalty'), 2))


def between(moment: Moment) -> Array:
  """Points between real and generated samples, as the network is shown them."""
  judge, scene = moment.scene.judge, moment.scene
  real = judge.see_real(scene.real)
  uniforms = moment.devices.draw(uniform, _interpolation_keys(moment)[0], real.shape[:1])
  return penalties.interpolate(real, judge.see_fake(scene.fake), uniforms)


def around(moment: Moment) -> Array:
  """Points around real samples, as the network is shown them."""
  real, draw = moment.scene.judge.see_real(moment.scene.real), moment.devices.draw
  far_key, noise_key = jax.random.split(_interpolation_keys(moment)[1])
  far, noise = draw(uniform, far_key, real.shape[:1]), draw(uniform, noise_key, real.shape)
  return penalties.surround(real, moment.hparams['penalty.dragan_std'] * standard_deviation(real, moment.devices),
                            far, noise)


def standard_deviation(samples: Array, devices: Devices) -> Array:
  """Standard deviation [] of all entries of all devices' `samples` [B, ...]."""
  def mean(entries: Array) -> Array:
    return jnp.mean(devices.gather(jnp.mean(entries.reshape(entries.shape[0], -1), axis=1)))
  return jnp.sqrt(mean(jnp.square(samples - mean(samples))))


def zero_gp(moment: Moment) -> Array:
  """E |grad D|^2 between real and generated samples."""
  return penalties.zero_centred(moment.scene.judge.seen, between(moment))


def _sloped(moment: Moment, points: Array, one_sided: bool) -> Array:
  target = moment.hparams.get('penalty.target', 0.0)   # The norm that gp and dragan aim at.
  return penalties.gradient_penalty(moment.scene.judge.seen, points, target, one_sided)


def cr_real(moment: Moment) -> Array:
  """CR: a flipped and shifted real sample should be judged as the sample itself."""
  scene = moment.scene
  return _consistency(moment, 0, scene.judge.real, scene.real, scene.real_logits)


def cr_fake(moment: Moment) -> Array:
  """bCR: so should a generated one."""
  scene = moment.scene
  return _consistency(moment, 1, scene.judge.fake, scene.fake, scene.fake_logits)


def _consistency(moment: Moment, which: int, score: Callable, samples: Array, logits: Array) -> Array:
  key = jax.random.split(jax.random.fold_in(moment.turn.key('consistency'), 1))[which]
  uniforms = moment.devices.draw(uniform, key, (samples.shape[0], augment.FLIP_AND_SHIFT_UNIFORMS))
  return penalties.consistency(logits, score(augment.flip_and_shift(samples, uniforms)))


def zcr_disc(moment: Moment) -> Array:
  """The discriminator's part of zCR (Zhao et al. 2021, arXiv:2002.04724): nearby latents should get one logit."""
  return penalties.consistency(moment.scene.fake_logits, moment.scene.judge.fake(_nearby_fakes(moment)))


def zcr_gen(moment: Moment) -> Array:
  """The generator's part: nearby latents should not give one sample, so it has a negative weight."""
  return penalties.consistency(moment.scene.fake, _nearby_fakes(moment))


def _nearby_fakes(moment: Moment) -> Array:
  """Samples of latents near those of this turn."""
  z = moment.turn.inputs['z']
  noise = moment.devices.draw(normal, jax.random.fold_in(moment.turn.key('consistency'), 2), z.shape)
  nearby = z + moment.hparams['penalty.zcr_std'] * noise
  return moment.cast('gen', **{**moment.turn.inputs, 'z': nearby})[0]


def lecam_term(form: str) -> Term:
  """LeCam's penalty, towards running means of the logits that count the present batch."""
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


_NORM = {'target': Setting(1.0, 'Wanted norm of the slope, in gp and dragan.', NOT_NEGATIVE),
         'one_sided': Setting(False, 'gp and dragan spare norms below the target.', ANY)}
_LAZY = {'every': Setting(1, 'R1 and R2 come after every k-th update of D only, k times as heavy.', POSITIVE),
         'difference_std': Setting(0.0, 'R1 and R2 by finite differences under noise of this std; 0: exact.',
                                   NOT_NEGATIVE)}
_NEARBY = {'zcr_std': Setting(0.05, 'zCR: distance of nearby latents, in units of latents.', POSITIVE)}
PENALTIES = {
    'gp': Penalty('WGAN-GP: lambda in lambda E(|grad D| - target)^2 between real and generated samples.',
                  _with_target(between), _NORM),
    'dragan': Penalty('DRAGAN: lambda in lambda E(|grad D| - target)^2 around real samples.', _with_target(around), {
        **_NORM,
        'dragan_std': Setting(0.5, "DRAGAN: noise up to this, in units of the batch's standard deviation.", POSITIVE)}),
    'zero_gp': Penalty('lambda in lambda E|grad D|^2 between real and generated samples.', plain(zero_gp)),
    'cr_real': Penalty('CR: pulls logits of real samples and of their flipped and shifted copies together.',
                       plain(cr_real)),
    'cr_fake': Penalty('bCR: the same for generated samples.', plain(cr_fake)),
    'r1': Penalty('R1: gamma in gamma/2 E|grad D|^2 at real samples.', _lazy(r1, REAL_SLOPE), _LAZY),
    'r2': Penalty('R2: gamma in gamma/2 E|grad D|^2 at generated samples.', _lazy(r2, FAKE_SLOPE), _LAZY),
    'zcr_disc': Penalty('zCR, discriminator: pulls D(G(z)) and D(G(z + eps)) together.', plain(zcr_disc), _NEARBY),
    'orthogonal': Penalty("Columns of the discriminator's kernels at right angles.",
                          plain(lambda moment: penalties.orthogonal(moment.cast.params['disc']))),
    'lecam': Penalty("LeCam: pulls logits to the running mean of the other side's.",
                     lambda name, options: lecam_term(options.lecam) if options.lecam else None, {
        'lecam_decay': Setting(0.99, 'LeCam: decay of the running means in each update of D.', FRACTION),
        'lecam_form': Setting('published', "LeCam: published, gaps of the right sign only, as in the authors' code; or "
                              'paper.', one_of(penalties.LECAM_FORMS)),
        'lecam_start': Setting(0, 'LeCam: steps without the penalty; its means are those of the latest batch.',
                               NOT_NEGATIVE)}),
    'zcr_gen': Penalty('zCR, generator: pushes G(z) and G(z + eps) apart.', plain(zcr_gen, 'gen', scale=-1.0), _NEARBY),
    'gen_orthogonal': Penalty("Columns of the generator's kernels at right angles.",
                              plain(lambda moment: penalties.orthogonal(moment.cast.params['gen']), 'gen')),
    'clip': Penalty('Bound on each parameter of D after each update; 0: none. It is no term of the loss.',
                    lambda name, options: None),
}
