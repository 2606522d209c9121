"""From the table of a sweep to its page: what is compared with what, what is claimed, and what a reader sees."""

import html.parser
import math
import re
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from experiments import results
from experiments.comparison import figures
from experiments.comparison.analysis import analyse, seeds_to_show_anything
from experiments.comparison.export import write_pictures
from experiments.comparison.grouping import group, measure_of
from experiments.comparison.page import Compared, write_page
from experiments.comparison.question import Question, question_of
from experiments.comparison.table import table
from experiments.comparison.wording import Finding, decimals_for, ends, number
from experiments.plan import load_plan, save_plan
from experiments.sweep import SweepError
from gan.config.files import load_module
from gan.run.workdir import WorkdirError
from gan.show.page import INK, use_log_scale
from gan.statistics import Interval, compare
from tests import runs
from tests.experiments.synthetic_sweeps import Life, make
from tests.statistics import arms as statistics_arms

RING = "CONFIG = 'configs/toy.py:ring'\n"
FORMS = "product(param('loss.name', ['saturating', 'nonsaturating']), param('seed', range({seeds})))"


def two_forms(seeds=10, extra=''):
  return f'{RING}{extra}\ndef sweep():\n  return {FORMS.format(seeds=seeds)}\n'


def better_by(difference):
  """Non-saturating runs are better by a difference that varies a little from seed to seed."""
  def live(run):
    seed = run.config.seed
    gain = (difference + 0.1 * math.cos(3 * seed)) * (run.config.loss.name == 'nonsaturating')
    value = 4 + 0.5 * math.sin(seed) + gain
    return Life({'modes': (1, 2, value, value), 'high_quality': (0.1, 0.9, 0.5, 0.5)})
  return live


def compared(workdir, by=None, metric=None, value='last'):
  plan = load_plan(workdir)
  results.write_table(plan, workdir)
  rows, question = results.read_table(workdir), question_of(plan)
  grouping = group(rows, question, by)
  return Compared(rows, plan, workdir, question, grouping, analyse(rows, grouping, question, metric, value))


def text_of(workdir, **kwargs):
  found = compared(workdir, **kwargs)
  return table(found.results, found.grouping)


# What is compared with what.

def test_arms_are_compared_within_settings_and_fields_that_go_with_an_arm_make_none(tmp_path):
  text = f'''{RING}BY = 'model.disc.width'
def sweep():
  widths = [{{'model.disc.width': 16, 'train.batch_size': 32}}, {{'model.disc.width': 64, 'train.batch_size': 128}}]
  return product(param('train.disc_steps', [1, 5]), widths, param('seed', range(3)))
'''
  grouping = compared(make(tmp_path, text, lambda run: Life({'modes': (1, 2, 3, 4)}))).grouping
  assert [setting.name for setting in grouping.settings] == ['toy:ring, disc_steps=1', 'toy:ring, disc_steps=5']
  assert list(grouping.arms) == ['width=16', 'width=64']
  assert grouping.linked == ['train.batch_size']
  for setting in grouping.settings:
    assert [[row['seed'] for row in rows] for rows in setting.arms.values()] == [[0, 1, 2], [0, 1, 2]]


def test_draws_of_a_random_search_repeat_an_arm_and_are_compared_one_by_one(tmp_path):
  text = f'''{RING}BY, REPLICATES = 'loss.name', ['optimizer.gen.lr', 'optimizer.gen.b1']
def sweep():
  rates = zip_(sample('optimizer.gen.lr', 1e-4, 1e-2, 8, log=True), sample('optimizer.gen.b1', 0.0, 0.9, 8))
  return product(rates, param('loss.name', ['saturating', 'nonsaturating']))
'''
  def live(run):
    return Life({'modes': (0, 0, 0, 1e3 * run.config.optimizer.gen.lr + (run.config.loss.name == 'nonsaturating'))})
  found = compared(make(tmp_path, text, live))
  [result] = found.results
  comparison = result.comparisons['nonsaturating']
  assert found.grouping.replicates == ['optimizer.gen.lr', 'optimizer.gen.b1']
  assert found.grouping.linked == []
  assert comparison.paired
  assert comparison.difference.value == pytest.approx(1)
  assert comparison.difference.count == 8


