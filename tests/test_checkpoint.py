"""Checkpoints come back bit for bit, and damaged ones are named and passed over."""

import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan.run.checkpoint import CheckpointError, Checkpoints
from gan.state import Start, create_state


def make_state(step: int = 0, scale: float | None = None):
  scale = step if scale is None else scale
  params = {'dense': {'kernel': scale * jax.random.normal(jax.random.key(1), (64, 64))}}
  stats = {'batch_stats': {'mean': jnp.full((3,), float(scale))}}
  state = create_state(jax.random.key(7), Start(params, stats), Start(params, {}),
                       (optax.scale_by_adam(), optax.scale_by_rms()))
  return state.replace(step=jnp.int32(step))


def saved(tmp_path, steps=(10, 20, 30)):
  checkpoints = Checkpoints(tmp_path, keep=3)
  for step in steps:
    checkpoints.save(step, make_state(step))
  checkpoints.close()
  return tmp_path / 'checkpoints'


def assert_same(one, other):
  as_numpy = [jax.tree.map(np.asarray, state.replace(rng=jax.random.key_data(state.rng))) for state in (one, other)]
  jax.tree.map(np.testing.assert_array_equal, *as_numpy)


def test_round_trip_keeps_every_bit_and_the_typed_key(tmp_path):
  saved(tmp_path)
  step, state = Checkpoints(tmp_path).restore_latest(make_state(), warn=pytest.fail)
  assert step == 30
  assert jax.dtypes.issubdtype(state.rng.dtype, jax.dtypes.prng_key)
  assert_same(state, make_state(30))


def test_newest_are_kept(tmp_path):
  root = saved(tmp_path, steps=(1, 2, 3, 4, 5))
  assert sorted(int(path.name) for path in root.iterdir()) == [3, 4, 5]


def test_a_state_of_another_version_is_told_from_a_damaged_one(tmp_path):
  """It lacks what this version remembers, such as the weight of a running mean: nothing is said of damage."""
  root, state = saved(tmp_path), make_state()
  stats = {'batch_stats': state.gen.stats['batch_stats'] | {'weight': jnp.zeros(())}}
  warnings = []
  with pytest.raises(CheckpointError, match='none of the checkpoints in'):
    Checkpoints(tmp_path).restore_latest(state.replace(gen=state.gen.replace(stats=stats)), warnings.append)
  assert warnings == [f'checkpoint {root / str(step)} was written by another version of the code: '
                      'its state lacks gen.stats.batch_stats.weight' for step in (30, 20, 10)]
  with pytest.raises(CheckpointError, match=r'its state has gen\.stats\.batch_stats\.mean$'):
    Checkpoints(tmp_path).restore(30, state.replace(gen=state.gen.replace(stats={})))


