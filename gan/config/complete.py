"""Completing a configuration: the stated fields, and the declared defaults of everything that was chosen.

Each table declares its settings beside its code. This file gathers them: fields that every run has, and parts that come
with a choice, such as `loss.margin` with `loss.name=hinge`. `gan.config.validate` checks relations between fields.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import ml_collections

from gan import augment, config, losses, optimizers, parallel
from gan.config import ConfigError, RunConfig, flatten, make_config
from gan.declare import ANY, Setting, Settings, close, one_of, plain, problem, quoted, typed
from gan.features import resizing
from gan.games import adversarial, condition
from gan.games.cast import PLAYERS
from gan.games.regularisation import PENALTIES
from gan.games.table import GAMES
from gan.losses import LOSSES
from gan.models import AROUND, MODELS, convolution
from gan.optimizers import OPTIMIZERS
from gan.rules import RULES
from gan.schedules import PREFIX


class Part(NamedTuple):
  """Fields that a run has if another field, the chooser, has a certain value.

  Attributes:
    chooser: dotted name of the chooser, such as 'loss.name'.
    value: value of the chooser, such as 'hinge'; None for a weight, which may have any value but 0.
    fields: settings by dotted name.
    otherwise: value of the chooser where a configuration does not state it.
  """

  chooser: str
  value: str | None
  fields: Settings
  otherwise: Any

  def is_in(self, stated: Mapping[str, Any]) -> bool:
    """Return whether a run with these stated fields has the part."""
    value = stated.get(self.chooser, self.otherwise)
    return bool(value) if self.value is None else value == self.value


class Declared(NamedTuple):
  """All settings that the tables declare.

  Attributes:
    always: fields of every run.
    parts: fields that come with a choice.
    every: all fields.
  """

  always: Settings
  parts: tuple[Part, ...]
  every: Settings


def declared() -> Declared:
  """Gather what the tables declare now; a line added to a table adds its settings."""
  tables = MODELS, LOSSES, RULES, OPTIMIZERS, PENALTIES, GAMES
  return _declared(tuple((name, id(entry)) for table in tables for name, entry in table.items()))


@functools.lru_cache(maxsize=8)
def _declared(entries: tuple) -> Declared:
  del entries
  always = _always()
  parts = tuple(Part(*part, always[part[0]].default) for part in _parts())
  return Declared(always, parts, {field: setting for part in parts for field, setting in part.fields.items()} | always)


def _in(group: str, settings: Settings) -> dict[str, Setting]:
  return {f'{group}.{name}': setting for name, setting in settings.items()}


def _always() -> dict[str, Setting]:
  fields = config.RUN | {'eval.resizing': resizing.SETTING} | _in('parallel', parallel.SETTINGS)
  fields |= {'game.name': Setting('generation', 'Game: generation, or plane, where each player has one parameter.',
                                  one_of(GAMES))}
  fields |= _in('model.disc', AROUND) | {'model.condition': condition.SETTING, 'model.convolution': convolution.SETTING}
  for player in PLAYERS:
    fields |= {f'model.{player}.name': Setting('dcgan', 'Architecture of the network.', one_of(MODELS)),
               f'optimizer.{player}.name': Setting('adam', 'Optimizer.', one_of(OPTIMIZERS))}
    fields |= _in(f'optimizer.{player}', optimizers.SETTINGS)
  fields |= {'loss.name': Setting('nonsaturating', 'Objective on logits.', losses.NAMES)}
  fields |= _in('loss', adversarial.SETTINGS)
  fields |= {'update.rule': Setting('alternating', 'How the players move within a step.', one_of(RULES))}
  fields |= {f'penalty.{name}': penalty.weight for name, penalty in PENALTIES.items()}
  return fields | {'augment.policy': augment.POLICY, 'augment.noise': augment.NOISE}


def _parts() -> Iterator[tuple[str, str | None, Settings]]:
  """Yield (chooser, value, fields) of each `Part`."""
  for player in PLAYERS:
    for name, model in MODELS.items():
      settings = model.gen_settings if player == 'gen' else model.disc_settings
      yield (f'model.{player}.name', name, _in(f'model.{player}', settings))
    for name, optimizer in OPTIMIZERS.items():
      yield (f'optimizer.{player}.name', name, _in(f'optimizer.{player}', optimizer.settings))
  for name, game in GAMES.items():
    yield ('game.name', name, _in('game', game.settings) | _in('model', game.model))
  for name, groups in condition.KINDS.items():
    yield ('model.condition', name, {field: setting for group, settings in groups.items()
                                     for field, setting in _in(group, settings).items()})
  for name, pair in LOSSES.items():
    yield ('loss.name', name, _in('loss', pair.settings))
  for name, rule in RULES.items():
    yield ('update.rule', name, _in('update', rule.settings))
  for name, penalty in PENALTIES.items():
    yield (f'penalty.{name}', None, _in('penalty', penalty.settings))
  for name, settings in augment.POLICIES.items():
    yield ('augment.policy', name, _in('augment', settings))
  yield ('train.on_failure', 'stop', config.STOPPING)
  yield ('train.ema_halflife', None, config.RAMPED)


def fields_of(stated: Mapping[str, Any]) -> dict[str, Setting]:
  """List every field that a run with these choices has."""
  fields = dict(declared().always)
  for part in declared().parts:
    if part.is_in(stated):
      fields |= part.fields
  scheduled = {name: name.removeprefix(PREFIX) for name, text in stated.items() if name.startswith(PREFIX) and text}
  return fields | {name: Setting('', f'How {field} changes while the run goes on.', ANY)
                   for name, field in scheduled.items() if field in fields and isinstance(fields[field].default, float)}


def complete(stated: ml_collections.ConfigDict, overrides: Mapping[str, Any] | None = None) -> RunConfig:
  """Complete the configuration of a run, with values of the right types; completing it again changes nothing.

  Args:
    stated: the stated fields, or a complete configuration.
    overrides: dotted fields that replace stated ones. If an override makes another choice than the file, the settings
      that belong only to the file's choice are left out.

  Raises:
    ConfigError: lists all fields that the run does not have, and all values of a wrong type or out of range.
  """
  flat, problems = completed(flatten(stated), overrides or {})
  refuse(problems)
  return make_config(flat)


def completed(stated: Mapping[str, Any], overrides: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
  """Complete dotted fields like `complete`, and list the problems; a value of a wrong type gives way to the default."""
  before, together = fields_of(stated), {**stated, **overrides}
  fields, problems = fields_of(together), []
  flat = {field: setting.default for field, setting in fields.items()}
  for field, value in together.items():
    if field not in fields:
      if field in overrides or field not in before:
        problems += _unknown(field, value, together, fields)
      continue
    try:
      flat[field] = typed(fields[field], value)
      wrong = problem(fields[field], flat[field])
    except TypeError as error:
      wrong = str(error)
    if wrong:
      problems.append(f'{quoted(field, value)}{wrong}')
  return flat, problems


def refuse(problems: list[str]) -> None:
  """Raise ConfigError with all problems, a line each, if there are any."""
  if problems:
    raise ConfigError('\n'.join(f'  * {line}' for line in problems))


def _unknown(field: str, value: Any, stated: Mapping[str, Any], fields: Mapping[str, Setting]) -> list[str]:
  """Explain why a run does not have a field; [] if the reason is a wrong name, which another problem reports."""
  everything = declared()
  if field.startswith(PREFIX):
    number = field.removeprefix(PREFIX)
    if not value and number in everything.every and isinstance(everything.every[number].default, float):
      return []   # The number stays constant, as it would without this field.
    numbers = [name for name, setting in fields.items() if isinstance(setting.default, float)]
    return [f'{quoted(plain(field), value)}: {plain(number)} is not a number of this run{close(number, numbers)}']
  group, _, name = field.rpartition('.')
  users = [part for part in everything.parts if field in part.fields]
  siblings = sorted(other.removeprefix(f'{group}.') for other in fields if other.rpartition('.')[0] == group)
  if not users:
    has = f'{group} has {", ".join(siblings)}' if siblings and group else f'known: {", ".join(config.GROUPS)}'
    return [f'{plain(field)}: no such field; {has}{close(field, everything.every)}']
  chooser = users[0].chooser
  if users[0].value is None:
    return [f'{quoted(field, value)} does nothing without {" or ".join(part.chooser for part in users)}']
  chosen = stated.get(chooser, everything.always[chooser].default)
  if problem(everything.always[chooser], chosen):
    return []
  chosen_parts = [part for part in everything.parts if (part.chooser, part.value) == (chooser, chosen)]
  names = sorted(other.removeprefix(f'{group}.') for part in chosen_parts for other in part.fields)
  return [f'{quoted(field, value)} is no setting of {chooser}={chosen}, which has {", ".join(names) or "none"}; '
          f'{name} belongs to {", ".join(part.value for part in users)}']


def unflatten(flat: Mapping[str, Any]) -> RunConfig:
  """Make the configuration of a stored run from its dotted fields.

  A field that is newer than the run has its default, which changes nothing for older runs.

  Raises:
    ConfigError: in one sentence, if this version of the code does not have these fields and values.
  """
  flat, problems = completed(flat, {})
  if problems:
    more = f' (and {len(problems) - 1} more)' if len(problems) > 1 else ''
    raise ConfigError(f'this run was written by another version of the code, so use that one: {problems[0]}{more}')
  return make_config(flat)
