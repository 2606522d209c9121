"""evaluation.jsonl: round trip, identity of lines, what a resume cuts, and summaries."""

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import filelock
import pytest

from gan.scoring import Score, records
from gan.scoring.meanings import MEANINGS, meaning


def lines(metric='fid', values=(3.0,), steps=(100,), **changes):
  what = {'samples': 'ema', 'num_samples': 50, 'seed': 0, 'data': 'digits', 'fingerprint': 'ab', 'split': 'train',
          'features': 'inception', 'feature_weights': 'cd', 'resizing': 'none', 'during_training': True,
          'reference_size': 1500} | changes
  return [line for value, step in zip(values, steps, strict=True)
          for line in records.lines_of([Score(metric, value, 0.5, 'how', {'spread': 1.0})], what | {'step': step})]


def test_round_trip_with_what_json_has_no_word_for(tmp_path):
  written = lines(values=(1.5, math.nan, math.inf), steps=(1, 2, 3))
  records.add(tmp_path, written)
  found = records.read(tmp_path)
  assert found[0] == written[0]
  assert found[0]['spread'] == 1.0
  assert math.isnan(found[1]['value'])
  assert found[2]['value'] == math.inf
  assert records.read(tmp_path / 'nowhere') == []


def test_the_same_score_again_replaces_its_line(tmp_path):
  records.add(tmp_path, lines(values=(1.0, 2.0), steps=(1, 2)))
  records.add(tmp_path, lines(values=(9.0,), steps=(1,)))
  assert sorted((line['step'], line['value']) for line in records.read(tmp_path)) == [(1, 9.0), (2, 2.0)]


@pytest.mark.parametrize('change', [{'num_samples': 51}, {'seed': 1}, {'samples': 'raw'}, {'split': 'test'},
                                    {'feature_weights': 'ef'}, {'resizing': 'clean'}, {'during_training': False},
                                    {'fingerprint': 'xy'}])
def test_another_setting_is_another_line_and_another_curve(tmp_path, change):
  records.add(tmp_path, lines() + lines(values=(4.0,), **change))
  assert len(records.read(tmp_path)) == 2
  assert len(records.summarise(records.read(tmp_path))) == 2


WRITER = """
import sys, time
from pathlib import Path
from gan.scoring import records
workdir, name = Path(sys.argv[1]), sys.argv[2]
(workdir / f'ready{name}').touch()
while len(list(workdir.glob('ready*'))) < 3:
  time.sleep(0.001)
for step in range(20):
  records.add(workdir, [{'metric': 'fd', 'value': 1.0, 'standard_error': 0.0, 'step': step, 'during_training': True,
                         'samples': name}])
  records.cut(workdir, 1000)
"""


def test_processes_that_write_at_once_lose_no_line(tmp_path):
  root = Path(records.__file__).parents[2]
  writers = [subprocess.Popen([sys.executable, '-c', WRITER, tmp_path, str(i)], cwd=root) for i in range(3)]
  assert [writer.wait(60) for writer in writers] == [0, 0, 0]
  found = records.read(tmp_path)
  assert {(line['samples'], line['step']) for line in found} == {(str(i), step) for i in range(3) for step in range(20)}
  assert len(found) == 60


def test_a_cut_waits_for_whoever_writes(tmp_path):
  """Else it would write back what it had read before."""
  records.add(tmp_path, lines(values=(1.0, 2.0), steps=(1, 2)))
  code = 'import sys; from pathlib import Path; from gan.scoring import records; records.cut(Path(sys.argv[1]), 1)'
  with filelock.FileLock(tmp_path / records.LOCK):
    process = subprocess.Popen([sys.executable, '-c', code, tmp_path], cwd=Path(records.__file__).parents[2])
    with pytest.raises(subprocess.TimeoutExpired):
      process.wait(1)
    assert len(records.read(tmp_path)) == 2, 'reading waits for nobody'
  assert process.wait(60) == 0
  assert len(records.read(tmp_path)) == 1


def test_a_killed_writer_locks_nobody_out(tmp_path):
  code = ('import sys, time, filelock; filelock.FileLock(sys.argv[1]).acquire(); print(1, flush=True); time.sleep(99)')
  with subprocess.Popen([sys.executable, '-c', code, tmp_path / records.LOCK], stdout=subprocess.PIPE) as process:
    process.stdout.readline()
    process.kill()
  start = time.monotonic()
  records.add(tmp_path, lines())
  assert time.monotonic() - start < 10
  assert len(records.read(tmp_path)) == 1


