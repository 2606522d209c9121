"""Settings from outside either change no bit of a run that is resumed under them, or are named in a warning."""

import os
import re
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import dirac
from gan.config.complete import complete
from gan.run import environment, train
from gan.run.settings import FIXED, describe
from gan.scoring.samples import Drawn, provenance
from tests import runs
from tests.xla_flags import QUICK

HALF, ALL = 10, 20
PLAIN = f'{QUICK} --xla_force_host_platform_device_count=1'
EVERY = {'train.log_every': HALF, 'train.save_every': HALF, 'train.eval_every': HALF, 'train.sample_every': ALL,
         'train.batch_size': 64}
COMMAND = ('--config=configs/toy.py', *(f'--config.{name}={value}' for name, value in EVERY.items()))


@pytest.fixture(scope='module')
def started(tmp_path_factory):
  """A run of HALF of its steps, and what it ends with if nothing is changed."""
  folder = tmp_path_factory.mktemp('started')
  for name, steps in (('half', HALF), ('all', ALL)):
    code, _, err = runs.run('gan.main', *COMMAND, f'--config.train.num_steps={steps}', f'--workdir={folder / "run"}')
    assert code == 0, err
    shutil.copytree(folder / 'run', folder / name)
  return folder / 'half', runs.saved_arrays(folder / 'all', ALL)


def assert_equal_bits(workdir, expected):
  found = runs.saved_arrays(workdir, ALL)
  assert found.keys() == expected.keys()
  for path in found:
    np.testing.assert_array_equal(found[path], expected[path], err_msg=path)


def test_what_is_named_in_the_code_cannot_be_changed(started, tmp_path):
  """A process of its own: JAX reads these when it is imported."""
  half, expected = started
  shutil.copytree(half, tmp_path / 'run')
  changed = {'JAX_ENABLE_X64': '1', 'JAX_THREEFRY_PARTITIONABLE': '0', 'JAX_DEFAULT_PRNG_IMPL': 'rbg',
             'JAX_RANDOM_SEED_OFFSET': '7', 'JAX_NUMPY_DTYPE_PROMOTION': 'strict'}
  assert {name.lower() for name in changed} == set(FIXED)
  result = subprocess.run([sys.executable, '-m', 'gan.main', *COMMAND, f'--config.train.num_steps={ALL}',
                           f'--workdir={tmp_path / "run"}'], cwd=runs.ROOT, capture_output=True, text=True,
                          env=os.environ | changed | {'XLA_FLAGS': PLAIN}, check=False)
  assert result.returncode == 0, result.stderr
  assert f'Resuming {tmp_path / "run"} at step {HALF}' in result.stdout
  assert 'Warning' not in result.stdout + result.stderr
  assert_equal_bits(tmp_path / 'run', expected)


def test_what_a_person_chooses_is_told(started, tmp_path):
  half, expected = started
  shutil.copytree(half, tmp_path / 'run')
  flags = f'--xla_cpu_enable_fast_math=true {PLAIN} --xla_dump_max_hlo_modules=3'
  code, out, err = runs.run('gan.main', *COMMAND, f'--config.train.num_steps={ALL}', f'--workdir={tmp_path / "run"}',
                            env={'XLA_FLAGS': flags})
  assert code == 0, err
  assert 'Warning: resuming where the environment differs' in out
  assert 'settings: none then, xla_cpu_enable_fast_math=true now' in out
  assert 'dump' not in out
  assert runs.saved_arrays(tmp_path / 'run', ALL).keys() == expected.keys()


def small_run(workdir, steps):
  config = complete(dirac.get_config(''), EVERY | {'train.num_steps': steps})
  return train.run(config, workdir, [])


