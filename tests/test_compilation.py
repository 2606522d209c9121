"""Programs that were kept change no bit of a run, whoever wrote them and whatever has become of them."""

import os
import warnings
from pathlib import Path

import filelock
import jax
import numpy as np
import pytest

from gan.run import compilation
from tests import runs
from tests.experiments.test_run import without_clock

STEPS = 4
IMAGES = ('--config=configs/dcgan.py:runlocal', *(f'--config.{name}={value}' for name, value in {
    'data.image_size': 16, 'model.gen.width': 4, 'model.disc.width': 4, 'train.batch_size': 16,
    'train.num_steps': STEPS, 'train.log_every': 1, 'train.save_every': STEPS, 'train.eval_every': STEPS,
    'train.sample_every': STEPS}.items()))
SWEEP = '''
from experiments.sweep import *
CONFIG = 'configs/toy.py:runlocal'
def sweep():
  return product(fix({'train.num_steps': 4, 'train.log_every': 1, 'train.eval_every': 4, 'train.save_every': 4}),
                 param('seed', range(4)))
'''


def start(workdir, cache, *, devices=1, **env):
  return runs.Run('gan.main', *IMAGES, f'--workdir={workdir}', devices=devices,
                  env={'GAN_CACHE_DIR': str(cache)} | env)


def finish(run):
  """Waits for a run that ends well; returns what it says beside its progress."""
  code, out, err = run.finish()
  assert code == 0, err
  assert 'UserWarning' not in out + err
  return [line for line in (out + err).splitlines() if line.startswith('Warning')]


def assert_equal_runs(one, other):
  assert runs.rows_without_clock(one) == runs.rows_without_clock(other)
  ours, theirs = (runs.saved_arrays(workdir, STEPS) for workdir in (one, other))
  assert ours.keys() == theirs.keys()
  for path in ours:
    np.testing.assert_array_equal(ours[path], theirs[path], err_msg=path)


def kept(cache, ending='-cache'):
  """Contents of the files of a cache, by name."""
  return {path.name: path.read_bytes() for path in Path(cache).glob(f'xla/*/*{ending}')}


def assert_all_were_used(cache, before):
  """JAX notes when it reads or writes a program. One that takes just as long to compile as it has to may come later."""
  after = kept(cache, '-atime')
  assert any('loop' in name for name in before)
  assert all(after[name] != before[name] for name in before)


@pytest.fixture(scope='module')
def without(tmp_path_factory):
  workdir, cache = tmp_path_factory.mktemp('without'), tmp_path_factory.mktemp('unused')
  assert finish(start(workdir, cache, GAN_COMPILATION_CACHE='off')) == []
  assert not kept(cache)
  return workdir


@pytest.fixture(scope='module')
def filled(tmp_path_factory, without):
  """A cache that two runs filled at once."""
  cache = tmp_path_factory.mktemp('cache')
  together = [tmp_path_factory.mktemp('together') for _ in range(2)]
  for run in [start(workdir, cache) for workdir in together]:
    assert finish(run) == []
  for workdir in together:
    assert_equal_runs(workdir, without)
  assert kept(cache)
  return cache


def test_a_warm_cache(tmp_path, without, filled):
  programs, before = kept(filled), kept(filled, '-atime')
  assert finish(start(tmp_path, filled)) == []
  assert_equal_runs(tmp_path, without)
  assert kept(filled).items() >= programs.items()
  assert_all_were_used(filled, before)


