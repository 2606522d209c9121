"""How settings are declared: types, ranges, and the words for what is wrong."""

import functools

import pytest

from gan import declare
from gan.declare import Setting, close, nearest, of, one_of, parse, problem, quoted

RANGES = {   # Values that are allowed, and values that are not.
    'POSITIVE': ([1e-9, 1, 5.0], [0, -1, 0.0]), 'NOT_NEGATIVE': ([0, 0.0, 3], [-1, -1e-9]),
    'POSITIVE_OR_INFINITE': ([0.1, float('inf')], [0.0, -1.0, float('-inf'), float('nan')]),
    'FRACTION': ([0.0, 0.999], [-0.1, 1.0, 1.5]), 'SHARE': ([0.1, 1.0], [0.0, 1.1, -1.0]),
    'SHARE_OR_NONE': ([0.0, 0.5, 1.0], [-0.1, 1.1]),
    'SIGN': ([-0.9, 0.0, 0.9], [-1.0, 1.0]), 'SEED': ([0, 2**32 - 1], [-1, 2**32]), 'SIZE': ([0, 2**40], [-1]),
    'ANY': ([-1.0, 0.0, 'x', True], [])}


@pytest.mark.parametrize('name', RANGES)
def test_ranges(name):
  good, bad = RANGES[name]
  for value in good:
    assert not problem(Setting(value, 'x', getattr(declare, name)), value)
  for value in bad:
    assert problem(Setting(value, 'x', getattr(declare, name)), value).startswith(' must be ')


def test_every_range_is_tested():
  assert set(RANGES) == {name for name, value in vars(declare).items() if isinstance(value, declare.Range)}


def test_ranges_that_are_made():
  assert [declare.at_least(2).problem(value) for value in (1, 2)] == [' must be at least 2', '']
  names = one_of({'jit': 1, 'pmap': 2})
  assert names.words == 'one of jit, pmap'
  assert [names.problem(value) for value in ('jit', 'pmp')] == [
      '', ' is unknown; known: jit, pmap (did you mean pmap?)']


def test_defaults_are_those_of_the_function():
  def function(a, *, b=2, c='x'):
    del a, b, c
  said = {'b': ('A number.', declare.POSITIVE)}
  assert of(function, said) == {'b': Setting(2, 'A number.', declare.POSITIVE)}
  assert of(functools.partial(function, b=5), said)['b'].default == 5


@pytest.mark.parametrize(('default', 'text', 'value'), [
    (1, '5', 5), (1, '1_000', 1000), (1, '1.5', '1.5'), (1, 'x', 'x'), (1.0, '3', 3.0), (1.0, '1e-3', 1e-3),
    (1.0, 'inf', float('inf')), (False, 'True', True), (False, 'f', False), (False, '1', True), (False, 'yes', 'yes'),
    ('a', '1e5', '1e5'), ('a', '', '')])
def test_a_text_of_the_command_line_has_the_type_of_the_default(default, text, value):
  found = parse(Setting(default, 'x', declare.ANY), text)
  assert (found, type(found)) == (value, type(value))


def test_words():
  assert quoted('a.b', 'x') == "a.b='x'"
  assert quoted('a.b', None) == 'a.b=None'
  assert len(quoted('a', 'x' * 1000)) == 82
  assert close('loss.nam', ['loss.name', 'seed']) == ' (did you mean loss.name?)'
  assert nearest('xyz', ['b', 'a']) == '; known: a, b'
