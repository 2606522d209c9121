"""index.html: the pictures that a directory has, in one self-contained page, with what was measured for each."""

import base64
import json
from pathlib import Path
from typing import Any

import jinja2

from experiments.explain.style import Explained
from gan.show.images import save_png, write_atomic

# Title of each section, in order, and a command to try what it shows.
SECTIONS = {
    'losses': ('Two ways to tell a generator that it is wrong',
               'python -m gan.main --config=configs/toy.py:ring,loss=saturating'),
    'gradients': ('A discriminator that is too good starves its opponent',
                  'python -m gan.main --config=configs/toy.py:ring,loss=saturating --config.train.disc_steps=5 '
                  '--config.optimizer.disc.lr=2e-3'),
    'divergences': ('What the best discriminator knows, and what a divergence makes of it',
                    'python -m gan.main --config=configs/toy.py:ring,loss=fgan_reverse_kl'),
    'dirac': ('The smallest GAN: who comes to rest, who goes in circles',
              'python -m gan.main --config=configs/dirac.py:rule=extragradient'),
    'collapse': ('Mode collapse, and a cure',
                 'python -m gan.main --config=configs/toy.py:ring --config.update.gen_steps=2 '
                 '--config.optimizer.gen.b1=0.9 --config.optimizer.disc.b1=0.9 --config.model.disc.pack=2'),
}


def save(out: Path, name: str, explained: Explained) -> None:
  """Writes <name>.png and, for the page, <name>.json with what was measured."""
  save_png(out / f'{name}.png', explained.image)
  write_atomic(out / f'{name}.json', (json.dumps(explained.facts, indent=2) + '\n').encode())


def write_page(out: Path) -> Path:
  """Writes <out>/index.html about whichever pictures are there; needs no other file and no network."""
  sections = [_section(out, name) for name in SECTIONS
              if (out / f'{name}.png').exists() and (out / f'{name}.json').exists()]
  template = jinja2.Environment(
      loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined,
      trim_blocks=True, lstrip_blocks=True).get_template('index.html.j2')
  return write_atomic(out / 'index.html', template.render(sections=sections).encode())


def _section(out: Path, name: str) -> dict[str, Any]:
  title, command = SECTIONS[name]
  encoded = base64.b64encode((out / f'{name}.png').read_bytes()).decode()
  return {'name': name, 'title': title, 'image': f'data:image/png;base64,{encoded}', 'try': command,
          'command': f'python -m experiments.explain --only={name}',
          'facts': json.loads((out / f'{name}.json').read_text())}
