"""Files of the cache: whatever happens to one, it is read as it was written, or not at all."""

import hypothesis
import numpy as np
import pytest
from absl import logging
from hypothesis import strategies as st

from gan import cache
from gan.cache import read_checked, write_checked


def read_all(file):
  return file.read()


@pytest.fixture
def warnings(monkeypatch):
  """What is logged as a warning."""
  said = []
  monkeypatch.setattr(logging, 'warning', lambda text, *values: said.append(text % values))
  return said


@hypothesis.settings(derandomize=True, max_examples=80, deadline=None,
                     suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(contents=st.binary(max_size=200), other=st.binary(max_size=200), place=st.integers(0, 270),
                  bit=st.integers(0, 7), damage=st.sampled_from(['cut', 'flip', 'more', 'zeros', 'other']))
def test_a_file_is_as_it_was_written_or_damaged(tmp_path_factory, contents, other, place, bit, damage):
  folder = tmp_path_factory.mktemp('cache')
  path = folder / 'a'
  write_checked(path, lambda file: file.write(contents))
  assert read_checked(path, read_all) == contents
  written = path.read_bytes()
  place %= len(written)
  write_checked(folder / 'b', lambda file: file.write(other))
  path.write_bytes({'cut': written[:place], 'more': written + other, 'zeros': bytes(len(written)),
                    'flip': written[:place] + bytes([written[place] ^ 1 << bit]) + written[place + 1:],
                    'other': (folder / 'b').read_bytes()}[damage])
  found = read_checked(path, read_all)
  assert found is None or (damage, other) == ('more', b'')
  if found is None:
    write_checked(path, lambda file: file.write(contents))
    assert read_checked(path, read_all) == contents


def test_arrays_come_back(tmp_path, warnings):
  array = np.random.default_rng(0).standard_normal((5, 3))
  write_checked(tmp_path / 'made' / 'a', lambda file: np.save(file, array))
  np.testing.assert_array_equal(read_checked(tmp_path / 'made' / 'a', np.load), array)
  write_checked(tmp_path / 'b', lambda file: np.savez(file, array=array))
  np.testing.assert_array_equal(read_checked(tmp_path / 'b', lambda file: np.load(file)['array']), array)
  assert read_checked(tmp_path / 'c', np.load) is None
  assert warnings == [], 'a file that is not there yet is no damage'


def test_damage_is_one_sentence(tmp_path, warnings):
  (tmp_path / 'a').write_bytes(b'x')
  (tmp_path / 'b').mkdir()
  for name in ('a', 'b'):
    assert read_checked(tmp_path / name, read_all) is None
  assert [said.split(' is damaged (')[0] for said in warnings] == [str(tmp_path / 'a'), str(tmp_path / 'b')]
  assert warnings[0].endswith('its contents are not those that were written): it is computed anew.')


def test_of_two_writers_the_first_one_stays(tmp_path):
  for contents in (b'first', b'second'):
    write_checked(tmp_path / 'a', lambda file, contents=contents: file.write(contents))
  assert read_checked(tmp_path / 'a', read_all) == b'first'


def test_a_writer_that_fails_leaves_nothing(tmp_path):
  def fail(file):
    file.write(b'half')
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    write_checked(tmp_path / 'a', fail)
  assert list(tmp_path.iterdir()) == []


def test_where_the_cache_is(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  monkeypatch.delenv('GAN_CACHE_DIR')
  assert cache.cache_dir() == tmp_path / 'gan'
