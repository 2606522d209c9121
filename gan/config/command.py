"""The flags --config.<field>=<value> of a command line, which set fields of a configuration."""

import re
from typing import Any

from absl import flags

from gan.config import ConfigError
from gan.config.complete import declared
from gan.declare import parse, plain

_OVERRIDE = re.compile(r'--?(no)?config\.([^=]*)(?:=(.*))?', re.DOTALL)


def extract(argv: list[str]) -> tuple[list[str], dict[str, Any]]:
  """Extract the overrides `--config.<field>=<value>` from a command line, before its other flags are parsed.

  The value may also be the next argument. A field that is True or False may have no value, `--config.data.flip`, or be
  negated, `--noconfig.data.flip`. If a field occurs twice, the last value counts.

  Args:
    argv: the program and its arguments; --flagfile is read.

  Returns:
    The remaining arguments, and the overrides by field. A value has the type of its field; it stays a text if the field
    is unknown or the text is not a value of that type.

  Raises:
    ConfigError: if a value is missing, or --noconfig.<field> has one.
  """
  remaining, overrides = argv[:1], {}
  arguments = iter(flags.FLAGS.read_flags_from_files(argv[1:], force_gnu=False))
  for argument in arguments:
    if argument == '--':
      return [*remaining, argument, *arguments], overrides
    if not (match := _OVERRIDE.fullmatch(argument)):
      remaining.append(argument)
      continue
    negated, field, text = match.groups()
    setting = declared().every.get(field)
    is_bool = setting and isinstance(setting.default, bool)
    if negated and (not is_bool or text is not None):
      raise ConfigError(f'{plain(argument)}: --noconfig.<field> is for fields that are True or False, and takes no '
                        f'value; use --config.{plain(field)}=<value>')
    if text is None:
      text = str(not negated) if is_bool else next(arguments, '--')
    if match[3] is None and text.startswith('--'):   # The next argument is another flag.
      raise ConfigError(f'{plain(argument)} needs a value: {plain(argument)}=<value>')
    overrides.pop(field, None)   # The order of the fields is that of their last occurrence.
    overrides[field] = parse(setting, text) if setting else text
  return remaining, overrides