def test_settings_that_belong_to_an_arm_leave_reruns_paired_by_seed(tmp_path):
  text = f'''{RING}BY, REPLICATES = 'loss.name', ['optimizer.gen.lr']
def sweep():
  best = [{{'loss.name': 'saturating', 'optimizer.gen.lr': 1e-3}}, {{'loss.name': 'hinge', 'optimizer.gen.lr': 2e-3}}]
  return product(best, param('seed', range(7)))
'''
  found = compared(make(tmp_path, text, lambda run: Life({'modes': (0, 0, 0, run.config.seed % 5)})))
  assert found.grouping.replicates == []
  assert found.grouping.linked == ['optimizer.gen.lr']
  assert found.results[0].comparisons['hinge'].paired
  assert len(found.results) == 1


@given(st.lists(st.tuples(st.sampled_from('ab'), st.sampled_from([1, 2, 3]), st.booleans(), st.integers(0, 2)),
                min_size=1, unique=True))
def test_every_run_is_in_one_arm_of_one_setting(kinds):
  rows = [{'run': str(i), 'population': '000', 'config': 'configs/toy.py:ring', 'loss.name': loss,
           'train.disc_steps': k, 'model.disc.spectral_norm': norm, 'seed': seed, 'status': 'finished', 'steps': 1,
           'verdict': 'healthy'}
          for i, (loss, k, norm, seed) in enumerate(kinds)]
  grouping = group(rows, Question(by='loss.name'))
  placed = [row['run'] for setting in grouping.settings for arm in setting.arms.values() for row in arm]
  assert sorted(placed) == sorted(row['run'] for row in rows)
  for setting in grouping.settings:
    for arm, own in setting.arms.items():
      assert {row['loss.name'] for row in own} == {arm}
      assert len({(row['train.disc_steps'], row['model.disc.spectral_norm']) for row in own}) == 1
      assert len({row['seed'] for row in own}) == len(own)


@pytest.mark.parametrize(('by', 'extra', 'message'), [
    ('loss.nam', '', 'by=loss.nam is no field that this sweep sets; known: config, loss.name (did you mean loss.name?'),
    ('seed', '', 'by=seed: the runs of an arm differ in their seeds'),
    (None, "BASELINE = 'hinge'", "BASELINE = 'hinge' is no arm of this sweep"),
    (None, "METRIC = 'mode'", "METRIC = 'mode': no such score; known: high_quality, modes (did you mean modes?)"),
    (None, 'METRIC = 3', 'METRIC must be a name'),
    (None, "CURVE = 'loss.name'", "CURVE = 'loss.name': its values must be numbers"),
    (None, "BY = ('loss.name', 'seed')", 'BY must be a string with one or several fields'),
    (None, 'SUCCESS = 3', 'SUCCESS must be a function'),
    (None, "SUCCESS = lambda row: row['modes.lst'] > 7", "SUCCESS uses the column 'modes.lst'"),
    (None, "SUCCESS = lambda row: row['modes.last'] > '7'", 'SUCCESS fails on run'),
    (None, "REPLICATES = 'optimizer.gen.lr'", 'REPLICATES must be a list of fields'),
    (None, "PUBLISHED = [{'arm': 'saturating', 'value': 7}]", 'each entry of PUBLISHED must be a dict with at'),
    (None, "PUBLISHED = [{'arm': 'a', 'value': 7, 'source': 'x', 'sorce': 'y'}]", "PUBLISHED has 'sorce'"),
])
def test_what_cannot_be_asked_is_refused_with_the_way_out(tmp_path, by, extra, message):
  workdir = make(tmp_path, two_forms(2, extra), better_by(1))
  with pytest.raises(SweepError, match='^.*' + re.escape(message)):
    compared(workdir, by)


