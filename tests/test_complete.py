"""From statements to a whole configuration, for every choice that the tables have."""

import math

import pytest

from gan.config import ConfigError, base_config, flatten, make_config
from gan.config.complete import complete, declared, fields_of, unflatten
from gan.declare import problem, typed

ALWAYS = declared().always
EVERY = declared().every
PARTS = declared().parts

TYPES = {bool: 'True or False', int: 'a whole number', float: 'a number', str: 'a text'}


def chosen(field):
  """Statements with which a run has a field."""
  part = next((part for part in PARTS if field in part.fields), None)
  return {} if field in ALWAYS else {part.chooser: 1.0 if part.value is None else part.value}


def problems(statements, overrides=None):
  with pytest.raises(ConfigError) as caught:
    complete(make_config(statements, type_safe=False), overrides)
  return str(caught.value).splitlines()


@pytest.mark.parametrize('part', PARTS, ids=lambda part: f'{part.chooser}={part.value or "not 0"}')
def test_a_choice_brings_its_settings_and_takes_them_along(part):
  choice = {part.chooser: 1.0 if part.value is None else part.value}
  config = complete(base_config(), choice)
  flat = flatten(config)
  assert {field: flat[field] for field in part.fields} == {name: own.default for name, own in part.fields.items()}
  assert complete(config) == config == unflatten(flat)
  assert set(flat) == set(fields_of(choice))
  for other in PARTS:
    if not other.is_in(flat):
      assert not set(other.fields) & set(flat) - {name for own in PARTS if own.is_in(flat) for name in own.fields}


@pytest.mark.parametrize('field', EVERY)
def test_every_setting_means_something_and_its_default_makes_sense(field):
  settings = [part.fields[field] for part in PARTS if field in part.fields] or [ALWAYS[field]]
  for setting in settings:
    assert setting.meaning.endswith('.')
    assert typed(setting, setting.default) == setting.default
    assert not problem(setting, setting.default)
  assert len({type(setting.default) for setting in settings}) == 1


@pytest.mark.parametrize('field', EVERY)
def test_a_value_of_another_type_is_refused_for_every_field(field):
  kind = type(EVERY[field].default)
  wrong = {bool: 'yes', int: 1.5, float: 'many', str: 3}[kind]
  shown = repr(wrong) if isinstance(wrong, str) else wrong
  assert problems(chosen(field), {field: wrong})[0] == f'  * {field}={shown} must be {TYPES[kind]}'
  assert problems(chosen(field), {field: None})[0].startswith(f'  * {field}=None: it must have a value, such as ')


@pytest.mark.parametrize('field', [field for field, own in EVERY.items() if type(own.default) is float])
@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf, 1e-40])
def test_numbers_must_be_finite_and_of_float32(field, value):
  """But where the range says otherwise: the limit of an alpha-loss is a loss too."""
  statements = chosen(field) | {field: value}
  if EVERY[field].range.bounded:
    assert problems(statements)[0].startswith(f'  * {field}={value} must be a ')
  elif value > 0:
    assert complete(make_config(statements)) is not None
  else:
    assert problems(statements) == [f'  * {field}={value} must be positive']


@pytest.mark.parametrize('field', [field for field, own in EVERY.items() if type(own.default) is int])
def test_counts_are_int32(field):
  """A step becomes an int32: what does not fit has to be refused here, not crash there."""
  if EVERY[field].range.bounded:
    assert problems(chosen(field), {field: 2**31}) == [f'  * {field}=2147483648 must be below 2^31']
  assert complete(base_config(), chosen(field) | {field: 2**31 - 1})


def test_numbers_out_of_range_are_refused():
  assert problems({'seed': 2**32}) == ['  * seed=4294967296 must be 0 or more and below 2^32']
  assert problems({'loss.name': 'hinge', 'loss.margin': 0.0}) == ['  * loss.margin=0.0 must be positive']
  assert problems({'train.ema_decay': 1.0}) == ['  * train.ema_decay=1.0 must be in [0, 1)']
  assert problems({'eval.num_samples': 1}) == ['  * eval.num_samples=1 must be at least 2']


def test_an_int_will_do_where_a_number_is_wanted():
  config = complete(base_config(), {'penalty.gp': 10, 'optimizer.gen.lr': 1})
  assert (config.penalty.gp, type(config.penalty.gp)) == (10.0, float)
  assert problems({'penalty.gp': 10**400})[0].endswith(' must be a number')
  assert problems({'penalty.gp': True}) == ['  * penalty.gp=True must be a number']


