"""The game of generation: the generator makes fakes from latents, the discriminator tells them from a data set."""

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
from gan.games.cast import SPECTRAL, Cast, Draw, sample_spec
from gan.games.memory import controlled, no_augmentation
from gan.games.regularisation import FAKE_SLOPE, REAL_SLOPE
from gan.games.scene import Judge, Scene
from gan.games.view import View, draw, look
from gan.losses import LossPair
from gan.randomness import normal, root_key, uniform
from gan.state import GanState, PyTree

ADA = 'ada'   # Key of ADA's controller in the discriminator's memory.
LATENTS = {'normal': normal, 'uniform': lambda key, shape: uniform(key, shape, -1.0, 1.0)}
# Settings under `model`.
SETTINGS = {'z_dim': Setting(100, 'Length of a latent.', POSITIVE),
            'z': Setting('normal', 'Distribution of latents: normal, or uniform on [-1, 1].', one_of(LATENTS))}


class Rules(NamedTuple):
  """Options of a game of generation besides its networks and its objective; fixed when compiled.

  Attributes:
    joint: whether real and fake samples go through the discriminator in one concatenated pass. Where samples are judged
      one by one, this is the same function and faster. With batch norm it would be another function: there real and
      fake samples are separate batches, as in DCGAN (Radford et al. 2015).
    view: augmentation and packing.
    spectral_norm: whether the discriminator's kernels are divided by their largest singular values.
    lecam: key of penalties.LECAM_FORMS; None leaves out LeCam's penalty and the running means that it needs.
    one_sided: whether gradient penalties with a target ignore slopes below the target.
    lazy_every: R1 and R2 are added after every k-th discriminator update; 1 adds them to every update.
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
  """The game between a generator of samples and a discriminator that tells them from real ones.

  Attributes:
    objective: objective on logits.
    z_dim: length of a latent.
    z: distribution of latents, key of LATENTS.
    rules: options besides networks and objective.
  """

  objective: LossPair
  z_dim: int
  z: str = 'normal'
  rules: Rules = PLAIN

  walks: ClassVar[bool] = True

  @functools.cached_property
  def numbers(self) -> frozenset[str]:
    """Return the names of the numbers of the objective, of the penalties and of the discriminator's view."""
    penalty_names = (setting for name, penalty in regularisation.PENALTIES.items()
                     for setting in (name, *penalty.settings))
    view_names = ('noise', *augment.ADA_SETTINGS)
    return frozenset(f'{group}.{name}' for group, names in (('penalty', penalty_names), ('augment', view_names))
                     for name in names) | super().numbers

  def draw(self, draw: Draw, batch: dict[str, Array], count: int) -> Inputs:
    """Draw latents [count, Z]."""
    del batch
    return {'z': draw('latents', LATENTS[self.z], (count, self.z_dim))}

  def first_memory(self, player: str) -> dict[str, PyTree]:
    """Return the memory of the terms and, if ADA is used, its controller."""
    adaptive = player == 'disc' and self.rules.view.adaptive
    return super().first_memory(player) | ({ADA: no_augmentation()} if adaptive else {})

  def play(self, cast: Cast, turn: Turn, hparams: HParams, memory: Memories, needs: frozenset[str]) -> Played:
    """Make fakes from this turn's inputs, and run both batches through the discriminator."""
    fakes, gen_stats = cast('gen', **turn.inputs)
    # Separate passes in the generator's turn: if its loss ignores real logits, the compiler drops the real pass.
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
    """Run both batches through the discriminator, with |grad_x D|^2 if needed; return the scene and the new stats."""
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
      # Each batch updates batch norm's statistics. Spectral norm takes one iteration in all: one network judges both.
      before_fake = stats = stats | {name: before[name] for name in before if name == SPECTRAL}
      fake_logits, stats, fake_slope = run(fakes, fake_draws, stats, fake_sloped)
    # The judge has the stats that each pass began with. With later ones spectral norm would be one iteration further,
    # and the judge another function.
    judge = Judge(real=lambda x: score(x, real_draws, before)[0],
                  fake=lambda x: score(x, fake_draws, before_fake)[0],
                  see_real=lambda x: see(x, real_draws), see_fake=lambda x: see(x, fake_draws),
                  seen=lambda x: cast('disc', images=x, stats=before)[0])
    return Scene(reals, fakes, real_logits, fake_logits, real_slope, fake_slope, judge), stats

  def _adapted(self, scene: Scene, controller: PyTree, hparams: HParams) -> PyTree:
    """Return ADA's controller after a discriminator update in which these samples were judged."""
    real_logits, fake_logits = self.devices.gather(scene.real_logits), self.devices.gather(scene.fake_logits)
    real_prob, _ = adversarial.bind(self.objective, hparams).probability(real_logits, fake_logits)
    sign = jnp.mean(jnp.sign(real_prob - 0.5))
    return controlled(controller, sign, real_logits.shape[0] * self.rules.view.pack, hparams)

  @property
  def slopes(self) -> Callable[[GanState, Turn, HParams], Scalars] | None:
    """Return a function for the mean |grad_x D| at real and at generated samples.

    None unless the discriminator judges samples one by one.
    """
    return self._slopes if self.rules.joint else None

  def _slopes(self, state: GanState, turn: Turn, hparams: HParams) -> Scalars:
    needs = frozenset({REAL_SLOPE, FAKE_SLOPE})
    scene = self.play(self.cast(state, turn), turn, hparams, memories(state), needs).scene
    return {'disc/real_slope': jnp.mean(jnp.sqrt(scene.real_slope)),
            'disc/fake_slope': jnp.mean(jnp.sqrt(scene.fake_slope))}

  def sample(self, gen: PyTree, inputs: Inputs, draw: Draw | None = None) -> Array:
    """Return samples [B, ...] that the generator makes from latents."""
    return Cast(self.networks, {'gen': gen['params']}, {'gen': gen['stats']}, draw)('gen', train=False, **inputs)[0]

  def describe(self, state: GanState, batch: dict[str, jax.ShapeDtypeStruct]) -> list[str]:
    """Return lines on the shapes from latents to logits, and on how the discriminator sees both kinds of samples."""
    count = batch['images'].shape[0]
    inputs = {'z': jax.ShapeDtypeStruct((count, self.z_dim), jnp.float32)}
    fakes = jax.eval_shape(self.sample, state.ema, inputs)
    passes = 'in one joint pass' if self.rules.joint else 'as separate batches'
    return [f'latents {[count, self.z_dim]} -> fakes {list(fakes.shape)} -> logits [{count // self.rules.view.pack}]',
            f'discriminator sees real and fake {passes}']

  def walk(self, start: Inputs, end: Inputs, t: ArrayLike) -> Inputs:
    """Interpolate between latents [..., Z].

    Normal latents follow the great circle, where they keep a likely norm (White 2016, arXiv:1609.04468). Uniform
    latents follow the straight line, which stays in their cube.
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
  """Build the game of two networks.

  Args:
    gen: generator, called with z.
    disc: discriminator, called with images: samples, or packs of samples.
    loss: objective; its settings are read from `hparams` as 'loss.<setting>'.
    z_dim: length of a latent.
    sample_shape: shape of one sample.
    rules: options besides networks and objective.
    devices: draws and gathers over all devices.
    z: distribution of latents, key of LATENTS.

  Raises:
    ValueError: if the distribution is unknown.
  """
  if z not in LATENTS:
    raise ValueError(f'model.z={z!r} is unknown; known: {", ".join(LATENTS)}')
  shown = (*sample_shape[:-1], rules.view.pack * sample_shape[-1])
  networks = {'gen': Network(gen, {'z': sample_spec((z_dim,))}),
              'disc': Network(disc, {'images': sample_spec(shown)}, rules.spectral_norm)}
  terms = (*adversarial.terms(loss), *regularisation.terms(rules.one_sided, rules.lazy_every, rules.lecam))
  return Generation(networks=networks, terms=terms, devices=devices, objective=loss, z_dim=z_dim, z=z, rules=rules)


def make(setup: Setup) -> Generation:
  """Build the game that a configuration describes.

  Raises:
    GameError: if the images are too small for an augmentation or a consistency penalty.
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
  # Terms of weight 0 that have memory are dropped, so that their memory is not part of the state.
  terms = tuple(term for term in game.terms if not term.memory or settings[term.weight])
  return dataclasses.replace(game, terms=terms)


def _is_joint(disc: nn.Module, shown: tuple[int, ...]) -> bool:
  """Return whether real and generated samples go through the discriminator in one pass.

  They are separate batches where the discriminator has batch norm (Radford et al. 2015) or compares the samples of a
  batch. Otherwise one pass is the same function.
  """
  images = jax.ShapeDtypeStruct((2, *shown), jnp.float32)
  collections = jax.eval_shape(functools.partial(disc.init, train=True), root_key(0), images=images)
  return 'batch_stats' not in collections and getattr(disc, 'minibatch', 'none') == 'none'


def _check_transformed(settings: Mapping[str, Any], shape: tuple[int, ...]) -> None:
  if len(shape) == 3 and min(shape[:2]) < 2:
    for field in ('augment.policy', 'penalty.cr_real', 'penalty.cr_fake'):
      if (value := settings[field]) not in (0.0, 'none'):
        raise GameError(f'{field}={value} needs images of 2 x 2 pixels or more, and these have '
                        f'{" x ".join(map(str, shape[:2]))}; leave it out, or raise data.image_size')
