"""The fields of a configuration that a command line sets: --config.<field>=<value>, taken before all other flags."""

import re
from typing import Any

from absl import flags

from gan.complete import declared
from gan.config import ConfigError
from gan.declare import parse, plain

_OVERRIDE = re.compile(r'--?(no)?config\.([^=]*)(?:=(.*))?', re.DOTALL)


def take(argv: list[str]) -> tuple[list[str], dict[str, Any]]:
  """Takes `--config.<field>=<value>` out of a command line.

  The value may also be the next argument. A field that is True or False may stand alone, `--config.data.flip`, or
  negated, `--noconfig.data.flip`. Of a field that is given twice the last value counts.

  Args:
    argv: the program, and its arguments; --flagfile is read.

  Returns:
    What is left of it, and the fields: of their types, where they exist and the text is a value of the type.

  Raises:
    ConfigError: if a value is missing, or there is one too many.
  """
  rest, given = argv[:1], {}
  arguments = iter(flags.FLAGS.read_flags_from_files(argv[1:], force_gnu=False))
  for argument in arguments:
    if argument == '--':
      return [*rest, argument, *arguments], given
    if not (match := _OVERRIDE.fullmatch(argument)):
      rest.append(argument)
      continue
    negated, field, text = match.groups()
    setting = declared().every.get(field)
    is_bool = setting and isinstance(setting.default, bool)
    if negated and (not is_bool or text is not None):
      raise ConfigError(f'{plain(argument)}: --noconfig.<field> is for fields that are True or False, and takes no '
                        f'value; use --config.{plain(field)}=<value>')
    if text is None:
      text = str(not negated) if is_bool else next(arguments, '--')
    if match[3] is None and text.startswith('--'):   # That is another flag.
      raise ConfigError(f'{plain(argument)} needs a value: {plain(argument)}=<value>')
    given.pop(field, None)   # In the order of the values that count.
    given[field] = parse(setting, text) if setting else text
  return rest, given
