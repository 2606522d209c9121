"""The game of generation: fakes from latents against a data set."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from gan import augment, penalties
from gan.declare import POSITIVE, Setting, one_of
from gan.games import (
    ONE_DEVICE,
    Devices,
    Game,
    GameError,
    HParams,
    Inputs,
    Memories,
    Network,
    Played,
    Scalars,
    Setup,
    Turn,
    adversarial,
    memories,
    regularisation,
)
from gan.games.cast import SPECTRAL, Cast, Draw, only
from gan.games.memory import controlled, no_augmentation
from gan.games.regularisation import FAKE_SLOPE, REAL_SLOPE
from gan.games.scene import Judge, Scene
from gan.games.view import View, draw, look
from gan.losses import LossPair
from gan.randomness import normal, root_key, uniform
from gan.state import GanState, PyTree

ADA = 'ada'   # Among what the discriminator remembers.
LATENTS = {'normal': normal, 'uniform': lambda key, shape: uniform(key, shape, -1.0, 1.0)}
# What a configuration may set, in `model`.
SETTINGS = {'z_dim': Setting(100, 'Length of a latent.', POSITIVE),
            'z': Setting('normal', 'Latents: normal, or uniform on [-1, 1].', one_of(LATENTS))}


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


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Generation(Game):
  """A generator makes samples of latents, a discriminator judges them beside real ones.

  Attributes:
    objective: on logits.
    z_dim: length of a latent.
    z: key of LATENTS.
    rules: what else belongs to the game.
  """

  objective: LossPair
  z_dim: int
  z: str = 'normal'
  rules: Rules = PLAIN

  walks: ClassVar[bool] = True

  @functools.cached_property
  def numbers(self) -> frozenset[str]:
    """Those of the objective, of the penalties and of what the discriminator sees."""
    penalty = (setting for name, own in regularisation.PENALTIES.items() for setting in (name, *own.settings))
    view = ('noise', *augment.ADA_SETTINGS)
    return frozenset(f'{group}.{name}' for group, names in (('penalty', penalty), ('augment', view))
                     for name in names) | super().numbers

  def draw(self, draw: Draw, batch: dict[str, Array], count: int) -> Inputs:
    """Latents [count, Z]."""
    del batch
    return {'z': draw('latents', LATENTS[self.z], (count, self.z_dim))}

  def first_memory(self, player: str) -> dict[str, PyTree]:
    """That of the terms, and ADA's controller."""
    adaptive = player == 'disc' and self.rules.view.adaptive
    return super().first_memory(player) | ({ADA: no_augmentation()} if adaptive else {})

  def play(self, cast: Cast, turn: Turn, hparams: HParams, memory: Memories, needs: frozenset[str]) -> Played:
    """Fakes of this turn's inputs, and both batches through the discriminator."""
    fakes, gen_stats = cast('gen', **turn.inputs)
    # In the generator's turn never jointly: the compiler drops the pass over real samples for losses without them.
    joint = self.rules.joint and cast.player != 'gen'
    scene, disc_stats = self._judge(cast, fakes, turn, hparams, memory['disc'], needs, joint)
    played = Played(scene, {'gen': gen_stats, 'disc': disc_stats})
    if ADA not in memory['disc'] or cast.player == 'gen':
      return played
    controller = self._adapted(scene, memory['disc'][ADA], hparams)
    return played._replace(memory={'disc': {ADA: controller}},
                           scalars={'disc': {'disc/augment_probability': controller['probability']}})

  def _judge(self, cast: Cast, fakes: Array, turn: Turn, hparams: HParams, memory: dict[str, PyTree],
             needs: frozenset[str], joint: bool) -> tuple[Scene, PyTree]:
    """Both batches through the discriminator, with |grad_x D|^2 where it is needed; its new stats."""
    reals, view = turn.batch['images'], self.rules.view
    real_draws, fake_draws = draw(view, turn, reals.shape, hparams, self.devices)
    probability = memory[ADA]['probability'] if ADA in memory else None
    real_sloped, fake_sloped = REAL_SLOPE in needs, FAKE_SLOPE in needs

    def see(samples: Array, draws: dict[str, Array]) -> Array:
      return look(view, samples, draws, probability, hparams)

    def score(samples: Array, draws: dict[str, Array], stats: PyTree) -> tuple[Array, PyTree]:
      return cast('disc', images=see(samples, draws), stats=stats)

    def run(samples: Array, draws: dict[str, Array], stats: PyTree, slope: bool) -> tuple[Array, PyTree, Array | None]:
      if slope:
        return penalties.with_squared_slope(functools.partial(score, draws=draws, stats=stats), samples)
      return *score(samples, draws, stats), None

    before = before_fake = cast.stats['disc']
    if joint and real_sloped == fake_sloped:
      both, draws = jax.tree.map(lambda *pair: jnp.concatenate(pair), (reals, real_draws), (fakes, fake_draws))
      logits, stats, slope = run(both, draws, before, real_sloped)
      real_logits, fake_logits = jnp.split(logits, 2)
      real_slope, fake_slope = (None, None) if slope is None else jnp.split(slope, 2)
    else:
      real_logits, stats, real_slope = run(reals, real_draws, before, real_sloped)
      # Batch norm goes on from batch to batch; spectral norm takes one iteration, as both are judged by one network.
      before_fake = stats = stats | {name: before[name] for name in before if name == SPECTRAL}
      fake_logits, stats, fake_slope = run(fakes, fake_draws, stats, fake_sloped)
    # From the stats that each pass began with: spectral norm would otherwise be an iteration further, another function.
    judge = Judge(real=lambda x: score(x, real_draws, before)[0],
                  fake=lambda x: score(x, fake_draws, before_fake)[0],
                  see_real=lambda x: see(x, real_draws), see_fake=lambda x: see(x, fake_draws),
                  seen=lambda x: cast('disc', images=x, stats=before)[0])
    return Scene(reals, fakes, real_logits, fake_logits, real_slope, fake_slope, judge), stats

  def _adapted(self, scene: Scene, controller: PyTree, hparams: HParams) -> PyTree:
    """ADA's controller after an update of the discriminator, which has judged these samples."""
    real_logits, fake_logits = self.devices.gather(scene.real_logits), self.devices.gather(scene.fake_logits)
    real_prob, _ = adversarial.bind(self.objective, hparams).probability(real_logits, fake_logits)
    sign = jnp.mean(jnp.sign(real_prob - 0.5))
    return controlled(controller, sign, real_logits.shape[0] * self.rules.view.pack, hparams)

  @property
  def slopes(self) -> Callable[[GanState, Turn, HParams], Scalars] | None:
    """Mean |grad_x D| at real and at generated samples; of a discriminator that judges them one by one."""
    return self._slopes if self.rules.joint else None

  def _slopes(self, state: GanState, turn: Turn, hparams: HParams) -> Scalars:
    needs = frozenset({REAL_SLOPE, FAKE_SLOPE})
    scene = self.play(self.cast(state, turn), turn, hparams, memories(state), needs).scene
    return {'disc/real_slope': jnp.mean(jnp.sqrt(scene.real_slope)),
            'disc/fake_slope': jnp.mean(jnp.sqrt(scene.fake_slope))}

  def sample(self, gen: PyTree, inputs: Inputs, draw: Draw | None = None) -> Array:
    """Samples of latents."""
    return Cast(self.networks, {'gen': gen['params']}, {'gen': gen['stats']}, draw)('gen', train=False, **inputs)[0]

  def describe(self, state: GanState, batch: dict[str, jax.ShapeDtypeStruct]) -> list[str]:
    """From latents to logits, and how the discriminator sees both kinds of samples."""
    count = batch['images'].shape[0]
    inputs = {'z': jax.ShapeDtypeStruct((count, self.z_dim), jnp.float32)}
    fakes = jax.eval_shape(self.sample, state.ema, inputs)
    passes = 'in one joint pass' if self.rules.joint else 'as separate batches'
    return [f'latents {[count, self.z_dim]} -> fakes {list(fakes.shape)} -> logits [{count // self.rules.view.pack}]',
            f'discriminator sees real and fake {passes}']

  def walk(self, start: Inputs, end: Inputs, t: ArrayLike) -> Inputs:
    """Latents between two others [..., Z].

    Normal ones go along the great circle, where they keep a likely norm (White 2016, arXiv:1609.04468); uniform ones
    along the straight line, which stays in their cube.
    """
    start, end = start['z'], end['z']
    if self.z != 'normal':
      return {'z': (1 - t) * start + t * end}
    norms = jnp.linalg.norm(start, axis=-1, keepdims=True) * jnp.linalg.norm(end, axis=-1, keepdims=True)
    cosine = jnp.sum(start * end, axis=-1, keepdims=True) / norms
    angle = jnp.arccos(jnp.clip(cosine, -0.9999, 0.9999))
    return {'z': (jnp.sin((1 - t) * angle) * start + jnp.sin(t * angle) * end) / jnp.sin(angle)}


