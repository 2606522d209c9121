"""Verdicts: each rule and its negation on rows made by hand, what comes first, and drills that really run."""

import html
import json
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import dirac, toy
from experiments.health.drills import DRILLS, SMALL, both, run, verdicts
from gan import health
from gan.config.complete import complete
from gan.health import ADVICE, CHECKS, Verdict, judge
from gan.losses import LOSSES
from gan.run import train
from gan.run.report import read_metrics

STEPS = 40
# Whole curves of a run that is well: [rows] or one value for all.
HEALTHY = {'disc/accuracy': 0.6, 'disc/loss': 1.3, 'gen/loss': 0.8, 'gen/grad_norm': 5.0, 'disc/grad_norm': 2.0,
           'gen/update_norm': 0.04, 'disc/update_norm': 0.05, 'gen/weight_norm': 10.0, 'disc/weight_norm': 10.0,
           'eval/reverse_kl': 0.01, 'eval/scale': 1.0}
SWINGS = 0.5 + 0.4 * np.sin(np.arange(STEPS))
FADING = np.geomspace(5.0, 0.001, STEPS)
FAILURES = {
    'diverged': {'disc/loss': 5e3},
    'discriminator saturated': {'disc/accuracy': 1.0, 'gen/grad_norm': FADING},
    'generator stalled': {'disc/accuracy': 0.99, 'gen/update_norm': 1e-5},
    'oscillating': {'disc/accuracy': SWINGS},
    'mode collapse': {'eval/reverse_kl': math.log(8)},
    'low quality': {'eval/high_quality': 0.007},
}


def rows_of(curves: dict, count: int = STEPS) -> list[dict]:
  """Rows of every 10th step; evaluations at every 5th of them."""
  return [{'step': 10 * i} | {name: float(np.broadcast_to(curve, STEPS)[i]) for name, curve in curves.items()
                              if i % 5 == 4 or not name.startswith('eval/')} for i in range(count)]


def kind_of(**changes) -> str:
  """The verdict on healthy curves with some changes; `gen__loss` is gen/loss, None drops a curve."""
  curves = HEALTHY | {name.replace('__', '/'): curve for name, curve in changes.items()}
  return judge(rows_of({name: curve for name, curve in curves.items() if curve is not None})).kind


def test_a_check_for_every_failure_and_advice_in_one_sentence():
  assert {*FAILURES, *health.NO_FAILURE} == set(ADVICE)
  assert len(CHECKS) == len(FAILURES) - 1       # What has diverged is seen before.
  for text in ADVICE.values():
    assert text.endswith('.')
    assert '. ' not in text


@pytest.mark.parametrize('kind', FAILURES)
def test_each_failure(kind):
  verdict = judge(rows_of(HEALTHY | FAILURES[kind]))
  assert verdict.kind == kind
  assert verdict.failed
  assert verdict.step == 10 * (STEPS - 1)
  assert verdict.advice == ADVICE[kind]
  above = verdict.metric in ('disc/loss', 'eval/reverse_kl')
  assert (verdict.value > verdict.threshold) == above
  assert ('above' if above else 'below') in verdict.evidence
  assert verdict.metric in verdict.evidence


def test_healthy_and_too_young():
  assert judge([]) == ('too early', 0, 'rows', 0, health.MIN_ROWS, ())
  assert kind_of() == 'healthy'
  assert judge([{'step': 3}]).step == 3
  for kind, changes in FAILURES.items():
    for count in range(health.MIN_ROWS):
      assert judge(rows_of(HEALTHY | changes, count)).kind == 'too early', kind


