"""Weights of the fusion, chosen on validation samples or, apart, by the oracle (method.md, 10).

Weights are fixed beforehand or chosen on validation samples. The search on test labels that the
paper's numbers rest on is the function `oracle`; nothing that predicts calls it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmn.engine.search import Fronts, grid_correct
from dmn.method.fusion import Predictions, Weights


@dataclass(frozen=True)
class Search:
    """Outcome of a weight search: the winner, its correct answers, and those of all candidates.

    `grid_correct` is [G, G], or [G, 1] in zero-shot: dynamic weight by static weight.
    """

    weights: Weights
    correct: int
    count: int
    grid_correct: np.ndarray

    @property
    def accuracy(self) -> float:
        """Share of correct answers of the winner, on the samples searched."""
        return self.correct / self.count


def select_on_validation(
    validation: Predictions | Fronts, labels: np.ndarray, grid: Sequence[float]
) -> Search:
    """Return the weights that answer most of the validation samples with `labels` [N] correctly."""
    return _search(validation, labels, grid)


def oracle(
    predictions: Predictions | Fronts, test_labels: np.ndarray, grid: Sequence[float]
) -> Search:
    """Return the best weights in hindsight, the paper's protocol: a bound, never a choice."""
    return _search(predictions, test_labels, grid)


def _search(predictions: Predictions | Fronts, labels: np.ndarray, grid: Sequence[float]) -> Search:
    """Score the whole grid; the first strictly better wins, dynamic outer and static inner."""
    correct = grid_correct(predictions, labels, grid)
    dynamic, static = divmod(int(correct.argmax()), correct.shape[1])
    weights = (1.0, float(grid[dynamic]), float(grid[static]) if predictions.has_static else 0.0)
    return Search(weights, int(correct[dynamic, static]), len(labels), correct)
