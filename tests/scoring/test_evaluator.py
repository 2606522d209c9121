"""The evaluation of a configuration: what a person is told beside the scores, and what the lines carry."""

import numpy as np
import pytest
from PIL import Image

from gan.build import open_data
from gan.config import RUNLOCAL_IMAGES, apply_overrides, base_config
from gan.features import training
from gan.scoring import records
from gan.scoring.evaluator import make_evaluator
from tests.xla_flags import optimised


@pytest.fixture
def small_classes(tmp_path, monkeypatch):
  """A function of the sizes of classes: makes a folder of such, easily told apart, and the configuration of a run."""
  monkeypatch.setattr(training, 'BATCH', 32)
  monkeypatch.setattr(training, 'num_steps', lambda num_images, channels: 100)
  monkeypatch.setenv('GAN_CACHE_DIR', str(tmp_path / 'cache'))
  rng = np.random.default_rng(0)

  def make(sizes):
    for label, size in enumerate(sizes):
      folder = tmp_path / 'images' / f'class{label}'
      folder.mkdir(parents=True)
      for i in range(size):
        image = rng.integers(0, 100, (8, 8), np.uint8)
        image[2 * (label // 4):2 * (label // 4) + 2, 2 * (label % 4):2 * (label % 4) + 2] = 255
        Image.fromarray(image).save(folder / f'{i}.png')
    config = base_config()
    apply_overrides(config, RUNLOCAL_IMAGES | {'data.name': 'folder', 'data.path': str(tmp_path / 'images'),
                                               'data.image_size': 8, 'eval.metrics': 'classes'})
    return config

  return make


@pytest.mark.parametrize(('sizes', 'fewest'), [
    ([5] * 10, 1), ([50] * 5 + [4] * 5, 1), ([30] * 8 + [1] * 2, 0)])
def test_a_folder_with_small_classes_has_all_of_them(small_classes, capsys, sizes, fewest):
  """The images are sorted by class: of every tenth one, half of the classes of five would have none."""
  config = small_classes(sizes)
  data = open_data(config)
  with optimised():
    evaluator = make_evaluator(config, data, training=False)
  capsys.readouterr()
  images, _ = data.read(range(data.num_examples))
  scores = [evaluator.score([(images, len(images))], len(images), '') for _ in range(2)][1]
  values = {score.metric: score.value for score in scores}
  assert values['classes'] == values['modes'] == len(sizes)
  [line] = (line for line in records.lines_of(scores, {}) if line['metric'] == 'classes')
  assert line['fewest_tests_of_a_class'] == fewest
  out = capsys.readouterr().out
  assert out.count('Warning') == 1
  assert f'was tested on {fewest} images of one class' in out