def test_a_run_without_evidence_is_not_called_healthy():
  """60 steps of a DCGAN on MNIST: one evaluation, in which all samples are alike, and a sure discriminator."""
  rows = rows_of({'disc/accuracy': 0.996, 'eval/diversity': 0.23}, 9)
  verdict = judge(rows)
  assert verdict[:3] == ('too early', 80, 'evaluations')
  assert not verdict.failed
  assert verdict.evidence == 'evaluations = 1, below 4'
  assert str(health.MIN_ROWS) in verdict.advice
  assert str(health.MIN_EVALS) in verdict.advice
  assert judge(rows_of(HEALTHY, 5 * health.MIN_EVALS - 1)).kind == 'too early'
  assert judge(rows_of(HEALTHY, 5 * health.MIN_EVALS)).kind == 'healthy'
  never = {name: curve for name, curve in HEALTHY.items() if not name.startswith('eval/')}
  assert judge(rows_of(never, health.MIN_ROWS)).kind == 'healthy'       # Evaluations are no part of such a run.


def test_missing_scalars_say_nothing():
  for name in HEALTHY:
    assert kind_of(**{name.replace('/', '__'): None}) == 'healthy'
  assert kind_of(disc__accuracy=None, gen__grad_norm=FADING, gen__update_norm=0.0) == 'healthy'
  assert judge([{'step': i, 'eval/fid': 3.0} for i in range(99)]).kind == 'healthy'


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('name', ['disc/loss', 'gen/grad_norm', 'eval/scale', 'penalty/r1'])
def test_what_is_not_finite_has_diverged_at_once(name, value):
  verdict = judge([{'step': 7, name: value}])
  assert (verdict.kind, verdict.step, verdict.metric) == ('diverged', 7, name)
  assert verdict.evidence == f'{name} = {value:.3g}, not a finite number'
  rows = [{'step': 6, name: value}, {'step': 7, name: 1.0}]
  assert not judge(rows).failed  # Only the newest row tells: others are history.


def test_diverged_without_a_nan():
  first = np.eye(1, STEPS)[0]
  assert kind_of(gen__update_norm=0.04 + 60.0 * first, gen__weight_norm=60.0) == 'diverged'
  assert kind_of(disc__update_norm=0.05 + 60.0 * first, disc__weight_norm=60.0) == 'diverged'
  assert kind_of(gen__update_norm=0.04 + 4.0 * first) == 'healthy'      # Of 10.
  assert kind_of(gen__update_norm=60.0) == 'diverged'
  assert kind_of(gen__update_norm=60.0, gen__weight_norm=None) == 'healthy'   # Of how many, nobody knows.
  # The one weight of a Dirac-GAN passes through 0.
  assert kind_of(gen__weight_norm=np.abs(np.cos(np.arange(STEPS))), gen__update_norm=0.2) == 'healthy'
  assert kind_of(disc__loss=-2e3) == 'diverged'
  assert kind_of(disc__loss=2e3 * first) == 'healthy'                   # Once, long ago.
  assert kind_of(disc__logit_gap=-2e3) == 'diverged'
  assert kind_of(gen__loss=2e3) == 'healthy'                            # A critic's offset, which is free.
  assert kind_of(eval__scale=500.0) == 'diverged'


def test_a_loss_that_explodes_with_small_logits_tells_only_where_the_discriminator_errs():
  """Those of f-GANs are exponentials: of a discriminator that is wrong by 8, of the opponent of one that is right."""
  eight = np.full(4, 8.0, np.float32)
  for name in ('fgan_kl', 'fgan_reverse_kl', 'fgan_squared_hellinger'):
    disc, _ = LOSSES[name].disc(-eight, eight)
    assert kind_of(disc__loss=disc, disc__logit_gap=-16.0) == 'diverged', name
    assert kind_of(disc__logit_gap=-16.0) == 'healthy'
  for name in ('fgan_reverse_kl_alternative', 'fgan_squared_hellinger_alternative'):
    (disc, _), (gen, _) = LOSSES[name].disc(eight, -eight), LOSSES[name].gen(eight, -eight)
    assert gen > health.MAX_LOSS, name
    assert kind_of(disc__loss=disc, gen__loss=gen, disc__logit_gap=16.0) == 'healthy', name


