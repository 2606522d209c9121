"""Draw the classic pictures of GANs, and one page that explains them.

  python -m experiments.explain                          # all, to runs/explain/; open index.html there
  python -m experiments.explain --only=losses            # one of losses, gradients, divergences, dirac, collapse
  python -m experiments.explain --only=dirac,collapse --out=somewhere

The page keeps the pictures that the directory already has.
"""

import time
from pathlib import Path

from absl import flags

from experiments.explain import collapse, dirac, divergences, gradients, losses, page
from gan import cli
from gan.config import ConfigError, nearest
from gan.run import workdir

OUT = flags.DEFINE_string('out', 'runs/explain', 'Directory of the pictures and the page.')
ONLY = flags.DEFINE_list('only', [], f'Names of pictures, comma-separated: {", ".join(page.SECTIONS)}; all by default.')
PICTURES = {'losses': losses.draw, 'gradients': gradients.draw, 'divergences': divergences.draw, 'dirac': dirac.draw,
            'collapse': collapse.draw}


def main(argv: list[str]) -> int:
  """Draw the pictures and the page; return the exit code."""
  del argv
  for name in ONLY.value:
    if name not in PICTURES:
      raise ConfigError(f'--only={name}: no such picture{nearest(name, PICTURES)}')
  out, begin = Path(OUT.value), time.perf_counter()
  try:
    workdir.check_writable(out)
  except workdir.WorkdirError:  # Its message names a flag that this program does not have.
    raise ConfigError(f'--out={out} cannot be written; name another directory') from None
  for name in ONLY.value or PICTURES:
    start = time.perf_counter()
    print(f'{out / name}.png ...', end=' ', flush=True)
    page.save(out, name, PICTURES[name]())
    print(f'{time.perf_counter() - start:.1f} s', flush=True)
  path = page.write_page(out)
  print(f'Written: {path}, after {time.perf_counter() - begin:.0f} s. Open this page in a browser.')
  return 0


if __name__ == '__main__':
  cli.run(main)