@pytest.fixture(scope='module')
def small(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('small')
  small_run(workdir, HALF)
  return workdir


@pytest.mark.parametrize(('setting', 'told'), [
    (jax.default_matmul_precision('bfloat16'), 'jax_default_matmul_precision=bfloat16'),
    (jax.default_prng_impl('rbg'), 'jax_default_prng_impl=rbg')])
def test_a_setting_of_a_program_of_ones_own_is_told(small, tmp_path, capsys, setting, told):
  """`train.run` in a notebook, where nobody has called `settings.fix`; and no sound checkpoint is damaged."""
  shutil.copytree(small, tmp_path / 'run')
  with setting:
    assert small_run(tmp_path / 'run', ALL) == 0
  out = capsys.readouterr().out
  assert f'at step {HALF} of {ALL}' in out
  assert re.search(f'the environment differs.*{told}', out)


def test_a_record_older_than_a_field_says_nothing_about_it():
  now = environment.describe([])
  then = {key: value for key, value in now.items() if key != 'settings'}
  assert environment.differences(now | {'settings': 'xla_a=1'}, then) == []
  assert environment.differences(now | {'settings': 'xla_a=1'}, then | {'settings': ''}) == [
      'settings: none then, xla_a=1 now']
  assert environment.differences(now | {'device_count': 7}, then | {'device_count': 8}) == [
      'device_count: 8 then, 7 now']


@pytest.mark.parametrize(('setting', 'expected'), [
    (jax.default_matmul_precision('bfloat16'), 'jax_default_matmul_precision=bfloat16'),
    (jax.enable_x64(True), 'jax_enable_x64=True'), (jax.disable_jit(True), 'jax_disable_jit=True'),
    (jax.threefry_partitionable(False), 'jax_threefry_partitionable=False'),
    (jax.numpy_dtype_promotion('strict'), 'jax_numpy_dtype_promotion=strict')])
def test_a_score_carries_its_settings(setting, expected):
  drawn = Drawn('ema', iter(()), 2, 1, 0)
  with setting:
    assert expected in provenance(drawn)['settings'].split()
  assert expected not in provenance(drawn)['settings'].split()


@pytest.mark.parametrize(('variables', 'expected'), [
    ({}, ''),
    ({'XLA_FLAGS': '--xla_force_host_platform_device_count=8 --xla_dump_to=/x --xla_dump_hlo_as_text'}, ''),
    ({'XLA_FLAGS': '--xla_b --xla_a=1  --xla_a=2'}, 'xla_a=2 xla_b=true'),
    ({'XLA_FLAGS': '--xla_new_flag="a b"', 'LIBTPU_INIT_ARGS': '--xla_tpu_x=3'}, 'xla_new_flag=a b xla_tpu_x=3'),
    ({'JAX_SOMETHING_NEW': 'on', 'JAX_PLATFORMS': 'cpu', 'JAX_LOG_COMPILES': '1'}, 'jax_something_new=on'),
    ({'JAX_ENABLE_X64': '1'}, ''),   # Which jax.config has not heard of: it was set after JAX was imported.
    ({'PJRT_NPROC': '1', 'XLA_FLAGS': '/no/such/file'}, 'PJRT_NPROC=1 xla_flags=/no/such/file')])
def test_what_counts_as_a_setting(monkeypatch, variables, expected):
  for name in [name for name in os.environ if name.startswith(('JAX_', 'XLA_'))]:
    monkeypatch.delenv(name)
  for name, value in variables.items():
    monkeypatch.setenv(name, value)
  jax.config.update('jax_disable_most_optimizations', False)
  try:
    assert describe() == expected
  finally:
    jax.config.update('jax_disable_most_optimizations', True)


def test_flags_in_a_file(monkeypatch, tmp_path):
  (tmp_path / 'flags').write_text('--xla_a=1\n--xla_dump_to=/x\n')
  monkeypatch.setenv('XLA_FLAGS', str(tmp_path / 'flags'))
  assert 'xla_a=1' in describe()
  assert 'dump' not in describe()


@settings(max_examples=100, derandomize=True)
@given(st.dictionaries(st.from_regex('[a-z_]{1,12}', fullmatch=True), st.from_regex('[a-z0-9.]{1,5}', fullmatch=True),
                       min_size=1), st.randoms())
def test_order_of_flags_does_not_matter_and_each_value_does(flags, random):
  def described(pairs):
    with pytest.MonkeyPatch.context() as patch:
      patch.setenv('XLA_FLAGS', ' '.join(f'--xla_cpu_{name}={value}' for name, value in pairs))
      return describe()
  pairs = list(flags.items())
  random.shuffle(pairs)
  assert described(pairs) == described(flags.items())
  name, value = pairs[0]
  assert described([(name, f'{value}1'), *pairs[1:]]) != described(pairs)
