"""What the documentation shows runs, as it stands there."""

import importlib
import re
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from gan.losses import LOSSES
from gan.losses.pair import LossPair
from tests import markdown
from tests.markdown import ROOT

DOCS = ROOT / 'docs'
TO_BE_WRITTEN = ('gan/losses/mine.py',)   # By the reader of README.


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


def test_a_step_of_training():
  """The step of README, with G(z) = g z and D(x) = d x, is gradient descent with the closed-form gradients."""
  step, *_ = markdown.code(ROOT / 'README.md', 'python')

  def descend(loss, params, rate, *others):
    return params - rate * jax.grad(loss)(params, *others), rate
  shown = {'jax': jax, 'loss': LOSSES['nonsaturating'], 'gen': lambda g, z: g * z, 'disc': lambda d, x: d * x,
           'descend': descend}
  exec(step, shown)
  x, z, g, d = np.float32([0.5, 2.0]), np.float32([1.5, -1.0]), 0.7, -0.3
  new_g, new_d, *_ = shown['step'](jnp.float32(g), jnp.float32(d), 0.1, 0.2, x, z)
  d -= 0.2 * np.mean(-x * expit(-d * x) + g * z * expit(d * g * z))
  g -= 0.1 * np.mean(-d * z * expit(-d * g * z))
  np.testing.assert_allclose((new_g, new_d), (g, d), rtol=1e-5)


def test_a_loss_of_ones_own():
  """The loss of README is the squared hinge, and fits the table."""
  _, code, _ = markdown.code(ROOT / 'README.md', 'python')
  shown = {}
  exec(code, shown)
  pair = LossPair(shown['disc'], shown['gen'])
  real, fake = np.float32([2.0, 0.5]), np.float32([-3.0, 0.25])
  assert pair.disc(real, fake)[0] == pytest.approx(0.5 * 0.5**2 + 0.5 * 1.25**2)
  assert pair.gen(real, fake)[0] == pytest.approx(1.375)


def test_tables_that_are_named_exist():
  page = (DOCS / 'extending.md').read_text()
  for module, table in re.findall(r'\| `(gan[\w.]*)\.([A-Z_]+)` \|', page):
    assert getattr(importlib.import_module(module), table)


@pytest.mark.parametrize('name', markdown.NAMES)
def test_links_and_pictures_resolve(name):
  """Links within the repository; pages of others are not ours to check."""
  page = ROOT / name
  for link in markdown.links(page):
    path, _, anchor = link.partition('#')
    if path.startswith(('http://', 'https://', 'mailto:')):
      continue
    target = (page.parent / path).resolve() if path else page
    assert target.exists(), f'{name} links to {link}, which does not exist'
    assert not anchor or anchor in markdown.anchors(target), f'{name} links to {link}: there is no such heading'


@pytest.mark.parametrize('name', markdown.NAMES)
def test_files_that_are_named_exist(name):
  missing = [file for file in markdown.files(ROOT / name) if not (ROOT / file).exists() and file not in TO_BE_WRITTEN]
  assert not missing, f'{name} names {missing}'


def test_readme_is_short():
  assert len((ROOT / 'README.md').read_text().splitlines()) <= 170


def test_every_page_is_on_the_map():
  """README or a page that it links to leads to every page of docs."""
  maps = [ROOT / 'README.md', ROOT / 'docs' / 'results' / 'README.md']
  linked = {(page.parent / link.partition('#')[0]).resolve() for page in maps for link in markdown.links(page)}
  assert {page for page in markdown.PAGES if page.parent != ROOT} <= linked | {maps[1]}
