"""Sweeps: combinators against their definitions, stable ids, and what is refused before anything starts."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments import results
from experiments.comparison.question import question_of
from experiments.plan import Plan
from experiments.sweep import SweepError, chain, fix, load_sweep, make_run, param, product, sample, zip_
from gan.config import ConfigError, flatten
from gan.losses import LOSSES

lists = st.lists(st.integers(), max_size=4)


@given(lists, lists, lists)
def test_product_is_every_combination_in_order(a, b, c):
  found = product(param('x', a), param('y', b), param('z', c))
  assert [(run['x'], run['y'], run['z']) for run in found] == list(itertools.product(a, b, c))


@given(lists)
def test_zip_and_chain(values):
  assert zip_(param('x', values), param('y', reversed(values))) == [
      {'x': x, 'y': y} for x, y in zip(values, reversed(values), strict=True)]
  assert chain(param('x', values), fix({'y': 1})) == [*({'x': x} for x in values), {'y': 1}]


def test_combinations_that_make_no_sense():
  with pytest.raises(SweepError, match='x is set twice, to 1 and to 2'):
    product(fix({'x': 1}), fix({'x': 2}))
  with pytest.raises(SweepError, match='equal length; these have 1, 2'):
    zip_(param('x', [1]), param('y', [1, 2]))
  with pytest.raises(SweepError, match='num=-3 must be at least 1'):
    sample('x', 0.0, 1.0, -3)
  with pytest.raises(SweepError, match='needs low < high, both positive'):
    sample('x', 0.0, 1.0, 3, log=True)


def test_samples_are_the_same_every_time_and_independent():
  one = [run['lr'] for run in sample('lr', 1e-5, 1e-1, 2_000, log=True)]
  assert one == [run['lr'] for run in sample('lr', 1e-5, 1e-1, 2_000, log=True)]
  assert one[:5] == [run['lr'] for run in sample('lr', 1e-5, 1e-1, 5, log=True)]
  assert all(1e-5 <= value <= 1e-1 for value in one)
  assert 0.23 < sum(value < 1e-4 for value in one) / 2_000 < 0.27  # A quarter of the decades.
  other = [run['b1'] for run in sample('b1', 0.0, 1.0, 2_000)]
  assert abs(sum(value > 0.5 for value in other) - 1_000) < 100
  assert one != [run['lr'] for run in sample('lr', 1e-5, 1e-1, 2_000, log=True, seed=1)]


def test_ids_depend_on_what_is_run_alone():
  run = make_run({'loss.name': 'hinge', 'seed': 3}, 'configs/toy.py:ring')
  assert run.id == make_run({'seed': 3, 'loss.name': 'hinge'}, 'configs/toy.py:ring').id
  assert run.id == make_run({'seed': 3, 'loss.name': 'hinge', 'config': 'configs/toy.py:ring'}, 'configs/dirac.py').id
  assert run.id != make_run({'loss.name': 'hinge', 'seed': 4}, 'configs/toy.py:ring').id
  assert run.id != make_run({'loss.name': 'hinge', 'seed': 3}, 'configs/toy.py:grid').id
  assert run.command == 'python -m gan.main --config=configs/toy.py:ring --config.loss.name=hinge --config.seed=3'
  assert run.config.loss.name == 'hinge'


def write(path, body, config='configs/toy.py:ring'):
  path.write_text(f'from experiments.sweep import *\nCONFIG = {config!r}\ndef sweep(size="small"):\n  {body}\n')
  return str(path)


def test_a_sweep_is_loaded_with_its_argument(tmp_path):
  path = write(tmp_path / 's.py', 'return param("seed", range({"small": 2, "full": 5}[size]))')
  assert len(load_sweep(path).runs) == 2
  sweep = load_sweep(f'{path}:full')
  assert sweep.name == 's_full'
  assert [run.config.seed for run in sweep.runs] == list(range(5))
  with pytest.raises(ConfigError, match="knows no 'big'"):
    load_sweep(f'{path}:big')


@pytest.mark.parametrize(('body', 'message'), [
    ('return []', 'returned an empty list'),
    ('return param("loss.nam", ["hinge"])', r'loss.nam: no such field.*did you mean loss.name'),
    ('return param("loss.name", ["hing"])', 'did you mean hinge'),
    ('return param("seed", [1, 2, 1])', 'runs 0 and 2 are the same: seed=1'),
    ('return chain(fix({}), param("penalty.r1", [0.0]))', 'runs 0 and 1 are the same: penalty.r1=0.0'),
    ('return para("seed", [1])', r"s\.py: sweep\(\) failed: NameError: name 'para' is not defined \(line 4\)"),
    ('raise ValueError("no")', r's\.py: sweep\(\) failed: ValueError: no \(line 4\)'),
    ('return (param("seed", [1 // i]) for i in [0])', r'failed: ZeroDivisionError: .* \(line 4\)'),
    ('raise SystemExit(3)', r'failed: SystemExit: 3 \(line 4\)'),
    *((f'return {found}', f'must return a list of settings, .* it returned {found}$')
      for found in ('5', "'abc'", '{.seed.: 1}'.replace('.', "'"), 'None')),
    ('return [None]', r'must return a list of settings, .* it returned \[None\]'),
    ('return [["seed", 1]]', r'must return a list of settings'),
    ('return param("seed", [None])', 'seed=None: it must have a value'),
    ('return param("config", [5])', 'config=5 must name a configuration file'),
    ('return param("config", ["README.md"])', 'config=README.md is not a Python file; name a file that ends in .py'),
    ('return param("config", ["experiments/plan.py"])', r'config=experiments/plan.py has no get_config\(\)'),
    ('return param("train.batch_size", [-1])', 'must be positive'),
    ('return param("train.batch_size", ["many"])', 'run 0, train.batch_size=many'),
    ('return param("config", ["configs/nothing.py"])', 'no such file'),
    ('syntax error', 'cannot be loaded')])
def test_what_cannot_be_run_is_refused_at_once(tmp_path, body, message):
  with pytest.raises(ConfigError, match=message):
    load_sweep(write(tmp_path / 's.py', body))


def test_all_problems_are_told_together(tmp_path):
  path = write(tmp_path / 's.py', 'return [{"loss.nam": 1}, {"loss.name": "hing"}, {"seed": 1}]')
  with pytest.raises(ConfigError, match=r'has 2 problem\(s\)') as error:
    load_sweep(path)
  assert 'did you mean loss.name' in str(error.value)
  assert 'did you mean hinge' in str(error.value)


def test_a_file_that_is_no_sweep(tmp_path):
  with pytest.raises(ConfigError, match='no such file'):
    load_sweep(str(tmp_path / 'nowhere.py'))
  (tmp_path / 'empty.py').write_text('')
  with pytest.raises(ConfigError, match=r'must define CONFIG and sweep\(\)'):
    load_sweep(str(tmp_path / 'empty.py'))
  (tmp_path / 'numbers.py').write_text("CONFIG = 'configs/toy.py:ring'\nsweep = 5")
  (tmp_path / 'no_config.py').write_text('CONFIG = 5\ndef sweep():\n  return [{}]')
  for name in ('numbers', 'no_config'):
    with pytest.raises(ConfigError, match=r'must define CONFIG and sweep\(\)'):
      load_sweep(str(tmp_path / f'{name}.py'))
  (tmp_path / 'exits.py').write_text('import sys\nsys.exit(3)')
  with pytest.raises(ConfigError, match=r'cannot be loaded: SystemExit: 3 \(line 2\)'):
    load_sweep(str(tmp_path / 'exits.py'))
  with pytest.raises(ConfigError, match=r'--sweep=README.md is not a Python file'):
    load_sweep('README.md')


def test_an_argument_that_the_sweep_cannot_read(tmp_path):
  path = write(tmp_path / 's.py', 'return param("seed", range(int(size)))')
  with pytest.raises(ConfigError, match=r"s.py:x: sweep\(\) failed: ValueError: invalid literal .*'x' \(line 4\)"):
    load_sweep(f'{path}:x')
  path = tmp_path / 'none.py'
  path.write_text("CONFIG = 'configs/toy.py:ring'\ndef sweep():\n  return [{}]\n")
  with pytest.raises(ConfigError, match=r'sweep\(\) takes no argument; leave out :x'):
    load_sweep(f'{path}:x')


def test_numbers_of_numpy_are_numbers():
  values = {'seed': np.arange(3)[2], 'loss.margin': np.float32(0.5), 'loss.name': np.str_('hinge'),
            'data.flip': np.bool_(False)}
  plain = {'seed': 2, 'loss.margin': 0.5, 'loss.name': 'hinge', 'data.flip': False}
  run = make_run(values, 'configs/toy.py:ring')
  assert run.overrides == plain
  assert {type(value) for value in run.overrides.values()} == {int, float, str, bool}
  assert run.id == make_run(plain, 'configs/toy.py:ring').id


@pytest.mark.parametrize(('spec', 'count'), [
    ('saturating_vs_nonsaturating.py', 96), ('saturating_vs_nonsaturating.py:full', 512),
    ('pacgan_table1.py', 20), ('pacgan_table1.py:ring', 20), ('pacgan_table1.py:full', 160),
    ('pacgan_table1.py:adam', 20), ('pacgan_table1.py:data_small', 20), ('pacgan_table1.py:decay', 20),
    ('stacked_mnist.py', 12), ('stacked_mnist.py:full', 60),
    ('tune_gamma.py', 224), pytest.param('tune_gamma.py:full', 1536, marks=pytest.mark.slow),
    ('loss_zoo.py', 3 * (4 * len(LOSSES) - 1)), ('lucic.py', 64),
    pytest.param('lucic.py:search_full', 400, marks=pytest.mark.slow)])
def test_sweeps_of_the_house(spec, count):
  path = f'experiments/{spec}'
  sweep = load_sweep(path)
  question = question_of(Plan(path, {run.id: {} for run in sweep.runs}, []))
  assert len({run.id for run in sweep.runs}) == len(sweep.runs) == count
  assert question.text.endswith('?')
  assert question.by
  assert not question.note


def test_lucic_reruns_the_best_setting_of_each_objective_whatever_became_of_the_others(monkeypatch):
  tuned = load_sweep('experiments/lucic.py').module.TUNED
  search = load_sweep('experiments/lucic.py').runs
  rows = [{'loss.name': run.config.loss.name, 'run': run.id, 'status': 'finished',
           'fd_classifier.last': None if i % 3 else float(i)}
          | {field: flatten(run.config)[field] for field in tuned} for i, run in enumerate(search)]
  monkeypatch.setattr(results, 'read_table', lambda workdir: rows)
  rows[5]['status'] = 'running'
  with pytest.raises(ConfigError, match='1 runs of saturating in runs/lucic are not finished'):
    load_sweep('experiments/lucic.py:rerun')
  rows[5]['status'] = 'finished'
  reruns = load_sweep('experiments/lucic.py:rerun').runs
  assert len(reruns) == 4 * 16
  assert {run.config.seed for run in reruns}.isdisjoint({run.config.seed for run in search})
  for loss in ('saturating', 'nonsaturating', 'least_squares', 'hinge'):
    best = next(row for row in rows if row['loss.name'] == loss and row['fd_classifier.last'] is not None)
    for run in reruns:
      if run.config.loss.name == loss:
        assert {field: flatten(run.config)[field] for field in tuned} == {field: best[field] for field in tuned}
