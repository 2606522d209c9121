r"""Train one run.

python -m gan.main --config=configs/dcgan.py
python -m gan.main --config=configs/dcgan.py:cifar10,loss=hinge --dry_run
"""

import sys
from pathlib import Path
from typing import Any

import jax
from absl import flags

from gan import cli
from gan.config import command, flatten
from gan.config.files import load_config
from gan.config.validate import validate
from gan.run import dry_run, environment, train, workdir

CONFIG = flags.DEFINE_string('config', None, 'Configuration file, file.py[:argument]; --config.<field>=<value> changes '
                             'one of its fields (docs/configuration.md).')
WORKDIR = flags.DEFINE_string('workdir', None, 'Directory of the run; named after the configuration by default.')
DRY_RUN = flags.DEFINE_bool('dry_run', False, 'Show the configuration, shapes and parameter counts, and exit.')
DETERMINISTIC = flags.DEFINE_bool('deterministic', False, 'Use bit-reproducible operations on a GPU; they are slower.')
MULTIHOST = flags.DEFINE_bool('multihost', False, 'Join the processes of a cluster (TPU pod, Slurm, Open MPI).')


def main(argv: list[str], overrides: dict[str, Any]) -> int:
  """Train the run that the flags name, with these fields overridden; return the exit code."""
  del argv
  if CONFIG.value is None:
    return cli.fail('--config is missing; try --config=configs/dcgan.py')
  stated = load_config(CONFIG.value)
  if DETERMINISTIC.value:
    environment.ask_for_determinism()
  if MULTIHOST.value:
    try:
      jax.distributed.initialize()
    except (ValueError, RuntimeError) as error:
      return cli.fail(f'--multihost found no cluster to join ({error}); leave it out on a single machine')
  config = validate(stated, jax.device_count(), overrides)
  if DRY_RUN.value:
    print(dry_run.describe(config))
    return 0
  config_file, _, arg = CONFIG.value.partition(':')
  overrides = {field: value for field, value in flatten(config).items() if field in overrides}
  run_dir = Path(WORKDIR.value) if WORKDIR.value else workdir.default_workdir(config_file, arg, overrides)
  try:
    return train.run(config, run_dir, ['-m', 'gan.main', *sys.argv[1:]])
  except (train.NonFiniteError, train.FailedError) as error:
    cli.fail(str(error))
    return 1


if __name__ == '__main__':
  cli.run(main, extract=command.extract)
