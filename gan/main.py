r"""Trains one run.

python -m gan.main --config=configs/dcgan.py
python -m gan.main --config=configs/dcgan.py:cifar10,loss=hinge --dry_run
"""

import sys
from pathlib import Path

import jax
from absl import flags
from ml_collections import config_flags

from gan import cli, dry_run, environment, train, workdir

CONFIG = config_flags.DEFINE_config_file('config', None, 'Configuration file, file.py[:argument].', lock_config=True)
WORKDIR = flags.DEFINE_string('workdir', None, 'Directory of the run; named after the configuration by default.')
DRY_RUN = flags.DEFINE_bool('dry_run', False, 'Show configuration, parameter counts and shapes, and exit.')
DETERMINISTIC = flags.DEFINE_bool('deterministic', False, 'Bit-reproducible operations on a GPU, at some cost.')
MULTIHOST = flags.DEFINE_bool('multihost', False, 'Join the processes of a cluster (TPU pod, Slurm, Open MPI).')


def main(argv: list[str]) -> int:
  """Runs what the flags say; returns the exit code."""
  del argv  # What is left of it after the flags.
  if CONFIG.value is None:
    return cli.fail('--config is missing; try --config=configs/dcgan.py')
  config_file, _, arg = flags.FLAGS['config'].config_filename.partition(':')
  if not Path(config_file).is_file():
    known = ', '.join(sorted(map(str, Path('configs').glob('*.py'))))
    return cli.fail(f'--config={config_file}: no such file' + (f'; known: {known}' if known else ''))
  if DETERMINISTIC.value:
    environment.ask_for_determinism()
  if MULTIHOST.value:
    try:
      jax.distributed.initialize()
    except (ValueError, RuntimeError) as error:
      return cli.fail(f'--multihost found no cluster to join ({error}); leave it out on a single machine')
  if DRY_RUN.value:
    print(dry_run.describe(CONFIG.value))
    return 0
  overrides = config_flags.get_override_values(flags.FLAGS['config'])
  run_dir = Path(WORKDIR.value) if WORKDIR.value else workdir.default_workdir(config_file, arg, overrides)
  try:
    return train.run(CONFIG.value, run_dir, ['-m', 'gan.main', *sys.argv[1:]])
  except (train.NonFiniteError, train.FailedError) as error:
    cli.fail(str(error))
    return 1


if __name__ == '__main__':
  cli.run(main)
