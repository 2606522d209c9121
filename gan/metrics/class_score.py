"""Scores of a classifier's predictions on samples: the class score (Inception score) and the coverage of classes."""

import numpy as np
from scipy.optimize import linear_sum_assignment, nnls
from scipy.special import entr, log_softmax, rel_entr

from gan.metrics import require_finite

NUM_SPLITS = 10
MIN_PART, MIN_PER_UNIT = 10, 2   # Samples that a part needs for a standard error: at least, and per unit of the score.
MIN_SHARE = 0.1   # A class is covered if its share is at least this fraction of its share in the data.
ENOUGH_TESTS = 20   # A class with this many test images has its confusion rates taken from these images alone.


def class_score(logits: np.ndarray) -> tuple[float, float]:
  """Return exp(E KL(p(y|x) || p(y))), the mean over NUM_SPLITS parts (IS, Salimans et al. 2016, arXiv:1606.03498).

  The score lies between 1 (all predictions are alike) and the number of classes K (every prediction is certain and all
  classes are equally frequent). A part of n samples scores at most n; its bias is about -(K - 1) / (2 n) times the
  score.

  Args:
    logits: [N, K], in random order.

  Returns:
    Mean over the parts, and standard deviation over the parts (the usual published pair).

  Raises:
    NonFiniteSamplesError: if a logit is not finite.
  """
  require_finite(logits)
  scores = []
  for part in np.array_split(np.asarray(logits, np.float64), min(NUM_SPLITS, len(logits))):
    log_p = log_softmax(part, axis=1)
    p = np.exp(log_p)
    scores.append(np.exp(np.mean(np.sum(p * log_p, axis=1)) + np.sum(entr(p.mean(axis=0)))))
  return float(np.mean(scores)), float(np.std(scores))


def standard_error(value: float, spread: float, count: int) -> float:
  """Return the standard error of `class_score` as a mean over disjoint parts; nan if the parts are too small.

  A part of n samples scores at most n, and the parts hardly differ where the score is near that limit: a part of one
  sample always scores 1. So each part must have MIN_PART samples, and MIN_PER_UNIT samples for each unit of the score.

  Args:
    value: mean over the parts.
    spread: standard deviation over the parts.
    count: total number of samples.
  """
  enough = count // NUM_SPLITS >= max(MIN_PART, MIN_PER_UNIT * value)
  return float(spread / np.sqrt(NUM_SPLITS - 1)) if enough else float('nan')


def confusion_rates(confusion: np.ndarray) -> np.ndarray:
  """Estimate the rates [K, K] at which each true class (row) is predicted as each class (column).

  A class with ENOUGH_TESTS test images or more keeps its counted rates. The rates of a class with few images would be
  noise: with one image, the class is recognised always or never. The row of such a class is filled up to ENOUGH_TESTS
  images with fictitious images at average rates: the accuracy over all classes (by Laplace's rule, which adds one right
  and one wrong image), with errors spread evenly over the other classes. A class without any test image has these
  average rates.

  Args:
    confusion: [K, K], counts on test images; rows are true classes.
  """
  classes = len(confusion)
  right = (np.trace(confusion) + 1) / (confusion.sum() + 2)
  average = np.full((classes, classes), (1 - right) / max(classes - 1, 1))
  np.fill_diagonal(average, right)
  average /= average.sum(axis=1, keepdims=True)  # Rows sum to 1 already, unless there is only one class.
  tests = confusion.sum(axis=1, keepdims=True)
  missing = np.maximum(ENOUGH_TESTS - tests, 0)
  return (confusion + missing * average) / (tests + missing)


def class_shares(predicted: np.ndarray, confusion: np.ndarray) -> np.ndarray:
  """Estimate the shares of the true classes [K] from the predicted shares, corrected for the classifier's mistakes.

  A classifier that takes 1% of the fours for nines predicts nines in any set of fours. We therefore solve
  rates^T q = predicted for shares q >= 0 by least squares, where rates are the `confusion_rates` (Lipton et al. 2018,
  arXiv:1802.03916).

  Args:
    predicted: shares of the predicted classes [K].
    confusion: [K, K], counts on test images; rows are true classes.
  """
  shares, _ = nnls(confusion_rates(confusion).T, predicted)
  return shares / max(shares.sum(), np.finfo(float).tiny)


def class_coverage(logits: np.ndarray, data_shares: np.ndarray, confusion: np.ndarray | None) -> dict[str, float]:
  """Compare the predicted classes of samples with the classes of the data.

  Args:
    logits: [N, K].
    data_shares: share of each class in the data [K].
    confusion: see `class_shares`; None leaves `classes` out.

  Returns:
    `modes`: number of classes that are predicted at least once (as Metz et al. 2017 and PacGAN count on stacked MNIST).
    `classes`: number of classes whose share is at least a tenth of their share in the data, corrected for the
      classifier's mistakes.
    `reverse_kl`: KL(predicted shares || data shares), in nats.
    `total_variation`: total variation distance between predicted shares and data shares.

  Raises:
    NonFiniteSamplesError: if a logit is not finite.
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


def accuracy(logits: np.ndarray, classes: np.ndarray) -> tuple[float, float]:
  """Return the share of samples that a classifier puts into the class that they were made of, and its standard error.

  Args:
    logits: [N, K].
    classes: [N], the classes that the samples were made of.

  Raises:
    NonFiniteSamplesError: if a logit is not finite.
  """
  require_finite(logits)
  share = float(np.mean(np.argmax(logits, axis=1) == classes))
  return share, float(np.sqrt(share * (1 - share) / len(logits)))


def agreement(logits: np.ndarray, codes: np.ndarray) -> tuple[float, float]:
  """Return how well categorical codes agree with predicted classes: the `accuracy` under the best one-to-one matching.

  Codes carry no names, so each code is matched with at most one class such that most samples agree. A code that says
  nothing scores somewhat more than 1 / K, because the matching is chosen afterwards.

  Args:
    logits: [N, K].
    codes: [N] integers, 0 or more.

  Raises:
    NonFiniteSamplesError: if a logit is not finite.
  """
  require_finite(logits)
  counts = np.zeros((int(codes.max()) + 1, logits.shape[1]))
  np.add.at(counts, (codes, np.argmax(logits, axis=1)), 1)
  share = float(counts[linear_sum_assignment(-counts)].sum() / len(logits))
  return share, float(np.sqrt(share * (1 - share) / len(logits)))
