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
    condition,
    memories,
    regularisation,
)
from gan.games.cast import SPECTRAL, Cast, Draw, Sampler, sample_spec
from gan.games.condition import Condition
from gan.games.memory import controlled, no_augmentation
from gan.games.regularisation import FAKE_SLOPE, REAL_SLOPE
from gan.games.scene import Judge, Scene
from gan.games.view import View, draw, look
from gan.losses import LossPair
from gan.models.conditional import Judged, inner
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
    path_every: the same of path length, in updates of the generator.
    path_share: path lengths are taken at every k-th sample of a batch.
  """

  joint: bool = False
  view: View = View()
  spectral_norm: bool = False
  lecam: str | None = None
  one_sided: bool = False
  lazy_every: int = 1
  path_every: int = 1
  path_share: int = 1


PLAIN = Rules()


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Generation(Game):
  """The game between a generator of samples and a discriminator that tells them from real ones.

  Attributes:
    objective: objective on logits.
    z_dim: length of a latent.
    z: distribution of latents, key of LATENTS.
    rules: options besides networks and objective.
    condition: classes or codes that samples are made of.
    truncation: how far samples keep from the mean style, in [0, 1]; None: as they are trained.
  """

  objective: LossPair
  z_dim: int
  z: str = 'normal'
  rules: Rules = PLAIN
  condition: Condition = condition.NONE
  truncation: float | None = None

  walks: ClassVar[bool] = True

  @property
  def classes(self) -> tuple[str, int] | None:
    """Return 'labels' or 'category', and the number of its values; None without a condition."""
    return (self.condition.input, self.condition.classes) if self.condition.classes else None

  @functools.cached_property
  def numbers(self) -> frozenset[str]:
    """Return the names of the numbers of the objective, of the penalties and of the discriminator's view."""
    penalty_names = (setting for name, penalty in regularisation.PENALTIES.items()
                     for setting in (name, *penalty.settings))
    view_names = ('noise', *augment.ADA_SETTINGS)
    return frozenset(f'{group}.{name}' for group, names in (('penalty', penalty_names), ('augment', view_names))
                     for name in names) | super().numbers

  def draw(self, draw: Draw, batch: dict[str, Array], count: int) -> Inputs:
    """Draw latents [count, Z], and classes or codes where the run has a condition."""
    return {'z': draw('latents', LATENTS[self.z], (count, self.z_dim)), **self.condition.draw(draw, batch, count)}

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
    real_labels, fake_labels = self._labels(turn)
    real_draws, fake_draws = draw(view, turn, reals.shape, hparams, self.devices)
    probability = memory[ADA]['probability'] if ADA in memory else None
    real_sloped, fake_sloped = REAL_SLOPE in needs, FAKE_SLOPE in needs

    def see(samples: Array, draws: dict[str, Array]) -> Array:
      return look(view, samples, draws, probability, hparams)

    def ask(images: Array, labels: Array | None, stats: PyTree) -> tuple[Array, tuple[PyTree, Judged | None]]:
      labelled: Inputs = {}
      if labels is not None and self.condition.judged:
        labelled['labels'] = packed_labels(labels, view.pack)
      output, stats = cast('disc', images=images, stats=stats, **labelled)
      return (output.logits, (stats, output)) if isinstance(output, Judged) else (output, (stats, None))

    def score(samples: Array, draws: dict[str, Array], labels: Array | None, stats: PyTree) -> tuple[Array, Any]:
      return ask(see(samples, draws), labels, stats)

    def run(samples: Array, draws: dict[str, Array], labels: Array | None, stats: PyTree, slope: bool) -> Any:
      if not slope:
        return *score(samples, draws, labels, stats), None
      return penalties.with_squared_slope(functools.partial(score, draws=draws, labels=labels, stats=stats), samples)

    before = before_fake = cast.stats['disc']
    if joint and real_sloped == fake_sloped:
      both, draws, labels = jax.tree.map(lambda *pair: jnp.concatenate(pair), (reals, real_draws, real_labels),
                                         (fakes, fake_draws, fake_labels))
      logits, (stats, head), slope = run(both, draws, labels, before, real_sloped)
      (real_logits, real_head, real_slope), (fake_logits, fake_head, fake_slope) = halves((logits, head, slope))
    else:
      real_logits, (stats, real_head), real_slope = run(reals, real_draws, real_labels, before, real_sloped)
      # Each batch updates batch norm's statistics. Spectral norm takes one iteration in all: one network judges both.
      before_fake = stats = stats | {name: before[name] for name in before if name == SPECTRAL}
      fake_logits, (stats, fake_head), fake_slope = run(fakes, fake_draws, fake_labels, stats, fake_sloped)
    # The judge has the stats that each pass began with. With later ones spectral norm would be one iteration further,
    # and the judge another function.
    judge = Judge(real=lambda x: score(x, real_draws, real_labels, before)[0],
                  fake=lambda x: score(x, fake_draws, fake_labels, before_fake)[0],
                  see_real=lambda x: see(x, real_draws), see_fake=lambda x: see(x, fake_draws),
                  seen=lambda x: ask(x, real_labels, before)[0])
    return Scene(reals, fakes, real_logits, fake_logits, real_slope, fake_slope, judge, real_labels, fake_labels,
                 real_head, fake_head), stats

  def _labels(self, turn: Turn) -> tuple[Array | None, Array | None]:
    """Return the classes of real and of generated samples; None without classes."""
    if self.condition.kind not in condition.LABELLED:
      return None, None
    return turn.batch['labels'], turn.inputs['labels']

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
    cast = Cast(self.networks, {'gen': gen['params']}, {'gen': gen['stats']}, draw)
    truncated: Inputs = {} if self.truncation is None else {'truncation': self.truncation}
    return cast('gen', train=False, **inputs, **truncated)[0]

  def truncated(self, truncation: float) -> 'Generation':
    """Return the game whose samples are pulled towards the mean style (StyleGAN, arXiv:1812.04948, appendix B)."""
    if not hasattr(inner(self.networks['gen'].module), 'styles'):
      raise GameError('needs a generator with styles, such as model.gen.name=stylegan2')
    return dataclasses.replace(self, truncation=truncation)

  def describe(self, state: GanState, batch: dict[str, jax.ShapeDtypeStruct]) -> list[str]:
    """Return lines on the shapes from latents to logits, and on how the discriminator sees both kinds of samples."""
    count = batch['images'].shape[0]

    def drawn(purpose: str, sampler: Sampler, shape: tuple[int, ...]) -> Array:
      del purpose   # Only shapes matter here.
      return sampler(root_key(0), shape)

    inputs = jax.eval_shape(lambda: self.draw(drawn, {}, count))
    fakes = jax.eval_shape(lambda ema, inputs: self.sample(ema, inputs, drawn), state.ema, inputs)
    with_latents = ''.join(f' and {name} {list(value.shape)}' for name, value in inputs.items() if name != 'z')
    passes = 'in one joint pass' if self.rules.joint else 'as separate batches'
    return [f'latents {[count, self.z_dim]}{with_latents} -> fakes {list(fakes.shape)} -> '
            f'logits [{count // self.rules.view.pack}]',
            f'discriminator sees real and fake {passes}']

  def walk(self, start: Inputs, end: Inputs, t: ArrayLike) -> Inputs:
    """Interpolate between latents [..., Z].

    Normal latents follow the great circle, where they keep a likely norm (White 2016, arXiv:1609.04468). Uniform
    latents follow the straight line, which stays in their cube. So do classes, as soft classes, and codes.
    """
    others = jax.tree.map(lambda a, b: (1 - t) * a + t * b, self.condition.soft(start), self.condition.soft(end))
    from_z, to_z = start['z'], end['z']
    if self.z != 'normal':
      return {'z': (1 - t) * from_z + t * to_z, **others}
    norms = jnp.linalg.norm(from_z, axis=-1, keepdims=True) * jnp.linalg.norm(to_z, axis=-1, keepdims=True)
    cosine = jnp.sum(from_z * to_z, axis=-1, keepdims=True) / norms
    angle = jnp.arccos(jnp.clip(cosine, -0.9999, 0.9999))
    return {'z': (jnp.sin((1 - t) * angle) * from_z + jnp.sin(t * angle) * to_z) / jnp.sin(angle), **others}


