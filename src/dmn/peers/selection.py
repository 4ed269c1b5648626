"""Ways of choosing among candidates: on validation images, on other data sets, or in hindsight.

A choice is the position of a candidate; of equally good ones the first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def on_validation(answers: np.ndarray, labels: np.ndarray) -> int:
    """Return the candidate with the most right answers [G, M] on validation images."""
    return int(right_answers(answers, labels).argmax())


def transferred(accuracies: Sequence[np.ndarray]) -> int:
    """Return the candidate of the best mean accuracy [G] over other data sets."""
    return int(np.mean(accuracies, axis=0).argmax())


def oracle(answers: np.ndarray, test_labels: np.ndarray) -> int:
    """Return the best candidate in hindsight: a bound, never a choice."""
    return int(right_answers(answers, test_labels).argmax())


def right_answers(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return how many answers [G, N] of each candidate are the label [N]."""
    return np.asarray((answers == labels).sum(axis=-1))
