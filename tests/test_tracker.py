"""Weights & Biases and Trackio, by stand-ins that have their interface and remember what they are told."""

import importlib.machinery
import json
import sys
import types

import numpy as np
import pytest

from gan.config import ConfigError, base_config, differing_fields, flatten, mathematical_overrides
from gan.config.complete import complete
from gan.config.files import load_config
from gan.config.validate import validate
from gan.population.program import program_key
from gan.run import tracker, train
from gan.run.report import Report, read_metrics
from tests import runs

PICTURE = np.zeros((8, 8, 1), np.uint8)


class Package(types.ModuleType):
  """A stand-in for a tracker's package.

  Attributes:
    started: arguments of each `init`.
    logged: (step, values) of each `log`.
    finished: how often `finish` was called.
    failing: names of the functions that raise.
    logins: arguments of each `login`.
  """

  def __init__(self, name, signed_in=False):
    super().__init__(name)
    self.__spec__ = importlib.machinery.ModuleSpec(name, None, origin='stand-in')
    self.started, self.logged, self.finished, self.failing, self.logins = [], [], 0, set(), []
    self.signed_in = signed_in

  def init(self, *, project, name, config, resume, **options):
    self._fail('init')
    self.started.append({'project': project, 'name': name, 'config': config, 'resume': resume} | options)
    return self

  def log(self, values, step):
    self._fail('log')
    self.logged.append((step, values))

  def finish(self):
    self._fail('finish')
    self.finished += 1

  def login(self, **options):
    self.logins.append(options)
    return self.signed_in

  def Image(self, pixels):   # noqa: N802
    assert pixels.ndim == 3
    assert pixels.shape[-1] == 3, 'Trackio takes no grey pictures'
    return 'picture'

  def _fail(self, name):
    if name in self.failing:
      raise ConnectionError(f'{name}: no route to host')


@pytest.fixture
def package(monkeypatch):
  """Puts a stand-in into the place of a package."""
  monkeypatch.delenv('WANDB_MODE', raising=False)

  def put(name, **options):
    made = Package(name, **options)
    monkeypatch.setitem(sys.modules, name, made)
    return made

  return put


def report_of(workdir, name, start_step=0):
  return Report(workdir, num_steps=40, start_step=start_step, tracker=name, config={'loss.name': 'hinge'})


@pytest.mark.parametrize('name', ['wandb', 'trackio'])
def test_scalars_and_pictures_arrive(package, tmp_path, name):
  made = package(name)
  report = report_of(tmp_path / 'dcgan', name)
  report.samples(0, PICTURE)
  report.scalars(10, {'disc/loss': np.float32(0.5), 'eval/fid': float('nan')})
  report.samples(20, np.repeat(PICTURE, 3, -1))
  report.close()
  start, = made.started
  assert start['project'] == 'gan'
  assert start['name'].startswith('dcgan-')
  assert (start['config'], start['resume']) == ({'loss.name': 'hinge'}, 'allow')
  (first, picture), (second, scalars), (third, _) = made.logged
  assert (first, second, third) == (0, 10, 20)
  assert picture == {'samples': 'picture'}
  assert scalars['disc/loss'] == 0.5
  assert np.isnan(scalars['eval/fid'])
  assert made.finished == 1
  assert read_metrics(tmp_path / 'dcgan' / 'metrics.jsonl')[0]['disc/loss'] == 0.5


@pytest.mark.parametrize('name', ['wandb', 'trackio'])
def test_a_resumed_run_goes_on_there(package, tmp_path, name):
  """What an earlier process has logged is not sent again, and another directory of that name is another run."""
  made = package(name)
  report = report_of(tmp_path, name)
  for step in (1, 10, 20):
    report.scalars(step, {'disc/loss': 1.0})
  report.close()
  report = report_of(tmp_path, name, start_step=10)
  for step in (20, 30):
    report.scalars(step, {'disc/loss': 1.0})
    report.samples(step, PICTURE)
  report.close()
  assert [row['step'] for row in read_metrics(tmp_path / 'metrics.jsonl')] == [1, 10, 20, 30]
  assert [step for step, values in made.logged if 'disc/loss' in values] == [1, 10, 20, 30]
  assert [step for step, values in made.logged if 'samples' in values] == [20, 30]
  first, second = made.started
  assert first['name'] == second['name']
  assert first.get('id') == second.get('id')
  report_of(tmp_path / 'other' / tmp_path.name, name).close()
  assert made.started[2]['name'] != first['name']


def test_one_that_comes_later_gets_all_from_there(package, tmp_path):
  first, second = package('wandb'), package('trackio')
  for name in ('wandb', 'trackio'):
    report = report_of(tmp_path, name, start_step=10)
    for step in (20, 30):
      report.scalars(step, {'disc/loss': 1.0})
    report.close()
  assert [step for step, _ in first.logged] == [step for step, _ in second.logged] == [20, 30]
  assert json.loads((tmp_path / tracker.FILE).read_text()).keys() == {'wandb', 'trackio'}


