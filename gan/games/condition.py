"""Conditions of the game of generation: where classes or codes enter the networks, and the terms that they add."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan.declare import NOT_NEGATIVE, POSITIVE, Setting, Settings, at_least, one_of
from gan.games.cast import Draw, sample_spec
from gan.games.game import GameError
from gan.games.term import Moment, Outcome, Term
from gan.games.turn import Inputs
from gan.models.conditional import CodedGenerator, Head, LabelledDiscriminator, LabelledGenerator, one_hot
from gan.randomness import uniform
from gan.state import PyTree

_LABELS = {
    'fake_labels': Setting('batch', "Classes of generated samples: batch (those of the batch's real samples), or drawn "
                           "(from the data's shares).", one_of(('batch', 'drawn'))),
    'label_dim': Setting(32, 'Length of the embedded label that extends the latent, where the generator has no batch '
                         'norm that knows classes.', POSITIVE)}
# The settings of each condition, by group.
KINDS: dict[str, dict[str, Settings]] = {
    'none': {},
    'concat': {'model': _LABELS},
    'projection': {'model': _LABELS},
    'acgan': {'model': _LABELS, 'game': {
        'class_weight': Setting(1.0, 'AC-GAN: weight of the class losses of both players.', NOT_NEGATIVE)}},
    'infogan': {
        'model': {'categories': Setting(10, 'InfoGAN: number of values of the categorical code.', at_least(2)),
                  'uniform_codes': Setting(2, 'InfoGAN: number of codes that are uniform on [-1, 1].', NOT_NEGATIVE)},
        'game': {'info_weight': Setting(1.0, 'InfoGAN: weight of the information terms of both players.',
                                        NOT_NEGATIVE)}}}
SETTING = Setting('none', 'Where classes enter: none, concat (inputs of both networks), projection, acgan; or infogan, '
                  'codes without labels.', one_of(KINDS))
LABELLED = ('concat', 'projection', 'acgan')
HEADS = {'projection': 'projection', 'acgan': 'classes', 'infogan': 'codes'}


class Condition(NamedTuple):
  """The condition of a run; fixed when compiled.

  Attributes:
    kind: key of KINDS.
    shares: share of each class in the data; for infogan of each value of the categorical code.
    drawn: whether classes of generated samples are drawn from the shares, instead of those of the batch.
    uniform: number of uniform codes.
  """

  kind: str = 'none'
  shares: tuple[float, ...] = ()
  drawn: bool = False
  uniform: int = 0

  @property
  def classes(self) -> int:
    """Return K, the number of classes or of values of the categorical code; 0 without a condition."""
    return len(self.shares)

  @property
  def input(self) -> str:
    """Return the name of the generator's input that has these K values."""
    return 'category' if self.kind == 'infogan' else 'labels'

  @property
  def judged(self) -> bool:
    """Return whether the discriminator is called with labels."""
    return self.kind in ('concat', 'projection')

  def specs(self) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the specs of the generator's inputs besides z."""
    if self.kind == 'none':
      return {}
    codes = {'uniform': sample_spec((self.uniform,))} if self.kind == 'infogan' else {}
    return {self.input: sample_spec((), jnp.int32), **codes}

  def draw(self, draw: Draw, batch: Mapping[str, Array], count: int) -> Inputs:
    """Return the generator's inputs besides z: classes [count], or codes."""
    if self.kind == 'none':
      return {}
    if self.kind != 'infogan' and not self.drawn and 'labels' in batch:
      return {'labels': batch['labels']}
    logits = jnp.log(jnp.asarray(self.shares, jnp.float32))
    drawn = {self.input: draw('classes', lambda key, shape: jax.random.categorical(key, logits, shape=shape)
                              .astype(jnp.int32), (count,))}
    if self.kind == 'infogan':
      drawn['uniform'] = draw('codes', lambda key, shape: uniform(key, shape, -1.0, 1.0), (count, self.uniform))
    return drawn

  def soft(self, inputs: Inputs) -> Inputs:
    """Return the inputs besides z, with classes [...] as soft classes [..., K], which can be interpolated."""
    return {name: one_hot(value, self.classes) for name, value in inputs.items() if name != 'z'}


NONE = Condition()


