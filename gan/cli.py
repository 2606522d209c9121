"""The frame of every entry point: an error that the user can correct is a message and an exit code, no traceback."""

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
from gan.portable import PortableError
from gan.run import compilation, settings
from gan.run.checkpoint import CheckpointError
from gan.run.report import MetricsError
from gan.run.workdir import WorkdirError
from gan.scoring.records import RecordsError

USER_ERRORS = (ConfigError, DataError, WorkdirError, CheckpointError, MetricsError, RecordsError,
               WeightsError, NonFiniteSamplesError, PortableError)


def run(main: Callable[..., int], *, positional: bool = False,
        extract: Callable[[list[str]], tuple[list[str], Any]] | None = None) -> None:
  """Parse the flags and run `main(argv) -> exit code`; turn mistakes of the user into messages.

  Args:
    main: the program.
    positional: whether the program accepts arguments that are no flags.
    extract: argv -> (remaining argv, extracted value). It is called before the flags are parsed; `main` receives the
      value as its second argument.
  """
  extracted = []

  def parse(argv: list[str]) -> list[str]:
    try:
      if bad := [argument for argument in argv if _is_undecodable(argument)]:
        raise ConfigError(f'argument {bad[0]!r} has bytes that are not UTF-8; write it without them')
      if extract:
        argv, value = extract(argv)
        extracted.append(value)
      remaining = flags.FLAGS(argv)
    except (flags.Error, ConfigError, UnicodeError, OSError) as error:
      sys.exit(fail(str(error)))
    if len(remaining) > 1 and not positional:
      sys.exit(fail(f'unexpected argument {remaining[1]!r}; every setting is a flag, --name=value'))
    return remaining

  def guarded(argv: list[str]) -> int:
    logging.set_verbosity(logging.WARNING)
    logging.get_absl_logger().addFilter(lambda record: 'orbax' not in record.pathname)  # Orbax raises its errors too.
    settings.fix()
    compilation.keep_programs()
    try:
      code = main(argv, *extracted)
      sys.stdout.flush()
      return code
    except USER_ERRORS as error:
      return fail(str(error))
    except BrokenPipeError:  # The reader of our output, such as `head`, has stopped reading.
      os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
      return 128 + signal.SIGPIPE
    except OSError as error:  # A full disk, or a file in the way: the message names the file.
      return fail(str(error))
    except jax.errors.JaxRuntimeError as error:
      if 'out of memory' not in str(error).lower():
        raise
      return fail(f'out of memory ({str(error).splitlines()[0]}); lower train.batch_size, or the width of the networks')
    except KeyboardInterrupt:  # Ctrl-C before or after training; `Interrupted` handles one during training.
      return 130

  app.run(guarded, flags_parser=parse)


def fail(message: str) -> int:
  """Print an error and return the exit code 2."""
  print(f'Error:{chr(10) if message.startswith("  *") else " "}{message}', file=sys.stderr, flush=True)
  return 2


def _is_undecodable(text: str) -> bool:
  return any('\ud800' <= char <= '\udfff' for char in text)
