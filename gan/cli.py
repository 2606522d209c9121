"""What the entry points share: an error that a person can mend is a message and an exit code, never a traceback."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import jax
from absl import app, flags, logging

from gan.config import ConfigError
from gan.data.source import DataError
from gan.features.weights import WeightsError
from gan.metrics import NonFiniteSamplesError
from gan.run import compilation, settings
from gan.run.checkpoint import CheckpointError
from gan.run.report import MetricsError
from gan.run.workdir import WorkdirError
from gan.scoring.records import RecordsError

USER_ERRORS = (ConfigError, DataError, WorkdirError, CheckpointError, MetricsError, RecordsError,
               WeightsError, NonFiniteSamplesError)


def run(main: Callable[..., int], *, positional: bool = False,
        take: Callable[[list[str]], tuple[list[str], Any]] | None = None) -> None:
  """Parses flags and runs `main(argv) -> exit code`; turns mistakes of a person into messages.

  Args:
    main: the program.
    positional: whether it takes arguments that are no flags.
    take: argv -> (the rest of it, what it takes out of it): read before the flags, and handed to `main` after argv.
  """
  taken = []

  def parse(argv: list[str]) -> list[str]:
    try:
      if bad := [argument for argument in argv if _is_undecodable(argument)]:
        raise ConfigError(f'argument {bad[0]!r} has bytes that are no UTF-8; write it without them')
      if take:
        argv, found = take(argv)
        taken.append(found)
      rest = flags.FLAGS(argv)
    except (flags.Error, ConfigError, UnicodeError, OSError) as error:
      sys.exit(fail(str(error)))
    if len(rest) > 1 and not positional:
      sys.exit(fail(f'unexpected argument {rest[1]!r}; every setting is a flag, --name=value'))
    return rest

  def guarded(argv: list[str]) -> int:
    logging.set_verbosity(logging.WARNING)
    logging.get_absl_logger().addFilter(lambda record: 'orbax' not in record.pathname)  # Its errors are raised anyway.
    settings.fix()
    compilation.keep_programs()
    try:
      code = main(argv, *taken)
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

  app.run(guarded, flags_parser=parse)


def fail(message: str) -> int:
  """Prints an error; returns the exit code."""
  print(f'Error:{chr(10) if message.startswith("  *") else " "}{message}', file=sys.stderr, flush=True)
  return 2


def _is_undecodable(text: str) -> bool:
  return any('\ud800' <= char <= '\udfff' for char in text)
