"""What the documentation shows runs, as it stands there."""

import importlib
import re
import types
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).parents[1] / 'docs'


def code_of(page):
  """The blocks of Python of a page."""
  return re.findall(r'```python\n(.*?)```', (DOCS / page).read_text(), flags=re.DOTALL)


def test_a_loop_of_ones_own():
  """The longest block trains: its samples come to lie around the circle."""
  _, code = code_of('library.md')
  assert len(code.splitlines()) < 40
  found = {}
  exec(compile(code, 'library.md', 'exec'), found)
  radii = np.linalg.norm(np.asarray(found['samples']), axis=1)
  assert 0.7 < np.median(radii) < 1.3
  assert np.abs(np.asarray(found['samples']).mean(axis=0)).max() < 0.4
  assert found['scalars'].keys() >= {'disc/loss', 'gen/loss', 'penalty/r1', 'disc/real_prob'}


def test_losses_and_penalties_alone():
  """The short block is a loss whose R1 is that of a linear discriminator: |w|^2 at every sample."""
  code, _ = code_of('library.md')
  linear = types.SimpleNamespace(apply=lambda variables, x: x @ variables['params']['w'])
  found = {'disc': linear, 'gamma': 3.0}
  exec(compile(code, 'library.md', 'exec'), found)
  reals, fakes, w = np.float32([[1, 0], [0, 2]]), np.float32([[3, 1], [1, 1]]), np.float32([0.5, -0.25])
  hinge = np.maximum(0, 1 - reals @ w).mean() + np.maximum(0, 1 + fakes @ w).mean()
  assert found['disc_loss']({'w': w}, reals, fakes) == pytest.approx(hinge + 1.5 * w @ w, rel=1e-6)


def test_examples_of_additions_are_the_files_that_are_tested():
  """The very text; `test_extending` runs them."""
  page = (DOCS / 'extending.md').read_text()
  shown = re.findall(r'`(tests/extensions/\w+\.py)`:\n\n```python\n(.*?)```', page, flags=re.DOTALL)
  assert {name: code for name, code in shown} == {
      f'tests/extensions/{path.name}': path.read_text() for path in (DOCS.parent / 'tests/extensions').glob('[!_]*.py')}


def test_tables_that_are_named_exist():
  page = (DOCS / 'extending.md').read_text()
  for module, table in re.findall(r'\| `(gan[\w.]*)\.([A-Z_]+)` \|', page):
    assert getattr(importlib.import_module(module), table)