def test_a_default_is_that_of_the_choice():
  """The issue: hidden layers of 64 came of another architecture's default."""
  config = complete(base_config(), {'model.gen.name': 'vanilla'})
  assert (config.model.gen.width, config.model.disc.width) == (256, 64)
  assert complete(base_config(), {'model.disc.name': 'resnet', 'model.disc.blocks': 2}).model.disc.blocks == 2


def test_another_choice_leaves_behind_what_the_file_states_of_its_own():
  file = base_config()
  file.model.disc.batch_norm, file.model.disc.width, file.penalty.lecam, file.penalty.lecam_start = False, 8, 0.3, 5
  config = complete(file, {'model.disc.name': 'resnet', 'penalty.lecam': 0.0})
  assert config.model.disc.to_dict() == {'name': 'resnet', 'width': 8, 'blocks': 1, 'pack': 1, 'spectral_norm': False}
  assert 'lecam_start' not in config.penalty
  with pytest.raises(ConfigError, match=r'model\.disc\.batch_norm=False is no setting of model\.disc\.name=resnet'):
    complete(file, {'model.disc.name': 'resnet', 'model.disc.batch_norm': False})


@pytest.mark.parametrize(('statements', 'message'), [
    ({'loss.margin': 2.0}, 'loss.margin=2.0 is no setting of loss.name=nonsaturating, which has label_smoothing; '
                           'margin belongs to hinge'),
    ({'loss.name': 'softmax', 'loss.a': 1.0}, 'which has none; a belongs to least_squares'),
    ({'loss.name': 'hinge', 'loss.label_smoothing': 0.1}, 'which has margin; label_smoothing belongs to saturating, '),
    ({'model.gen.layers': 2}, 'model.gen.layers=2 is no setting of model.gen.name=dcgan, which has width; layers '),
    ({'optimizer.gen.name': 'sgd', 'optimizer.gen.b2': 0.9}, 'which has b1; b2 belongs to adam, rmsprop'),
    ({'train.patience': 3}, 'train.on_failure=continue, which has none; patience belongs to stop'),
    ({'augment.ada_target': 0.5}, 'augment.policy=none, which has none; ada_target belongs to ada'),
    ({'penalty.every': 4}, 'penalty.every=4 does nothing without penalty.r1 or penalty.r2'),
    ({'penalty.target': 0.0}, 'does nothing without penalty.gp or penalty.dragan'),
    ({'loss.nam': 'hinge'}, 'loss.nam: no such field; loss has label_flip, label_smoothing, name (did you'),
    ({'model.disc.blok': 2}, '(did you mean model.disc.blocks?)'),
    ({'los.name': 'hinge'}, 'los.name: no such field; known: data, model, '),
    ({'loss': 'hinge'}, 'loss: no such field; known: '),
    ({'train.num_samples[0]': 1}, '(did you mean train.num_samples'),
    ({'data.path': '\udcff'}, "data.path='\\udcff' has control characters, or bytes that are not UTF-8"),
    ({'loss.name': 'hing', 'loss.margin': 2.0}, 'did you mean hinge?')])
def test_what_a_run_has_not_is_refused_with_what_it_has(statements, message):
  [line] = problems({}, statements)
  assert message in line


def test_all_is_said_at_once():
  wrong = {'seed': -1, 'loss.margin': 1.0, 'model.gen.widht': 3, 'penalty.r1': 'x', 'update.rule': 'alternatin'}
  assert len(problems(wrong)) == len(problems({}, wrong)) == 5


def test_a_run_of_an_older_version_opens_if_nothing_of_it_has_changed():
  config = complete(base_config(), {'loss.name': 'least_squares', 'loss.a': -1.0})
  without = {field: value for field, value in flatten(config).items() if field != 'model.disc.pack'}
  opened = unflatten(without)
  assert opened == config
  for wrong, name in (({'loss.z': 1}, 'loss.z'), ({'model.gen.layers': None}, 'model.gen.layers'),
                      ({'train.batch_size': 'many'}, 'train.batch_size'), ({'seed.x': 1}, 'seed.x'),
                      ({'loss': {}}, 'loss')):
    with pytest.raises(ConfigError, match=f'this run was written by another version of the code.*{name}') as caught:
      unflatten(without | wrong)
    assert '\n' not in str(caught.value)
