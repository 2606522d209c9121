"""Scores of what a classifier says of samples: the class score (Inception score), and which classes there are."""

import numpy as np
from scipy.optimize import nnls
from scipy.special import entr, log_softmax, rel_entr

from gan.metrics import require_finite

NUM_SPLITS = 10
MIN_PART, MIN_PER_UNIT = 10, 2   # Samples of a part, at all and for each unit of the score, for a standard error.
MIN_SHARE = 0.1   # Of the share that a class has in the data, to count as covered.
ENOUGH_TESTS = 20   # Test images of a class from which its rates of confusion are taken as counted.


def class_score(logits: np.ndarray) -> tuple[float, float]:
  """exp(E KL(p(y|x) || p(y))) over NUM_SPLITS parts of the samples (IS, Salimans et al. 2016, arXiv:1606.03498).

  From 1 (nothing is told apart) to the number of classes (each sample surely of one class, all classes equally often).
  A part of n samples scores n at most, and less than many samples would: by some (K - 1) / 2n of the score.

  Args:
    logits: [N, K], in random order.

  Returns:
    Mean over the parts, and their spread (the standard deviation that is published with it).
  """
  require_finite(logits)
  scores = []
  for part in np.array_split(np.asarray(logits, np.float64), min(NUM_SPLITS, len(logits))):
    log_p = log_softmax(part, axis=1)
    p = np.exp(log_p)
    scores.append(np.exp(np.mean(np.sum(p * log_p, axis=1)) + np.sum(entr(p.mean(axis=0)))))
  return float(np.mean(scores)), float(np.std(scores))


def standard_error(value: float, spread: float, count: int) -> float:
  """Standard error of `class_score`, as a mean over disjoint parts; nan where the parts are too small for one.

  Parts of one sample score 1 whatever is in them, and parts that score nearly as many as they have samples cannot
  differ. So each part must have MIN_PART samples, and MIN_PER_UNIT for each unit of the score.

  Args:
    value: mean over the parts.
    spread: standard deviation over the parts.
    count: samples altogether.
  """
  enough = count // NUM_SPLITS >= max(MIN_PART, MIN_PER_UNIT * value)
  return float(spread / np.sqrt(NUM_SPLITS - 1)) if enough else float('nan')


def confusion_rates(confusion: np.ndarray) -> np.ndarray:
  """Rates [K, K] at which each true class (row) is taken for each class, from counts on test images [K, K].

  A class of one test image seems to be found always or never. Rows of fewer than ENOUGH_TESTS images are therefore
  filled up to that number with images of average rates: right as often as over all classes (by Laplace's rule, with one
  right and one wrong image more), wrong equally often for each other class. With no image of a class only these are
  left; from ENOUGH_TESTS on, what was counted alone.
  """
  classes = len(confusion)
  right = (np.trace(confusion) + 1) / (confusion.sum() + 2)
  average = np.full((classes, classes), (1 - right) / max(classes - 1, 1))
  np.fill_diagonal(average, right)
  average /= average.sum(axis=1, keepdims=True)  # 1 already, unless there is but one class.
  tests = confusion.sum(axis=1, keepdims=True)
  missing = np.maximum(ENOUGH_TESTS - tests, 0)
  return (confusion + missing * average) / (tests + missing)


def class_shares(predicted: np.ndarray, confusion: np.ndarray) -> np.ndarray:
  """Shares of the true classes [K] behind predictions, corrected for what the classifier mistakes.

  A classifier that takes 1% of the fours for nines would find nines in any set of fours. Shares q that explain the
  predictions best, confusion^T q = predicted with q >= 0, do not (Lipton et al. 2018, arXiv:1802.03916).

  Args:
    predicted: shares of the predicted classes [K].
    confusion: [K, K], counts on test images; rows are true classes.
  """
  shares, _ = nnls(confusion_rates(confusion).T, predicted)
  return shares / max(shares.sum(), np.finfo(float).tiny)


def class_coverage(logits: np.ndarray, data_shares: np.ndarray, confusion: np.ndarray | None) -> dict[str, float]:
  """How the classes of samples compare to those of the data.

  Args:
    logits: [N, K].
    data_shares: share of each class in the data [K].
    confusion: see `class_shares`; None where there is none: then `classes` is left out.

  Returns:
    `modes`: classes that are predicted at least once (the count of Metz et al. 2017 and PacGAN for stacked MNIST);
    `classes`: classes with at least a tenth of their share in the data, corrected for the classifier's mistakes;
    `reverse_kl`: KL divergence, in nats, of the predicted shares from the data's; `total_variation` between the two.
  """
  require_finite(logits)
  counts = np.bincount(np.argmax(logits, axis=1), minlength=logits.shape[1])
  predicted = counts / len(logits)
  scores = {'modes': float(np.count_nonzero(counts)),
            'reverse_kl': float(np.sum(rel_entr(predicted, data_shares))),
            'total_variation': float(0.5 * np.abs(predicted - data_shares).sum())}
  if confusion is not None:
    covered = class_shares(predicted, confusion) >= MIN_SHARE * data_shares
    scores['classes'] = float(np.count_nonzero(covered & (data_shares > 0)))
  return scores
