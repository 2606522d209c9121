"""Fields on the command line: their forms, their types, and a thousand command lines that nobody would type."""

import hypothesis
import pytest
from absl import flags
from hypothesis import strategies as st

from gan.config import ConfigError, base_config, flatten
from gan.config.command import extract
from gan.config.complete import complete, declared
from gan.config.files import load_config
from gan.config.validate import validate
from gan.run.workdir import default_workdir
from gan.schedules import PREFIX
from tests.test_config import FILES, ROOT

EVERY = declared().every

CHOICES = [setting.range.words for setting in EVERY.values()]


@pytest.mark.parametrize(('arguments', 'overrides', 'remaining'), [
    (['--config.seed=3'], {'seed': 3}, []), (['-config.seed=3'], {'seed': 3}, []),
    (['--config.seed', '3', '--dry_run'], {'seed': 3}, ['--dry_run']),
    (['--config.data.flip', '3'], {'data.flip': True}, ['3']), (['--noconfig.data.flip'], {'data.flip': False}, []),
    (['--config.data.flip=false'], {'data.flip': False}, []), (['--config.data.path=a=b'], {'data.path': 'a=b'}, []),
    (['--config.data.path='], {'data.path': ''}, []), (['--config.data.path=1e5'], {'data.path': '1e5'}, []),
    (['--config.optimizer.gen.lr=1'], {'optimizer.gen.lr': 1.0}, []), (['--config.seed=x'], {'seed': 'x'}, []),
    (['--config.seed=1', '--config=f.py', '--config.seed=2'], {'seed': 2}, ['--config=f.py']),
    (['--config.nonesuch=1'], {'nonesuch': '1'}, []), (['--', '--config.seed=1'], {}, ['--', '--config.seed=1']),
    (['--config', 'f.py', '--configs.seed=1'], {}, ['--config', 'f.py', '--configs.seed=1'])])
def test_fields_are_taken_out_of_the_command_line(arguments, overrides, remaining):
  assert extract(['main', *arguments]) == (['main', *remaining], overrides)


@pytest.mark.parametrize(('argument', 'message'), [
    ('--config.seed', 'needs a value: --config.seed=<value>'), ('--config.seed --x', 'needs a value'),
    ('--noconfig.seed', 'use --config.seed=<value>'),
    ('--noconfig.data.flip=True', 'takes no value'), ('--noconfig.nonesuch', 'for fields that are True or False')])
def test_forms_that_mean_nothing(argument, message):
  with pytest.raises(ConfigError, match=message):
    extract(['main', *argument.split()])


def test_a_file_of_flags_may_set_fields(tmp_path):
  (tmp_path / 'flags').write_text('--config.seed=3\n--dry_run\n')
  assert extract(['main', f'--flagfile={tmp_path / "flags"}']) == (['main', '--dry_run'], {'seed': 3})


def test_another_architecture_takes_its_own_settings_and_defaults():
  """The two command lines of the issue, on a file that chose dcgan."""
  file = load_config(f'{ROOT}/configs/dcgan.py')
  _, overrides = extract(['main', '--config.model.disc.name=resnet', '--config.model.disc.blocks=2'])
  assert validate(file, overrides=overrides).model.disc.blocks == 2
  _, overrides = extract(['main', '--config.model.gen.name=vanilla'])
  assert validate(file, overrides=overrides).model.gen.width == 256


def a_little_wrong(field):
  """A field with one character less, twice, or an index."""
  places = st.integers(0, len(field) - 1)
  return st.one_of(places.map(lambda i: field[:i] + field[i + 1:]), places.map(lambda i: field[:i + 1] + field[i:]),
                   st.just(f'{field}[0]'), st.just(field.rpartition('.')[0]), st.just(f'{field}.x'))


FIELDS = st.sampled_from(sorted(EVERY))
NAMES = sorted({word for choice in CHOICES for word in choice.removeprefix('one of ').split(', ')})
VALUES = st.one_of(
    st.sampled_from(['', '0', '1', '-1', '2', '1e309', '1e-40', 'nan', '-inf', '2147483648', '99999999999999999999',
                     'True', 'None', '[1]', '{}', '~nosuch/x', '\udcff', 'ring', 'folder', 'color+cutout', 'prdc,fid',
                     'a:b', *NAMES]),
    st.text(max_size=8), st.integers().map(str), st.floats().map(str), st.floats(0, 1).map(str))


def flag(field, value):
  return st.sampled_from([[f'--config.{field}={value}'], [f'--config.{field}={value}'], [f'-config.{field}', value],
                          [f'--config.{field}'], [f'--noconfig.{field}'], [f'--noconfig.{field}={value}']])


SENSIBLE = st.sampled_from([[f'--config.{field}={value}'] for field, value in flatten(complete(base_config())).items()])
SCHEDULES = st.tuples(FIELDS.map('schedule.{}'.format), st.one_of(VALUES, st.sampled_from(
    ['linear,over=9', 'cosine,over=9,end=0.5,warmup=2', 'linear', 'steps,every=2,factor=0.5', 'constant,warmup=x'])))
WRITTEN = st.one_of(FIELDS, FIELDS, FIELDS.flatmap(a_little_wrong), st.text(max_size=6))
ANYTHING = st.one_of(SCHEDULES, st.tuples(WRITTEN, VALUES)).flatmap(lambda pair: flag(*pair))
ARGUMENTS = st.sampled_from(['', 'runlocal', 'loss=hinge', 'loss=hing', 'ring', 'x=1', ',', 'runlocal=2', 'size=1e9'])


@hypothesis.settings(derandomize=True, max_examples=1000, deadline=None)
@hypothesis.given(st.sampled_from(FILES), ARGUMENTS, st.lists(SENSIBLE, max_size=3), st.lists(ANYTHING, max_size=3),
                  st.sampled_from([1, 8]))
def test_any_command_line_is_a_configuration_or_sentences(path, argument, sensible, anything, num_devices):
  """No other exception: it would be a traceback."""
  argv = ['main', *(word for words in (*sensible, *anything) for word in words)]
  try:
    _, overrides = extract(argv)
    config = validate(load_config(f'{path}:{argument}'), num_devices, overrides)
  except (ConfigError, flags.Error) as error:
    lines = str(error).splitlines()
    assert len(lines) == 1 or all(line.startswith('  * ') for line in lines)
    assert len(set(lines)) == len(lines) > 0
    return
  assert complete(config) == config == validate(config, num_devices)
  flat = flatten(config)
  kept = {field for field, value in overrides.items() if value or not field.startswith(PREFIX)}   # '' is no schedule.
  assert kept <= set(flat)
  assert default_workdir(str(path), argument, {field: flat[field] for field in kept})
