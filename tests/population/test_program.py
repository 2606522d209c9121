"""Which runs can be members of one population."""

import pytest

from gan.complete import complete
from gan.config import base_config
from gan.losses import LOSSES
from gan.population.program import program_key


def key(**overrides):
  config = complete(base_config(), {name.replace('__', '.'): value for name, value in overrides.items()})
  return program_key(config)


@pytest.mark.parametrize(('one', 'other'), [
    ({'seed': 0}, {'seed': 1}), ({'loss__name': 'hinge'}, {'loss__name': 'fgan_kl'}),
    ({'loss__name': 'hinge'}, {'loss__name': 'hinge', 'loss__margin': 0.5}),
    ({}, {'optimizer__gen__lr': 1.0}), ({}, {'optimizer__disc__b1': 0.9}), ({}, {'train__ema_decay': 0.5}),
    ({'penalty__r1': 0.1}, {'penalty__r1': 10.0}), ({'augment__noise': 0.1}, {'augment__noise': 0.2}),
    ({}, {'loss__label_smoothing': 0.1}), ({'loss__label_flip': 0.1}, {'loss__label_flip': 0.2}),
    ({'optimizer__gen__weight_decay': 0.1}, {'optimizer__gen__weight_decay': 0.2}),
    ({'penalty__lecam': 0.1, 'penalty__lecam_start': 5}, {'penalty__lecam': 0.3, 'penalty__lecam_start': 9}),
    ({'schedule__optimizer__gen__lr': 'linear,over=5'},
     {'schedule__optimizer__gen__lr': 'linear, unit=steps, warmup=3, end=1e-5, over=500'})])
def test_numbers_may_differ(one, other):
  assert key(**one) == key(**other)


@pytest.mark.parametrize(('one', 'other'), [
    ({}, {'penalty__r1': 0.1}), ({}, {'augment__noise': 0.1}), ({}, {'train__batch_size': 64}),
    ({}, {'model__gen__width': 32}), ({}, {'update__rule': 'extragradient'}), ({}, {'train__disc_steps': 5}),
    ({}, {'data__name': 'ring'}), ({}, {'optimizer__gen__name': 'sgd'}), ({}, {'loss__label_flip': 0.1}),
    ({}, {'train__num_steps': 7}), ({}, {'optimizer__gen__weight_decay': 0.1}), ({}, {'model__disc__pack': 2}),
    ({}, {'eval__num_samples': 10}), ({}, {'augment__policy': 'ada'}),
    ({}, {'schedule__optimizer__gen__lr': 'constant,warmup=10'}),
    ({'schedule__train__ema_decay': 'linear,over=5'}, {'schedule__train__ema_decay': 'cosine,over=5'}),
    ({'schedule__train__ema_decay': 'linear,over=5'}, {'schedule__train__ema_decay': 'linear,over=5,unit=images'}),
    ({'schedule__optimizer__gen__lr': 'linear,over=5'}, {'schedule__optimizer__disc__lr': 'linear,over=5'}),
    ({'penalty__lecam': 0.1}, {'penalty__lecam': 0.1, 'penalty__lecam_form': 'paper'})])
def test_shapes_and_programs_may_not(one, other):
  assert key(**one) != key(**other)


def test_every_objective_fits_into_one_population():
  assert len({key(loss__name=name) for name in LOSSES}) == 1