def test_the_score_that_decides_unless_told():
  """Every image run has all classes, and so all modes."""
  def deciding(scores):
    rows = [{'run': str(seed), 'population': '000', 'config': 'c.py', 'loss.name': 'hinge', 'seed': seed,
             'status': 'finished', 'steps': 1, 'verdict': 'healthy'} | {f'{name}.last': 1.0 for name in scores}
            for seed in range(2)]
    [setting] = group(rows, Question(by='loss.name')).settings
    return measure_of(setting, rows, Question(), None, 'last').metric

  assert deciding(['diversity', 'cs_classifier', 'modes', 'classes', 'fd_classifier']) == 'fd_classifier'
  assert deciding(['high_quality', 'modes', 'reverse_kl']) == 'modes'
  assert deciding(['diversity', 'fd_random']) == 'diversity'


def test_more_than_one_field_needs_a_question(tmp_path):
  text = f'''{RING}
def sweep():
  return product(param('train.disc_steps', [1, 2]), param('loss.name', ['saturating', 'hinge']))
'''
  workdir = make(tmp_path, text, better_by(1))
  with pytest.raises(SweepError, match=r'the runs differ in 2 fields: train.disc_steps, loss.name; .*--by=loss.name'):
    compared(workdir)
  assert list(compared(workdir, 'train.disc_steps').grouping.arms) == ['disc_steps=1', 'disc_steps=2']


def test_a_score_that_was_not_measured_is_refused(tmp_path):
  with pytest.raises(SweepError, match=r'--metric=mode was not measured in this sweep.*modes'):
    compared(make(tmp_path, two_forms(2), better_by(1)), metric='mode')


# What is claimed.

def test_a_difference_is_shown_with_the_numbers_of_the_runs(tmp_path):
  workdir = make(tmp_path, two_forms(), better_by(2.0))
  [result] = compared(workdir).results
  comparison = result.comparisons['nonsaturating']
  differences = [2.0 + 0.1 * math.cos(3 * seed) for seed in range(10)]
  assert comparison.difference.value == pytest.approx(np.mean(differences))
  assert comparison.difference.low < 2.0 < comparison.difference.high
  assert comparison.improvement.value == 1
  assert comparison.adjusted_p == pytest.approx(2 / 2**10)  # Better in each of ten pairs.
  text = text_of(workdir)
  assert 'toy:ring: modes, last (more is better)' in text
  assert 'nonsaturating is better than saturating by 2' in text
  assert re.search(r'^saturating +10 of 10', text, re.MULTILINE)


def test_equal_arms_are_not_called_different_nor_equal(tmp_path):
  text = text_of(make(tmp_path, two_forms(), better_by(0.0)))
  assert 'No difference shown' in text
  assert 'better than' not in text


def test_arms_without_any_spread_give_ranges_and_no_nan(tmp_path):
  workdir = make(tmp_path, two_forms(), lambda run: Life({'modes': (2, 4, 8, 8)}))
  text = text_of(workdir)
  assert 'always the same' in text
  assert 'No difference shown' in text
  write_page(compared(workdir), 'command')
  for told in (text, _page(workdir).text):
    assert not re.search(r'\bnan\b|\bNone\b(?! so far)', told)


def test_failed_runs_stay_in_the_denominator(tmp_path):
  def live(run):
    if run.config.loss.name == 'saturating' and run.config.seed < 6:
      return Life({'modes': (1, math.nan, math.nan, math.nan)}, 'diverged', 0.5)
    return better_by(0.0)(run)
  workdir = make(tmp_path, two_forms(), live)
  [result] = compared(workdir).results
  assert result.arms['saturating'].success.value == pytest.approx(0.4)
  assert result.arms['saturating'].success.count == 10
  assert not result.arms['saturating'].middle.has_value  # Over a quarter failed.
  assert result.comparisons['nonsaturating'].improvement.value > 0.75
  write_page(compared(workdir), 'command')
  page = _page(workdir)
  failed = {row['run'] for row in compared(workdir).rows if row['status'] != 'finished'}
  assert len(failed) == 6
  assert all(run in page.text for run in failed)
  assert '4 of 10' in page.text


