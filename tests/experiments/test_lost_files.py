"""A sweep that loses a file gives the same table, or says what is missing and keeps the table that is there."""

import json
import shutil
from pathlib import Path

import pytest

from experiments import results
from experiments.executors import population_dir
from experiments.plan import load_plan
from experiments.sweep import SweepError
from gan.cli import USER_ERRORS
from gan.population.store import ENVIRONMENT, MEMBERS, SAMPLES, Store
from tests import runs
from tests.experiments.synthetic_sweeps import Life, make

TEXT = '''CONFIG = 'configs/toy.py:ring'
def sweep():
  return product(param('train.disc_steps', [1, 2]), param('seed', range(3)))
'''
LIVES = {0: Life({'modes': (1, 2, 3, 4)}), 1: Life({'modes': (1, 2, 2, 2)}, 'diverged', 0.5),
         2: Life({'modes': (5, 5, 6, 7)}, 'collapsed', 0.5)}


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """A finished sweep of two populations, each with four parts and the last two of their checkpoints; and its table."""
  workdir = make(tmp_path_factory.mktemp('whole'), TEXT, lambda run: LIVES[run.config.seed])
  results.write_table(load_plan(workdir), workdir)
  assert {row['status'] for row in results.read_table(workdir)} == {'finished', 'diverged', 'stopped'}
  return workdir


@pytest.fixture
def copy(whole, tmp_path):
  return shutil.copytree(whole, tmp_path / 'sweep')


def tabulate(workdir):
  """What experiments.compare does first."""
  if plan := load_plan(str(workdir)):
    results.write_table(plan, str(workdir))
  return results.read_table(str(workdir))


def kept_or_same(workdir, table):
  """The error; None if there was none, and the table is the same."""
  before = {path: path.read_bytes() for path in workdir.glob('results.*')}
  try:
    found = tabulate(workdir)
  except USER_ERRORS as caught:
    error = caught
  else:
    assert found == table
    return None
  assert {path: path.read_bytes() for path in workdir.glob('results.*')} == before
  return error


def deleted(path):
  path.unlink()


def emptied(path):
  path.write_bytes(b'')


def halved(path):
  path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])


def without_its_last_line(path):
  path.write_bytes(b''.join(path.read_bytes().splitlines(keepends=True)[:-1]))


def garbled(path):
  path.write_bytes(b'\xff' + path.read_bytes()[1:])


def replaced_by_another_value(path):
  path.write_text('[5]')


DAMAGES = [deleted, emptied, halved, without_its_last_line, garbled, replaced_by_another_value]
NEEDED = {MEMBERS, ENVIRONMENT}   # And all parts of the metrics: without them there is no table.


@pytest.mark.parametrize('damage', DAMAGES)
def test_any_file_that_is_lost_or_damaged(whole, copy, damage):
  table = tabulate(copy)
  files = sorted(path for path in copy.rglob('*') if path.is_file())
  assert len(files) == 2 * (4 + 1 + 3) + 3  # Of two populations; the plan, and the table in two forms.
  for path in files:
    content = path.read_bytes()
    damage(path)
    error = kept_or_same(copy, table)
    if path.name in NEEDED or path.parent.name == 'metrics':
      assert error, path
      assert str(path) in str(error)
      assert 'train its runs again' in str(error) or 'start the sweep again' in str(error)
    elif path.name not in ('plan.json', 'results.parquet'):
      assert error is None, path
    path.write_bytes(content)
  assert kept_or_same(copy, table) is None


def test_a_population_that_is_gone_is_named(copy):
  """The table knows that it was finished; without a table there is nothing to keep."""
  shutil.rmtree(population_dir(str(copy), '001'))
  error = kept_or_same(copy, None)
  assert 'less is there now of 3 of its 6 runs' in str(error)
  assert f'Put the files of {copy}/populations/001 back, or train these runs again with python -m' in str(error)
  (copy / 'results.parquet').unlink()
  assert [row['status'] for row in tabulate(copy)].count('waiting') == 3


