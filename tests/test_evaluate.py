"""`python -m gan.evaluate`: what a person sees, the lines that it leaves, and known answers on real data."""

import os

import numpy as np
import pytest

from gan.build import open_data
from gan.cache import cache_dir
from gan.config import RUNLOCAL_IMAGES, ConfigError, base_config
from gan.config.complete import complete
from gan.data import digits, get_source
from gan.data.source import ImageSource
from gan.features.cached import get_classifier
from gan.features.table import get_network
from gan.metrics.class_score import class_coverage
from gan.metrics.kernel import kernel_distance, standard_error
from gan.metrics.neighbours import prdc
from gan.scoring import records
from gan.scoring.collect import make_extract
from gan.scoring.evaluator import make_evaluator
from tests.runs import run
from tests.xla_flags import optimised


@pytest.fixture(scope='module')
def image_run(tmp_path_factory):
  """A few steps of a tiny DCGAN on digits, scored with the classifier while it trains."""
  with optimised():  # It is there already when the run asks for it.
    get_classifier(lambda split: digits.load(16, split), cache_dir(), progress=False)
  workdir = tmp_path_factory.mktemp('runs') / 'digits'
  code, _, stderr = run('gan.main', '--config=configs/dcgan.py:runlocal', '--config.eval.metrics=fd,classes',
                        f'--workdir={workdir}')
  assert code == 0, stderr
  return workdir


def evaluate(workdir, *arguments):
  return run('gan.evaluate', f'--workdir={workdir}', *arguments)


def test_scores_of_training_are_lines_too(image_run):
  lines = records.read(image_run)
  assert {(line['metric'], line['step']) for line in lines} == {
      (metric, step) for step in (10, 20)
      for metric in ('fd_classifier', 'modes', 'classes', 'reverse_kl', 'total_variation')}
  line = next(line for line in lines if line['metric'] == 'fd_classifier' and line['step'] == 20)
  assert line['during_training']
  assert line['standard_error'] > 0
  assert line['reference_size'] == 1500
  assert line['num_samples'] == 256
  assert len(line['feature_weights']) == 16
  assert all(line[key] for key in ('version.jax', 'python', 'fingerprint', 'resizing', 'data', 'split', 'platform'))


def test_the_command_scores_every_checkpoint(image_run):
  code, stdout, stderr = evaluate(image_run, '--num_samples=300', '--step=all', '--metrics=fd,kd,prdc,ms_ssim,copying')
  assert code == 0, stderr
  assert 'mean of the last 25% of steps' in stdout
  lines = [line for line in records.read(image_run) if not line['during_training']]
  names = {line['metric'] for line in lines}
  assert names == {'fd_classifier', 'kd_classifier', 'precision_classifier', 'recall_classifier', 'density_classifier',
                   'coverage_classifier', 'ms_ssim', 'copying_classifier'}
  assert {line['step'] for line in lines} == {10, 20}
  assert 'fd_classifier' in (image_run / 'report.html').read_text()
  before = len(records.read(image_run))
  assert evaluate(image_run, '--num_samples=300', '--metrics=fd')[0] == 0
  assert len(records.read(image_run)) == before, 'the same score again replaces its line'


def test_training_and_the_command_agree(image_run):
  """Same latents, same samples: the same number."""
  assert evaluate(image_run, '--num_samples=256', '--metrics=fd')[0] == 0
  values = {line['during_training']: line['value'] for line in records.read(image_run)
            if line['metric'] == 'fd_classifier' and line['step'] == 20 and line['num_samples'] == 256}
  assert values[True] == pytest.approx(values[False], rel=1e-5)


def test_neighbours_are_drawn(image_run, tmp_path):
  code, stdout, stderr = evaluate(image_run, '--num_samples=64', '--metrics=fd', '--features=random',
                                  f'--neighbours={tmp_path / "n.png"}')
  assert code == 0, stderr
  assert 'beside the 7 nearest training images' in stdout
  assert (tmp_path / 'n.png').stat().st_size > 1000


def test_samples_of_another_code_base(image_run, tmp_path):
  images = digits.load(16, 'test').read(range(200))['images']
  np.savez(tmp_path / 'theirs.npz', samples=images)
  code, stdout, stderr = evaluate(image_run, f'--samples={tmp_path / "theirs.npz"}', '--metrics=fd,classes')
  assert code == 0, stderr
  assert '200 theirs.npz' in stdout
  assert 'Warning' not in stdout
  np.savez(tmp_path / 'few.npz', samples=images[:50])
  code, stdout, _ = evaluate(image_run, f'--samples={tmp_path / "few.npz"}', '--metrics=fd')
  assert code == 0
  assert 'Warning: the covariance of 50 generated samples in 128 features is singular' in stdout
  assert 'at least 129' in stdout