def damage_by_truncation(step_dir):
  largest = max((path for path in step_dir.rglob('*') if path.is_file()), key=lambda path: path.stat().st_size)
  largest.write_bytes(largest.read_bytes()[:largest.stat().st_size // 2])


def damage_by_a_flipped_byte(step_dir):
  largest = max((path for path in step_dir.rglob('*') if path.is_file()), key=lambda path: path.stat().st_size)
  content = bytearray(largest.read_bytes())
  content[len(content) // 2] ^= 0xFF
  largest.write_bytes(content)


def damage_by_loss(step_dir):
  for path in step_dir.rglob('*'):
    if path.is_file() and 'manifest' in path.name:
      path.unlink()


@pytest.mark.parametrize('damage', [damage_by_truncation, damage_by_a_flipped_byte, damage_by_loss])
def test_damaged_newest_is_named_and_the_one_before_used(tmp_path, damage):
  root = saved(tmp_path)
  damage(root / '30')
  warnings = []
  checkpoints = Checkpoints(tmp_path)
  step, state = checkpoints.restore_latest(make_state(), warnings.append)
  assert step == 20
  assert_same(state, make_state(20))
  assert len(warnings) == 1
  assert str(root / '30') in warnings[0]
  checkpoints.save(30, make_state(30, 0.5))  # The step can be saved again.
  checkpoints.close()
  assert_same(Checkpoints(tmp_path).restore_latest(make_state(), pytest.fail)[1], make_state(30, 0.5))


def test_all_damaged_is_an_error_and_loses_nothing(tmp_path):
  root = saved(tmp_path, steps=(1, 2))
  for step in ('1', '2'):
    damage_by_truncation(root / step)
  for _ in range(2):  # The second try must not take the run for a new one.
    with pytest.raises(CheckpointError, match='none of the checkpoints'):
      Checkpoints(tmp_path).restore_latest(make_state(), warn=lambda text: None)
  assert sorted(path.name for path in root.iterdir()) == ['1', '2']


def test_what_cannot_be_written_is_said_at_the_next_save(tmp_path, monkeypatch):
  """A save goes on in the background: its failure is known when the next one begins, or at the end."""
  def full(*_, **__):
    raise OSError(28, 'No space left on device')

  for name in ('check_for_errors', 'wait_until_finished'):
    checkpoints = Checkpoints(tmp_path / name)
    checkpoints.save(1, make_state(1))
    with monkeypatch.context() as patch:
      patch.setattr(checkpoints._manager, name, full)
      with pytest.raises(CheckpointError, match=r'cannot be written to .*No space left on device'):
        checkpoints.save(2, make_state(2)) if name == 'check_for_errors' else checkpoints.close()
    checkpoints.close()


def test_a_file_in_the_way(tmp_path):
  (tmp_path / 'checkpoints').write_text('')
  with pytest.raises(CheckpointError, match='checkpoints is a file'):
    Checkpoints(tmp_path)


def test_no_checkpoint_is_no_error(tmp_path):
  assert Checkpoints(tmp_path).restore_latest(make_state(), warn=pytest.fail) is None


def test_the_first_checkpoint_is_read_back(tmp_path, monkeypatch):
  """On a disk that keeps half of what is written: the first save says so, not a resume after hours of training."""
  checkpoints = Checkpoints(tmp_path)
  wait = checkpoints._manager.wait_until_finished

  def wait_and_lose():
    wait()
    if (tmp_path / 'checkpoints' / '1').exists():
      damage_by_truncation(tmp_path / 'checkpoints' / '1')

  monkeypatch.setattr(checkpoints._manager, 'wait_until_finished', wait_and_lose)
  with pytest.raises(CheckpointError, match=r'first checkpoint was saved and cannot be read back: .*checkpoints/1 is '
                                            r'damaged .*name a directory on another disk with --workdir'):
    checkpoints.save(1, make_state(1))


def test_only_the_first_checkpoint_of_a_process_is_read_back(tmp_path, monkeypatch):
  checkpoints = Checkpoints(tmp_path)
  read, restore = [], checkpoints.restore
  monkeypatch.setattr(checkpoints, 'restore', lambda step, like: (read.append(step), restore(step, like))[1])
  for step in (1, 2, 3):
    checkpoints.save(step, make_state(step))
  checkpoints.close()
  assert read == [1]


@pytest.mark.parametrize('kind', ['replicated', 'split', 'pmap'])
def test_reading_back_leaves_the_state_to_be_donated(tmp_path, kind):
  """Wherever it lies. A step that donates the state comes right after the save."""
  devices = jax.devices()[:2]
  mesh = jax.sharding.Mesh(np.array(devices), ('data',))
  state = jax.tree.map(jnp.copy, make_state(0 if kind == 'pmap' else 1, 1.0))  # Its players share their parameters.
  if kind == 'pmap':
    step = jax.pmap(lambda _, state: state.replace(step=state.step + 1), axis_name='data', in_axes=(0, None),
                    out_axes=None, devices=devices, donate_argnums=1)
    state = step(np.arange(2), state)
  else:
    def sharding(leaf):
      split = kind == 'split' and leaf.shape[:1] == (64,)
      return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*['data'] if split else []))
    state = jax.tree.map(lambda leaf: jax.device_put(leaf, sharding(leaf)), state)
    step = jax.jit(lambda _, state: state.replace(step=state.step + 1), donate_argnums=1)
  checkpoints = Checkpoints(tmp_path)
  checkpoints.save(1, state)
  assert int(step(np.arange(2), state).step) == 2
  checkpoints.close()
  assert_same(Checkpoints(tmp_path, read_only=True).restore(1, make_state()), make_state(1))


@pytest.mark.parametrize('change', [shutil.copytree, os.rename])
def test_a_directory_with_the_state_of_another_step_is_damaged(tmp_path, change):
  root = saved(tmp_path, steps=(30, 40, 50))
  shutil.rmtree(root / '50')
  change(root / '40', root / '50')
  warnings = []
  step, state = Checkpoints(tmp_path).restore_latest(make_state(), warnings.append)
  assert step == int(state.step) == (40 if change is shutil.copytree else 30)
  assert_same(state, make_state(step))
  assert warnings == [f'checkpoint {root}/50 is damaged (its state is of step 40; was the directory copied or '
                      'renamed?)']
  assert (tmp_path / 'damaged_checkpoints' / '50').is_dir()


def test_a_note_comes_back_with_its_checkpoint(tmp_path):
  checkpoints = Checkpoints(tmp_path)
  checkpoints.save(1, make_state(1))
  checkpoints.save(2, make_state(2), {'metrics.jsonl': {'count': 3}})
  checkpoints.close()
  assert [Checkpoints(tmp_path, read_only=True).note(step) for step in (1, 2)] == [
      None, {'metrics.jsonl': {'count': 3}}]