def test_a_setting_in_which_everything_diverged_is_there_all_the_same(tmp_path):
  workdir = make(tmp_path, two_forms(), lambda run: Life({'modes': (math.nan,) * 4}, 'diverged', 0.5))
  assert '0 of 10' in (text := text_of(workdir))
  assert 'none of the 10 and 10 runs succeeds' in text
  write_page(compared(workdir), 'command')
  assert '20 runs did not succeed' in _page(workdir).text


def test_a_population_that_ended_early_counts(tmp_path):
  workdir = make(tmp_path, two_forms(), better_by(2.0), steps=400)
  plan = load_plan(workdir)
  for known in plan.runs.values():
    known['config']['train.num_steps'] = 800   # As if all of them had been stopped half way, their verdict a failure.
  save_plan(plan, workdir)
  found = compared(workdir)
  assert {row['status'] for row in found.rows} == {'stopped'}
  assert found.results[0].waiting == 0
  assert found.results[0].arms['saturating'].success.value == 0


def test_success_is_what_the_sweep_says(tmp_path):
  workdir = make(tmp_path, two_forms(extra="SUCCESS = lambda row: row['modes.last'] >= 5"), better_by(2.0))
  [result] = compared(workdir).results
  assert [result.arms[name].success.value for name in ('saturating', 'nonsaturating')] == [0.0, 1.0]


def test_runs_too_short_for_a_verdict_are_no_successes_and_the_page_says_so(tmp_path):
  early = make(tmp_path / 'early', two_forms(), lambda run: better_by(2.0)(run)._replace(verdict='too early'))
  assert compared(early).results[0].arms['saturating'].success.value == 0.0
  write_page(compared(early), 'command')
  assert 'too early for a verdict on 20 runs, which therefore count as failed' in _page(early).text
  missed = make(tmp_path / 'missed', two_forms(extra="SUCCESS = lambda row: row['modes.last'] >= 5"),
                lambda run: better_by(2.0)(run)._replace(verdict='too early'))
  write_page(compared(missed), 'command')
  page = _page(missed).text
  assert 'below the threshold of success' in page
  assert 'too early' not in page
  assert 'disc/loss' not in page   # What is called early is no evidence of a failure.
  healthy = make(tmp_path / 'healthy', two_forms(), better_by(2.0))
  write_page(compared(healthy), 'command')
  assert 'too early' not in _page(healthy).text


def test_failed_runs_are_listed_with_all_that_fails(tmp_path):
  workdir = make(tmp_path, two_forms(), lambda run: better_by(2.0)(run)._replace(verdict='oscillating',
                                                                                also='mode collapse'))
  found = compared(workdir)
  assert {(row['verdict'], row['also']) for row in found.rows} == {('oscillating', 'mode collapse')}
  write_page(found, 'command')
  assert 'oscillating, also mode collapse' in _page(workdir).text


def test_all_comparisons_of_a_page_are_adjusted_together(tmp_path):
  text = f'''{RING}BY, BASELINE = 'loss.name', 'saturating'
def sweep():
  losses = param('loss.name', ['saturating', 'nonsaturating', 'hinge'])
  return product(param('train.disc_steps', [1, 5]), losses, param('seed', range(10)))
'''
  found = compared(make(tmp_path, text, better_by(2.0))).results
  comparisons = [comparison for result in found for comparison in result.comparisons.values()]
  assert len(comparisons) == 4
  assert {comparison.family for comparison in comparisons} == {4}
  assert min(c.adjusted_p for c in comparisons) == pytest.approx(4 * min(c.p for c in comparisons))


def test_choosing_the_best_arm_counts_as_a_look_at_all_pairs(tmp_path):
  text = f'''{RING}
def sweep():
  return product(param('loss.name', ['saturating', 'nonsaturating', 'hinge', 'least_squares']), param('seed', range(8)))
'''
  [result] = compared(make(tmp_path, text, better_by(2.0))).results
  assert result.reference == 'nonsaturating'
  assert {comparison.family for comparison in result.comparisons.values()} == {6}


