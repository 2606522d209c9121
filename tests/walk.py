r"""Walk through README.md as a newcomer would, and show all that happened on one page: `make walk`.

  python -m tests.walk                # in a new temporary folder, which is kept
  python -m tests.walk ~/walk         # in this folder, which must be empty or missing

The last commit is cloned into <folder>/clone, with its own virtual environment, home and cache. The files that README
tells to write are written, and the commands of its `sh` blocks run in order, each in its smallest form; what is left
out is listed with the reason. <folder>/walk.html needs no other file. The exit code is 1 if any command failed.
"""

import base64
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np
from PIL import Image

from tests import markdown
from tests.markdown import ROOT

README = ROOT / 'README.md'
TABLE = 'gan/losses/__init__.py'       # Where README tells to add a line and an import.
MY_IMAGES, NUM_IMAGES = 'my_images', 32
LINES, PAGES, PICTURES = 20, 2, 4      # Shown of each command.
KINDS = {'.png': 'image/png', '.gif': 'image/gif'}
TOOLS = ('make', 'python', 'python3')
LEFT_OUT = {   # What a command contains -> why it does not run; the first that fits.
    r'<\w|\.\.\.': 'has a placeholder',
    r'^make (?!demo\b)': 'tests and other targets have their own time',
    r'^(pip|git) ': 'needs the network or another device',
    r'^(source|cd|export) ': 'is a setting of the shell, which the walk has',
    r'--multihost|--executor=ray|gs://': 'needs other machines',
    r'gan\.data\.prepare|mnist|cifar|celeb|tfds': 'needs a data set that is not embedded',
}
NOT_HANDED_ON = re.compile(   # Variables of our checkout and home.
    r'PYTHON(PATH|HOME)|VIRTUAL_ENV|MAKE\w*|MFLAGS|VENV|DEMO|WALK|XDG_\w+|GAN_\w+|JAX_COMPILATION_\w+')
_CONFIG = re.compile(r'(configs/\w+\.py)(?::([\w=,.]+))?')
_ENTRY = re.compile(r"`('(\w+)': LossPair\(.*?\),)`")
_FILE = re.compile(r'`([\w/]+\.py)`:\s*$')
_COLOR = re.compile(r'\x1b\[[0-9;]*m')


class Step(NamedTuple):
  """What README tells to do: a command, or a file to write."""

  shown: str                      # As README has it.
  words: tuple[str, ...] = ()     # What runs; () if nothing does.
  left_out: str = ''              # Why it does not run, '' if it does.
  file: str = ''                  # File to write, instead of a command.
  text: str = ''                  # Its contents, or the entry of the table.

  @property
  def title(self) -> str:
    """What is done, in README's words."""
    return f'{"add to" if self.file == TABLE else "write"} {self.file}' if self.file else self.shown


class Result(NamedTuple):
  """What a step did."""

  step: Step
  code: int = 0
  seconds: float = 0.0
  output: str = ''
  made: tuple[Path, ...] = ()     # Pictures and pages that are new or changed.


def steps(page: Path = README) -> list[Step]:
  """Return what a page tells to do, in its order, and then the commands of its running text, which are left out."""
  found = []
  for language, before, body in markdown.parts(page):
    found += [Step(entry, file=TABLE, text=entry) for entry, _ in _ENTRY.findall(before)]
    if language == 'python' and (named := _FILE.search(before)):
      found.append(Step(named[1], file=named[1], text=smallest(body)))
    if language == 'sh':
      found += [command(words) for words in markdown.words_of(body)]
  return found + [Step(line, left_out=reason(line) or 'stands in the running text')
                  for line in dict.fromkeys(markdown.inline_commands(page))]


def command(words: list[str]) -> Step:
  """Return the step of one command: its smallest form, or why it is left out."""
  shown = shlex.join(words)
  if why := reason(shown):
    return Step(shown, left_out=why)
  module = words[2] if words[1:2] == ['-m'] else ''
  if words[:2] == ['make', 'demo']:
    words = [*words, 'DEMO=configs/dcgan.py:runlocal']
  elif module == 'gan.main' and '--dry_run' not in words:
    words = [smallest(word) for word in words if not word.startswith('--config.train.num_steps=')]
  elif module == 'gan.evaluate' and '--num_samples' not in shown:
    words = [*words, '--num_samples=1000']
  elif module == 'experiments.run' and '=experiments/' in shown and '--dry_run' not in words:
    words = [*words, '--dry_run']   # Sweeps of this repository take minutes or hours; written ones are small.
  return Step(shown, tuple(words))