@pytest.mark.parametrize(('array', 'message'), [
    (np.full((9, 16, 16, 1), np.nan, np.float32), '9 of 9 samples are not finite'),
    (np.full((9, 16, 16, 1), 200.0, np.float32), 'must be uint8 in [0, 255], or floats in [-1, 1]'),
    (np.zeros((9, 8, 8, 1), np.uint8), 'holds an array of shape (9, 8, 8, 1)')])
def test_bad_samples_get_a_message_and_no_score(image_run, tmp_path, array, message):
  np.savez(tmp_path / 'bad.npz', samples=array)
  before = records.read(image_run)
  code, _, stderr = evaluate(image_run, f'--samples={tmp_path / "bad.npz"}')
  assert code == 2
  assert message in stderr
  assert 'Traceback' not in stderr
  assert records.read(image_run) == before


@pytest.mark.parametrize(('arguments', 'message'), [
    (('--metrics=fid', '--features=classifier'), 'fid mean Inception features'),
    (('--metrics=fif',), 'did you mean fid'),
    (('--metrics=fid', '--inception_weights=nowhere.pth'), 'nowhere.pth'),
    (('--features=json:nothing', '--metrics=fd'), 'importable from the current directory'),
    (('--features=json:loads', '--metrics=fd'), 'failed on uint8 images (2, 16, 16, 1): TypeError'),
    (('--step=12',), 'has checkpoints of steps [10, 20]'), (('--step=newest',), 'must be all or a number'),
    (('--step=\u00b2',), 'must be all or a number'),
    (('--samples=best',), '--samples must be ema, raw, train, test'),
    (('--neighbours=n.jpg',), 'a file name that ends in .png'),
    (('--neighbours=n.png', '--metrics=diversity'), 'add fd'),
    (('--neighbours=/proc/n.png', '--metrics=fd'), 'name another with --neighbours'),
    (('--neighbours={tmp_path}/x.png', '--metrics=fd'), 'is a directory; name a file'),
    (('--metrics=coverage', '--nearest_k=20', '--features=random'), 'too few for that many neighbours'),
    (('--nearest_k=many',), 'nearest_k'),
    (('--metrics=fd_infinity', '--features=random', '--num_samples=19'), 'take at least 20 samples')])
def test_mistakes_get_a_message(image_run, tmp_path, arguments, message):
  (tmp_path / 'x.png').mkdir()
  arguments = (argument.replace('{tmp_path}', str(tmp_path)) for argument in arguments)
  code, _, stderr = evaluate(image_run, '--num_samples=20', *arguments)
  assert code == 2
  assert message in stderr
  assert 'Traceback' not in stderr


@pytest.fixture
def two_images():
  """A data set of two images, and the configuration of a run on them."""
  config = complete(base_config(), RUNLOCAL_IMAGES)
  images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
  return config, ImageSource('two', 'train', (8, 8, 3), (), [(image, 0) for image in images])


@pytest.mark.parametrize(('metrics', 'message'), [
    ('prdc', 'nearest_k=5: prdc needs more than 5 .* 256 samples and 2 images'), ('coverage', 'or a smaller nearest_k'),
    ('ms_ssim', 'images of at least 11 x 11 pixels, but images are 8 x 8')])
def test_what_the_data_are_too_few_or_too_small_for_is_said_before_any_work(two_images, metrics, message):
  config, data = two_images
  config.eval.metrics = metrics
  with pytest.raises(ConfigError, match=message):
    make_evaluator(config, data)


def test_the_usual_scores_are_those_that_can_be_computed(two_images, tmp_path, monkeypatch):
  monkeypatch.setenv('GAN_CACHE_DIR', str(tmp_path))
  config, data = two_images
  config.eval.metrics = ''
  evaluator = make_evaluator(config, data, training=False)
  images = data.read([0, 1])['images']
  assert [score.metric for score in evaluator.score([(images, 2)], 2, '')] == ['diversity', 'fd_random', 'kd_random']
  beside = evaluator.neighbours(images, 7)
  assert beside.shape == (2, 1 + 2, 8, 8, 3), 'no image is shown twice'
  np.testing.assert_array_equal(beside[:, 1:], [images, images[::-1]])


