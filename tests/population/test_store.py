"""What is logged of a population: round trip, parts that a resume drops, and the rows of one member."""

import math
import shutil

import numpy as np
import pytest

from gan.population.store import DATA, ENVIRONMENT, MEMBERS, SAMPLES, Store, member_rows
from gan.run.report import MetricsError


def row(step, stopped_at, **values):
  alive = [stop == step for stop in stopped_at]
  return {'step': step, 'alive': alive, 'stopped_at': stopped_at, 'time/elapsed_sec': float(step)} | values


def test_round_trip(tmp_path):
  store = Store(tmp_path)
  rows = [row(10, [10, 10], loss=[0.1, math.inf]), row(20, [20, 12], loss=[math.nan, 1 / 3])]
  store.write_rows(10, rows[:1])
  store.write_rows(20, rows[1:])
  found = store.rows()
  assert found[0] == rows[0]
  assert math.isnan(found[1]['loss'][0])
  assert found[1]['loss'][1] == 1 / 3
  store.cut_rows(10)
  assert store.rows() == rows[:1]
  store.cut_rows(0)
  assert store.rows() == []


def test_damaged_part_is_named(tmp_path):
  store = Store(tmp_path)
  store.write_rows(10, [row(10, [10])])
  (tmp_path / 'metrics' / '00000020.jsonl').write_text('nonsense\n')
  with pytest.raises(MetricsError, match=r'00000020.jsonl, line 1 is damaged'):
    store.rows()


@pytest.mark.parametrize('content', [None, '', 'nonsense', '5'])
@pytest.mark.parametrize('name', [MEMBERS, DATA, ENVIRONMENT])
def test_a_file_that_is_absent_or_damaged_is_named_with_the_way_out(tmp_path, name, content):
  if content is not None:
    (tmp_path / name).write_text(content)
  with pytest.raises(MetricsError, match=rf'{name} cannot be read \(.*delete {tmp_path} and train its runs again'):
    Store(tmp_path).read(name)


def test_damaged_samples_are_made_again_from_the_checkpoint(tmp_path):
  store = Store(tmp_path)
  assert store.samples() is None
  np.savez_compressed(tmp_path / SAMPLES, samples=np.ones((2, 100, 2)))
  assert store.samples().shape == (2, 100, 2)
  whole = (tmp_path / SAMPLES).read_bytes()
  for part in (b'', b'nonsense', whole[:-30]):
    (tmp_path / SAMPLES).write_bytes(part)
    with pytest.raises(MetricsError, match=r'samples.npz is damaged .*delete it'):
      store.samples()


def test_rows_of_a_member_end_where_it_stopped():
  """The second member dies at step 12, between two rows, the third at a logged one."""
  rows = [row(10, [10, 10, 10], loss=[1.0, 2.0, 3.0]),
          row(20, [20, 12, 20], loss=[1.1, math.inf, 3.1], **{'health/verdict': [None, 'diverged', 'diverged']}),
          row(30, [30, 12, 20], loss=[1.2, math.inf, 3.1], **{'eval/modes': [8.0, None, None]})]
  own = [member_rows(rows, i) for i in range(3)]
  assert [[r['step'] for r in found] for found in own] == [[10, 20, 30], [10, 12], [10, 20]]
  assert own[0][2]['eval/modes'] == 8.0
  assert 'eval/modes' not in own[0][1]
  assert own[1][1] == {'step': 12, 'loss': math.inf, 'health/verdict': 'diverged', 'time/elapsed_sec': 20.0}
  assert own[2][1]['health/verdict'] == 'diverged'
  assert member_rows([], 0) == []


def test_a_population_has_begun_once_something_of_it_is_there(tmp_path):
  """Not only once it has its list of members: that may be what was lost. What is written before it does not count."""
  assert not Store(tmp_path).exists()
  (tmp_path / 'checkpoints').mkdir()
  (tmp_path / DATA).write_text('{}')
  assert not Store(tmp_path).exists()
  for made in (SAMPLES, MEMBERS, 'metrics/00000010.jsonl', 'checkpoints/10/state'):
    (tmp_path / 'other' / made).parent.mkdir(parents=True)
    (tmp_path / 'other' / made).write_text('')
    assert Store(tmp_path / 'other').exists()
    shutil.rmtree(tmp_path / 'other')


def test_parts_are_found_in_a_directory_with_brackets(tmp_path):
  store = Store(tmp_path / 'run[1]')
  store.write_rows(10, [row(10, [10])])
  assert [found['step'] for found in store.rows()] == [10]