def test_too_few_seeds_say_so(tmp_path):
  text = text_of(make(tmp_path, two_forms(3), better_by(5.0)))
  assert 'seeds' in text
  assert 'is better than' not in text


def test_less_is_better_where_it_is(tmp_path):
  text = two_forms(extra="METRIC = 'reverse_kl'")
  def live(run):
    value = 1 + 0.05 * math.sin(run.config.seed) - 0.5 * (run.config.loss.name == 'nonsaturating')
    return Life({'reverse_kl': (2, 2, value, value)})
  workdir = make(tmp_path, text, live)
  [result] = compared(workdir).results
  assert not result.measure.higher_is_better
  assert result.comparisons['nonsaturating'].improvement.value == 1
  assert result.comparisons['nonsaturating'].difference.value < 0


def test_which_value_counts(tmp_path):
  workdir = make(tmp_path, two_forms(2), lambda run: Life({'modes': (1, 6, 2, 4)}))
  values = {value: compared(workdir, value=value).results[0].arms['saturating'].arm.values[0]
            for value in ('last', 'best', 'tail_mean')}
  assert values == {'last': 4, 'best': 6, 'tail_mean': 3}


def test_runs_under_way_do_not_count_yet(tmp_path):
  text = f'''{RING}BY = 'loss.name'
def sweep():
  return product(param('train.disc_steps', [1, 5]), {FORMS.format(seeds=8)})
'''
  workdir = make(tmp_path, text, better_by(2.0), under_way=lambda run: run.config.train.disc_steps == 5)
  done, waiting = compared(workdir).results
  assert done.arms
  assert not done.waiting
  assert not waiting.arms
  assert waiting.waiting == 16
  assert Finding(waiting, compared(workdir).grouping).headline.startswith('Still running: 16 runs')
  write_page(compared(workdir), 'command')
  assert 'still running' in _page(workdir).text


@pytest.mark.parametrize('begun', [False, True])
def test_a_sweep_without_any_score_yet_has_a_page_that_says_so(tmp_path, begun):
  workdir = make(tmp_path, two_forms(3), lambda run: Life({}), under_way=lambda run: True)
  if not begun:
    shutil.rmtree(f'{workdir}/populations')
  found = compared(workdir)
  assert [result.measure for result in found.results] == [None]
  write_page(found, 'command')
  page = _page(workdir)
  assert f'Still running: 6 runs, half of them at step {200 if begun else 0}' in page.text
  assert ('disc/accuracy' in page.text) == begun
  assert write_pictures(found, str(tmp_path / 'pictures')) == []
  code, stdout, stderr = runs.run('experiments.compare', f'--workdir={workdir}', f'--pictures={tmp_path}/pictures')
  assert code == 0, stderr
  assert 'No pictures' in stdout


@pytest.mark.parametrize('content', [b'', b'nonsense', b'PAR1nonsensePAR1'])
def test_a_damaged_table_is_named(tmp_path, content):
  (tmp_path / 'results.parquet').write_bytes(content)
  with pytest.raises(SweepError, match=r'results.parquet is damaged'):
    results.read_table(str(tmp_path))


def test_a_population_without_its_environment_is_named(tmp_path):
  workdir = make(tmp_path, two_forms(2), better_by(1))
  (tmp_path / 'sweep' / 'populations' / '000' / 'environment.json').unlink()
  code, _, stderr = runs.run('experiments.compare', f'--workdir={workdir}')
  assert code == 2
  assert 'environment.json cannot be read' in stderr
  assert 'Traceback' not in stderr