def reason(shown: str) -> str:
  """Return why a command is left out, '' if it is not."""
  for pattern, why in LEFT_OUT.items():
    if re.search(pattern, shown):
      return why
  return '' if shown.split()[0] in TOOLS else 'is no command of this project'


def smallest(text: str) -> str:
  """Return a text with the `runlocal` form of each configuration file in it: twenty steps of small networks."""
  def add(match):
    argument = match[2].split(',') if match[2] else []
    return f'{match[1]}:{",".join([*argument, *["runlocal"][:"runlocal" not in argument]])}'
  return _CONFIG.sub(add, text)


def with_entry(table: str, entry: str) -> str:
  """Return the code of the table of losses with an entry, and the import of its module.

  Raises:
    ValueError: if the code has no such table or import.
  """
  name = entry.split("'")[1]
  table, imports = re.subn(r'^(from gan\.losses import .*)$', rf'\1, {name}', table, flags=re.MULTILINE)
  table, tables = re.subn(r'^LOSSES = \{$', rf'LOSSES = {{\n    {entry}', table, flags=re.MULTILINE)
  if (imports, tables) != (1, 1):
    raise ValueError(f'{TABLE} has {imports} lines `from gan.losses import` and {tables} tables LOSSES; expected one '
                     'each: change with_entry in tests/walk.py together with the table')
  return table


def take(step: Step, clone: Path, variables: dict[str, str], log: Path) -> Result:
  """Take one step in the clone; its output goes to the log."""
  before, start = pictures_and_pages(clone), time.monotonic()
  if step.file:
    path = clone / step.file
    path.write_text(with_entry(path.read_text(), step.text) if step.file == TABLE else step.text)
    return Result(step, output=step.text)
  with log.open('wb') as out:
    try:
      code = subprocess.run(step.words, cwd=clone, env=variables, stdin=subprocess.DEVNULL, stdout=out,
                            stderr=subprocess.STDOUT, check=False).returncode
    except OSError as error:   # There is no such program.
      out.write(str(error).encode())
      code = 127
  seconds = time.monotonic() - start
  made = [path for path, stamp in pictures_and_pages(clone).items() if before.get(path) != stamp]
  return Result(step, code, seconds, tail(log.read_bytes().decode(errors='replace')), tuple(made))


def pictures_and_pages(clone: Path) -> dict[Path, tuple[int, int]]:
  """Return the pictures and pages of a folder with their time and size, the least deep ones first."""
  found = []
  for folder, inner, files in os.walk(clone):
    inner[:] = sorted(name for name in inner if name not in ('.venv', '.git', 'docs', MY_IMAGES))
    found += [Path(folder) / name for name in files if Path(name).suffix in (*KINDS, '.html')]
  found.sort(key=lambda path: (len(path.parts), path))
  return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in found}


def tail(output: str) -> str:
  """Return the last lines, without colours and without what a progress bar wrote over."""
  plain = _COLOR.sub('', output).replace('\r\n', '\n').rstrip()
  lines = [line.rsplit('\r', 1)[-1] for line in plain.split('\n')]
  return '\n'.join(lines[-LINES:])


def shown_of(made: tuple[Path, ...]) -> tuple[list[Path], list[Path]]:
  """Return the pages and pictures to show: those least deep; of each folder without a page the last picture."""
  pages = [path for path in made if path.suffix == '.html'][:PAGES]
  homes = {page.parent for page in pages}   # A page holds the pictures of its folder.
  last = {path.parent: path for path in made if path.suffix in KINDS and not homes.intersection(path.parents)}
  return pages, list(last.values())[:PICTURES]


