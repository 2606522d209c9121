"""One of two processes that train a run together: python -m tests.two_hosts PORT INDEX WORKDIR RESIDENT_BYTES."""

import sys
from pathlib import Path

import jax

from configs import dcgan
from gan.config.complete import complete
from gan.run import compilation, train

SGD = {f'optimizer.{player}.{field}': value for player in ('gen', 'disc')
       for field, value in (('name', 'sgd'), ('lr', 0.01), ('b1', 0.0))}  # Adam's first step magnifies rounding.

if __name__ == '__main__':
  port, index, workdir, resident_bytes = sys.argv[1:]
  jax.distributed.initialize(f'127.0.0.1:{port}', 2, int(index))
  compilation.keep_programs()
  config = complete(dcgan.get_config('runlocal'), SGD | {'data.resident_bytes': int(resident_bytes)})
  sys.exit(train.run(config, Path(workdir), ['test']))