def test_many_values_of_a_number_are_a_curve_with_a_recommended_range(tmp_path):
  text = f'''{RING}BY = CURVE = 'penalty.r1'
def sweep():
  return product(param('penalty.r1', [0.001 * 10**i for i in range(6)]), param('seed', range(10)))
'''
  def live(run):
    r1 = run.config.penalty.r1
    value = 7 - 2 * (abs(math.log10(r1 / 0.1)) > 1.5) + 0.1 * math.sin(run.config.seed + 100 * r1)
    return Life({'modes': (1, 2, value, value)})
  workdir = make(tmp_path, text, live)
  found = compared(workdir)
  assert found.grouping.is_curve
  headline = Finding(found.results[0], found.grouping).headline
  assert headline.startswith('Recommended penalty.r1: 0.01 to 1. Best here: ')
  write_page(found, 'command')
  assert 'Score against the value' in _page(workdir).text
  few = make(tmp_path / 'few', text.replace('range(10)', 'range(3)'), live)  # Narrowed by intervals, claimed by none.
  found = compared(few)
  assert Finding(found.results[0], found.grouping).headline.startswith('Recommended penalty.r1: 0.01 to 1. Best here: ')
  assert Finding(found.results[0], found.grouping).kind == 'nothing'


@pytest.mark.parametrize(('num_arms', 'folded'), [(12, False), (13, True)])
def test_numbers_of_many_arms_do_not_stand_before_their_curve(tmp_path, num_arms, folded):
  text = f'''{RING}BY = CURVE = 'penalty.r1'
def sweep():
  return product(param('penalty.r1', [0.1 * (i + 1) for i in range({num_arms})]), param('seed', range(2)))
'''
  workdir = make(tmp_path, text, lambda run: Life({'modes': (1, 2, 7, 7)}))
  write_page(compared(workdir), 'command')
  assert (f'All {num_arms} arms in numbers' in _page(workdir).text) == folded


def test_a_headline_counts_many_arms_and_says_once_that_seeds_are_too_few(tmp_path):
  names = ['saturating', 'nonsaturating', 'least_squares', 'hinge', 'rpgan_hinge', 'ragan_hinge', 'softmax']
  text = f'''{RING}BY, BASELINE = 'loss.name', 'nonsaturating'
def sweep():
  return product(param('loss.name', {names}), param('seed', range(2)))
'''
  found = compared(make(tmp_path, text, lambda run: Life({'modes': (1, 2, 7, 7)})))
  finding = Finding(found.results[0], found.grouping)
  assert finding.headline == 'Too few seeds to say which of 7 arms is better.'
  assert finding.details == ['All 6 comparisons have too few seeds to say (2, at least 6 are needed).']


def test_comparisons_with_too_few_seeds_come_after_those_that_say_something(tmp_path):
  text = f'''{RING}BY, BASELINE = 'loss.name', 'nonsaturating'
def sweep():
  few = product(param('loss.name', ['hinge', 'least_squares']), param('seed', range(2)))
  return product(param('loss.name', ['saturating', 'nonsaturating']), param('seed', range(8))) + few
'''
  found = compared(make(tmp_path, text, lambda run: Life({'modes': (1, 2, 7, 7)})))
  told = Finding(found.results[0], found.grouping).sentences
  assert len(told) == 2
  assert told[0].startswith('No difference shown between saturating and nonsaturating')
  assert told[1].startswith('The other 2 comparisons have too few seeds to say (2, ')


def test_a_narrow_logarithmic_axis_has_several_labels():
  axes = Figure().add_subplot()
  axes.plot([0, 1], [0.02, 0.5])
  use_log_scale(axes)
  low, high = axes.get_ylim()
  assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 4


def test_columns_of_long_names_take_the_whole_page(tmp_path):
  [short] = compared(make(tmp_path / 'short', two_forms(8), better_by(2.0))).results
  assert figures.width_of_columns(short) == figures.NARROW
  arms = {f'loss=rpgan_logistic, r1=0.1, r2={i}': arm for i, arm in enumerate([*short.arms.values()] * 3)}
  assert figures.width_of_columns(short._replace(arms=arms)) == figures.WIDE


