"""metrics.jsonl survives kills and non-finite numbers; the console stays readable."""

import importlib.util
import io
import json
import math
import re
import sys

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from gan.health import Verdict, last_verdict
from gan.run.report import MetricsFile, Progress, Report, TensorBoard, read_metrics
from gan.show import images

PICTURE = np.zeros((4, 4, 1), np.uint8)


class Terminal(io.StringIO):
  def isatty(self):
    return True


def write_rows(workdir, *steps):
  metrics = MetricsFile(workdir)
  for step in steps:
    metrics.write(step, {'disc/loss': step / 3})
  metrics.close()
  return metrics.path


def steps_of(path):
  return [row['step'] for row in read_metrics(path)]


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(st.lists(st.tuples(
    st.integers(0, 10**12),
    st.dictionaries(st.text(min_size=1).filter(lambda k: k != 'step'), st.floats() | st.floats(width=32), max_size=5))))
def test_metrics_round_trip_exactly(tmp_path_factory, rows):
  metrics = MetricsFile(tmp_path_factory.mktemp('run'))
  for step, scalars in rows:
    metrics.write(step, scalars)
  metrics.close()
  read = read_metrics(metrics.path)
  assert [row.pop('step') for row in read] == [step for step, _ in rows]
  for row, (_, scalars) in zip(read, rows, strict=True):
    assert row.keys() == scalars.keys()
    for key in row:
      np.testing.assert_array_equal(row[key], scalars[key])  # NaN equals NaN here.


def test_float32_scalars_round_trip_bit_for_bit(tmp_path):
  values = np.random.default_rng(0).normal(size=50).astype(np.float32)
  metrics = MetricsFile(tmp_path)
  metrics.write(1, {f'v{i}': v for i, v in enumerate(values)})
  metrics.close()
  row = read_metrics(metrics.path)[0]
  assert [np.float32(row[f'v{i}']) for i in range(50)] == list(values)


def test_lines_are_strict_json_with_stable_keys(tmp_path):
  metrics = MetricsFile(tmp_path)
  metrics.write(10, {'gen/loss': math.nan, 'disc/loss': math.inf, 'eval/x': -math.inf, 'a': np.float32(0.5)})
  # Not closed: every row is flushed at once.
  line = '{"step": 10, "a": 0.5, "disc/loss": "inf", "eval/x": "-inf", "gen/loss": "nan"}\n'
  assert metrics.path.read_text() == line
  metrics.close()


def test_a_scalar_called_step_is_refused(tmp_path):
  with pytest.raises(ValueError, match='step'):
    MetricsFile(tmp_path).write(1, {'step': 2.0})


@pytest.mark.parametrize('half', ['{', '{"step": 4', '{"step": 4, "disc/loss": 0.', '{"step": 4, "a": 1}x', '12', '"'])
def test_half_written_last_line_is_ignored_and_cut(tmp_path, half):
  path = write_rows(tmp_path, 1, 2, 3)
  with path.open('a') as file:
    file.write(half)
  assert steps_of(path) == [1, 2, 3]
  metrics = MetricsFile(tmp_path)
  metrics.cut(100)
  metrics.write(4, {'a': 1.0})
  metrics.close()
  assert steps_of(path) == [1, 2, 3, 4]
  assert [json.loads(line)['step'] for line in path.read_text().splitlines()] == [1, 2, 3, 4]


def test_whole_last_line_without_newline_is_kept(tmp_path):
  path = write_rows(tmp_path, 1, 2)
  path.write_text(path.read_text().rstrip('\n'))
  metrics = MetricsFile(tmp_path)
  metrics.cut(2)
  metrics.write(3, {})
  metrics.close()
  assert steps_of(path) == [1, 2, 3]


def test_damage_before_the_last_line_is_an_error(tmp_path):
  path = write_rows(tmp_path, 1)
  path.write_text('{"step": \n' + path.read_text())
  with pytest.raises(ValueError, match='line 1'):
    read_metrics(path)


def test_cut_keeps_rows_up_to_the_step_unchanged_and_can_follow_a_write(tmp_path):
  metrics = MetricsFile(tmp_path)
  for step in (10, 20, 30):
    metrics.write(step, {'disc/loss': step / 3})
  before = metrics.path.read_text().splitlines()
  metrics.cut(20)
  assert metrics.path.read_text().splitlines() == before[:2]
  metrics.write(25, {})
  metrics.close()
  assert steps_of(metrics.path) == [10, 20, 25]
  assert [p.name for p in tmp_path.iterdir()] == ['metrics.jsonl']


def test_reading_or_cutting_nothing(tmp_path):
  MetricsFile(tmp_path).cut(0)
  assert read_metrics(tmp_path / 'metrics.jsonl') == []


def plain(num_steps, *updates):
  stream = io.StringIO()
  progress = Progress(num_steps, stream=stream)
  for step, scalars in updates:
    progress.update(step, scalars)
  progress.close()
  return stream.getvalue().splitlines()


