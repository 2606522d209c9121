"""A person's own features: what is said of a name or a function that is none."""

import sys

import jax.numpy as jnp
import numpy as np
import pytest

from gan.data.source import DataError
from gan.features.simple import callable_features

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 1), np.uint8)


@pytest.fixture
def own(tmp_path, monkeypatch):
  """Writes the module `own_features`."""
  monkeypatch.syspath_prepend(tmp_path)
  yield (tmp_path / 'own_features.py').write_text
  sys.modules.pop('own_features', None)


def test_a_function_of_a_persons_own(own):
  own('def f(images):\n  return images.reshape(len(images), -1)\n')
  features = callable_features('own_features:f')
  np.testing.assert_array_equal(features.extract((), jnp.asarray(IMAGES))['features'], IMAGES.reshape(3, -1))


@pytest.mark.parametrize('name', [':', ':f', '..x:f', 'nowhere:f', 'json:', 'json:nothing'])
def test_a_name_of_no_function(name):
  with pytest.raises(DataError, match='give module:function, importable from the current directory'):
    callable_features(name)


def test_a_module_that_fails(own):
  own('1 / 0\n')
  with pytest.raises(DataError, match='division by zero'):
    callable_features('own_features:f')


@pytest.mark.parametrize(('body', 'message'), [
    ('raise OSError("no weights")', r'own_features:f failed on uint8 images \(3, 4, 4, 1\): OSError: no weights'),
    ('pass', 'failed on'), ('return {"features": "many"}', 'failed on'),
    ('return images', r'must return \[B, D\] for B = 3'), ('return {"logits": images[:, 0, 0]}', 'must return')])
def test_a_function_that_fails_or_returns_something_else(own, body, message):
  own(f'def f(images):\n  {body}\n')
  with pytest.raises(DataError, match=message):
    callable_features('own_features:f').extract((), jnp.asarray(IMAGES))
