"""The argument after the colon, what is completed and refused, and every file in configs/."""

import importlib.util
from pathlib import Path

import pytest

from gan import config as configs
from gan.config import (
  FREE_FIELDS,
  MECHANICAL_FIELDS,
  RUNLOCAL,
  ConfigError,
  apply_overrides,
  base_config,
  differing_fields,
  flatten,
  mathematical_overrides,
  parse_arg,
)
from gan.config.complete import complete, declared
from gan.config.validate import validate
from gan.losses import LOSSES
from gan.models import MODELS

EVERY = declared().every
PARTS = declared().parts

ROOT = Path(__file__).parents[1]
FILES = sorted(ROOT.glob('configs/*.py'))
DEFAULTS = {'data': 'digits', 'loss': 'nonsaturating', 'size': 0, 'decay': 0.5, 'runlocal': False}


def load(path):
  spec = importlib.util.spec_from_file_location(f'configs_{path.stem}', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config


def stated(**overrides):
  """Nothing, which makes sense, but for dotted overrides: '__' stands for the dot."""
  config = base_config()
  apply_overrides(config, {field.replace('__', '.'): value for field, value in overrides.items()})
  return config


def problems(config, num_devices=1):
  with pytest.raises(ConfigError) as caught:
    validate(config, num_devices)
  return str(caught.value).splitlines()


@pytest.mark.parametrize(('arg', 'changed'), [
    ('', {}), ('mnist', {'data': 'mnist'}), ('runlocal', {'runlocal': True}), ('loss=hinge', {'loss': 'hinge'}),
    ('cifar10,loss=hinge,size=64,runlocal', {'data': 'cifar10', 'loss': 'hinge', 'size': 64, 'runlocal': True}),
    (' ring , loss=hinge,', {'data': 'ring', 'loss': 'hinge'}), ('data=ring', {'data': 'ring'}),
    ('runlocal=False', {}), ('runlocal=TRUE', {'runlocal': True}), ('decay=1e-3', {'decay': 1e-3})])
def test_parse_arg(arg, changed):
  parsed = parse_arg(arg, **DEFAULTS).to_dict()
  assert parsed == DEFAULTS | changed
  assert {key: type(value) for key, value in parsed.items()} == {key: type(value) for key, value in DEFAULTS.items()}


@pytest.mark.parametrize(('arg', 'message'), [
    ('los=hinge', r"argument 'los=hinge': unknown key 'los'; known: data, .*\(did you mean loss\?\)"),
    ('xyzzy=1', r"unknown key 'xyzzy'; known: data, decay, loss, runlocal, size$"),
    ('size=big', 'argument size=big must be of type int'), ('size=1.5', 'must be of type int'),
    ('decay=x', 'must be of type float'), ('runlocal=yes', 'argument runlocal=yes must be true or false'),
    ('mnist,cifar10', "argument 'mnist,cifar10' sets data twice"), ('loss=hinge,loss=hinge', 'sets loss twice'),
    ('runlocal,runlocal=false', 'sets runlocal twice')])
def test_parse_arg_refuses(arg, message):
  with pytest.raises(ConfigError, match=message):
    parse_arg(arg, **DEFAULTS)


def test_a_bare_word_needs_a_file_with_data():
  with pytest.raises(ConfigError, match="argument 'ring': unknown key 'data'; known: loss"):
    parse_arg('ring', loss='hinge')


def test_defaults_are_valid():
  validate(base_config())


@pytest.mark.parametrize('arg', ['', 'runlocal', *(f'loss={name}' for name in LOSSES), 'loss=hinge,runlocal'])
@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_every_config_file_is_valid_and_states_no_setting_that_its_choice_has_anyway(path, arg):
  file = load(path)(arg)
  config = validate(file)
  assert complete(config) == config
  if 'runlocal' in arg:
    assert flatten(config).items() >= RUNLOCAL.items()
  else:
    own = {field: setting.default for part in PARTS if part.is_in(flatten(file))
           for field, setting in part.fields.items() if field.startswith('model.')}
    assert not [field for field, value in flatten(file).items() if field in own and own[field] == value]
  if 'loss=' in arg:
    assert config.loss.name == arg.removeprefix('loss=').removesuffix(',runlocal')


def test_config_files_refuse_what_they_do_not_know():
  for path in FILES:
    with pytest.raises(ConfigError, match='did you mean loss'):
      load(path)('losss=hinge')
    assert problems(load(path)('loss=hing'))


def test_all_problems_are_listed_at_once():
  """Of the fields, and of combinations of them where the names are known."""
  lines = problems(stated(loss__name='hing', train__batch_size=0, optimizer__gen__lr=-1.0, parallel__strategy='tpu'))
  assert sorted(lines) == [
      f"  * loss.name='hing' is unknown; known: {', '.join(sorted(LOSSES))} (did you mean hinge?)",
      '  * optimizer.gen.lr=-1.0 must be positive', "  * parallel.strategy='tpu' is unknown; known: jit, pmap",
      '  * train.batch_size=0 must be positive']
  lines = problems(stated(loss__name='wasserstein', loss__margin=2.0, model__gen__layers=2, data__path='here'))
  assert len(lines) == 4


FOR_IMAGES = ' or '.join(name for name, model in MODELS.items() if model.images)
WRONG = [
    ({'loss__name': 'least_squares', 'loss__a': 1.0}, 'loss.a=1.0 equals loss.b'),
    ({'loss__name': 'least_squares', 'loss__c': 0.0}, 'loss.c=0.0 equals loss.a'),
    ({'loss__name': 'wasserstein'}, 'add --config.penalty.gp=10 or --config.penalty.clip=0.01'),
    ({'model__gen__name': 'mlp'}, f'does not fit the images of data.name=digits; use {FOR_IMAGES}'),
    ({'data__name': 'ring', 'model__disc__name': 'mlp'}, 'does not fit the points of data.name=ring; use mlp'),
    ({'data__image_size': 28, 'model__gen__name': 'vanilla'}, 'data.image_size=28: model.disc.name=dcgan is built for'),
    ({'data__name': 'grid', 'data__flip': True, 'model__gen__name': 'mlp', 'model__disc__name': 'mlp'},
     'data.flip=True mirrors images; data.name=grid has none'),
    ({'data__num_points': 5}, 'data.num_points=5 is for mixtures; data.name=digits has a fixed size'),
    ({'data__name': 'grid', 'data__num_points': 10**9, 'model__gen__name': 'mlp', 'model__disc__name': 'mlp'},
     'data.num_points=1000000000 needs 8000000000 bytes on each'),
    ({'data__name': 'folder'}, 'data.name=folder needs --config.data.path'),
    ({'data__path': 'x'}, "data.path='x' does nothing for data.name=digits"),
    ({'data__name': 'folder', 'data__path': '~nosuch/x'}, "data.path='~nosuch/x' begins with a home directory"),
    ({'train__batch_size': 1}, 'train.batch_size=1 gives batch norm a single sample')]


@pytest.mark.parametrize(('overrides', 'message'), WRONG)
def test_wrong_combinations(overrides, message):
  [line] = problems(stated(**overrides))
  assert message in line


@pytest.mark.parametrize('overrides', [
    {'loss__name': 'hinge', 'loss__margin': 2.0}, {'loss__name': 'saturating', 'loss__label_smoothing': 0.1},
    {'loss__name': 'wasserstein', 'penalty__clip': 0.01}, {'model__disc__batch_norm': False},
    {'loss__name': 'least_squares', 'loss__a': -1.0, 'loss__c': 0.0}, {'data__name': 'folder', 'data__path': 'x'},
    {'schedule__optimizer__gen__lr': 'cosine,over=5'}, {'train__num_steps': 2**31 - 1},
    {'data__image_size': 28, 'model__gen__name': 'vanilla', 'model__disc__name': 'vanilla', 'model__gen__layers': 3}])
def test_right_combinations(overrides):
  validate(stated(**overrides))


def test_batch_must_divide_by_the_devices():
  assert problems(stated(train__batch_size=100), 8) == ['  * train.batch_size=100 must divide by 8 devices; '
                                                       'try 96 or 104']
  assert problems(stated(train__batch_size=5), 8) == ['  * train.batch_size=5 must divide by 8 devices; try 8']
  validate(stated(train__batch_size=104), 8)


def test_which_fields_name_another_experiment():
  overrides = {'train.num_steps': 5, 'loss.name': 'hinge', 'parallel.strategy': 'pmap', 'seed': 1, 'train.keep': 9}
  assert list(mathematical_overrides(overrides).items()) == [('loss.name', 'hinge'), ('seed', 1)]
  assert set(FREE_FIELDS) < set(MECHANICAL_FIELDS) < set(EVERY)


def test_which_fields_may_not_differ_on_resume():
  theirs = flatten(complete(base_config()))
  ours = theirs | {'train.num_steps': 7, 'train.log_every': 1, 'loss.name': 'hinge', 'train.keep': 9}
  assert differing_fields(ours, theirs) == ['loss.name: nonsaturating there, hinge here', 'train.keep: 3 there, 9 here']
  assert differing_fields(theirs, theirs) == []


def test_update_is_a_field_and_not_the_method():
  config = base_config()
  config.update.rule = 'other'
  assert flatten(config)['update.rule'] == 'other'
  assert isinstance(config, configs.RunConfig)
  assert complete(base_config()).update.rule == 'alternating'