def test_plain_lines_show_step_speed_eta_and_main_scalars():
  line, = plain(1000, (250, {
      'disc/loss': 1.25, 'gen/loss': 0.7, 'disc/real_prob': 0.61, 'disc/fake_prob': 0.42, 'disc/grad_norm': 77.0,
      'time/images_per_sec': 14200.4, 'time/steps_per_sec': 10.0}))
  fields = re.split(r'\s{2,}', line)
  assert fields == ['step', '250/1000', '25%', '14,200 img/s', 'ETA', '01:15', 'D(x) 0.610', 'D(G(z)) 0.420',
                    'disc/loss', '1.2500', 'gen/loss', '0.7000']


def test_plain_lines_are_aligned():
  scalars = {'disc/loss': 1.25, 'gen/loss': 0.7, 'time/images_per_sec': 14200.4, 'time/steps_per_sec': 1.0}
  lines = plain(100_000, (5, scalars), (99_999, scalars | {'gen/loss': -312.5, 'time/images_per_sec': 7.0}))
  assert len({line.index('gen/loss') for line in lines}) == 1
  assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(('speed', 'expected'), [
    ({'time/steps_per_sec': 5.0}, '00:10'), ({'time/steps_per_sec': 50 / 7300}, '2:01:40'), ({}, '--:--')])
def test_eta_is_that_of_the_measured_speed(speed, expected):
  line, = plain(100, (50, speed))
  assert line.split('ETA')[1].strip() == expected


def test_plain_lines_show_evaluation_and_survive_nan():
  line, = plain(100, (50, {'eval/modes': 7, 'disc/loss': math.nan, 'time/steps_per_sec': math.nan}))
  assert 'eval/modes 7' in line
  assert 'nan' in line


def test_terminal_shows_a_bar_that_messages_do_not_break():
  stream = Terminal()
  progress = Progress(200, 100, stream)
  progress.update(150, {'disc/loss': 1.25, 'time/images_per_sec': 500.0})
  progress.message('saved step 150')
  progress.close()
  text = stream.getvalue()
  assert '150/200' in text
  assert '500 img/s, disc/loss 1.2500' in text
  assert re.search(r'\r\s*\rsaved step 150\n', text)  # The bar is wiped first.


def test_report_cuts_what_is_newer_and_goes_on(tmp_path, capsys):
  write_rows(tmp_path, 10, 20, 30)
  for step in (0, 20, 30):
    images.save_png(images.frame_path(tmp_path, step), PICTURE)
  report = Report(tmp_path, num_steps=40, start_step=20)
  assert [step for step, _ in images.frames(tmp_path)] == [0, 20]
  report.scalars(30, {'disc/loss': 1.0})
  report.samples(40, PICTURE)
  report.message('hello')
  report.close()
  assert steps_of(tmp_path / 'metrics.jsonl') == [10, 20, 30]
  assert read_metrics(tmp_path / 'metrics.jsonl')[-1]['disc/loss'] == 1.0
  assert [step for step, _ in images.frames(tmp_path)] == [0, 20, 40]
  output = capsys.readouterr().out
  assert 'step 30/40' in output
  assert 'hello' in output


def test_the_console_hears_of_failures_and_of_what_ends_them(tmp_path, capsys):
  report = Report(tmp_path, num_steps=60)
  collapse = Verdict('mode collapse', 20, 'eval/diversity', 0.2, 0.5)
  for step, verdict in ((10, Verdict('healthy', 10)), (20, collapse), (30, None), (40, Verdict('healthy', 40)),
                        (50, Verdict('healthy', 50))):
    report.scalars(step, {'disc/loss': 1.0}, verdict)
  report.close()
  said = [line for line in capsys.readouterr().out.splitlines() if 'Verdict' in line]
  assert said == [f'Verdict at step 20: mode collapse (eval/diversity = 0.2, below 0.5). {collapse.advice}',
                  'Verdict at step 40: no failure now (healthy).']
  assert last_verdict(read_metrics(tmp_path / 'metrics.jsonl'))[:2] == ('healthy', 50)


def test_report_from_the_start_leaves_no_row_of_an_earlier_attempt(tmp_path):
  write_rows(tmp_path, 0, 10)
  Report(tmp_path, num_steps=40).close()
  assert steps_of(tmp_path / 'metrics.jsonl') == []


def test_disabled_report_touches_nothing(tmp_path, capsys):
  path = write_rows(tmp_path, 10, 20)
  before = path.read_bytes()
  report = Report(tmp_path, num_steps=40, start_step=0, tensorboard=True, enabled=False)
  report.scalars(30, {'disc/loss': 1.0})
  report.samples(40, PICTURE)
  report.message('hello')
  report.close()
  assert path.read_bytes() == before
  assert list(tmp_path.iterdir()) == [path]
  assert capsys.readouterr().out == ''


def test_missing_tensorboardx_says_what_to_install(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'tensorboardX', None)
  with pytest.raises(ImportError, match='pip install tensorboardX'):
    TensorBoard(tmp_path)


@pytest.mark.skipif(importlib.util.find_spec('tensorboardX') is None, reason='tensorboardX is optional')
def test_tensorboard_receives_scalars_and_samples(tmp_path):
  report = Report(tmp_path, num_steps=10, tensorboard=True)
  report.scalars(5, {'disc/loss': 1.0})
  report.samples(5, PICTURE)
  report.close()
  event_file, = (tmp_path / 'tensorboard').iterdir()
  events = event_file.read_bytes()
  assert b'disc/loss' in events
  assert b'samples' in events