def spoil(number, data):
  """Damages a file in one of several ways."""
  flipped = bytearray(data)
  flipped[len(data) // 2] ^= 1 << (number % 8)
  return (data[:len(data) // 2], bytes(flipped), b'', bytes(len(data)), data[:-1])[number % 5]


def test_damaged_programs_are_one_sentence_and_compiled_anew(tmp_path, without, filled):
  sound = kept(filled)
  for number, path in enumerate(sorted(filled.glob('xla/*/*-cache'))):
    path.write_bytes(spoil(number, path.read_bytes()))
  half = next(filled.glob('xla/*')) / 'jit_killed-0123-cache'   # Of a process that was killed while it wrote.
  half.write_bytes(b'half')
  told = finish(start(tmp_path / 'damaged', filled))
  assert len(told) == 1
  assert 'are damaged' in told[0]
  assert str(filled) in told[0]
  assert_equal_runs(tmp_path / 'damaged', without)
  assert not half.exists()
  assert any('loop' in name for name in kept(filled).keys() & sound.keys())
  before = kept(filled, '-atime')
  assert finish(start(tmp_path / 'again', filled)) == []
  assert_all_were_used(filled, before)


@pytest.mark.slow
def test_a_population_on_two_devices(tmp_path):
  sweep = tmp_path / 'tiny.py'
  sweep.write_text(SWEEP)
  tables = []
  for name, env in (('without', {'GAN_COMPILATION_CACHE': 'off'}), ('cold', {}), ('warm', {})):
    before = kept(tmp_path, '-atime')
    code, _, err = runs.run('experiments.run', f'--sweep={sweep}', f'--workdir={tmp_path / name}', devices=2,
                            env={'GAN_CACHE_DIR': str(tmp_path)} | env)
    assert code == 0, err
    tables.append(without_clock(tmp_path / name))
  assert tables[0] == tables[1] == tables[2]
  assert_all_were_used(tmp_path, before)


@pytest.fixture
def settings_of_jax(monkeypatch):
  """What is set in JAX, starting without a cache; nothing is set in truth."""
  found = {}
  monkeypatch.setattr(compilation, 'jax', type('Jax', (), {
      '__version__': jax.__version__, 'config': type('Config', (), {
          'jax_compilation_cache_dir': None, 'jax_enable_compilation_cache': True,
          'update': staticmethod(found.__setitem__)})}))
  monkeypatch.setattr(compilation, '_listen', lambda folder: None)
  monkeypatch.delenv('GAN_COMPILATION_CACHE', raising=False)
  return found


def test_on_by_default(settings_of_jax, monkeypatch, tmp_path):
  monkeypatch.setenv('GAN_CACHE_DIR', str(tmp_path))
  monkeypatch.setenv('JAX_COMPILATION_CACHE_MAX_SIZE', '7')
  compilation.keep_programs()
  assert settings_of_jax['jax_compilation_cache_dir'] == str(compilation.directory())
  assert Path(settings_of_jax['jax_compilation_cache_dir']).parent == tmp_path / 'xla'
  assert 'jax_compilation_cache_max_size' not in settings_of_jax   # A person's own.
  assert settings_of_jax['jax_persistent_cache_enable_xla_caches'] == 'none'


@pytest.mark.parametrize('case', ['off', 'another directory', 'off in JAX', 'no checksum'])
def test_left_out(settings_of_jax, monkeypatch, tmp_path, capsys, case):
  monkeypatch.setenv('GAN_CACHE_DIR', str(tmp_path))
  if case == 'off':
    monkeypatch.setenv('GAN_COMPILATION_CACHE', 'OFF')
  elif case == 'another directory':
    compilation.jax.config.jax_compilation_cache_dir = '/a/persons/own'
  elif case == 'off in JAX':
    compilation.jax.config.jax_enable_compilation_cache = False
  else:
    monkeypatch.setattr(compilation.sys, 'version_info', (3, 14))
  compilation.keep_programs()
  assert not settings_of_jax
  assert not list(tmp_path.iterdir())
  assert capsys.readouterr() == ('', '')


def test_a_folder_that_cannot_be_used_is_one_sentence(settings_of_jax, monkeypatch, tmp_path, capsys):
  (tmp_path / 'file').write_text('')
  monkeypatch.setenv('GAN_CACHE_DIR', str(tmp_path / 'file' / 'cache'))
  compilation.keep_programs()
  monkeypatch.setenv('GAN_CACHE_DIR', str(tmp_path))
  compilation.directory().mkdir(parents=True)
  monkeypatch.setattr(compilation, 'LOCK_SECONDS', 0.01)
  with filelock.FileLock(compilation.directory() / '.lockfile'):
    compilation.keep_programs()
  assert not settings_of_jax
  err = capsys.readouterr().err
  assert err.count('Warning: compiled programs are not kept') == err.count('\n') == 2
  assert 'GAN_COMPILATION_CACHE=off' in err


def test_a_full_disk_is_one_sentence_and_other_warnings_are_as_ever(tmp_path, capsys):
  with warnings.catch_warnings(record=True) as others:
    compilation._listen(tmp_path)
    for name in ('jit_a', 'jit_b'):
      warnings.warn(f"Error writing persistent compilation cache entry for '{name}': OSError: [Errno 28] full",
                    stacklevel=1)
    warnings.warn('something else', stacklevel=1)
  assert [str(other.message) for other in others] == ['something else']
  err = capsys.readouterr().err
  assert err.count('\n') == 1
  assert '[Errno 28] full' in err


def test_each_kind_of_machine_and_version_has_its_own_folder(monkeypatch, tmp_path):
  monkeypatch.setenv('GAN_CACHE_DIR', str(tmp_path))
  found = {compilation.directory()}
  assert {compilation.directory()} == found
  with monkeypatch.context() as patch:
    patch.setattr(compilation, '_processor', lambda: ['flags : sse2'])
    found.add(compilation.directory())
  with monkeypatch.context() as patch:
    patch.setattr(compilation, 'num_cores', lambda: 1000)
    found.add(compilation.directory())
  with monkeypatch.context() as patch:
    patch.setattr(compilation.jax, '__version__', '0.0.1')
    found.add(compilation.directory())
  monkeypatch.setattr(compilation.jaxlib, '__version__', '0.0.1')
  assert len(found | {compilation.directory()}) == 5
  assert all(folder.parent == tmp_path / 'xla' for folder in found)


def test_the_processor_is_told_by_its_features():
  if os.path.exists('/proc/cpuinfo'):
    text = '\n'.join(compilation._processor())
    assert any(f'{name}\t' in text for name in ('flags', 'Features', 'isa'))
    assert 'MHz' not in text   # Which changes from moment to moment.