def test_more_comparisons_than_any_number_of_seeds_can_bear(tmp_path):
  found = compared(make(tmp_path, two_forms(16), better_by(2.0)))
  [comparison] = found.results[0].comparisons.values()
  assert seeds_to_show_anything(comparison) is None
  assert seeds_to_show_anything(comparison._replace(count=8, family=20)) == 10
  assert seeds_to_show_anything(comparison._replace(family=10_000)) == math.inf


@pytest.mark.parametrize('pairs', [15, 16, 17, 18, 20])
def test_the_clearest_outcome_of_so_many_seeds(tmp_path, pairs):
  """Every p-value that it needs is one that the test gives, and none that the test cannot give."""
  x, y = statistics_arms.arm(np.arange(pairs) + 0.5), statistics_arms.arm(-np.arange(pairs), 'y')
  p = compare(x, y, higher_is_better=True).p
  [comparison] = compared(make(tmp_path, two_forms(8), better_by(2.0))).results[0].comparisons.values()
  just, hardly = (comparison._replace(count=pairs, family=math.floor(0.05 / p) + more) for more in (-1, 1))
  assert seeds_to_show_anything(just) is None
  assert seeds_to_show_anything(hardly) is not None


# What a reader sees.

@given(st.floats(allow_nan=True, allow_infinity=True), st.integers(0, 6))
def test_numbers_are_never_nan_nor_a_negative_zero(value, decimals):
  text = number(value, decimals)
  assert 'nan' not in text
  assert not re.fullmatch(r'[-−]0(\.0*)?', text)


@given(st.floats(-1e6, 1e6), st.floats(1e-4, 1e5))
def test_intervals_show_two_digits_of_their_half_width(middle, half):
  decimals = decimals_for([Interval(middle, middle - half, middle + half, 'bca', 10)])
  assert 0 <= decimals <= 6
  assert 10**-decimals <= half or decimals == 6
  assert ends(Interval(middle, middle - half, middle + half, 'bca', 10), decimals)


class _Page(html.parser.HTMLParser):
  """Collects what a browser would load, where links go, and the text that a reader sees."""

  def __init__(self, text):
    super().__init__()
    self.loads, self.links, self.ids, self.text = [], [], [], ''
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    attrs = dict(attrs)
    self.loads += [attrs[key] for key in ('src', 'srcset', 'data', 'xlink:href') if key in attrs]
    self.loads += [attrs['href']] if tag == 'link' else []
    self.links += [attrs['href']] if tag == 'a' else []
    self.ids += [attrs['id']] if tag == 'section' else []

  def handle_data(self, data):
    self.text += data


def _page(workdir):
  with open(f'{workdir}/report.html', encoding='utf-8') as file:
    return _Page(file.read())


def test_the_page_answers_first_and_needs_no_other_file(tmp_path):
  extra = '''QUESTION = 'Which <form> trains better?'
PUBLISHED = [{'arm': 'nonsaturating', 'metric': 'modes', 'value': '7.9 +- 0.1', 'source': 'arXiv:1712.04086'},
             {'arm': 'veegan', 'metric': 'modes', 'value': '8', 'source': 'VEEGAN'}]'''
  workdir = make(tmp_path, two_forms(extra=extra), better_by(2.0))
  write_page(compared(workdir), 'python -m experiments.compare --workdir=here')
  page = _page(workdir)
  assert page.ids == ['answer', 'forest', 'curves', 'seeds', 'samples', 'failures', 'published', 'method', 'power',
                      'environment', 'reproduce']
  assert all(url.startswith(('data:', '#')) for url in page.loads)
  assert page.links == ['https://arxiv.org/abs/1712.04086']
  for said in ('Which <form> trains better?', 'nonsaturating is better than saturating by 2', '7.9 +- 0.1', 'veegan',
               'not in this sweep', 'abacus', 'c0ffee', 'python -m experiments.compare --workdir=here',
               f'python -m experiments.run --sweep={tmp_path}/sweep.py', 'python -m experiments.extract',
               'python -m gan.main --config=configs/toy.py:ring'):
    assert said in page.text, said


