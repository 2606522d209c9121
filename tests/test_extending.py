"""Additions from outside, a file and a table line each: they train, resume, join populations and appear on pages."""

import ast
import functools
import itertools
from pathlib import Path

import jax
import numpy as np
import pytest

from gan import build
from gan.config import ConfigError, base_config, flatten
from gan.config.validate import validate
from gan.parallel import make_parallel
from gan.population import run as population
from gan.population.members import extract
from gan.run import report, train
from gan.run.checkpoint import Checkpoints
from gan.run.report import read_metrics
from tests.extensions import architecture, clouds, game, objective, term

ADDITIONS = {'architecture': architecture, 'term': term, 'objective': objective, 'game': game}
STEPS, HALF = 6, 3
SMALL = {'data.name': 'ring', 'model.z_dim': 2, 'train.batch_size': 8, 'train.num_steps': STEPS, 'train.log_every': 1,
         'train.save_every': HALF, 'train.eval_every': HALF, 'train.sample_every': HALF, 'train.steps_per_call': 3,
         'eval.num_samples': 64} | {f'model.{player}.{name}': value for player in ('gen', 'disc')
                                    for name, value in (('name', 'mlp'), ('width', 8), ('layers', 1))} | {
                                        f'optimizer.{player}.{name}': value for player in ('gen', 'disc')
                                        for name, value in (('name', 'sgd'), ('lr', 0.05), ('b1', 0.0))}


@pytest.fixture(params=ADDITIONS)
def added(request, monkeypatch):
  """One of the additions, in its tables."""
  addition = ADDITIONS[request.param]
  for table, name, entry in addition.LINES:
    monkeypatch.setitem(table, name, entry)
  return addition


def config_of(addition, **more):
  stated = SMALL | addition.OVERRIDES
  if addition is game:
    del stated['model.z_dim']   # It has no latents.
  stated |= more
  if addition is architecture:
    stated = {field: value for field, value in stated.items() if not field.endswith(('width', 'layers'))}
  return validate(base_config(), overrides={field: value for field, value in stated.items() if value is not None})


def code_lines(module):
  """Lines of code, without imports, documentation and empty ones."""
  source = Path(module.__file__).read_text()
  tree = ast.parse(source)
  left_out = set()
  for node in ast.walk(tree):
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    if is_text or isinstance(node, ast.Import | ast.ImportFrom):
      left_out |= set(range(node.lineno, node.end_lineno + 1))
  return sum(bool(line.strip()) for number, line in enumerate(source.splitlines(), start=1) if number not in left_out)


@pytest.mark.parametrize('module', [*ADDITIONS.values(), clouds])
def test_an_addition_is_short(module):
  assert code_lines(module) < 40


def saved(run_dir, config):
  """What a run has saved at its end, on the host."""
  built = build.build(config, build.open_data(config).columns, jax.devices()[:1])
  return arrays(Checkpoints(run_dir, read_only=True).restore(STEPS, build.make_initial_state(built, config.seed)))


def arrays(state):
  return jax.tree.map(np.asarray, jax.device_get((state.gen, state.disc, state.ema)))


class Killed(BaseException):
  """Nobody catches it."""


def test_it_trains_resumes_bit_for_bit_after_a_kill_and_is_on_a_page(added, tmp_path, monkeypatch):
  config = config_of(added)
  assert train.run(config, tmp_path / 'straight', []) == 0
  scalars = report.Report.scalars

  def die(self, step, *args):
    if step > HALF + 1:
      raise Killed
    return scalars(self, step, *args)

  with monkeypatch.context() as patched:
    patched.setattr(report.Report, 'scalars', die)
    with pytest.raises(Killed):
      train.run(config, tmp_path / 'killed', [])
  assert train.run(config, tmp_path / 'killed', []) == 0
  straight, killed = (saved(tmp_path / name, config) for name in ('straight', 'killed'))
  jax.tree.map(np.testing.assert_array_equal, straight, killed)
  first = arrays(build.make_initial_state(build.build(config, build.open_data(config).columns, jax.devices()[:1]), 0))
  for before, after in zip(first[:2], straight[:2], strict=True):   # Every network has moved.
    assert all(np.abs(a - b).max() > 1e-6 for a, b in zip(jax.tree.leaves(before.params), jax.tree.leaves(after.params),
                                                          strict=True) if a.ndim > 1)
  page = (tmp_path / 'straight' / 'report.html').read_text()
  assert added.SHOWN in page
  assert 'data:image/png' in page
  rows = read_metrics(tmp_path / 'straight' / report.FILE)
  assert all(np.isfinite(value) for row in rows for value in row.values() if isinstance(value, float))


def test_members_of_a_population_are_as_alone(added, tmp_path):
  """Weights and settings differ between them, and each is what it is by itself."""
  members = [config_of(added, seed=seed, **changed) for seed, changed in enumerate(added.MEMBERS)]
  ids = [f'member{i}' for i in range(len(members))]
  assert population.run(ids, members, str(tmp_path / 'all'), [], say=lambda text: None) == 0
  for name, config in zip(ids, members, strict=True):
    assert train.run(config, tmp_path / name, []) == 0
    assert extract(str(tmp_path / 'all'), name, tmp_path / f'{name}_again') == STEPS
    alone, member = (read_metrics(tmp_path / run / report.FILE)[-1] for run in (name, f'{name}_again'))
    shared = [key for key in alone if key in member and key.startswith(('gen/', 'disc/', 'penalty/'))]
    assert {'gen/loss', 'disc/loss'} <= set(shared)
    np.testing.assert_allclose([alone[key] for key in shared], [member[key] for key in shared], rtol=1e-3, atol=1e-4)
  finals = [saved(tmp_path / f'{name}_again', config)[0].params for name, config in zip(ids, members, strict=True)]
  for one, other in itertools.pairwise(finals):
    assert any(np.abs(a - b).max() > 1e-5 for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def trained(config, strategy, num_devices):
  """The players after some steps, on the host."""
  data, parallel = build.open_data(config), make_parallel(strategy, jax.devices()[:num_devices])
  built = build.build(config, data.columns, parallel=parallel)
  state = build.make_initial_state(built, config.seed)
  batches = build.make_pipeline(config, data, parallel, state.rng)
  loop = build.make_loop(config, built, batches)
  return arrays(loop(state, batches.feed(0, STEPS), parallel.place(built.hparams), np.int32(STEPS))[0])


def test_two_devices_equal_one(added):
  config = config_of(added)
  expected = trained(config, 'jit', 1)
  for strategy in ('jit', 'pmap'):
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5),
                 trained(config, strategy, 2), expected)


def test_penalties_that_a_game_has_not_are_refused(monkeypatch):
  for table, name, entry in game.LINES:
    monkeypatch.setitem(table, name, entry)
  config = config_of(game, **{'penalty.r1': 1.0})
  with pytest.raises(ConfigError, match=r'z_dim=2 is no setting of game\.name=translation, which has game\.cycle'):
    config_of(game, **{'model.z_dim': 2})
  with pytest.raises(ConfigError, match=r'penalty\.r1=1 is not read by game\.name=translation; leave it out'):
    build.build(config, build.open_data(config).columns, jax.devices()[:1])


def test_the_configuration_says_what_was_added(added):
  assert flatten(config_of(added)).items() >= {
      field: value for field, value in added.OVERRIDES.items() if not field.endswith('name')}.items()