def make_generation(gen: nn.Module, disc: nn.Module, loss: LossPair, z_dim: int, sample_shape: tuple[int, ...],
                    rules: Rules = PLAIN, devices: Devices = ONE_DEVICE, z: str = 'normal') -> Generation:
  """Builds the game of two networks.

  Args:
    gen: called with z.
    disc: called with images: samples, or packs of them.
    loss: the objective; its settings are read from `hparams` under 'loss.<setting>'.
    z_dim: length of a latent.
    sample_shape: shape of one sample.
    rules: what else belongs to the game.
    devices: what it has to know of them.
    z: distribution of latents, key of LATENTS.

  Raises:
    ValueError: if the distribution is unknown.
  """
  if z not in LATENTS:
    raise ValueError(f'model.z={z!r} is unknown; known: {", ".join(LATENTS)}')
  shown = (*sample_shape[:-1], rules.view.pack * sample_shape[-1])
  networks = {'gen': Network(gen, {'z': only((z_dim,))}),
              'disc': Network(disc, {'images': only(shown)}, rules.spectral_norm)}
  terms = (*adversarial.terms(loss), *regularisation.terms(rules.one_sided, rules.lazy_every, rules.lecam))
  return Generation(networks=networks, terms=terms, devices=devices, objective=loss, z_dim=z_dim, z=z, rules=rules)


