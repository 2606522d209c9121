"""The argument after the colon, what `validate` refuses, and every file in configs/."""

import importlib.util
import math
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
  unflatten,
)
from gan.losses import LOSSES
from gan.validate import validate

FILES = sorted(Path(__file__).parents[1].glob('configs/*.py'))
DEFAULTS = {'data': 'digits', 'loss': 'nonsaturating', 'size': 0, 'decay': 0.5, 'runlocal': False}


def load(path):
  spec = importlib.util.spec_from_file_location(f'configs_{path.stem}', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config


def valid(**overrides):
  """The defaults, which make sense, with dotted overrides: '__' stands for the dot."""
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
    ('size=big', 'argument size=big: must be of type int'), ('size=1.5', 'must be of type int'),
    ('decay=x', 'must be of type float'), ('runlocal=yes', 'argument runlocal=yes: must be true or false'),
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
def test_every_config_file_is_valid(path, arg):
  config = load(path)(arg)
  validate(config)
  assert set(flatten(config)) == set(flatten(base_config()))
  if 'runlocal' in arg:
    assert flatten(config).items() >= RUNLOCAL.items()
  if 'loss=' in arg:
    assert config.loss.name == arg.removeprefix('loss=').removesuffix(',runlocal')


def test_config_files_refuse_what_they_do_not_know():
  for path in FILES:
    with pytest.raises(ConfigError, match='did you mean loss'):
      load(path)('losss=hinge')
    assert problems(load(path)('loss=hing'))


def test_all_problems_are_listed_at_once():
  lines = problems(valid(loss__name='hing', train__batch_size=0, optimizer__gen__lr=-1.0, parallel__strategy='tpu'))
  assert lines == [f"  * loss.name='hing' is unknown; known: {', '.join(sorted(LOSSES))} (did you mean hinge?)",
                   "  * parallel.strategy='tpu' is unknown; known: jit, pmap",
                   '  * optimizer.gen.lr=-1.0 must be positive', '  * train.batch_size=0 must be positive']
  lines = problems(valid(loss__name='wasserstein', loss__margin=2.0, model__gen__layers=2, data__path='here'))
  assert len(lines) == 4


@pytest.mark.parametrize('field', ['loss.name', 'model.gen.name', 'model.disc.name', 'update.rule',
                                   'optimizer.gen.name', 'optimizer.disc.name', 'parallel.strategy',
                                   'model.z'])
def test_unknown_names(field):
  config = base_config()
  apply_overrides(config, {field: 'nonesuch'})
  [line] = problems(config)
  assert line.startswith(f"  * {field}='nonesuch' is unknown; known: ")


NUMBERS = {field: value for field, value in flatten(base_config()).items()
           if type(value) in (int, float)} | {
               f'model.{player}.{field}': 2 for player in ('gen', 'disc') for field in ('layers', 'blocks')} | {
                   'model.disc.pieces': 5}
ANY_SIGN = {'loss.a', 'loss.b', 'loss.c', 'model.gen.start', 'model.disc.start'}
ZERO_IS_FINE = ANY_SIGN | {
    'seed', 'data.image_size', 'data.num_points', 'data.resident_bytes', 'loss.label_smoothing', 'loss.label_flip',
    'train.ema_decay', 'train.patience', 'augment.noise', 'augment.ada_target',
    'penalty.lecam_start', 'update.consensus', 'update.adjustment', *(field for field, value in NUMBERS.items()
                           if field.startswith('penalty.') and isinstance(value, float)),
    *(f'optimizer.{player}.{field}' for player in ('gen', 'disc')
      for field in ('b1', 'b2', 'weight_decay'))}
BELOW_ONE = ('loss.label_smoothing', 'loss.label_flip', 'train.ema_decay', 'penalty.lecam_decay', 'optimizer.gen.b1',
             'optimizer.gen.b2', 'optimizer.disc.b1', 'optimizer.disc.b2', 'augment.ada_target')


@pytest.mark.parametrize('field', [field for field, value in NUMBERS.items() if isinstance(value, float)])
@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_numbers_must_be_finite(field, value):
  """All but the order of an alpha-loss, whose limit is a loss too: `test_right_combinations`."""
  config = base_config()
  if value == math.inf and field.startswith('loss.alpha'):
    return
  apply_overrides(config, {field: value})
  assert problems(config) == [f'  * {field}={value} must be a finite number']


@pytest.mark.parametrize(('field', 'value'), [
    *((field, type(value)(-1)) for field, value in NUMBERS.items() if field not in ANY_SIGN),
    *((field, type(value)(0)) for field, value in NUMBERS.items() if field not in ZERO_IS_FINE),
    *((field, 1.0) for field in BELOW_ONE), ('update.lookahead', 1.5), ('loss.margin', 1e-40),
    ('train.num_steps', 2**31), ('seed', 2**32)])
def test_numbers_must_lie_in_their_range(field, value):
  """A seed becomes a uint32 and a step an int32: what does not fit has to be refused here, not crash there."""
  config = base_config()
  apply_overrides(config, {field: value})
  [line] = problems(config)
  assert line.startswith(f'  * {field}={value} must ')


@pytest.mark.parametrize(('overrides', 'message'), [
    ({'loss__margin': 2.0}, 'loss.margin=2.0 does nothing for loss.name=nonsaturating; it belongs to hinge'),
    ({'loss__name': 'hinge', 'loss__label_smoothing': 0.1}, 'it belongs to saturating, nonsaturating'),
    ({'loss__a': -1.0}, 'loss.a=-1.0 does nothing'),
    ({'loss__name': 'least_squares', 'loss__a': 1.0}, 'loss.a=1.0 equals loss.b'),
    ({'loss__name': 'least_squares', 'loss__c': 0.0}, 'loss.c=0.0 equals loss.a'),
    ({'loss__name': 'wasserstein'}, 'add --config.penalty.gp=10 or --config.penalty.clip=0.01'),
    ({'model__gen__layers': 2}, 'model.gen.layers=2 does nothing for model.gen.name=dcgan'),
    ({'model__disc__name': 'vanilla', 'model__disc__batch_norm': True}, 'model.disc.batch_norm=True does nothing'),
    ({'model__gen__name': 'mlp'}, 'does not fit the images of data.name=digits; use dcgan or vanilla'),
    ({'data__name': 'ring', 'model__disc__name': 'mlp'}, 'does not fit the points of data.name=ring; use mlp'),
    ({'data__image_size': 28, 'model__gen__name': 'vanilla'}, 'data.image_size=28: model.disc.name=dcgan is built for'),
    ({'data__name': 'grid', 'data__flip': True, 'model__gen__name': 'mlp', 'model__disc__name': 'mlp'},
     'data.flip=True mirrors images; data.name=grid has none'),
    ({'data__num_points': 5}, 'data.num_points=5 is for mixtures; data.name=digits has its own size'),
    ({'data__name': 'grid', 'data__num_points': 10**9, 'model__gen__name': 'mlp', 'model__disc__name': 'mlp'},
     'data.num_points=1000000000 are 8000000000 bytes on each'),
    ({'data__name': 'folder'}, 'data.name=folder needs --config.data.path'),
    ({'data__path': 'x'}, "data.path='x' does nothing for data.name=digits"),
    ({'train__batch_size': 1}, 'train.batch_size=1 leaves batch norm nothing to compare')])
def test_wrong_combinations(overrides, message):
  [line] = problems(valid(**overrides))
  assert message in line


@pytest.mark.parametrize('overrides', [
    {'loss__name': 'hinge', 'loss__margin': 2.0}, {'loss__name': 'saturating', 'loss__label_smoothing': 0.1},
    {'loss__name': 'wasserstein', 'penalty__clip': 0.01}, {'model__disc__batch_norm': False},
    {'loss__name': 'least_squares', 'loss__a': -1.0, 'loss__c': 0.0}, {'data__name': 'folder', 'data__path': 'x'},
    {'schedule__optimizer__gen__lr': 'cosine,over=5'}, {'train__num_steps': 2**31 - 1},
    {'data__image_size': 28, 'model__gen__name': 'vanilla', 'model__disc__name': 'vanilla', 'model__gen__layers': 3}])
def test_right_combinations(overrides):
  validate(valid(**overrides))


def test_batch_must_divide_by_the_devices():
  assert problems(valid(train__batch_size=100), 8) == ['  * train.batch_size=100 must divide by 8 devices; '
                                                       'try 96 or 104']
  assert problems(valid(train__batch_size=5), 8) == ['  * train.batch_size=5 must divide by 8 devices; try 8']
  validate(valid(train__batch_size=104), 8)


def test_flatten_and_back():
  config = valid(loss__name='hinge', model__disc__batch_norm=False, model__gen__layers=3)
  flat = flatten(config)
  assert (flat['loss.name'], flat['model.disc.batch_norm'], flat['model.disc.layers']) == ('hinge', False, None)
  assert flatten(unflatten(flat)) == flat
  assert list(flat) == list(flatten(base_config()))


def test_a_run_of_an_older_version_opens_and_one_of_a_newer_version_is_refused():
  config = base_config()
  config.loss.a = -1.0
  without = {field: value for field, value in flatten(config).items() if field != 'model.disc.pack'}
  opened = unflatten(without)
  assert opened.model.disc.pack == 1
  assert opened.loss.a == -1.0
  with pytest.raises(ConfigError, match=r"unknown to this one: \['loss.z'\]"):
    unflatten(without | {'loss.z': 1})
  with pytest.raises(ConfigError, match=r'a schedule is now a text, such as schedule\.optimizer\.gen\.lr=linear'):
    unflatten(without | {'optimizer.gen.decay_steps': 0})
  with pytest.raises(ConfigError, match='a configuration that cannot be'):
    unflatten(without | {'train.batch_size': 'many'})


def test_which_fields_name_another_experiment():
  overrides = {'train.num_steps': 5, 'loss.name': 'hinge', 'parallel.strategy': 'pmap', 'seed': 1, 'train.keep': 9}
  assert list(mathematical_overrides(overrides).items()) == [('loss.name', 'hinge'), ('seed', 1)]
  known = set(flatten(base_config()))
  assert set(FREE_FIELDS) < set(MECHANICAL_FIELDS) < known


def test_which_fields_may_not_differ_on_resume():
  theirs = flatten(base_config())
  ours = theirs | {'train.num_steps': 7, 'train.log_every': 1, 'loss.name': 'hinge', 'train.keep': 9}
  assert differing_fields(ours, theirs) == ['loss.name: nonsaturating there, hinge here', 'train.keep: 3 there, 9 here']
  assert differing_fields(theirs, theirs) == []


def test_update_is_a_field_and_not_the_method():
  config = base_config()
  config.update.rule = 'other'
  assert flatten(config)['update.rule'] == 'other'
  assert isinstance(config, configs.RunConfig)