@pytest.mark.parametrize('loss', ['fgan_kl', 'fgan_kl_alternative', 'fgan_reverse_kl_alternative',
                                  'fgan_squared_hellinger'])
def test_an_f_gan_that_explodes_has_diverged(loss):
  """In a real run, long before its logits are large."""
  config = complete(toy.get_config(f'ring,loss={loss}'), SMALL | both(lr=0.05) | {'train.num_steps': 25})
  rows = next(run(config, [0]))
  assert judge(rows).kind == 'diverged'
  assert max(abs(row['disc/logit_gap']) for row in rows) < 100.0


def test_saturated_needs_both():
  assert kind_of(disc__accuracy=1.0) == 'healthy'
  assert kind_of(gen__grad_norm=FADING) == 'healthy'                    # Converged, as with a gradient penalty.
  assert kind_of(gen__grad_norm=1e-6, disc__accuracy=1.0) == 'healthy'  # Small by no measure of its own.
  late = np.where(np.arange(STEPS) < 25, 5.0, 1e-3)
  assert kind_of(gen__grad_norm=late, disc__accuracy=np.where(late > 1, 0.6, 1.0)) == 'discriminator saturated'
  back = np.where(np.arange(STEPS) < 25, 1e-3, 5.0)
  assert kind_of(gen__grad_norm=back, disc__accuracy=1.0) == 'healthy'  # It recovered.


def test_samples_that_miss_the_data_under_a_discriminator_that_is_always_right():
  """The saturating loss against a strong discriminator on the ring: 0.97, and a hundredth of the samples at a mode."""
  lost = {'disc__accuracy': 0.97, 'eval__high_quality': 0.01}
  assert kind_of(**lost) == 'discriminator saturated'
  assert kind_of(**lost | {'disc__accuracy': 0.85}) == 'low quality'
  assert kind_of(**lost | {'eval__high_quality': 0.3}) == 'healthy'
  assert kind_of(**lost | {'eval__high_quality': np.geomspace(1e-3, 0.09, STEPS)}) == 'too early'  # On its way.
  once = np.where(np.arange(STEPS) > STEPS - 3, 0.01, 0.8)
  assert kind_of(**lost | {'eval__high_quality': once}) == 'healthy'  # The last evaluation alone.


def test_good_samples_that_come_and_go_are_no_way_out():
  def kind(*quality):  # An evaluation at every 5th row.
    curves = {'disc/accuracy': 0.97, 'eval/high_quality': np.resize(np.repeat(quality, 5), STEPS)}
    return judge(rows_of(curves, 5 * len(quality))).kind

  assert kind(0.008, 0.013, 0.008, 0.005, 0.009, 0.008, 0.009, 0.021) == 'discriminator saturated'
  assert kind(0.0, 0.01, 0.02, 0.04, 0.04, 0.04, 0.04) == 'discriminator saturated'    # It rose, and stays.
  assert kind(0.0, 0.05, 0.001, 0.06, 0.0, 0.003, 0.08) == 'discriminator saturated'   # Wide swings.
  assert kind(0.0, 0.0, 0.001, 0.002, 0.004, 0.01, 0.02) == 'too early'                # Small, but on its way.
  assert kind(0.001, 0.002, 0.004, 0.01) == 'too early'                                # No fewer can show it.


def judged(accuracy, **curves):
  """The verdict after evaluations at every 5th row, of a discriminator that is right with a constant rate."""
  count = len(next(iter(curves.values())))
  curves = {f'eval/{name}': np.resize(np.repeat(values, 5), STEPS) for name, values in curves.items()}
  return judge(rows_of({'disc/accuracy': accuracy} | curves, 5 * count))


