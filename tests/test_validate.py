"""Regularisers, augmentations and rules that `validate` refuses, and those it lets pass."""

import math

import pytest

from gan.config.validate import validate
from gan.losses import LOSSES
from tests.test_config import problems, stated

POINTS = {'data__name': 'ring', 'model__gen__name': 'mlp', 'model__disc__name': 'mlp'}
DIRAC = {'data__name': 'dirac', 'model__gen__name': 'dirac', 'model__disc__name': 'dirac', 'model__z_dim': 1}
NO_BATCH_NORM = {'model__disc__batch_norm': False}


@pytest.mark.parametrize('name', ['r1', 'r2', 'gp', 'dragan', 'zero_gp'])
@pytest.mark.parametrize('difference', [False, True])
def test_slopes_need_samples_that_are_judged_one_by_one(name, difference):
  weight = {f'penalty__{name}': 1.0} | ({'penalty__difference_std': 0.1, 'penalty__r1': 1.0} if difference else {})
  begin = f'penalty.{name}=1.0 needs the slope at each sample, and '
  lines = problems(stated(**weight))
  assert f'  * {begin}batch norm makes a logit depend on all samples of the batch; add ' \
         '--config.model.disc.batch_norm=False' in lines
  assert len(lines) == len({f'penalty__{name}', 'penalty__r1'} & set(weight))
  lines = problems(stated(**weight, **NO_BATCH_NORM, model__disc__minibatch='discrimination'))
  assert f'  * {begin}minibatch discrimination makes a logit depend on all samples of the batch; leave one of them ' \
         'out' in lines
  validate(stated(**weight, **NO_BATCH_NORM))
  if not difference:
    validate(stated(**weight, **NO_BATCH_NORM, model__disc__minibatch='stddev'))  # As StyleGAN2 has it.
  validate(stated(**weight, **POINTS))


@pytest.mark.parametrize('name', ['hinge_saturating', 'least_squares_nonsaturating', 'softmax_minimax',
                                  'wasserstein_nonsaturating', 'ragan_hinge_alternative'])
def test_forms_that_no_paper_defines(name):
  base = name.rpartition('_')[0]
  [line] = problems(stated(loss__name=name))
  assert line == f"  * loss.name={name!r}: {LOSSES[base].paper} defines no {name.rpartition('_')[2]} form of {base}; " \
                 f'use {base}'


@pytest.mark.parametrize(('overrides', 'message'), [
    (NO_BATCH_NORM | {'penalty__r1': 1.0, 'penalty__difference_std': 0.1, 'model__disc__minibatch': 'stddev'},
     'penalty.difference_std=0.1 moves all samples at once'),
    ({'seed': None}, 'seed=None: it must have a value, such as 0'),
    ({'update__rule': 'lookahead', 'update__lookahead_steps': 2**31}, 'lookahead_steps=2147483648 must be below 2^31'),
    (POINTS | {'eval__nearest_k': 7}, 'eval.nearest_k=7 does nothing for the points'),
    (DIRAC | {'penalty__orthogonal': 1.0}, 'penalty.orthogonal=1.0 is for matrices'),
    (DIRAC | {'penalty__gen_orthogonal': 1.0}, 'penalty.gen_orthogonal=1.0 is for matrices'),
    (DIRAC | {'model__disc__spectral_norm': True}, 'model.disc.spectral_norm=True is for matrices'),
    ({'penalty__lecam': 0.3, 'penalty__lecam_form': 'papers'}, "'papers' is unknown; known: paper, published (did you"),
    ({'penalty__zcr_gen': 1.0, 'penalty__zcr_std': 0.0}, 'penalty.zcr_std=0.0 must be positive'),
    (NO_BATCH_NORM | {'penalty__dragan': 1.0, 'penalty__dragan_std': 0.0}, 'penalty.dragan_std=0.0 must be positive'),
    (NO_BATCH_NORM | {'penalty__r1': 1.0, 'penalty__every': 4, 'update__rule': 'consensus'},
     'penalty.every=4 is for rules in which the players take turns; with update.rule=consensus both move at once, so '
     'use penalty.every=1'),
    ({'update__rule': 'extragradient', 'train__disc_steps': 2},
     'train.disc_steps=2: with update.rule=extragradient both players move at once; use 1, and separate learning rate'),
    ({'model__disc__pack': 3}, 'model.disc.pack=3 must divide the 128 samples of each device'),
    ({'augment__policy': 'color+blur'}, "augment.policy='color+blur': 'blur' is unknown; known: ada, color, cutout"),
    ({'augment__policy': 'colour'}, "'colour' is unknown; known: ada, color, cutout, none, translation (did you"),
    ({'augment__policy': 'ada+color'}, "augment.policy='ada+color': ada stands alone; use ada, or color+transl"),
    ({'augment__policy': 'color+color'}, "augment.policy='color+color' names a transformation twice"),
    (POINTS | {'augment__policy': 'ada'}, 'augment.policy=ada transforms images; data.name=ring has none'),
    (POINTS | {'penalty__cr_real': 1.0}, 'penalty.cr_real=1.0 transforms images; data.name=ring has none'),
    (POINTS | {'penalty__cr_fake': 1.0}, 'penalty.cr_fake=1.0 transforms images; data.name=ring has none'),
    (POINTS | {'model__gen__name': 'dirac'},
     'model.gen.name=dirac is for samples of 1 number, and the samples of data.name=ring have more; use '
     'data.name=dirac or gaussian, or model.gen.name=mlp')])