def test_rows_that_are_gone_with_their_checkpoints_are_missed_by_the_table(copy):
  root = copy / 'populations' / '000'
  for path in ('metrics/00000400.jsonl', 'checkpoints/400', SAMPLES):
    shutil.rmtree(root / path) if (root / path).is_dir() else (root / path).unlink()
  assert 'was finished at step 400, and is running at 300' in str(kept_or_same(copy, None))


def test_a_sweep_under_way_may_go_back_to_an_earlier_checkpoint(tmp_path):
  workdir = make(tmp_path, TEXT, lambda run: LIVES[0], under_way=lambda run: True)
  assert {(row['status'], row['steps']) for row in tabulate(workdir)} == {('running', 200)}
  for name in ('000', '001'):
    shutil.rmtree(f'{population_dir(workdir, name)}/checkpoints/200')
    Store(population_dir(workdir, name)).cut_rows(100)
  assert {(row['status'], row['steps']) for row in tabulate(workdir)} == {('running', 100)}


def test_parts_without_a_first_line_are_read(copy):
  """As they were written before parts said what comes before them."""
  table = tabulate(copy)
  for path in copy.glob('populations/*/metrics/*.jsonl'):
    path.write_text(''.join(path.read_text().splitlines(keepends=True)[1:]))
  assert kept_or_same(copy, table) is None
  (copy / 'populations' / '000' / 'metrics' / '00000400.jsonl').unlink()  # Its checkpoint is there.
  assert '00000400.jsonl is missing' in str(kept_or_same(copy, table))


def edit(path, change):
  content = json.loads(path.read_text())
  change(content)
  path.write_text(json.dumps(content))


@pytest.mark.parametrize(('change', 'text'), [
    (lambda plan: plan['groups'].pop(), 'each run must be in one group, and 3 of 6 are not'),
    (lambda plan: plan['groups'][0]['ids'].append(plan['groups'][1]['ids'][0]), 'and 1 of 6 are not'),
    (lambda plan: plan['groups'][0]['ids'].append('unknown'), "1 of the runs in its groups are unknown, unknown first"),
    (lambda plan: plan['groups'][0].update(name='001'), "'001' is the name of several groups"),
    (lambda plan: plan['runs'].popitem()[1].clear(), '1 of the runs in its groups are unknown'),
    (lambda plan: plan['runs'][plan['groups'][0]['ids'][0]].clear(), 'must have file, overrides, config and command'),
    *((lambda plan, name=name: plan['groups'][0].update(name=name), f'the group name {name!r} must be of letters')
      for name in ('../../../x', '..', '/tmp/x', 'a/b', '', '.', 'a\\b', 'run[1]', 'a\n'))])
def test_an_edited_plan_is_refused(copy, change, text):
  table = tabulate(copy)
  edit(copy / 'plan.json', change)
  error = kept_or_same(copy, table)
  assert isinstance(error, SweepError)
  assert text in str(error)
  assert f'{copy}/plan.json: ' in str(error)


def test_the_groups_of_a_plan_that_changed_places_are_noticed(copy):
  edit(copy / 'plan.json', lambda plan: plan['groups'][0]['ids'].reverse())
  assert 'populations/000 holds another population than the plan says' in str(kept_or_same(copy, None))


def test_the_programs_say_so_before_they_train(whole, copy):
  """Where one population has lost a file and the other one is not trained yet."""
  shutil.rmtree(population_dir(str(copy), '001'))
  (copy / 'populations' / '000' / MEMBERS).unlink()
  before = (copy / 'results.csv').read_bytes()
  for arguments in (('experiments.run', f'--sweep={Path(whole).parent}/sweep.py'), ('experiments.compare',)):
    code, out, err = runs.run(*arguments, f'--workdir={copy}')
    assert code == 2
    assert f'{MEMBERS} cannot be read (No such file or directory); restore the file from a copy' in err
    assert 'Traceback' not in err
    assert 'Training' not in out
  assert (copy / 'results.csv').read_bytes() == before