@pytest.mark.parametrize('num', [5, 6])
def test_a_file_of_few_samples(config, num):
  """Five have no five neighbours each: an error if those were asked for, and otherwise no such score."""
  config = config.copy_and_resolve_references()
  config.eval.features = 'random'
  assert ('recall_random' in scores_of(config, 'test', num)) == (num == 6)
  config.eval.metrics = 'recall'
  if num == 6:
    assert set(scores_of(config, 'test', num)) == {'recall_random'}
  else:
    with pytest.raises(ConfigError, match=r'nearest_k=5: prdc needs more than 5 .* 5 samples and 1500 images'):
      scores_of(config, 'test', num)


def test_points_and_the_floor_of_the_data(tmp_path):
  assert run('gan.main', '--config=configs/toy.py:runlocal', f'--workdir={tmp_path}')[0] == 0
  code, stdout, stderr = evaluate(tmp_path, '--num_samples=5000', '--samples=train')
  assert code == 0, stderr
  found = {line['metric']: line for line in records.read(tmp_path) if line['samples'] == 'train'}
  assert found['modes']['value'] == 8
  assert found['high_quality']['value'] == pytest.approx(1 - np.exp(-4.5), abs=4 * found['high_quality'][
      'standard_error'])
  assert 'high_quality' in stdout
  info = tmp_path / 'data.json'
  info.write_text(info.read_text().replace('"ring"', '"rnig"'))
  code, _, stderr = run('gan.sample', f'--workdir={tmp_path}', f'--out={tmp_path / "x.png"}')
  assert code == 2
  assert "data.json: name='rnig' is unknown" in stderr


def scores_of(config, which, num=2_000, classes=None):
  """Scores of real images in the place of generated ones."""
  data = open_data(config)
  evaluator = make_evaluator(config, data, training=False)
  source = digits.load(16, which)
  images, labels = source.read(range(source.num_examples)).values()
  if classes is not None:
    images = images[labels < classes]
  images = images[:num]
  found = evaluator.score([(images, len(images))], len(images), '')
  return {score.metric: score for score in found}


@pytest.fixture(scope='module')
def config():
  config = complete(base_config(), RUNLOCAL_IMAGES | {'data.image_size': 16, 'eval.metrics': ''})
  return config


def test_the_data_against_themselves(config):
  found = scores_of(config, 'train')
  assert found['fd_classifier'].value < 1e-6
  assert found['precision_classifier'].value == found['recall_classifier'].value == 1.0
  assert found['coverage_classifier'].value == 1.0
  assert found['classes'].value == found['modes'].value == 10
  assert found['diversity'].value == pytest.approx(1.0, abs=0.1)
  assert found['cs_classifier'].value > 8


@pytest.mark.parametrize('classes', [1, 3, 7])
def test_some_of_the_classes(config, classes):
  """Real digits of the first k classes cover k classes, and k tenths of the real samples."""
  config = config.copy_and_resolve_references()
  config.eval.metrics = 'classes,coverage'
  found = scores_of(config, 'train', classes=classes)
  assert found['classes'].value == classes
  assert found['coverage_classifier'].value == pytest.approx(classes / 10, abs=0.06)


@pytest.mark.slow
def test_known_answers_on_mnist(tmp_path):
  """The classifier of MNIST on real digits: classes covered, coverage as theory says, halves at no distance."""
  data_dir = os.environ.get('TFDS_DATA_DIR')
  if not data_dir or not os.path.isdir(os.path.join(data_dir, 'mnist')):
    pytest.skip('TFDS_DATA_DIR holds no mnist')
  network = get_network('classifier', lambda split: get_source('mnist', 32, split), cache_dir())
  extract = make_extract(network.features)
  images, labels = get_source('mnist', 32, 'train').read(range(10_000)).values()
  reals, fakes = images[:5_000], images[5_000:]
  real_features, found = extract(reals)['features'], extract(fakes)
  halves = kernel_distance(real_features, found['features'])
  assert abs(halves) < 3 * standard_error(real_features, found['features'])
  for k in (1, 4, 8):
    chosen = labels[5_000:] < k
    covered = class_coverage(found['logits'][chosen], network.shares, network.confusion)
    assert covered['classes'] == k
    value, error = prdc(real_features, found['features'][chosen], 5)['coverage']
    expected = np.mean(labels[:5_000] < k) * (1 - 2**-5)
    assert abs(value - expected) < 3 * error + 0.01  # Classes touch: a few neighbours are of another.