def sheet(results: list[Result], left_out: list[Step], clone: Path, facts: dict[str, str]) -> str:
  """Return the page: every command with its time, exit code, output, pictures and pages; no other file is needed."""
  template = jinja2.Environment(
      loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined,
      trim_blocks=True, lstrip_blocks=True).get_template('walk.html.j2')
  entries = []
  for result in results:
    pages, pictures = shown_of(result.made)
    entries.append({
        'step': result.step, 'title': result.step.title, 'ran': shlex.join(result.step.words),
        'code': result.code, 'output': result.output,
        'time': duration(result.seconds), 'others': len(result.made) - len(pages) - len(pictures),
        'pages': [(path.relative_to(clone), path.read_text()) for path in pages],
        'pictures': [(path.relative_to(clone), f'data:{KINDS[path.suffix]};base64,'
                      + base64.b64encode(path.read_bytes()).decode()) for path in pictures]})
  return template.render(entries=entries, left_out=left_out, facts=facts, failed=sum(bool(r.code) for r in results),
                         time=duration(sum(result.seconds for result in results)))


def duration(seconds: float) -> str:
  """Return a time for people."""
  return f'{seconds:.1f} s' if seconds < 100 else f'{seconds / 60:.1f} min'


def environment(folder: Path) -> dict[str, str]:
  """Return the variables of a newcomer: own home and cache, the environment of the clone active, nothing of ours."""
  clean = {name: value for name, value in os.environ.items() if not NOT_HANDED_ON.fullmatch(name)}
  venv = folder / 'clone' / '.venv'
  return {'PYTHON': sys.executable} | clean | {
      'HOME': str(folder / 'home'), 'GAN_CACHE_DIR': str(folder / 'cache'), 'VIRTUAL_ENV': str(venv),
      'PATH': f'{venv / "bin"}{os.pathsep}{os.environ["PATH"]}'}


def draw_images(folder: Path) -> None:
  """Write the reader's own images: discs of random colours, of several sizes."""
  folder.mkdir()
  rng = np.random.default_rng(0)
  for index in range(NUM_IMAGES):
    size = int(rng.integers(64, 100))
    y, x = np.mgrid[:size, :size] - size * rng.uniform(0.3, 0.7, size=(2, 1, 1))
    disc = (np.hypot(x, y) < size * rng.uniform(0.15, 0.3))[..., None]
    Image.fromarray(np.where(disc, rng.integers(128, 256, 3), rng.integers(0, 128, 3)).astype('uint8')).save(
        folder / f'{index}.png')


def main(arguments: list[str]) -> int:
  """Walk, and write the page after every step; return 1 if a command failed."""
  folder = Path(arguments[0] if arguments else tempfile.mkdtemp(prefix='gan-walk-')).expanduser().resolve()
  if folder.exists() and any(folder.iterdir()):
    print(f'{folder} is not empty; name another folder, WALK=<folder>, or none for a temporary one', file=sys.stderr)
    return 1
  clone, logs, page = folder / 'clone', folder / 'output', folder / 'walk.html'
  for inner in (folder / 'home', logs):
    inner.mkdir(parents=True)
  subprocess.run(['git', 'clone', '--quiet', ROOT, clone], check=True)
  draw_images(clone / MY_IMAGES)
  commit = subprocess.run(['git', 'log', '-1', '--format=%h %s'], cwd=clone, capture_output=True, text=True, check=True)
  facts = {'commit': commit.stdout.strip(), 'Python': platform.python_version(), 'cores': str(os.cpu_count()),
           'started': time.strftime('%Y-%m-%d %H:%M'), 'folder': str(folder)}
  every = steps(clone / 'README.md')
  todo, left_out = ([step for step in every if bool(step.left_out) == out] for out in (False, True))
  results = []
  for number, step in enumerate(todo, 1):
    print(f'[{number}/{len(todo)}] {shlex.join(step.words) or step.title}', flush=True)
    results.append(take(step, clone, environment(folder), logs / f'{number:02}.txt'))
    print(f'    {duration(results[-1].seconds)}, exit code {results[-1].code}', flush=True)
    page.write_text(sheet(results, left_out, clone, facts))
  print(f'Look at {page}')
  return int(any(result.code for result in results))


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
