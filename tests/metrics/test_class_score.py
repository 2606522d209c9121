"""Class score and covered classes: extremes in closed form, and corrections for a classifier's mistakes."""

import numpy as np
import pytest

from gan.metrics import NonFiniteSamplesError
from gan.metrics.class_score import (
    ENOUGH_TESTS,
    class_coverage,
    class_score,
    class_shares,
    confusion_rates,
    standard_error,
)


def sure(classes, num_classes=10):
  return 50.0 * np.eye(num_classes)[classes]


def test_score_runs_from_one_to_the_number_of_classes():
  even = np.tile(np.arange(10), 100)
  np.testing.assert_allclose(class_score(sure(even)), (10.0, 0.0), atol=1e-9)
  np.testing.assert_allclose(class_score(sure(np.zeros(1000, int))), (1.0, 0.0), atol=1e-9)
  np.testing.assert_allclose(class_score(np.random.default_rng(0).standard_normal((1, 10)).repeat(1000, 0)), (1.0, 0.0),
                             atol=1e-9)
  np.testing.assert_allclose(class_score(sure(even % 3))[0], 3.0, rtol=1e-2)  # 100 samples do not split evenly in 3.


def test_classes_that_underflow():
  assert class_score(np.tile([[0.0, 1000.0]], (20, 1))) == (1.0, 0.0)


def test_score_against_the_definition():
  logits = np.random.default_rng(1).standard_normal((200, 7))
  p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
  scores = [np.exp(np.mean([np.sum(row * np.log(row / part.mean(0))) for row in part])) for part in np.split(p, 10)]
  np.testing.assert_allclose(class_score(logits), (np.mean(scores), np.std(scores)), rtol=1e-10)


def test_shares_undo_the_confusion():
  rng = np.random.default_rng(2)
  confusion = 90 * np.eye(5) + rng.integers(0, 5, (5, 5))
  true = np.array([0.5, 0.0, 0.3, 0.2, 0.0])
  predicted = (confusion / confusion.sum(1, keepdims=True)).T @ true
  np.testing.assert_allclose(class_shares(predicted, confusion), true, atol=1e-12)


@pytest.mark.parametrize('covered', [1, 4, 10])
def test_mistakes_of_the_classifier_do_not_cover_classes(covered):
  """One sample in 50 is mistaken: `modes` counts what is predicted at all, `classes` what is there."""
  rng = np.random.default_rng(3)
  confusion = np.full((10, 10), 2) + 882 * np.eye(10, dtype=int)
  true = rng.integers(0, covered, 5_000)
  predicted = np.where(rng.random(5_000) < 0.02, rng.integers(0, 10, 5_000), true)
  found = class_coverage(sure(predicted), np.full(10, 0.1), confusion)
  assert found['classes'] == covered
  assert found['modes'] == 10
  np.testing.assert_allclose(found['reverse_kl'], np.log(10 / covered), atol=0.15)  # The mistakes.


def test_coverage_of_the_data_themselves():
  shares = np.array([0.5, 0.3, 0.2])
  classes = np.repeat([0, 1, 2], [500, 300, 200])
  found = class_coverage(sure(classes, 3), shares, None)
  assert found == {'modes': 3.0, 'reverse_kl': pytest.approx(0.0, abs=1e-12), 'total_variation': pytest.approx(0.0)}
  one = class_coverage(sure(np.zeros(10, int), 3), shares, None)
  assert one['total_variation'] == pytest.approx(0.5)
  assert one['reverse_kl'] == pytest.approx(np.log(2))


def test_logits_that_are_no_numbers():
  with pytest.raises(NonFiniteSamplesError, match='1 of 3'):
    class_score(np.array([[0.0], [np.nan], [1.0]]))


def test_rates_of_classes_with_few_test_images():
  """Rows of 20 and more count as they are; one of 5 has 15 average images more, one of none only these."""
  confusion = np.array([[30, 10, 0], [0, 1, 4], [0, 0, 0]])
  right = 32 / 47                                     # 31 of 45 are right, and by Laplace's rule one more of two more.
  wrong = (1 - right) / 2
  expected = [[0.75, 0.25, 0], [15 * wrong / 20, (1 + 15 * right) / 20, (4 + 15 * wrong) / 20], [wrong, wrong, right]]
  np.testing.assert_allclose(confusion_rates(confusion), expected, rtol=1e-12)
  np.testing.assert_allclose(confusion_rates(np.zeros((2, 2), int)), 0.5)
  np.testing.assert_allclose(confusion_rates(np.full((1, 1), 3)), 1.0)


def test_rates_of_classes_with_enough_test_images_are_counted():
  rng = np.random.default_rng(0)
  confusion = rng.integers(0, 5, (10, 10)) + ENOUGH_TESTS * np.eye(10, dtype=int)
  np.testing.assert_array_equal(confusion_rates(confusion), confusion / confusion.sum(axis=1, keepdims=True))


@pytest.mark.parametrize('tested', [0, 1, 2, 5])
def test_a_class_that_the_test_images_lack_is_found(tested):
  """Half of the classes have few test images or none, all predictions are right: all ten classes are there."""
  confusion = np.diag([100] * 5 + [tested] * 5)
  found = class_coverage(sure(np.repeat(np.arange(10), 7)), np.full(10, 0.1), confusion)
  assert found['classes'] == 10
  found = class_coverage(sure(np.repeat([0, 3, 8], 7)), np.full(10, 0.1), confusion)
  assert found['classes'] == 3


@pytest.mark.parametrize('num', [2, 10, 20, 99])
def test_parts_too_small_to_differ_give_no_error(num):
  """Parts of one sample score 1, of two sure ones at most 2: neither says how far off the score is."""
  for classes in (np.arange(num) % 10, np.zeros(num, int)):
    value, spread = class_score(sure(classes))
    assert value <= np.ceil(num / 10)
    assert np.isnan(standard_error(value, spread, num))


def test_error_of_the_class_score_is_the_spread_over_repetitions():
  rng = np.random.default_rng(4)
  found = []
  for _ in range(100):
    value, spread = class_score(2.0 * rng.standard_normal((300, 5)))
    found.append((value, standard_error(value, spread, 300)))
  values, errors = np.array(found).T
  np.testing.assert_allclose(np.median(errors), values.std(), rtol=0.25)
