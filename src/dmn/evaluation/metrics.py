"""What a prediction is worth: accuracy, calibration, confusion. Arrays in, numbers out.

Scores are [N, C]; the first largest counts as the answer. Fused scores are sums of probabilities,
so the calibration measures normalise each row to sum 1 first. Sums of floats are correctly rounded
(`math.fsum`), so they do not depend on their order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

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
class Outcomes:
    """What the measures need of N answers, each array [N].

    right: the answer is the label; confidence: the largest probability; likelihood: that of the
    label; distance: the squared distance, summed over classes, from the probabilities to the
    one-hot label.
    """

    right: np.ndarray
    confidence: np.ndarray
    likelihood: np.ndarray
    distance: np.ndarray

    def __len__(self) -> int:
        return len(self.right)

    @classmethod
    def of(cls, scores: np.ndarray, labels: np.ndarray) -> Outcomes:
        """Return the outcomes of scores [N, C], normalised by row, for labels [N]."""
        scores, labels = _checked(scores, labels)
        answers = scores.argmax(axis=1)
        p = _normalised(scores)
        own = np.arange(len(labels)), labels
        confidence, likelihood = p.max(axis=1), p[own]
        p[own] -= 1
        distance = (p**2).sum(axis=1, dtype=np.float64)
        return cls(answers == labels, confidence, likelihood, distance)

    @classmethod
    def joined(cls, parts: Sequence[Outcomes]) -> Outcomes:
        """Return the outcomes of several groups of answers, in their order."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _normalised(scores: np.ndarray) -> np.ndarray:
    """Return scores [N, C] divided by their row sums."""
    total = scores.sum(axis=1, keepdims=True)
    if not (np.isfinite(total).all() and (total > 0).all() and (scores >= 0).all()):
        raise FeatureError(
            "calibration needs scores that are finite and not negative, with a positive sum in "
            "each row; pass probabilities, not logits"
        )
    return np.asarray(scores / total)


def accuracy(outcomes: Outcomes) -> float:
    """Return the share of answers that are the label."""
    return int(np.count_nonzero(outcomes.right)) / len(outcomes)


def reliability(outcomes: Outcomes, bins: int = BINS) -> Reliability:
    """Return equal-width bins (a, b] of the confidence."""
    place = _bin(outcomes.confidence, bins)
    return _binned(np.linspace(0, 1, bins + 1), place, outcomes.confidence, outcomes.right)


def ece(outcomes: Outcomes, bins: int = BINS) -> float:
    """Return the expected calibration error over `bins` equal-width bins."""
    diagram = reliability(outcomes, bins)
    filled = diagram.count > 0
    gap = np.abs(diagram.accuracy - diagram.confidence)[filled] * diagram.count[filled]
    return math.fsum(gap) / len(outcomes)


def gaps(outcomes: Outcomes, bins: int = BINS) -> np.ndarray:
    """Return what each sample adds to `ece`, [N]: right less confidence, signed as in its bin.

    Its mean is the expected calibration error.
    """
    diagram = reliability(outcomes, bins)
    signs = np.sign(diagram.accuracy - diagram.confidence)
    own = signs[_bin(outcomes.confidence, bins)]
    return np.asarray((outcomes.right - outcomes.confidence) * own)


def nll(outcomes: Outcomes, floor: float = FLOOR) -> float:
    """Return the mean of -log p of the label, in nats; p is normalised and at least `floor`."""
    return math.fsum(nlls(outcomes, floor)) / len(outcomes)


def nlls(outcomes: Outcomes, floor: float = FLOOR) -> np.ndarray:
    """Return what each sample adds to `nll`, [N]."""
    return -np.log(np.maximum(outcomes.likelihood, floor))


def brier(outcomes: Outcomes) -> float:
    """Return the mean squared distance, summed over classes, from p to the one-hot label."""
    return math.fsum(outcomes.distance) / len(outcomes)


def confusion(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return counts [C, C]: row the true class, column the answer."""
    pairs = np.asarray(labels) * classes + np.asarray(predicted)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


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


def _bin(confidence: np.ndarray, bins: int) -> np.ndarray:
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def _binned(
    edges: np.ndarray, place: np.ndarray, confidence: np.ndarray, correct: np.ndarray
) -> Reliability:
    bins = len(edges) - 1
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        hits = np.bincount(place[correct], minlength=bins) / count
        sums = np.array([math.fsum(confidence[place == b]) for b in range(bins)]) / count
    return Reliability(edges, count, hits, sums)


def macro_f1(labels: np.ndarray, answers: np.ndarray) -> float:
    """Return the mean F1 over the classes that come, in percent; labels and answers [N].

    F1 of a class is twice its right answers over its images and the answers that name it.
    """
    count = 1 + int(max(labels.max(), answers.max()))
    asked, named, right = (
        np.bincount(found, minlength=count)
        for found in (labels, answers, labels[labels == answers])
    )
    came = asked > 0
    return 100 * float((2 * right[came] / (asked + named)[came]).mean())
