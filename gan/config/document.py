"""Write docs/configuration.md from the declared settings: `python -m gan.config.document > docs/configuration.md`."""

import re
from collections.abc import Iterator

from gan.config.complete import declared
from gan.declare import KINDS, Setting

HEAD = """\
# Configuration

`make docs` writes this page from the declarations in the code; changes made by hand are lost.

A file in `configs/` states its choices and changes; all other fields have the defaults of these choices. On the command
line, `--config.<field>=<value>` overrides the file. A field that the choice does not have is refused, and so is a value
out of its range. `python -m gan.main --config=... --dry_run` shows the whole configuration of a run.

Every number may change during training: `--config.schedule.<field>=linear,over=10000`, see `gan/schedules.py`.

A star stands for both players, `gen` and `disc`. A step is one of `train.num_steps`. D is the discriminator.
"""
SECTIONS = {
    'seed': 'Seed', 'data': 'Data', 'model': 'Networks', 'loss': 'Objective', 'penalty': 'Penalties',
    'augment': 'Augmentation', 'optimizer': 'Optimizers', 'game': 'Game', 'update': 'Update rule', 'train': 'Training',
    'eval': 'Scores', 'parallel': 'Devices'}
FIELD = ('field', 'default', 'values', 'meaning')
Row = tuple[str, ...]   # Field, default, values, meaning; before them, for some tables, the choices with the field.


def document() -> str:
  """Write the page."""
  return '\n'.join([HEAD, *(line for group in SECTIONS for line in _section(group))])


def _section(group: str) -> Iterator[str]:
  yield f'## {SECTIONS[group]}\n'
  fields = declared().always
  yield from _table(FIELD, [_row(field, setting) for field, setting in fields.items() if _is_in(group, field)])
  choices: dict[str, dict[Row, list[str]]] = {}
  for part in declared().parts:
    kind = 'a weight that is not 0' if part.value is None else f'`{part.chooser}`'
    for field, setting in part.fields.items():
      if _is_in(group, field):
        choices.setdefault(kind, {}).setdefault(_row(field, setting), []).append(f'`{part.value or part.chooser}`')
  tables = {kind: [(', '.join(users), *row) for row, users in rows.items()] for kind, rows in choices.items()}
  for kind, rows in tables.items():
    if (twin := _other(kind)) in tables and tables[twin] == [tuple(map(_other, row)) for row in rows]:
      if kind < twin:   # Two equal tables become one, with stars.
        continue
      kind, rows = _starred(kind), [tuple(map(_starred, row)) for row in rows]
    yield f'With {kind}:\n'
    yield from _table(('with', *FIELD), rows)


def _is_in(group: str, field: str) -> bool:
  return field.partition('.')[0] == group


def _row(field: str, setting: Setting) -> Row:
  default = repr(setting.default) if setting.default == '' else str(setting.default)
  return f'`{field}`', f'`{default}`', setting.range.words or KINDS[type(setting.default)], setting.meaning


def _other(text: str) -> str:
  """Replace one player by the other in the names of fields."""
  return re.sub(r'\.(gen|disc)\.', lambda match: '.disc.' if match[1] == 'gen' else '.gen.', text)


def _starred(text: str) -> str:
  return re.sub(r'\.(gen|disc)\.', '.*.', text)


def _table(head: Row, rows: list[Row]) -> Iterator[str]:
  """Write a table; two rows that differ only in the player become one, with a star."""
  both = {row for row in rows if tuple(map(_other, row)) in rows and tuple(map(_other, row)) != row}
  yield f'| {" | ".join(head)} |'
  yield f'|{"---|" * len(head)}'
  for row in dict.fromkeys(tuple(map(_starred, row)) if row in both else row for row in rows):
    yield f'| {" | ".join(cell.replace("|", chr(92) + "|") for cell in row)} |'
  yield ''


if __name__ == '__main__':
  print(document(), end='')
