"""index.html: the pictures of a directory and the numbers measured for them, in one self-contained page."""

import base64
import json
from pathlib import Path
from typing import Any

import jinja2

from experiments.explain.style import Explained
from gan.show.images import save_png, write_atomic

# Section -> its title, and a command that shows the effect in a training.
SECTIONS = {
    'losses': ('Two forms of the generator loss',
               'python -m gan.main --config=configs/toy.py:ring,loss=saturating'),
    'gradients': ('A discriminator that is too strong',
                  'python -m gan.main --config=configs/toy.py:ring,loss=saturating --config.train.disc_steps=5 '
                  '--config.optimizer.disc.lr=2e-3'),
    'divergences': ('The optimal discriminator and f-divergences',
                    'python -m gan.main --config=configs/toy.py:ring,loss=fgan_reverse_kl'),
    'dirac': ('The smallest GAN: which rules and regularisers converge',
              'python -m gan.main --config=configs/dirac.py:rule=extragradient'),
    'collapse': ('Mode collapse, and a cure',
                 'python -m gan.main --config=configs/toy.py:ring --config.update.gen_steps=2 '
                 '--config.optimizer.gen.b1=0.9 --config.optimizer.disc.b1=0.9 --config.model.disc.pack=2'),
}


def save(out: Path, name: str, explained: Explained) -> None:
  """Write <name>.png and, for the page, <name>.json with the measured numbers."""
  save_png(out / f'{name}.png', explained.image)
  write_atomic(out / f'{name}.json', (json.dumps(explained.facts, indent=2) + '\n').encode())


def write_page(out: Path) -> Path:
  """Write <out>/index.html, a self-contained page of all pictures in this directory."""
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