def make(settings: Mapping[str, Any], shares: tuple[float, ...]) -> Condition:
  """Build the condition that settings describe, for data with these shares of classes.

  Raises:
    GameError: if it needs classes, and the data have fewer than two.
  """
  kind = settings['model.condition']
  if kind == 'none':
    return NONE
  if kind == 'infogan':
    count = settings['model.categories']
    return Condition(kind, (1 / count,) * count, uniform=settings['model.uniform_codes'])
  if len(shares) < 2:
    have = {0: 'no classes', 1: 'a single class'}[len(shares)]
    raise GameError(f'model.condition={kind} needs data with two classes or more, and data.name={settings["data.name"]}'
                    f' has {have}; use model.condition=none, or infogan, which needs no labels')
  return Condition(kind, shares, settings['model.fake_labels'] == 'drawn')


def generator(net: nn.Module, condition: Condition, settings: Mapping[str, Any]) -> nn.Module:
  """Return the generator that also takes the condition's inputs."""
  if condition.kind == 'infogan':
    return CodedGenerator(net, condition.classes)
  if condition.kind in getattr(net, 'takes_labels', ()):
    return net.clone(classes=condition.classes)
  return net if condition.kind == 'none' else LabelledGenerator(net, condition.classes, settings['model.label_dim'])


def discriminator(net: nn.Module, condition: Condition, pack: int, name: str) -> nn.Module:
  """Return the discriminator that sees or judges the condition.

  Raises:
    GameError: if its architecture, `name`, has no place for a head.
  """
  if condition.kind == 'concat':
    return LabelledDiscriminator(net, condition.classes, pack)
  if condition.kind == 'none':
    return net
  if not hasattr(net, 'head'):
    raise GameError(f'model.condition={condition.kind} needs a discriminator with the attribute `head`, and '
                    f'model.disc.name={name} has none; use model.condition=concat, which works with every one')
  return net.clone(head=Head(HEADS[condition.kind], condition.classes, condition.uniform))


def class_loss(logits: Array, labels: Array) -> Array:
  """Return the mean cross-entropy [] of class logits [B, K] and labels [B]; there is one softmax, and it is here."""
  chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
  return -jnp.mean(chosen)


def code_loss(category_logits: Array, uniform_estimates: Array | None, inputs: Inputs) -> Array:
  """Return minus InfoGAN's bound on the information about the codes (arXiv:1606.03657), without its constants.

  The posterior of the uniform codes is a normal distribution of variance 1, as in the authors' code.
  """
  loss = class_loss(category_logits, inputs['category'])
  if uniform_estimates is None:
    return loss
  return loss + 0.5 * jnp.mean(jnp.sum(jnp.square(inputs['uniform'] - uniform_estimates), axis=-1))


def _right(logits: Array, labels: Array) -> Array:
  return jnp.mean((jnp.argmax(logits, axis=-1) == labels).astype(jnp.float32))


def _class_terms() -> tuple[Term, Term]:
  def disc(moment: Moment, memory: PyTree) -> Outcome:
    del memory
    scene = moment.scene
    value = class_loss(scene.real_head.classes, scene.real_labels) + \
        class_loss(scene.fake_head.classes, scene.fake_labels)
    return Outcome(value, {'disc/class_accuracy': _right(scene.real_head.classes, scene.real_labels)})

  def gen(moment: Moment, memory: PyTree) -> Outcome:
    del memory
    logits, labels = moment.scene.fake_head.classes, moment.scene.fake_labels
    return Outcome(class_loss(logits, labels), {'gen/class_accuracy': _right(logits, labels)})

  return (Term('disc/class_loss', 'disc', disc, 'game.class_weight'),
          Term('gen/class_loss', 'gen', gen, 'game.class_weight'))


def _code_terms() -> tuple[Term, Term]:
  # Both players raise the information: the discriminator's share trains the head and the features below it, and the
  # generator's makes codes visible.
  def value(moment: Moment, memory: PyTree) -> Outcome:
    del memory
    head, inputs = moment.scene.fake_head, moment.turn.inputs
    return Outcome(code_loss(head.classes, head.uniform, inputs))

  return (Term('disc/code_loss', 'disc', value, 'game.info_weight'),
          Term('gen/code_loss', 'gen', value, 'game.info_weight'))


def terms(condition: Condition) -> tuple[Term, ...]:
  """Return the terms that a condition adds to both losses."""
  return {'acgan': _class_terms, 'infogan': _code_terms}.get(condition.kind, tuple)()
