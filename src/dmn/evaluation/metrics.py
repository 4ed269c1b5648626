"""What a prediction is worth: accuracy, calibration, confusion. Arrays in, numbers out.

Scores are [N, C]; the first largest counts as the answer. Fused scores are sums of probabilities,
so the calibration measures normalise each row to sum 1 first. Sums of floats are correctly rounded
(`math.fsum`), so they do not depend on their order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dmn.errors import FeatureError

BINS = 15
# a tenth of the last digit of a probability with six decimals
FLOOR = 1e-7


@dataclass(frozen=True)
class Reliability:
    """Bins of a reliability diagram: edges [B + 1]; count, accuracy and confidence [B].

    Accuracy and confidence of an empty bin are NaN.
    """

    edges: np.ndarray
    count: np.ndarray
    accuracy: np.ndarray
    confidence: np.ndarray


@dataclass(frozen=True)
class Judged:
    """What calibration asks of the scores of N samples, after each row was divided by its sum.

    confidence, own [N]: the largest and the label's; square [N]: the sum of the squares of all;
    correct [N]: whether the largest is the label's.
    """

    confidence: np.ndarray
    own: np.ndarray
    square: np.ndarray
    correct: np.ndarray

    def __len__(self) -> int:
        return len(self.own)


def judge(scores: np.ndarray, labels: np.ndarray) -> Judged:
    """Return what calibration asks of scores [N, C]."""
    scores, labels = _checked(scores, labels)
    p = normalised(scores)
    own = p[np.arange(len(labels)), labels]
    return Judged(p.max(axis=1), own, (p**2).sum(axis=1), predict(scores) == labels)


def predict(scores: np.ndarray) -> np.ndarray:
    """Return the class of the first largest score of each row, [N]."""
    return np.asarray(scores).argmax(axis=1)


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of rows whose answer is the label."""
    scores, labels = _checked(scores, labels)
    return int(np.count_nonzero(predict(scores) == labels)) / len(labels)


def top_k(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Return the share of rows with the label among the k largest; equal scores: lower class."""
    scores, labels = _checked(scores, labels)
    own = scores[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    rank = ((scores > own) | ((scores == own) & earlier)).sum(axis=1)
    return int(np.count_nonzero(rank < k)) / len(labels)


def normalised(scores: np.ndarray) -> np.ndarray:
    """Return scores [N, C] divided by their row sums."""
    total = scores.sum(axis=1, keepdims=True)
    if not (np.isfinite(total).all() and (total > 0).all() and (scores >= 0).all()):
        raise FeatureError(
            "calibration needs scores that are finite and not negative, with a positive sum in "
            "each row; pass probabilities, not logits"
        )
    return np.asarray(scores / total)


def reliability(judged: Judged, bins: int = BINS) -> Reliability:
    """Return equal-width bins (a, b] of the largest normalised probability."""
    confidence = judged.confidence
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return _binned(np.linspace(0, 1, bins + 1), place, confidence, judged.correct)


def adaptive_reliability(judged: Judged, bins: int = BINS) -> Reliability:
    """Return bins of equal count (up to one) in order of confidence; edges are quantiles."""
    confidence = judged.confidence
    place = np.empty(len(confidence), dtype=np.int64)
    order = np.argsort(confidence, kind="stable")
    place[order] = np.arange(len(order)) * bins // len(order)
    edges = np.quantile(confidence, np.linspace(0, 1, bins + 1))
    return _binned(edges, place, confidence, judged.correct)


def calibration_error(diagram: Reliability) -> float:
    """Return the mean of |accuracy - confidence| over the samples of a diagram's bins."""
    filled = diagram.count > 0
    gap = np.abs(diagram.accuracy - diagram.confidence)[filled] * diagram.count[filled]
    return math.fsum(gap) / int(diagram.count.sum())


def ece(judged: Judged, bins: int = BINS) -> float:
    """Return the expected calibration error over `bins` equal-width bins."""
    return calibration_error(reliability(judged, bins))


def adaptive_ece(judged: Judged, bins: int = BINS) -> float:
    """Return the expected calibration error over `bins` bins of equal count."""
    return calibration_error(adaptive_reliability(judged, bins))


def nll(judged: Judged, floor: float = FLOOR) -> float:
    """Return the mean of -log p of the label, in nats; p is normalised and at least `floor`."""
    return -math.fsum(np.log(np.maximum(judged.own, floor))) / len(judged)


def brier(judged: Judged) -> float:
    """Return the mean squared distance, summed over classes, from p to the one-hot label."""
    return math.fsum(judged.square - 2 * judged.own + 1) / len(judged)


def confusion(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return counts [C, C]: row the true class, column the answer."""
    pairs = np.asarray(labels) * classes + np.asarray(predicted)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def per_class_accuracy(counts: np.ndarray) -> np.ndarray:
    """Return [C] from a confusion matrix; NaN for a class without samples."""
    total = counts.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(counts.diagonal() / total)


def macro_f1(counts: np.ndarray) -> float:
    """Return the mean F1 over the classes that occur as label or answer of a confusion matrix."""
    involved = counts.sum(axis=0) + counts.sum(axis=1)
    present = involved > 0
    return math.fsum(2 * counts.diagonal()[present] / involved[present]) / int(present.sum())


def _checked(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or len(labels) == 0:
        raise FeatureError(
            f"a metric needs scores [N, C] and labels [N] with N at least 1, "
            f"got {list(scores.shape)} and {list(labels.shape)}"
        )
    if labels.min() < 0 or labels.max() >= scores.shape[1]:
        bad = int(labels.min() if labels.min() < 0 else labels.max())
        raise FeatureError(f"label {bad} is outside the {scores.shape[1]} classes of the scores")
    return scores, labels


def _binned(
    edges: np.ndarray, place: np.ndarray, confidence: np.ndarray, correct: np.ndarray
) -> Reliability:
    bins = len(edges) - 1
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        hits = np.bincount(place[correct], minlength=bins) / count
        sums = np.array([math.fsum(confidence[place == b]) for b in range(bins)]) / count
    return Reliability(edges, count, hits, sums)