def test_hardly_a_good_sample_is_a_failure_whatever_the_discriminator_does():
  """Seen on the ring: no mode and no good sample in five evaluations, six modes and 0.7% in the sixth: not healthy."""
  verdict = judged(0.6, high_quality=[0.0, 0.0, 0.0, 0.0, 0.0, 0.007], modes=[0, 0, 0, 0, 0, 6], reverse_kl=[0.2] * 6)
  assert (verdict.kind, verdict.metric, verdict.value) == ('too early', 'eval/high_quality', 0.007)
  verdict = judged(0.6, high_quality=[0.0] * 7 + [0.007], modes=[0] * 7 + [6], reverse_kl=[0.2] * 8)
  assert (verdict.kind, verdict.metric) == ('low quality', 'eval/high_quality')
  assert judged(0.96, high_quality=[0.0] * 7 + [0.007]).kinds == ('discriminator saturated',)  # By its cause.
  assert judged(0.6, high_quality=[0.0] * 5 + [0.01, 0.12]).kind == 'healthy'                   # One good evaluation.
  assert judged(0.6, high_quality=[0.001, 0.002, 0.004, 0.006, 0.01, 0.02, 0.04, 0.06]).kind == 'too early'


def test_a_run_that_is_excused_because_it_gains_is_not_healthy():
  """Seen on images: one class of three, and samples that slowly become less alike."""
  verdict = judged(0.6, diversity=[0.10, 0.09, 0.24, 0.31], classes=[1, 1, 1, 1])
  assert (verdict.kind, verdict.metric, verdict.value) == ('too early', 'eval/diversity', 0.31)
  assert not verdict.failed
  assert verdict.evidence == 'eval/diversity = 0.31, below 0.5'
  verdict = judged(0.6, reverse_kl=[2.0, 1.9, 1.2, 1.0])
  assert (verdict.kind, verdict.metric, verdict.threshold) == ('too early', 'eval/reverse_kl', math.log(2))
  assert judged(0.6, diversity=[0.10, 0.09, 0.24, 0.31, 0.6]).kind == 'healthy'


@pytest.mark.parametrize('evaluations', [health.MIN_EVALS, 7, 20])
def test_noise_of_any_scale_is_no_way_out(evaluations):
  """Chance lets few of the beaten go, even where the shares spread more than any number of samples explains."""
  rng = np.random.default_rng(0)
  shares = 0.02 * np.exp(rng.normal(0.0, 0.7, (400, evaluations)))
  rows = rows_of({'disc/accuracy': 0.97}, health.MIN_ROWS)
  kinds = [judge([*rows, *({'step': 100 + i, 'eval/high_quality': min(q, 0.09)} for i, q in enumerate(qs))]).kind
           for qs in shares]
  assert kinds.count('discriminator saturated') >= (1 - 1.5 * health.CHANCE) * len(kinds)


def test_stalled_is_measured_by_the_opponent():
  assert kind_of(disc__accuracy=1.0, gen__update_norm=1e-3) == 'healthy'   # A 50th.
  assert kind_of(disc__accuracy=0.6, gen__update_norm=1e-5) == 'healthy'   # Nobody minds.
  assert kind_of(disc__accuracy=1.0, gen__update_norm=1e-5, disc__update_norm=1e-5) == 'healthy'  # Both rest.
  assert kind_of(disc__accuracy=1.0, gen__update_norm=0.0) == 'generator stalled'


@pytest.mark.parametrize('batch', [16, 64])
def test_noise_does_not_oscillate(batch):
  """Accuracies of a discriminator that guesses, from batches of so many real and so many generated samples."""
  rng = np.random.default_rng(0)
  curves = rng.binomial(2 * batch, 0.5, (200, STEPS)) / (2 * batch)
  wrong = sum(judge(rows_of({'disc/accuracy': curve})).failed for curve in curves)
  assert wrong <= 2