@pytest.mark.parametrize('error', [OSError(37, 'No locks available'), NotImplementedError, filelock.Timeout('x')])
def test_a_disk_without_locks_still_takes_scores(tmp_path, monkeypatch, error):
  def acquire(self):
    raise error

  monkeypatch.setattr(filelock.FileLock, 'acquire', acquire)
  records.add(tmp_path, lines(values=(1.0, 2.0), steps=(1, 2)))
  records.cut(tmp_path, 1)
  assert [line['step'] for line in records.read(tmp_path)] == [1]


def test_nothing_to_cut_is_nothing_to_lock(tmp_path):
  records.cut(tmp_path, 10)
  assert os.listdir(tmp_path) == []


def test_a_resume_drops_what_training_will_write_again(tmp_path):
  records.add(tmp_path, lines(values=(1.0, 2.0), steps=(100, 200)) + lines(steps=(300,), during_training=False))
  records.cut(tmp_path, 100)
  assert [(line['step'], line['during_training']) for line in records.read(tmp_path)] == [(100, True), (300, False)]


def test_a_half_written_line_is_ignored_and_a_damaged_one_named(tmp_path):
  records.add(tmp_path, lines(values=(1.0, 2.0), steps=(1, 2)))
  path = tmp_path / records.FILE
  text = path.read_text()
  path.write_text(text[:-20])
  assert [line['step'] for line in records.read(tmp_path)] == [1]
  path.write_text('nonsense\n' + text)
  with pytest.raises(records.RecordsError, match='line 1 is damaged'):
    records.read(tmp_path)


@pytest.mark.parametrize(('line', 'lacks'), [
    (b'[1, 2]', 'metric, value, standard_error, step, during_training'), (b'7', 'metric, value.*'),
    (b'{"metric": "modes"}', 'value, standard_error, step, during_training'),
    (b'{"metric": "modes", "value": "many", "standard_error": null, "step": 1, "during_training": true}', 'value')])
@pytest.mark.parametrize('place', [0, 2])
def test_a_line_that_is_no_score_is_named(tmp_path, line, lacks, place):
  records.add(tmp_path, lines(values=(1.0, 2.0), steps=(1, 2)))
  path = tmp_path / records.FILE
  text = path.read_bytes().splitlines()
  path.write_bytes(b'\n'.join([*text[:place], line, *text[place:]]) + b'\n')
  with pytest.raises(records.RecordsError, match=f'line {place + 1} is no score: {lacks} missing or of a wrong type'):
    records.read(tmp_path)


def test_bytes_that_are_no_text_are_a_damaged_line(tmp_path):
  records.add(tmp_path, lines(values=(1.0, 2.0), steps=(1, 2)))
  path = tmp_path / records.FILE
  path.write_bytes(path.read_bytes().replace(b'metric', b'metr\xffc', 1))
  with pytest.raises(records.RecordsError, match='line 1 is damaged'):
    records.read(tmp_path)


def test_last_best_and_tail():
  """Twelve evaluations: the best is in the middle, the last quarter of the steps holds four of them."""
  values = (9.0, 8.0, 7.0, 2.0, 7.0, 6.0, 6.0, 5.0, 4.0, 6.0, 5.0, 7.0)
  [summary] = records.summarise(lines(values=values, steps=range(100, 1300, 100)))
  assert summary.last == (1200, 7.0, 0.5)
  assert summary.best == (400, 2.0, 0.5)
  assert summary.tail_mean == pytest.approx((4 + 6 + 5 + 7) / 4)
  assert (summary.num_tail, summary.num) == (4, 12)
  [higher] = records.summarise(lines('is', values=values, steps=range(100, 1300, 100)))
  assert higher.best[:2] == (100, 9.0)
  text = records.summary_table([summary])
  assert all(part in text for part in ('fid', '7', '1,200', '2', '400', '5.5 (of 4)'))


def test_scores_of_the_data_have_no_step():
  [summary] = records.summarise(lines(steps=(-1,), samples='train', during_training=False))
  assert summary.last == (-1, 3.0, 0.5)
  assert summary.num_tail == 1


def test_every_score_has_a_target_and_a_meaning():
  assert set(MEANINGS) == set(records.TARGETS)
  assert meaning('fd_classifier') == MEANINGS['fd']
  assert meaning('fid_infinity') == MEANINGS['fid_infinity']
  assert meaning('mine') == ''
