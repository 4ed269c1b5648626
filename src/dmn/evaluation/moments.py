"""Sums over all classes that calibration needs of a run, taken while its answers pass by."""

from __future__ import annotations

import numpy as np

from dmn.engine.search import Fronts
from dmn.evaluation.metrics import Judged
from dmn.method.fusion import Predictions, Weights

PAIRS = [(i, j) for i in range(3) for j in range(i, 3)]


class Moments:
    """First and second moments over the classes of text, dynamic and static probabilities.

    They give the sum and the sum of squares of any fusion, whose weights are known later only.
    """

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels
        self.total = np.zeros((3, len(labels)))
        self.own = np.zeros((3, len(labels)))
        self.product = np.zeros((len(PAIRS), len(labels)))

    def add(self, rows: np.ndarray, predictions: Predictions) -> None:
        """Take in the answers to some rows."""
        given = (predictions.text, predictions.dynamic, predictions.static)
        parts = [None if part is None else part.astype(np.float64, copy=False) for part in given]
        for i, part in enumerate(parts):
            if part is not None:
                self.total[i, rows] = part.sum(axis=1)
                self.own[i, rows] = part[np.arange(len(rows)), self.labels[rows]]
        for k, (i, j) in enumerate(PAIRS):
            one, other = parts[i], parts[j]
            if one is not None and other is not None:
                self.product[k, rows] = np.einsum("nc,nc->n", one, other)

    def judged(self, fronts: Fronts, weights: Weights) -> Judged:
        """Return what calibration asks of the fusion with these weights."""
        w = np.asarray(weights)
        answers, largest = fronts.best(weights)
        total = w @ self.total
        doubled = [w[i] * w[j] * (1 if i == j else 2) for i, j in PAIRS]
        square = np.asarray(doubled) @ self.product
        return Judged(
            largest / total, w @ self.own / total, square / total**2, answers == self.labels
        )