def test_oscillating():
  assert kind_of(disc__accuracy=0.0) == 'healthy'                       # Always wrong: it does not swing.
  assert kind_of(disc__accuracy=0.7 + 0.3 * np.sin(np.arange(STEPS))) == 'healthy'  # Never deceived.
  early = np.where(np.arange(STEPS) < STEPS // 2, SWINGS, 0.55)
  assert kind_of(disc__accuracy=early) == 'healthy'
  assert kind_of(disc__accuracy=np.where(np.arange(STEPS) % 4 < 2, 0.0, 0.5)) == 'oscillating'  # A Dirac-GAN.
  assert kind_of(disc__accuracy=np.where(np.arange(STEPS) % 5 < 1, 0.31, 0.9)) == 'oscillating'  # In a fifth.
  assert kind_of(disc__accuracy=np.where(np.arange(STEPS) % 5 < 1, 0.35, 0.9)) == 'healthy'
  assert judge(rows_of({'disc/accuracy': SWINGS}, health.MIN_SWINGS - 1)).kind == 'healthy'


def test_swings_that_die_down_are_none():
  """The discriminator is deceived by ever less: a Dirac-GAN under extragradient, that comes to rest."""
  steps = np.arange(STEPS)
  wave = np.sin(2.0 * steps)
  swings = {'disc__accuracy': np.where(wave > 0, 0.0, 0.5)}
  assert kind_of(**swings, disc__logit_gap=wave) == 'oscillating'
  assert kind_of(**swings, disc__logit_gap=np.exp(-0.1 * steps) * wave) == 'healthy'
  assert kind_of(**swings, disc__logit_gap=np.exp(0.1 * steps) * wave) == 'oscillating'
  assert kind_of(**swings, disc__logit_gap=np.where(steps < STEPS // 2, 9.0, 1.0) * wave) == 'oscillating'  # They stay.
  rng = np.random.default_rng(0)
  noise = [kind_of(**swings, disc__logit_gap=curve) for curve in rng.normal(size=(200, STEPS))]
  assert set(noise) == {'oscillating'}


def test_rare_swings_count_where_they_last_and_come_back():
  def kind(length, back, gap=True):  # Among 100 rows one spell in which the discriminator is deceived.
    rows = [{'step': i, 'disc/accuracy': 0.25 if 80 <= i < 80 + length else 0.75} for i in range(100)]
    for row in rows if gap else ():
      row['disc/logit_gap'] = 3.0 if row['disc/accuracy'] > 0.5 else -back
    return judge(rows).kind
  assert kind(3, 2.0) == 'oscillating'
  assert kind(2, 2.0) == 'healthy'
  assert kind(3, 1.0) == 'healthy'              # Hardly back.
  assert kind(3, 2.0, gap=False) == 'healthy'   # How far, nobody knows.


@pytest.mark.parametrize(('argument', 'kind'), [
    ('rule=extragradient', 'healthy'), ('', 'oscillating'), ('rule=simultaneous', 'oscillating')])
def test_a_dirac_gan_that_comes_to_rest_circles_or_spirals_outwards(argument, kind):
  assert verdicts(next(run(complete(dirac.get_config(argument)), [0])))[-1].kind == kind


def test_collapse_of_mixtures_and_of_images():
  assert kind_of(eval__reverse_kl=0.6) == 'healthy'                     # 55% of the modes.
  assert kind_of(eval__reverse_kl=0.8) == 'mode collapse'
  images = {'eval__reverse_kl': None, 'eval__scale': None}
  assert kind_of(**images, eval__diversity=0.9) == 'healthy'
  assert kind_of(**images, eval__diversity=0.2) == 'mode collapse'
  classified = {'eval__diversity': 0.9, 'eval__reverse_kl': 1.5}        # Blurred digits, half of which are called 8.
  assert kind_of(**images | classified) == 'healthy'
  assert kind_of(**classified | {'eval__diversity': None, 'eval__scale': None, 'eval__classes': 4.0}) == 'healthy'
  assert kind_of(**images, eval__diversity=np.linspace(0.01, 0.45, STEPS)) == 'too early'  # On its way.
  once = np.where(np.arange(STEPS) > STEPS - 3, 0.1, 0.9)
  assert kind_of(**images, eval__diversity=once) == 'healthy'           # The last evaluation alone.
  rows = [{'step': i, 'eval/diversity': value} for i, value in enumerate([0.182, 0.216, 0.179, 0.199, 0.277])]
  assert judge(rows).kind == 'mode collapse'                            # A peak at the end is no way out.
  few = rows_of({'eval/diversity': 0.1}, 5 * (health.MIN_EVALS - 1))
  assert judge(few).kind == 'too early'
  assert judge(few + rows_of({'eval/diversity': 0.1}, 5)).kind == 'mode collapse'


def test_what_has_diverged_has_no_second_verdict():
  everything = HEALTHY | FAILURES['mode collapse'] | FAILURES['discriminator saturated'] | FAILURES['diverged']
  assert judge(rows_of(everything)).kinds == ('diverged',)


@pytest.mark.parametrize('kinds', [
    ('discriminator saturated', 'generator stalled', 'mode collapse'), ('discriminator saturated', 'mode collapse'),
    ('oscillating', 'mode collapse'), ('generator stalled', 'mode collapse')])
def test_a_run_that_fails_in_several_ways_is_told_all_of_them(kinds):
  """The cause first, each with the evidence, and the advice, that it would have alone."""
  curves = HEALTHY.copy()
  for kind in reversed(kinds):
    curves |= FAILURES[kind]
  verdict = judge(rows_of(curves))
  assert verdict.kinds == kinds
  for found in verdict.findings:
    alone = judge(rows_of(HEALTHY | FAILURES[found.kind] | ({'disc/accuracy': curves['disc/accuracy']}
                                                            if found.kind == 'generator stalled' else {})))
    assert found._replace(also=()) == alone
    assert f'{found.kind} ({found.evidence}). {found.advice}' in str(verdict)
  assert str(verdict).count(' Also ') == len(kinds) - 1


def test_two_ways_to_be_saturated_are_told_once():
  rows = rows_of(HEALTHY | FAILURES['discriminator saturated'] | {'eval/high_quality': 0.01})
  assert judge(rows).kinds == ('discriminator saturated',)
  assert judge(rows).metric == 'gen/grad_norm'


def test_verdicts_in_the_log_are_not_evidence():
  """Judged again, a log with its verdicts says the same; they may hold infinities."""
  rows = rows_of(HEALTHY)
  old = Verdict('diverged', 1, 'gen/loss', math.nan, math.inf).row()
  assert judge([*rows[:-1], rows[-1] | old]).kind == 'healthy'
  bad = {'step': 999, 'gen/loss': math.nan}
  assert judge([*rows, bad | judge([*rows, bad]).row()]).kind == 'diverged'


@pytest.mark.parametrize(('kinds', 'curves'), [
    (('healthy',), {}), (('mode collapse',), FAILURES['mode collapse']),
    (('oscillating', 'mode collapse'), FAILURES['oscillating'] | FAILURES['mode collapse'])])
def test_rows_and_back(kinds, curves):
  verdict = judge(rows_of(HEALTHY | curves))
  assert verdict.kinds == kinds
  assert health.last_verdict([{'step': 1}, {'step': verdict.step} | verdict.row(), {'step': 999}]) == verdict
  assert health.last_verdict([{'step': 1, 'gen/loss': 1.0}]) is None
  json.dumps(verdict.row())


def test_failures_in_a_row():
  kinds = ['mode collapse', 'healthy', 'oscillating', 'diverged', 'too early']
  rows = [{'step': i, 'health/verdict': kind} for i, kind in enumerate(kinds)]
  assert [health.failures_in_a_row(rows[:i]) for i in range(6)] == [0, 1, 0, 1, 2, 0]


NAMES = [*HEALTHY, 'eval/diversity', 'eval/w1', 'time/elapsed_sec']
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(NAMES), NUMBERS | st.sampled_from([0.0, 0.5, 1.0])), max_size=50))
def test_any_rows_have_a_verdict_with_its_evidence(rows):
  rows = [{'step': i} | row for i, row in enumerate(rows)]
  verdict = judge(rows)
  assert verdict.kind in ADVICE
  assert bool(verdict.metric) == (verdict.kind != 'healthy')
  assert health.last_verdict([*rows, {'step': verdict.step} | verdict.row()]) == verdict
  assert len({*verdict.kinds}) == len(verdict.kinds)
  assert verdict.step == max(len(rows) - 1, 0)
  for found in verdict.findings if verdict.failed else ():
    assert found.failed
    assert any(found.metric in row for row in rows)
    assert math.isfinite(found.value)
    assert found.value != found.threshold


