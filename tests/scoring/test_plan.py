"""Names of scores: what is asked for, in which features, and what is refused."""

import pytest

from gan.config import ConfigError
from gan.data import toy
from gan.scoring.plan import check_points, make_plan
from gan.scoring.records import TARGETS, distance_to_target, target
from gan.scoring.table import INCEPTION_NAMES, METRICS


def test_published_names_mean_inception():
  plan = make_plan('fid,kid,is,prdc', '', has_classes=True, training=False)
  assert plan.features == 'inception'
  assert plan.metrics == ('fd', 'kd', 'cs', 'prdc')
  assert [plan.called(name) for name in ('fd', 'kd', 'cs', 'fd_infinity', 'recall')] == [
      'fid', 'kid', 'is', 'fid_infinity', 'recall_inception']
  assert plan.needs == {'moments', 'features', 'logits'}


@pytest.mark.parametrize(('names', 'features', 'called'), [
    ('fd', 'classifier', 'fd_classifier'), ('kd', 'pixels', 'kd_pixels'), ('coverage', 'random', 'coverage_random'),
    ('fd_infinity', 'mine.dino:embed', 'fd_infinity_mine.dino:embed'), ('fd', 'inception', 'fid'),
    ('diversity', '', 'diversity'), ('modes', '', 'modes')])
def test_names_carry_the_features(names, features, called):
  plan = make_plan(names, features, has_classes=True, training=False)
  assert plan.called(names) == called
  assert plan.outputs == {names}


@pytest.mark.parametrize(('names', 'features', 'has_classes', 'message'), [
    ('fid,is', 'classifier', True, 'fid, is mean Inception features; in features=classifier they are called fd, cs'),
    ('fdi', '', True, r"metric 'fdi' is unknown; known: .*did you mean fd"),
    ('', 'incption', True, 'did you mean inception'),
    ('', 'classifier', False, 'needs labels'),
    ('modes', 'random', True, 'counted by a classifier'),
    ('cs', 'pixels', True, 'cs needs class logits')])
def test_what_makes_no_sense_is_refused(names, features, has_classes, message):
  with pytest.raises(ConfigError, match=message):
    make_plan(names, features, has_classes, training=False)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('has_classes', [True, False])
@pytest.mark.parametrize('features', ['', 'inception', 'pixels', 'random', 'a:b'])
def test_usual_scores_can_be_computed(features, has_classes, training):
  plan = make_plan('', features, has_classes, training)
  assert 'diversity' in plan.metrics
  assert 'fd' in plan.metrics
  if training:
    assert 'features' not in plan.needs, 'memory must not grow with the number of samples'


def test_points():
  assert check_points('', '', toy.ring()) >= {'modes', 'high_quality', 'reverse_kl'}
  assert check_points('modes, scale', '', toy.grid()) == {'modes', 'scale'}
  assert check_points('', '', toy.gaussian()) == {'w1'}
  with pytest.raises(ConfigError, match=r'mode.* is unknown for the points of ring.*did you mean modes'):
    check_points('mode', '', toy.ring())
  with pytest.raises(ConfigError, match='are for images'):
    check_points('', 'inception', toy.ring())


def test_every_score_has_a_best_value():
  names = {output for metric in METRICS.values() for output in metric.outputs} | set(INCEPTION_NAMES.values())
  assert names | check_points('', '', toy.ring()) <= set(TARGETS)
  assert target('fd_infinity_classifier') == target('fd_mine:f') == float('-inf')
  assert target('precision_inception') == float('inf')
  with pytest.raises(KeyError):
    target('fidelity')


def test_distance_to_target_orders_scores():
  assert distance_to_target('fid', 3.0) < distance_to_target('fid', 4.0)
  assert distance_to_target('kid', -0.1) < distance_to_target('kid', 0.0)
  assert distance_to_target('is', 9.0) < distance_to_target('is', 2.0)
  assert distance_to_target('diversity', 0.9) < distance_to_target('diversity', 1.2)
  assert distance_to_target('fid', float('nan')) == float('inf')