def make(setup: Setup) -> Generation:
  """Builds the game that a configuration describes.

  Raises:
    GameError: if the samples are too small for what is done to them.
  """
  settings, shape = setup.settings, setup.columns['images'].shape
  _check_transformed(settings, shape)
  gen, disc = setup.network('gen', shape), setup.network('disc', shape)
  policy = settings['augment.policy']
  view = View(policy=() if policy in ('none', 'ada') else tuple(policy.split('+')), adaptive=policy == 'ada',
              pack=settings['model.disc.pack'])
  rules = Rules(_is_joint(disc, (*shape[:-1], view.pack * shape[-1])), view, settings['model.disc.spectral_norm'],
                settings.get('penalty.lecam_form'), settings.get('penalty.one_sided', False),
                settings.get('penalty.every', 1))
  game = make_generation(gen, disc, setup.objective, settings['model.z_dim'], shape, rules, setup.devices,
                         settings['model.z'])
  # What a term without weight would remember is not carried along.
  terms = tuple(term for term in game.terms if not term.memory or settings[term.weight])
  return dataclasses.replace(game, terms=terms)


def _is_joint(disc: nn.Module, shown: tuple[int, ...]) -> bool:
  """Whether real and generated samples go through the discriminator in one pass.

  With batch norm they are separate batches (Radford et al. 2015), and so they are where the discriminator compares the
  samples of a batch. Without either, one pass is the same function.
  """
  images = jax.ShapeDtypeStruct((2, *shown), jnp.float32)
  collections = jax.eval_shape(functools.partial(disc.init, train=True), root_key(0), images=images)
  return 'batch_stats' not in collections and getattr(disc, 'minibatch', 'none') == 'none'


def _check_transformed(settings: Mapping[str, Any], shape: tuple[int, ...]) -> None:
  if len(shape) == 3 and min(shape[:2]) < 2:
    for field in ('augment.policy', 'penalty.cr_real', 'penalty.cr_fake'):
      if (value := settings[field]) not in (0.0, 'none'):
        raise GameError(f'{field}={value} transforms images of 2 x 2 pixels or more, and these have '
                        f'{" x ".join(map(str, shape[:2]))}; leave it out, or raise data.image_size')