@pytest.mark.parametrize(('signed_in', 'environment', 'mode'), [
    (False, None, 'offline'), (True, None, None), (False, 'online', None), (True, 'disabled', None)])
def test_wandb_never_asks_for_a_login(monkeypatch, package, tmp_path, signed_in, environment, mode):
  made = package('wandb', signed_in=signed_in)
  if environment:
    monkeypatch.setenv('WANDB_MODE', environment)
  report_of(tmp_path, 'wandb').close()
  assert made.started[0].get('mode') == mode
  assert made.started[0]['dir'] == str(tmp_path)
  assert 0 < made.started[0]['settings']['init_timeout'] <= 60, 'seconds'
  assert made.logins == ([] if environment else [{'prompt': False, 'verify': False}])


@pytest.mark.parametrize('failing', ['init', 'log', 'finish'])
def test_a_failure_is_one_warning(package, tmp_path, capsys, failing):
  made = package('trackio')
  made.failing.add(failing)
  report = report_of(tmp_path, 'trackio')
  for step in (1, 10, 20):
    report.scalars(step, {'disc/loss': 1.0})
    report.samples(step, PICTURE)
  report.close()
  said = [line for line in capsys.readouterr().out.splitlines() if 'Warning' in line]
  assert said == ['Warning: trackio fails and gets no more of this run (ConnectionError: '
                  f'{failing}: no route to host); metrics.jsonl has all of it']
  assert len(read_metrics(tmp_path / 'metrics.jsonl')) == 3
  assert (tmp_path / tracker.FILE).exists() == (failing != 'init'), 'there is no run yet that could go on'


@pytest.mark.parametrize('name', ['wandb', 'trackio'])
def test_one_that_is_not_installed_is_named_before_training(monkeypatch, tmp_path, name):
  monkeypatch.setitem(sys.modules, name, None)
  config = complete(base_config(), {'train.tracker': name})
  with pytest.raises(ConfigError, match=f'train.tracker={name} needs the package {name}: pip install -U {name}'):
    validate(config)
  with pytest.raises(ImportError, match=f'pip install -U {name}'):
    report_of(tmp_path, name)


def test_a_folder_of_that_name_is_no_package(monkeypatch, tmp_path):
  """Both leave folders behind, and a folder on the path is importable."""
  (tmp_path / 'trackio').mkdir()
  monkeypatch.setattr(sys, 'path', [str(tmp_path)])
  monkeypatch.delitem(sys.modules, 'trackio', raising=False)
  with pytest.raises(ConfigError, match='needs the package trackio'):
    validate(complete(base_config(), {'train.tracker': 'trackio'}))


def test_only_the_writer_reports(package, tmp_path):
  made = package('wandb')
  report = Report(tmp_path, num_steps=40, enabled=False, tracker='wandb')
  report.scalars(1, {'disc/loss': 1.0})
  report.close()
  assert not made.started
  assert not list(tmp_path.iterdir())


def test_it_is_no_part_of_what_a_run_is():
  without, others = (complete(base_config(), {'train.tracker': name}) for name in ('', 'wandb'))
  assert mathematical_overrides({'train.tracker': 'wandb'}) == {}
  assert differing_fields(flatten(without), flatten(others)) == []
  assert program_key(without) == program_key(others)


def test_a_run_is_the_same_with_and_without(package, tmp_path, capsys):
  """Bit for bit; and one that was started without a tracker goes on with one."""
  made = package('trackio')

  def run(workdir, steps, name):
    overrides = {'train.num_steps': steps, 'train.log_every': 5, 'train.save_every': 10, 'train.eval_every': 10,
                 'train.sample_every': 10, 'eval.num_samples': 256, 'train.tracker': name}
    assert train.run(complete(load_config('configs/toy.py:ring'), overrides), tmp_path / workdir, []) == 0

  run('without', 20, '')
  assert not (tmp_path / 'without' / tracker.FILE).exists()
  run('with', 10, '')
  run('with', 20, 'trackio')
  assert runs.rows_without_clock(tmp_path / 'without') == runs.rows_without_clock(tmp_path / 'with')
  ours, theirs = (runs.saved_arrays(tmp_path / workdir, 20) for workdir in ('with', 'without'))
  assert ours.keys() == theirs.keys()
  for path in ours:
    np.testing.assert_array_equal(ours[path], theirs[path], err_msg=path)
  assert [step for step, values in made.logged if 'disc/loss' in values] == [15, 20]
  assert made.started[0]['config']['train.num_steps'] == 20
  assert made.finished == 1
  assert 'Warning' not in capsys.readouterr().out
