"""From what a configuration states to all that a run has: the declared defaults of everything that was chosen.

Each table declares its settings beside its code. Here they are gathered: fields that every run has, and parts that
come with a choice, such as `loss.margin` with `loss.name=hinge`. What spans several of them is checked in
`gan.config.validate`.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import ml_collections

from gan import augment, config, losses, optimizers, parallel
from gan.config import ConfigError, RunConfig, flatten, make_config
from gan.declare import ANY, Setting, Settings, close, one_of, plain, problem, quoted, typed
from gan.features import resizing
from gan.games import adversarial
from gan.games.cast import PLAYERS
from gan.games.regularisation import PENALTIES
from gan.games.table import GAMES
from gan.losses import LOSSES
from gan.models import AROUND, MODELS
from gan.optimizers import OPTIMIZERS
from gan.rules import RULES
from gan.schedules import PREFIX


class Part(NamedTuple):
  """Fields that a run has where another field has a value.

  Attributes:
    chooser: the other field, 'loss.name'.
    value: of it, 'hinge'; None: any but 0, for a weight.
    fields: dotted.
    otherwise: value of the other field where nothing is stated.
  """

  chooser: str
  value: str | None
  fields: Settings
  otherwise: Any

  def is_in(self, stated: Mapping[str, Any]) -> bool:
    """Whether the run has them."""
    value = stated.get(self.chooser, self.otherwise)
    return bool(value) if self.value is None else value == self.value


class Declared(NamedTuple):
  """All that the tables declare.

  Attributes:
    always: fields of every run.
    parts: those that come with a choice.
    every: all of them.
  """

  always: Settings
  parts: tuple[Part, ...]
  every: Settings


def declared() -> Declared:
  """What the tables declare now: whoever adds a line to one of them adds its settings."""
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
  fields |= {'game.name': Setting('generation', 'What is played: generation, or plane for one parameter each.',
                                  one_of(GAMES))}
  fields |= _in('model.disc', AROUND)
  for player in PLAYERS:
    fields |= {f'model.{player}.name': Setting('dcgan', 'Architecture.', one_of(MODELS)),
               f'optimizer.{player}.name': Setting('adam', 'Optimizer.', one_of(OPTIMIZERS))}
    fields |= _in(f'optimizer.{player}', optimizers.SETTINGS)
  fields |= {'loss.name': Setting('nonsaturating', 'Objective on logits.', losses.NAMES)}
  fields |= _in('loss', adversarial.SETTINGS)
  fields |= {'update.rule': Setting('alternating', 'How the players move within a step.', one_of(RULES))}
  fields |= {f'penalty.{name}': penalty.weight for name, penalty in PENALTIES.items()}
  return fields | {'augment.policy': augment.POLICY, 'augment.noise': augment.NOISE}


def _parts() -> Iterator[tuple[str, str | None, Settings]]:
  """The first three of a `Part`."""
  for player in PLAYERS:
    for name, model in MODELS.items():
      own = model.gen_settings if player == 'gen' else model.disc_settings
      yield (f'model.{player}.name', name, _in(f'model.{player}', own))
    for name, optimizer in OPTIMIZERS.items():
      yield (f'optimizer.{player}.name', name, _in(f'optimizer.{player}', optimizer.settings))
  for name, game in GAMES.items():
    yield ('game.name', name, _in('game', game.settings) | _in('model', game.model))
  for name, pair in LOSSES.items():
    yield ('loss.name', name, _in('loss', pair.settings))
  for name, rule in RULES.items():
    yield ('update.rule', name, _in('update', rule.settings))
  for name, penalty in PENALTIES.items():
    yield (f'penalty.{name}', None, _in('penalty', penalty.settings))
  for name, settings in augment.POLICIES.items():
    yield ('augment.policy', name, _in('augment', settings))
  yield ('train.on_failure', 'stop', config.STOPPING)


def fields_of(stated: Mapping[str, Any]) -> dict[str, Setting]:
  """Every field that a run with these choices has."""
  fields = dict(declared().always)
  for part in declared().parts:
    if part.is_in(stated):
      fields |= part.fields
  scheduled = {name: name.removeprefix(PREFIX) for name, text in stated.items() if name.startswith(PREFIX) and text}
  return fields | {name: Setting('', f'How {field} changes while the run goes on.', ANY)
                   for name, field in scheduled.items() if field in fields and isinstance(fields[field].default, float)}


def complete(stated: ml_collections.ConfigDict, overrides: Mapping[str, Any] | None = None) -> RunConfig:
  """The whole configuration of a run, typed; completing it again changes nothing.

  Args:
    stated: what a file states, or a complete configuration.
    overrides: dotted fields that go before. Where they choose something else than the file, what the file states of
      its own choice alone is left out.

  Raises:
    ConfigError: lists all fields that the run has not, and all values of a wrong type or out of range.
  """
  flat, problems = completed(flatten(stated), overrides or {})
  refuse(problems)
  return make_config(flat)


def completed(stated: Mapping[str, Any], overrides: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
  """As `complete`, of dotted fields, with what is wrong with them; a value of a wrong type is left at its default."""
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
  """Raises ConfigError with all problems, a line each, if there are any."""
  if problems:
    raise ConfigError('\n'.join(f'  * {line}' for line in problems))


def _unknown(field: str, value: Any, stated: Mapping[str, Any], fields: Mapping[str, Setting]) -> list[str]:
  """What is said of a field that the run has not; nothing where a wrong name, of which another line tells, hides it."""
  everything = declared()
  if field.startswith(PREFIX):
    number = field.removeprefix(PREFIX)
    if not value and number in everything.every and isinstance(everything.every[number].default, float):
      return []   # Constant, as everything is.
    numbers = [name for name, setting in fields.items() if isinstance(setting.default, float)]
    return [f'{quoted(plain(field), value)}: {plain(number)} is not a number of this run{close(number, numbers)}']
  group, _, name = field.rpartition('.')
  users = [part for part in everything.parts if field in part.fields]
  known = sorted(other.removeprefix(f'{group}.') for other in fields if other.rpartition('.')[0] == group)
  if not users:
    has = f'{group} has {", ".join(known)}' if known and group else f'known: {", ".join(config.GROUPS)}'
    return [f'{plain(field)}: no such field; {has}{close(field, everything.every)}']
  chooser = users[0].chooser
  if users[0].value is None:
    return [f'{quoted(field, value)} does nothing without {" or ".join(part.chooser for part in users)}']
  chosen = stated.get(chooser, everything.always[chooser].default)
  if problem(everything.always[chooser], chosen):
    return []
  chosen_parts = [part for part in everything.parts if (part.chooser, part.value) == (chooser, chosen)]
  own = [other.removeprefix(f'{group}.') for part in chosen_parts for other in part.fields]
  return [f'{quoted(field, value)} is no setting of {chooser}={chosen}, which has {", ".join(sorted(own)) or "none"}; '
          f'{name} belongs to {", ".join(part.value for part in users)}']


def unflatten(flat: Mapping[str, Any]) -> RunConfig:
  """The configuration that a run directory holds.

  Fields that came later than the run have their defaults, which leave everything as it was before them.

  Raises:
    ConfigError: in one sentence, if it is no configuration of this version of the code.
  """
  flat, problems = completed(flat, {})
  if problems:
    more = f' (and {len(problems) - 1} more)' if len(problems) > 1 else ''
    raise ConfigError(f'this run was written by another version of the code, so use that one: {problems[0]}{more}')
  return make_config(flat)