def test_a_learning_rate_of_one():
  drill = DRILLS['learning rate 1']
  drill = drill._replace(overrides=drill.overrides | {'train.num_steps': 50, 'model.gen.width': 16,
                                                      'model.disc.width': 16})
  assert verdicts(next(run(drill.config, [0])))[-1].kind == 'diverged'


def verdict_rows(workdir):
  return [row for row in read_metrics(workdir / 'metrics.jsonl') if 'health/verdict' in row]


def test_a_failing_run_stops_after_its_patience_and_can_go_on(tmp_path, capsys):
  """A generator that stands still, whose fakes near 0 are soon told from the grid; two such verdicts are enough."""
  settings = SMALL | {
      'model.gen.width': 16, 'model.disc.width': 16, 'optimizer.gen.lr': 1e-7, 'optimizer.disc.lr': 1e-2,
      'train.num_steps': 500, 'train.log_every': 10, 'train.eval_every': 100, 'train.save_every': 500,
      'train.sample_every': 500, 'train.dynamics': False, 'train.on_failure': 'stop'}
  config = complete(toy.get_config('grid'), settings | {'train.patience': 1})
  with pytest.raises(train.FailedError, match=r'--config\.train\.on_failure=continue'):
    train.run(config, tmp_path, ['test'])
  rows = verdict_rows(tmp_path)
  kinds = [row['health/verdict'] for row in rows]
  assert kinds[-2:] == ['generator stalled'] * 2
  assert set(kinds[:-2]) <= {*health.NO_FAILURE}
  evidence = rows[-1]
  assert evidence['health/value'] < evidence['health/threshold']
  assert f'Verdict at step {evidence["step"]}: generator stalled (gen/update_norm = ' in capsys.readouterr().out
  page = re.sub('</?code>', '', (tmp_path / 'report.html').read_text())
  assert 'generator stalled' in page
  assert 'gen/update_norm' in page
  assert html.escape(ADVICE['generator stalled']).replace('&#x27;', "'") in page.replace('&#39;', "'")

  with pytest.raises(train.FailedError, match=f'step {evidence["step"]}: '):  # The same command: it stays stopped.
    train.run(config, tmp_path, ['test'])
  assert len(verdict_rows(tmp_path)) == len(rows)

  config = complete(toy.get_config('grid'), settings | {'train.on_failure': 'continue'})
  assert train.run(config, tmp_path, ['test']) == 0
  assert [row['step'] for row in verdict_rows(tmp_path)] == list(range(100, 600, 100))
  said = [line for line in capsys.readouterr().out.splitlines() if 'Verdict' in line]
  assert said[-1].startswith('Verdict at step 500: ')
  assert all(': generator stalled' in line for line in said[-2:])
  assert len([line for line in said if 'step 500' in line or line.startswith('Verdict:')]) == 1


@pytest.mark.slow
@pytest.mark.parametrize('kind', {drill.kind: None for drill in DRILLS.values()})
def test_nine_of_ten(kind):
  """On seeds that neither thresholds nor drills were set with."""
  said = {name: [verdicts(rows)[-1].kinds for rows in run(drill.config, range(200, 210))]
          for name, drill in DRILLS.items() if drill.kind == kind}
  right = [kind in kinds for found in said.values() for kinds in found]
  assert np.mean(right) >= 0.9, said