def test_plots_take_the_colours_of_the_page_they_are_on(tmp_path):
  workdir = make(tmp_path, two_forms(), better_by(0.0))  # Nothing is shown: rings, with the page inside of them.
  write_page(compared(workdir), 'command')
  with open(f'{workdir}/report.html', encoding='utf-8') as file:
    html_text = file.read()
  assert 'var(--card)' in html_text.split('</style>', 1)[1]
  assert 'currentColor' in html_text.split('</style>', 1)[1]
  assert figures.PAPER not in html_text
  assert INK not in html_text


def test_plots_as_pictures(tmp_path):
  workdir = make(tmp_path, two_forms(), better_by(2.0))
  paths = write_pictures(compared(workdir), str(tmp_path / 'pictures'))
  assert [path.name for path in paths] == ['forest_modes.png', 'modes_toy_ring.png', 'disc_accuracy_toy_ring.png',
                                           'runs_toy_ring.png']
  for path in paths:
    pixels = np.asarray(Image.open(path))
    assert pixels.std() > 5
    assert tuple(pixels[0, 0]) == tuple(bytes.fromhex(figures.PAPER[1:]))


@pytest.mark.parametrize('folder', ['README.md', '/proc/x'])
def test_pictures_that_cannot_be_written_name_the_flag(tmp_path, folder):
  found = compared(make(tmp_path, two_forms(2), better_by(1)))
  with pytest.raises(WorkdirError, match=f'cannot write to {folder} .*name another with --pictures'):
    write_pictures(found, folder)


@pytest.mark.parametrize('names', [['saturating', 'hinge'], [f'r1={0.1 * i:.1f}' for i in range(32)],
                                   [f'loss=fgan_reverse_kl_alternative, disc_steps={i}' for i in range(9)]])
def test_the_legend_of_a_picture_is_inside_of_it_and_many_names_are_beside_the_curves(names):
  figure = Figure(figsize=(figures.NARROW, 2.75))
  axes = figure.add_axes((0.105, 0.115, 0.875, 0.85))
  for name in names:
    axes.plot([0, 1], [0, 1], label=name)
  size = figure.get_size_inches() * axes.get_position().size
  pixels = figures.picture(figure, 'eval/modes against steps')
  [legend] = [found for found in (axes.get_legend(), *figure.legends) if found]
  assert [text.get_text() for text in legend.get_texts()] == names
  box, height, width = legend.get_window_extent(), *pixels.shape[:2]
  assert 0 <= box.x0 < box.x1 <= width
  assert 0 <= box.y0 < box.y1 <= height
  assert (box.y1 <= axes.get_tightbbox().y0) == (len(names) > figures.MAX_NAMED)
  np.testing.assert_allclose(figure.get_size_inches() * axes.get_position().size, size)


def test_the_same_results_give_the_same_page(tmp_path):
  workdir = make(tmp_path, two_forms(), better_by(2.0))
  pages = []
  for _ in range(2):
    write_page(compared(workdir), 'command')
    with open(f'{workdir}/report.html', 'rb') as file:
      pages.append(file.read())
  assert pages[0] == pages[1]


def test_a_sweep_file_that_is_gone_leaves_the_defaults_and_a_note(tmp_path):
  workdir = make(tmp_path, two_forms(extra="QUESTION = 'Which?'"), better_by(2.0))
  (tmp_path / 'sweep.py').unlink()
  load_module.cache_clear()
  found = compared(workdir)
  assert 'The file of the sweep cannot be used now' in found.question.note
  assert found.results[0].comparisons


def test_the_command(tmp_path):
  workdir = make(tmp_path, two_forms(), better_by(2.0))
  code, stdout, stderr = runs.run('experiments.compare', f'--workdir={workdir}', '--metric=modes', '--by=loss.name')
  assert code == 0, stderr
  assert 'nonsaturating is better than saturating' in stdout
  assert stdout.strip().endswith('report.html')
  code, _, stderr = runs.run('experiments.compare', f'--workdir={tmp_path}/nothing')
  assert code != 0
  assert 'no sweep in' in stderr
  assert 'Traceback' not in stderr