def make_generation(gen: nn.Module, disc: nn.Module, loss: LossPair, z_dim: int, sample_shape: tuple[int, ...],
                    rules: Rules = PLAIN, devices: Devices = ONE_DEVICE, z: str = 'normal',
                    given: Condition = condition.NONE) -> Generation:
  """Build the game of two networks.

  Args:
    gen: generator, called with z and the inputs of its condition.
    disc: discriminator, called with images: samples, or packs of samples; and with their labels if the condition is one
      that it judges.
    loss: objective; its settings are read from `hparams` as 'loss.<setting>'.
    z_dim: length of a latent.
    sample_shape: shape of one sample.
    rules: options besides networks and objective.
    devices: draws and gathers over all devices.
    z: distribution of latents, key of LATENTS.
    given: classes or codes that samples are made of.

  Raises:
    ValueError: if the distribution is unknown.
  """
  if z not in LATENTS:
    raise ValueError(f'model.z={z!r} is unknown; known: {", ".join(LATENTS)}')
  shown = (*sample_shape[:-1], rules.view.pack * sample_shape[-1])
  networks = {'gen': Network(gen, {'z': sample_spec((z_dim,)), **given.specs()},
                           random=getattr(inner(gen), 'random', False)),
              'disc': Network(disc, seen_specs(shown, rules.view.pack, given), rules.spectral_norm)}
  terms = (*adversarial.terms(loss), *condition.terms(given),
           *regularisation.terms(rules.one_sided, rules.lazy_every, rules.lecam, rules.path_every, rules.path_share))
  return Generation(networks=networks, terms=terms, devices=devices, objective=loss, z_dim=z_dim, z=z, rules=rules,
                    condition=given)


