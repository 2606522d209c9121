"""What the entry points share: an error that a person can mend is a message and an exit code, never a traceback."""

import functools
import os
import signal
import sys
from collections.abc import Callable

import jax
from absl import app, flags, logging

from gan import compilation, settings
from gan.checkpoint import CheckpointError
from gan.config import ConfigError, base_config, flatten, nearest
from gan.data.source import DataError
from gan.features.weights import WeightsError
from gan.metrics import NonFiniteSamplesError
from gan.report import MetricsError
from gan.scoring.records import RecordsError
from gan.workdir import WorkdirError

USER_ERRORS = (ConfigError, DataError, WorkdirError, CheckpointError, MetricsError, RecordsError,
               WeightsError, NonFiniteSamplesError)


def run(main: Callable[[list[str]], int], *, positional: bool = False) -> None:
  """Parses flags and runs `main(argv) -> exit code`; turns mistakes of a person into messages.

  Args:
    main: the program.
    positional: whether it takes arguments that are no flags.
  """
  def guarded(argv: list[str]) -> int:
    logging.set_verbosity(logging.WARNING)
    logging.get_absl_logger().addFilter(lambda record: 'orbax' not in record.pathname)  # Its errors are raised anyway.
    settings.fix()
    compilation.keep_programs()
    try:
      code = main(argv)
      sys.stdout.flush()
      return code
    except USER_ERRORS as error:
      return fail(str(error))
    except BrokenPipeError:  # Whoever reads, such as `head`, has seen enough.
      os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
      return 128 + signal.SIGPIPE
    except OSError as error:  # A full disk, a file in the way: the message has its name.
      return fail(str(error))
    except jax.errors.JaxRuntimeError as error:
      if 'out of memory' not in str(error).lower():
        raise
      return fail(f'out of memory ({str(error).splitlines()[0]}); lower train.batch_size, or the width of the networks')
    except KeyboardInterrupt:  # Before or after training, which has a way of its own to be interrupted.
      return 130

  app.run(guarded, flags_parser=functools.partial(_parse_flags, positional=positional))


def fail(message: str) -> int:
  """Prints an error; returns the exit code."""
  print(f'Error:{chr(10) if message.startswith("  *") else " "}{message}', file=sys.stderr, flush=True)
  return 2


def _parse_flags(argv: list[str], positional: bool) -> list[str]:
  try:
    rest = flags.FLAGS(argv)
  except (flags.Error, ConfigError, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
    sys.exit(fail(_explain(error, argv)))
  except (SyntaxError, ImportError) as error:  # Of a configuration file.
    sys.exit(fail(f'the configuration file cannot be loaded: {error}'))
  if len(rest) > 1 and not positional:
    sys.exit(fail(f'unexpected argument {rest[1]!r}; every setting is a flag, --name=value'))
  return rest


def _explain(error: Exception, argv: list[str]) -> str:
  """The message of a mistake in the flags, with the known fields where one is unknown."""
  known = flatten(base_config())
  for argument in argv:
    field = argument.partition('=')[0].removeprefix('--').removeprefix('config.')
    if argument.startswith('--config.') and field not in known:
      return f'--config.{field}: no such field{nearest(field, known)}'
  return str(error.args[0] if isinstance(error, KeyError) and error.args else error)
