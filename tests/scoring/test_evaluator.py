"""The evaluation of a configuration: what a person is told beside the scores, and what the lines carry."""

import numpy as np
import pytest
from PIL import Image

from gan.build import open_data
from gan.config import RUNLOCAL_IMAGES, base_config
from gan.config.complete import complete
from gan.data import toy
from gan.features import training
from gan.metrics.frechet import root
from gan.metrics.moments import moments_of
from gan.scoring import records
from gan.scoring.collect import Collected
from gan.scoring.evaluator import make_evaluator
from gan.scoring.reference import Reference
from gan.scoring.table import METRICS, Setting
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
    config = complete(base_config(), RUNLOCAL_IMAGES | {'data.name': 'folder', 'data.path': str(tmp_path / 'images'),
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
  images = data.read(range(data.num_examples))['images']
  scores = [evaluator.score([(images, len(images))], len(images), '') for _ in range(2)][1]
  values = {score.metric: score.value for score in scores}
  assert values['classes'] == values['modes'] == len(sizes)
  [line] = (line for line in records.lines_of(scores, {}) if line['metric'] == 'classes')
  assert line['fewest_tests_of_a_class'] == fewest
  out = capsys.readouterr().out
  assert out.count('was tested on') == 1
  assert f'was tested on only {fewest} images of one class' in out


def scores_of_few(num, name):
  """A score of some sure samples of ten classes, against as many again."""
  rng = np.random.default_rng(0)
  features, logits = rng.standard_normal((num, 6)).astype(np.float32), 50 * np.eye(10)[np.arange(num) % 10]
  moments = [moments_of(part) for part in np.array_split(features, min(10, num // 2))]
  collected = Collected(num, moments, features, logits, rng.random(num // 2), rng.integers(0, 256, (num, 16, 16, 1)))
  reals = rng.standard_normal((200, 6)).astype(np.float32)
  whole = moments_of(reals)
  reference = Reference('train', 200, whole, root(whole.covariance), reals)
  setting = Setting(lambda split: reference, 'train', rng.integers(0, 256, (40, 16, 16, 1)), np.full(10, 0.1),
                    30 * np.eye(10, dtype=int), 3)
  return list(METRICS[name].compute(collected, setting))


@pytest.mark.parametrize(('name', 'few', 'enough'), [('cs', 99, 200), ('ms_ssim', 19, 20), ('prdc', 29, 30),
                                                     ('kd', 19, 20), ('fd', 19, 20), ('classes', 99, 100)])
def test_scores_of_few_samples_say_so_and_claim_no_error(name, few, enough):
  """The class score of twenty was 2 +- 0, ms_ssim of two had error 0, precision of k + 1 was 1 +- 0."""
  for num in (4, 10, 19, few):
    for score in scores_of_few(num, name):
      assert f'{num // 2 if name == "ms_ssim" else num} ' in score.warning
      assert np.isnan(score.standard_error)
      assert score.error_method == ''
  for score in scores_of_few(enough, name):
    assert score.warning == ''
    assert np.isfinite(score.standard_error) == (name != 'classes')


@pytest.mark.parametrize('num', [2, 19, 20, 80])
def test_few_points_say_so_once_and_claim_no_error(capsys, num):
  config = complete(base_config(), {'data.name': 'ring'})
  ring = toy.ring()
  evaluator = make_evaluator(config, ring, training=False)
  points = np.asarray(ring.modes)[np.arange(num) % 8]
  for _ in range(2):
    found = {score.metric: score.standard_error for score in evaluator.score([(points, num)], num, '')}
  assert np.isfinite(found['high_quality']) == (num >= 20)
  out = capsys.readouterr().out
  assert out.count('too few for standard errors; take at least 20') == (num < 20)
  assert out.count(f'{num} samples are few for 8 modes: a mode may be missing by chance') == (num < 80)


def test_few_images_say_so_once(small_classes, capsys):
  config = small_classes([30] * 3)
  config.eval.metrics, config.eval.features = 'kd,prdc', 'random'
  data = open_data(config)
  evaluator = make_evaluator(config, data, training=False)
  images = data.read(range(12))['images']
  for _ in range(2):
    evaluator.score([(images, 12)], 12, '')
  out = capsys.readouterr().out
  assert out.count('Warning: 12 samples and 90 images of the data are too few for a standard error of the kernel') == 1
  assert out.count('Warning: precision, recall, density and coverage of 12 samples and 12 images of the data mean') == 1