def test_refusals_name_the_field_the_rule_and_the_way_out(overrides, message):
  [line] = problems(stated(**overrides))
  assert line.startswith('  * ')
  assert message in line


@pytest.mark.parametrize('overrides', [
    {'loss__name': 'alpha_saturating', 'loss__alpha_disc': math.inf, 'loss__alpha_gen': 0.5},
    {'loss__name': 'wasserstein', 'model__disc__spectral_norm': True},
    *({'loss__name': 'wasserstein', **NO_BATCH_NORM, f'penalty__{name}': 1.0} for name in ('gp', 'r1', 'zero_gp')),
    NO_BATCH_NORM | {'penalty__r1': 1.0, 'penalty__r2': 2.0, 'penalty__every': 16, 'penalty__difference_std': 0.1},
    NO_BATCH_NORM | {'penalty__r2': 1.0, 'penalty__every': 4, 'update__rule': 'lookahead', 'update__lookahead': 1.0},
    NO_BATCH_NORM | {'penalty__gp': 10.0, 'penalty__target': 0.0, 'penalty__one_sided': True, 'train__disc_steps': 5},
    NO_BATCH_NORM | {'penalty__r1': 1.0, 'update__rule': 'consensus', 'update__consensus': 0.0},
    {'penalty__lecam': 0.3, 'penalty__lecam_start': 1000, 'penalty__lecam_form': 'paper'},
    {'penalty__lecam': 0.3, 'penalty__lecam_decay': 0.0, 'penalty__zcr_gen': 0.5, 'penalty__orthogonal': 1e-4},
    {'update__rule': 'unrolled', 'update__unroll_steps': 3, 'update__first': 'gen', 'train__disc_steps': 2},
    {'update__rule': 'symplectic', 'update__adjustment': 0.5}, {'update__gen_steps': 2, 'loss__label_flip': 0.1},
    {'augment__policy': 'ada', 'augment__ada_target': 0.0, 'augment__ada_images': 100}, {'model__disc__pack': 2},
    {'augment__policy': 'color+translation', 'augment__noise': 0.1,
     'schedule__augment__noise': 'linear,over=10'},
    POINTS | {'augment__noise': 0.1, 'penalty__zcr_disc': 1.0, 'model__disc__minibatch': 'discrimination'},
    {'train__on_failure': 'stop', 'train__patience': 2}])
def test_right_regularisers_and_rules(overrides):
  validate(stated(**overrides))


def test_pack_must_divide_what_each_device_has():
  assert problems(stated(model__disc__pack=4, train__batch_size=24), 4) == [
      '  * model.disc.pack=4 must divide the 6 samples of each device']
  validate(stated(model__disc__pack=3, train__batch_size=24), 4)


def test_the_other_form_may_have_another_name():
  [line] = problems(stated(loss__name='fgan_kl_nonsaturating'))
  assert line.endswith('use fgan_kl_alternative')


@pytest.mark.parametrize(('overrides', 'message'), [
    ({'data__name': 'dirac', 'model__disc__name': 'dirac', 'model__disc__pack': 2},
     'must be 1: model.disc.name=dirac judges'),
    ({'data__name': 'gaussian', 'model__disc__name': 'linear_quadratic'}, 'must be 1: model.gen.name=linear_q')])
def test_players_of_one_parameter(overrides, message):
  config = stated(**overrides, model__gen__name=overrides['model__disc__name'])
  [line] = problems(config)
  assert message in line
