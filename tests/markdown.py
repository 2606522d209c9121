"""What a page of Markdown shows: its commands, its links, and the files that it names."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md')])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

_FENCE = re.compile(r'^```(\w*)\n(.*?)^```$', re.DOTALL | re.MULTILINE)
_LINK = re.compile(r'\]\(([^)\s]+)\)|\b(?:src|srcset|href)="([^"]+)"')
_FILE = re.compile(r'`((?:gan|configs|experiments|tests|docs)/[\w./-]*)`')


def code(page: Path, language: str) -> list[str]:
  """Return the fenced blocks of one language, such as `sh` or `python`."""
  return [body for name, body in _FENCE.findall(page.read_text()) if name == language]


def commands(page: Path) -> list[list[str]]:
  """Return the commands of the `sh` blocks as words, without comments; a backslash continues a line."""
  lines = '\n'.join(code(page, 'sh')).replace('\\\n', ' ').splitlines()
  return [words for line in lines for part in line.split(' && ') if (words := shlex.split(part, comments=True))]


def links(page: Path) -> list[str]:
  """Return the targets of links and pictures outside of code."""
  prose = re.sub(r'`[^`\n]*`', '', _FENCE.sub('', page.read_text()))
  return [one or other for one, other in _LINK.findall(prose)]


def files(page: Path) -> list[str]:
  """Return the files and folders of this repository that a page names in backquotes."""
  return _FILE.findall(_FENCE.sub('', page.read_text()))


def anchors(page: Path) -> set[str]:
  """Return the anchors that GitHub gives to the headings of a page."""
  titles = re.findall(r'^#+ (.*)$', _FENCE.sub('', page.read_text()), flags=re.MULTILINE)
  return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles}