def make(setup: Setup) -> Generation:
  """Build the game that a configuration describes.

  Raises:
    GameError: if the images are too small for an augmentation or a consistency penalty, or if the data or the networks
      do not suit the condition.
  """
  settings, shape = setup.settings, setup.columns['images'].shape
  _check_transformed(settings, shape)
  given, pack = condition.make(settings, setup.shares), settings['model.disc.pack']
  gen = condition.generator(setup.network('gen', shape), given, settings)
  disc = condition.discriminator(setup.network('disc', shape), given, pack, settings['model.disc.name'])
  policy = settings['augment.policy']
  view = View(policy=() if policy in ('none', 'ada') else tuple(policy.split('+')), adaptive=policy == 'ada',
              pack=pack)
  specs = seen_specs((*shape[:-1], pack * shape[-1]), pack, given)
  rules = Rules(_is_joint(disc, specs), view, settings['model.disc.spectral_norm'],
                settings.get('penalty.lecam_form'), settings.get('penalty.one_sided', False),
                settings.get('penalty.every', 1), settings.get('penalty.path_every', 1),
                settings.get('penalty.path_share', 1))
  game = make_generation(gen, disc, setup.objective, settings['model.z_dim'], shape, rules, setup.devices,
                         settings['model.z'], given)
  # Terms of weight 0 that have memory are dropped, so that their memory is not part of the state.
  terms = tuple(term for term in game.terms if not term.memory or settings[term.weight])
  return dataclasses.replace(game, terms=terms)


def seen_specs(shown: tuple[int, ...], pack: int, given: Condition) -> dict[str, jax.ShapeDtypeStruct]:
  """Return the specs of the discriminator's inputs: samples of shape `shown`, and their labels if it sees them."""
  labels = {'labels': sample_spec((pack,) if pack > 1 else (), jnp.int32)} if given.judged else {}
  return {'images': sample_spec(shown), **labels}


def packed_labels(labels: Array, pack: int) -> Array:
  """Return the labels of packs [B / pack, pack], or [B] where nothing is packed."""
  return labels if pack == 1 else labels.reshape(-1, pack)


def halves(tree: PyTree) -> tuple[PyTree, PyTree]:
  """Split every array [2B, ...] of a tree into its two halves."""
  return jax.tree.map(lambda x: x[:len(x) // 2], tree), jax.tree.map(lambda x: x[len(x) // 2:], tree)


def _is_joint(disc: nn.Module, specs: Mapping[str, jax.ShapeDtypeStruct]) -> bool:
  """Return whether real and generated samples go through the discriminator in one pass.

  They are separate batches where the discriminator has batch norm (Radford et al. 2015) or compares the samples of a
  batch. Otherwise one pass is the same function.
  """
  inputs = {name: jax.ShapeDtypeStruct((2, *spec.shape), spec.dtype) for name, spec in specs.items()}
  collections = jax.eval_shape(functools.partial(disc.init, train=True), root_key(0), **inputs)
  return 'batch_stats' not in collections and getattr(inner(disc), 'minibatch', 'none') == 'none'


def _check_transformed(settings: Mapping[str, Any], shape: tuple[int, ...]) -> None:
  if len(shape) == 3 and min(shape[:2]) < 2:
    for field in ('augment.policy', 'penalty.cr_real', 'penalty.cr_fake'):
      if (value := settings[field]) not in (0.0, 'none'):
        raise GameError(f'{field}={value} needs images of 2 x 2 pixels or more, and these have '
                        f'{" x ".join(map(str, shape[:2]))}; leave it out, or raise data.image_size')
