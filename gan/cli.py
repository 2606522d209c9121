"""What the entry points share: an error that a person can mend is a message and an exit code, never a traceback."""

import re
import sys
from collections.abc import Callable

from absl import app, flags, logging

from gan.checkpoint import CheckpointError
from gan.config import ConfigError, base_config, flatten, nearest
from gan.data.source import DataError
from gan.workdir import WorkdirError

USER_ERRORS = (ConfigError, DataError, WorkdirError, CheckpointError)


def run(main: Callable[[list[str]], int], user_errors: tuple[type[Exception], ...] = USER_ERRORS) -> None:
  """Parses flags and runs `main(argv) -> exit code`; turns mistakes in flags and `user_errors` into messages."""
  def guarded(argv: list[str]) -> int:
    logging.set_verbosity(logging.WARNING)
    logging.get_absl_logger().addFilter(lambda record: 'orbax' not in record.pathname)  # Its errors are raised anyway.
    try:
      return main(argv)
    except user_errors as error:
      return fail(str(error))
    except KeyboardInterrupt:  # Before or after training, which has a way of its own to be interrupted.
      return 130

  app.run(guarded, flags_parser=_parse_flags)


def fail(message: str) -> int:
  """Prints an error; returns the exit code."""
  print(f'Error:{chr(10) if message.startswith("  *") else " "}{message}', file=sys.stderr, flush=True)
  return 2


def _parse_flags(argv: list[str]) -> list[str]:
  try:
    rest = flags.FLAGS(argv)
  except (flags.Error, ConfigError, AttributeError, KeyError, TypeError, ValueError, FileNotFoundError) as error:
    sys.exit(fail(_explain(error)))
  if len(rest) > 1:
    sys.exit(fail(f'unexpected argument {rest[1]!r}; every setting is a flag, --name=value'))
  return rest


def _explain(error: Exception) -> str:
  """The message of a mistake in the flags, with the known fields where one is unknown."""
  text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
  unknown = re.search(r'"?--?config\.([\w.]+)|[\'"](?:config\.)?([\w.]+)[\'"]', text)
  if isinstance(error, (AttributeError, KeyError)) and unknown:
    field = unknown.group(1) or unknown.group(2)
    return f'--config.{field}: no such field{nearest(field, flatten(base_config()))}'
  return text
