"""Grids pixel by pixel, files, and frames."""

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from PIL import Image

from gan.show import images

MODES = np.array([[-2.0, 0.0], [2.0, 0.0], [0.0, 2.0]])


def test_to_uint8_rounds_and_clips():
  values = np.array([-5.0, -1.0, -0.999, 0.0, 0.5, 1.0, 7.0, np.inf, -np.inf, np.nan]).reshape(1, 1, -1, 1)
  np.testing.assert_array_equal(images.to_uint8(values).ravel(), [0, 0, 0, 128, 191, 255, 255, 255, 0, 0])


def test_to_uint8_inverts_the_scaling_of_bytes():
  levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
  np.testing.assert_array_equal(images.to_uint8(levels / np.float32(127.5) - 1), levels)


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 11), st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 3]))),
    st.integers(1, 4), st.integers(0, 3), st.none() | st.integers(1, 13))
def test_every_pixel_of_a_grid_is_accounted_for(batch, upscale, padding, columns):
  n, height, width, channels = batch.shape
  result = images.grid(batch, columns=columns, upscale=upscale, padding=padding)
  step_y, step_x = height * upscale + padding, width * upscale + padding
  rows, cols = (result.shape[0] - padding) // step_y, (result.shape[1] - padding) // step_x
  assert result.shape == (rows * step_y + padding, cols * step_x + padding, channels)
  assert result.dtype == np.uint8
  assert (rows - 1) * cols < n <= rows * cols
  if columns is None:
    assert 0 <= cols - rows <= 1  # Near-square.
  else:
    assert cols == min(columns, n)
  expected = np.full_like(result, images.SEPARATOR)
  for y in range(result.shape[0]):
    for x in range(result.shape[1]):
      (row, dy), (col, dx) = divmod(y - padding, step_y), divmod(x - padding, step_x)
      cell = row * cols + col
      if 0 <= dy < height * upscale and 0 <= dx < width * upscale and y >= padding and x >= padding and cell < n:
        expected[y, x] = batch[cell, dy // upscale, dx // upscale]
  np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(('size', 'cell'), [(8, 64), (16, 64), (28, 56), (32, 64), (64, 64), (128, 128)])
def test_small_images_are_enlarged_to_about_64_pixels(size, cell):
  assert images.grid(np.zeros((1, size, size, 1)), padding=0).shape == (cell, cell, 1)


def test_grid_of_floats_equals_grid_of_their_bytes():
  floats = np.random.default_rng(0).uniform(-1, 1, (5, 4, 4, 3))
  np.testing.assert_array_equal(images.grid(floats), images.grid(images.to_uint8(floats)))


@pytest.mark.parametrize('shape', [(4, 4, 1), (0, 4, 4, 1), (2, 4, 4, 2)])
def test_grid_refuses_other_shapes(shape):
  with pytest.raises(ValueError, match='expected'):
    images.grid(np.zeros(shape))


def test_scatter_axes_depend_on_the_modes_alone():
  """An empty plot and one with far points differ only where points are drawn: here, in no pixel of the plot area."""
  empty = images.scatter(np.zeros((0, 2)), MODES, 0.1)
  far = images.scatter(np.array([[900.0, 900.0], [np.nan, 0.0]]), MODES, 0.1)
  assert empty.shape == far.shape
  assert empty.dtype == np.uint8
  plot_area = slice(40, 480)
  np.testing.assert_array_equal(empty[plot_area], far[plot_area])
  assert (empty[480:] != far[480:]).any()  # It says that two points are beyond the axes.


def test_scatter_colours_tell_inside_from_outside():
  def share_of_blue(points):
    picture = images.scatter(points, MODES, 0.1)[40:480].astype(int)
    coloured = picture[np.ptp(picture, axis=-1) > 60]
    return np.mean(coloured[:, 2] > coloured[:, 0])
  assert share_of_blue(MODES) == 1.0
  assert share_of_blue(MODES + np.array([0.0, 0.5])) == 0.0


def test_scatter_takes_a_title_that_is_not_mathtext():
  images.scatter(MODES, MODES, 0.1, title=r'$\broken{')


def test_scatter_refuses_wrong_shapes():
  with pytest.raises(ValueError, match='must be'):
    images.scatter(np.zeros((5, 3)), MODES, 0.1)


@pytest.mark.parametrize('channels', [1, 3])
def test_png_round_trip_leaves_no_temporary_file(tmp_path, channels):
  array = np.random.default_rng(0).integers(0, 256, (9, 7, channels), np.uint8)
  path = images.save_png(tmp_path / 'deep' / 'a.png', array)
  with Image.open(path) as picture:
    np.testing.assert_array_equal(np.asarray(picture).reshape(array.shape), array)
  assert [p.name for p in path.parent.iterdir()] == ['a.png']


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
  path = images.write_atomic(tmp_path / 'a.txt', b'old')
  def fail(*_):
    raise OSError('disk full')
  monkeypatch.setattr(images.os, 'replace', fail)
  with pytest.raises(OSError, match='disk full'):
    images.write_atomic(path, b'new')
  assert path.read_bytes() == b'old'
  assert list(tmp_path.iterdir()) == [path]


def test_gif_colours_are_close_to_those_of_the_frames(tmp_path):
  rng = np.random.default_rng(0)
  for channels in (1, 3):
    frames = [np.repeat(np.repeat(rng.integers(0, 256, (4, 4, channels), np.uint8), 4, 0), 4, 1) for _ in range(5)]
    with Image.open(images.save_gif(tmp_path / 'a.gif', frames)) as gif:
      for i, frame in enumerate(frames):
        gif.seek(i)
        shown = np.asarray(gif.convert('RGB')).astype(int)
        assert np.abs(shown - frame).mean() < 4


def gif_levels(path):
  """Grey level of each frame's centre, and its duration in milliseconds."""
  with Image.open(path) as gif:
    result = []
    for i in range(gif.n_frames):
      gif.seek(i)
      result.append((np.asarray(gif.convert('L'))[gif.height // 2, gif.width // 2], gif.info['duration']))
    return result


def test_gif_keeps_order_first_and_last_and_thins_the_rest(tmp_path):
  frames = [np.full((20, 20, 1), i, np.uint8) for i in range(200)]
  path = images.save_gif(tmp_path / 'a.gif', frames, duration_ms=100, hold_last_ms=1000)
  levels, durations = zip(*gif_levels(path), strict=True)
  assert 30 <= len(levels) <= images.MAX_GIF_FRAMES
  assert list(levels) == sorted(levels)
  assert levels[0] <= 2
  assert levels[-1] >= 197
  assert durations[-1] == 1000
  assert sum(durations) == 59 * 100 + 1000  # Pillow merges equal neighbours and adds their times.


def test_gif_is_deterministic_and_takes_paths_of_other_sizes(tmp_path):
  rng = np.random.default_rng(0)
  frames = [images.save_png(tmp_path / f'{i}.png', rng.integers(0, 256, (10 + i, 10, 3), np.uint8)) for i in range(3)]
  first, second = images.save_gif(tmp_path / 'a.gif', frames), images.save_gif(tmp_path / 'b.gif', frames)
  assert first.read_bytes() == second.read_bytes()
  with Image.open(first) as gif:
    assert gif.size == (10, 12)


def test_gif_shrinks_until_small(tmp_path, monkeypatch):
  monkeypatch.setattr(images, 'MAX_GIF_BYTES', 200_000)
  frames = np.random.default_rng(0).integers(0, 256, (4, 400, 400, 1), np.uint8)
  path = images.save_gif(tmp_path / 'a.gif', list(frames))
  assert path.stat().st_size <= 200_000
  with Image.open(path) as gif:
    assert 160 <= gif.width < 400


def test_gif_needs_a_frame(tmp_path):
  with pytest.raises(ValueError, match='at least one'):
    images.save_gif(tmp_path / 'a.gif', [])


def test_frames_are_sorted_by_number_and_cut(tmp_path):
  for step in (5, 1000, 20, 123456789012):
    images.save_png(images.frame_path(tmp_path, step), np.zeros((2, 2, 1), np.uint8))
  (tmp_path / 'samples' / 'step_x.png').write_text('not a frame')
  assert images.frame_path(tmp_path, 5).name == 'step_00000005.png'
  assert [step for step, _ in images.frames(tmp_path)] == [5, 20, 1000, 123456789012]
  images.cut_frames(tmp_path, 20)
  assert [step for step, _ in images.frames(tmp_path)] == [5, 20]
  assert images.animate(tmp_path) == tmp_path / 'training.gif'
  assert (tmp_path / 'training.gif').exists()


def test_a_workdir_without_samples_has_no_frames_and_no_animation(tmp_path):
  assert images.frames(tmp_path) == []
  images.cut_frames(tmp_path, 0)
  assert images.animate(tmp_path) is None
