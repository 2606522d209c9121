"""Scores against torch-fidelity and pytorch-msssim: from the same images, through each one's own network and code."""

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pytest

from gan.features import inception
from gan.metrics import class_score, frechet, kernel, neighbours
from gan.metrics.moments import moments_of
from gan.metrics.ms_ssim import ms_ssim
from gan.scoring.collect import make_extract
from tests.parity import reference
from tests.xla_flags import optimised

torch, *_ = reference.require('torch', 'torch_fidelity', 'pytorch_msssim')
NUM = 24


@pytest.fixture(scope='module')
def found():
  """(features, logits) of two sets of images: ours, and torch-fidelity's as tensors."""
  state_dict = reference.draw_state_dict(0)
  with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, 'drawn.pth')
    reference.torch_save(state_dict, path)
    network = inception.load(str(path), 'tensorflow', path.parent, hashlib.sha256(path.read_bytes()).hexdigest())
  # Two sets that differ: smooth blots, and the same darkened and shifted.
  one = reference.draw_images(NUM, 32, 32, seed=1)
  other = np.roll(reference.draw_images(NUM, 32, 32, seed=2) // 2, 5, axis=1)
  with optimised():
    extract = make_extract(network._replace(batch=NUM))
    ours = [extract(images) for images in (one, other)]
  theirs = [tuple(torch.as_tensor(np.array(x)) for x in reference.torch_features(state_dict, images))
            for images in (one, other)]
  return ours, theirs


def test_frechet_distance(found):
  from torch_fidelity import metric_fid
  ours, theirs = found
  expected = metric_fid.fid_statistics_to_metric(
      *(metric_fid.fid_features_to_statistics(features) for features, _ in theirs), verbose=False)
  value = frechet.frechet_distance(*(moments_of(x['features']) for x in ours))
  assert value == pytest.approx(expected['frechet_inception_distance'], rel=1e-3)


def test_kernel_distance_over_the_same_subsets(found):
  from torch_fidelity import metric_kid
  ours, theirs = found
  expected = metric_kid.kid_features_to_metric(theirs[0][0], theirs[1][0], kid_subsets=30, kid_subset_size=15,
                                               rng_seed=7, verbose=False)
  rng = np.random.RandomState(7)  # As torch-fidelity draws them.
  subsets = [(rng.choice(NUM, 15, replace=False), rng.choice(NUM, 15, replace=False)) for _ in range(30)]
  mean, spread = kernel.over_subsets(ours[0]['features'], ours[1]['features'], subsets)
  scale = max(abs(expected['kernel_inception_distance_mean']), expected['kernel_inception_distance_std'])
  assert mean == pytest.approx(expected['kernel_inception_distance_mean'], abs=1e-3 * scale)
  assert spread == pytest.approx(expected['kernel_inception_distance_std'], abs=1e-3 * scale)


def test_inception_score(found, monkeypatch):
  from torch_fidelity import metric_isc
  ours, theirs = found
  expected = metric_isc.isc_features_to_metric(theirs[0][1], splits=8, shuffle=False)
  monkeypatch.setattr(class_score, 'NUM_SPLITS', 8)
  value, spread = class_score.class_score(ours[0]['logits'])
  assert value == pytest.approx(expected['inception_score_mean'], rel=1e-3)
  assert spread == pytest.approx(expected['inception_score_std'], rel=1e-3, abs=1e-3 * (value - 1))


@pytest.mark.parametrize('k', [3, 5])
def test_precision_and_recall(found, k):
  from torch_fidelity import metric_prc
  ours, theirs = found
  expected = metric_prc.prc_features_to_metric(theirs[0][0], theirs[1][0], prc_neighborhood=k, prc_batch_size=10,
                                               save_cpu_ram=False, verbose=False)
  value = neighbours.prdc(reals=ours[1]['features'], fakes=ours[0]['features'], k=k)
  assert value['precision'][0] == pytest.approx(expected['precision'], rel=1e-3)
  assert value['recall'][0] == pytest.approx(expected['recall'], rel=1e-3)


def test_precision_and_recall_of_overlapping_sets():
  """Where neither is 0 or 1: torch-fidelity's function on drawn features."""
  from torch_fidelity import metric_prc
  rng = np.random.default_rng(0)
  fakes, reals = (rng.standard_normal((num, 8)).astype(np.float32) for num in (300, 250))
  reals += 0.7
  expected = metric_prc.prc_features_to_metric(torch.as_tensor(fakes), torch.as_tensor(reals), prc_neighborhood=3,
                                               prc_batch_size=100, save_cpu_ram=True, verbose=False)
  value = neighbours.prdc(reals, fakes, 3)
  assert 0.1 < expected['precision'] < 0.9
  assert value['precision'][0] == pytest.approx(expected['precision'], rel=1e-3)
  assert value['recall'][0] == pytest.approx(expected['recall'], rel=1e-3)


def test_ms_ssim():
  import pytorch_msssim
  rng = np.random.default_rng(1)
  one = reference.draw_images(3, 192, 192, seed=3)
  other = np.clip(one + rng.normal(0, 25, one.shape), 0, 255).astype(np.uint8)
  tensors = [torch.as_tensor(x.astype(np.float32)).permute(0, 3, 1, 2) for x in (one, other)]
  expected = pytorch_msssim.ms_ssim(*tensors, data_range=255, size_average=False).numpy()
  np.testing.assert_allclose(ms_ssim(one, other), expected, rtol=1e-4)
