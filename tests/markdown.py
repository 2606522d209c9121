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
  return [words for block in code(page, 'sh') for words in words_of(block)]


def words_of(block: str) -> list[list[str]]:
  """Return the commands of one `sh` block as words."""
  lines = block.replace('\\\n', ' ').splitlines()
  return [words for line in lines for part in line.split(' && ') if (words := shlex.split(part, comments=True))]


def inline_commands(page: Path) -> list[str]:
  """Return the commands of Python, pip and make that the running text shows in backquotes."""
  return re.findall(r'`((?:python|pip|make) [^`\n]+)`', _FENCE.sub('', page.read_text()))


def parts(page: Path) -> list[tuple[str, str, str]]:
  """Return all fenced blocks in their order: (language, the text between it and the block before, body)."""
  parts, end = [], 0
  for fence in _FENCE.finditer(text := page.read_text()):
    parts.append((fence[1], text[end:fence.start()], fence[2]))
    end = fence.end()
  return parts


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
