"""Checkpoints come back bit for bit, and damaged ones are named and passed over."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan.checkpoint import CheckpointError, Checkpoints
from gan.state import create_state


def make_state(scale: float = 1.0):
  params = {'dense': {'kernel': scale * jax.random.normal(jax.random.key(1), (64, 64))}}
  stats = {'batch_stats': {'mean': jnp.full((3,), float(scale))}}
  return create_state(jax.random.key(7), (params, stats), (params, {}), (optax.scale_by_adam(), optax.scale_by_rms()))


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
  checkpoints.save(30, make_state(300))  # The step can be saved again.
  checkpoints.close()
  assert_same(Checkpoints(tmp_path).restore_latest(make_state(), pytest.fail)[1], make_state(300))


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
    checkpoints.save(1, make_state())
    with monkeypatch.context() as patch:
      patch.setattr(checkpoints._manager, name, full)
      with pytest.raises(CheckpointError, match=r'cannot be written to .*No space left on device'):
        checkpoints.save(2, make_state()) if name == 'check_for_errors' else checkpoints.close()
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
    checkpoints.save(1, make_state())


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
  x = np.arange(12.0, dtype=np.float32).reshape(6, 2)
  if kind == 'pmap':
    double = jax.pmap(lambda _, state: {'x': 2 * state['x']}, axis_name='data', in_axes=(0, None), out_axes=None,
                      devices=devices, donate_argnums=1)
    state = double(np.arange(2), {'x': x / 2})
  else:
    spec = jax.sharding.PartitionSpec(*(['data'] if kind == 'split' else []))
    state = {'x': jax.device_put(x, jax.sharding.NamedSharding(mesh, spec))}
    double = jax.jit(lambda _, state: {'x': 2 * state['x']}, donate_argnums=1)
  checkpoints = Checkpoints(tmp_path)
  checkpoints.save(1, state)
  np.testing.assert_array_equal(double(np.arange(2), state)['x'], 2 * x)
  checkpoints.close()
  np.testing.assert_array_equal(Checkpoints(tmp_path, read_only=True).restore(1, {'x': jnp.zeros((6, 2))})['x'], x)
