"""Fusion of text, dynamic and static probabilities, and its weights (method.md, section 10).

Weights are fixed beforehand or chosen on validation samples. The search on test labels that the
paper's numbers rest on is the function `oracle`; nothing that predicts calls it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmn.errors import FeatureError

Weights = tuple[float, float, float]
BLOCK_BYTES = 1 << 20  # a block of scores that stays in cache


@dataclass(frozen=True)
class Predictions:
    """Probabilities [N, C] of the three classifiers; static is None in zero-shot."""

    text: np.ndarray
    dynamic: np.ndarray
    static: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("dynamic", "static"):
            part = getattr(self, name)
            if part is not None and part.shape != self.text.shape:
                raise FeatureError(
                    f"{name} predictions have shape {list(part.shape)}, "
                    f"text predictions {list(self.text.shape)}; they must be of the same samples"
                )


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


def fuse(
    text: np.ndarray, dynamic: np.ndarray, static: np.ndarray | None, weights: Weights
) -> np.ndarray:
    """Return w1 p_text + w2 p_dynamic + w3 p_static, [N, C]; not normalised again."""
    first, second, third = weights
    fused = first * text + second * dynamic
    return fused if static is None else fused + third * static


def select_on_validation(
    validation: Predictions, labels: np.ndarray, grid: Sequence[float]
) -> Search:
    """Return the weights that answer most of the validation samples with `labels` [N] correctly."""
    return _search(validation, labels, grid)


def oracle(predictions: Predictions, test_labels: np.ndarray, grid: Sequence[float]) -> Search:
    """Return the best weights in hindsight, the paper's protocol: a bound, never a choice."""
    return _search(predictions, test_labels, grid)


def _search(predictions: Predictions, labels: np.ndarray, grid: Sequence[float]) -> Search:
    """Score the whole grid; the first strictly better wins, dynamic outer and static inner."""
    count, classes = predictions.text.shape
    labels = np.asarray(labels)
    if labels.shape != (count,) or count == 0:
        raise FeatureError(
            f"a weight search needs one label for each of its samples and at least one sample, "
            f"got {count} samples and labels of shape {list(labels.shape)}"
        )
    if len(grid) == 0:
        raise FeatureError("a weight search needs at least one candidate, the grid is empty")
    static_grid = list(grid) if predictions.static is not None else [0.0]
    correct = np.zeros((len(grid), len(static_grid)), dtype=np.int64)
    rows = max(1, BLOCK_BYTES // (8 * max(1, classes)))
    for start in range(0, count, rows):
        block = slice(start, start + rows)
        correct += _block_correct(predictions, labels, block, grid, static_grid)
    dynamic, static = divmod(int(correct.argmax()), len(static_grid))
    weights = (1.0, float(grid[dynamic]), float(static_grid[static]))
    return Search(weights, int(correct[dynamic, static]), count, correct)


def _block_correct(
    predictions: Predictions,
    labels: np.ndarray,
    block: slice,
    grid: Sequence[float],
    static_grid: Sequence[float],
) -> np.ndarray:
    """Return the correct answers [G, G] among one block of samples."""
    text, dynamic = predictions.text[block], predictions.dynamic[block]
    truth = labels[block]
    correct = np.zeros((len(grid), len(static_grid)), dtype=np.int64)
    if predictions.static is not None:
        shares = [weight * predictions.static[block] for weight in static_grid]
    for i, weight in enumerate(grid):
        base = text + weight * dynamic
        for j in range(len(static_grid)):
            scores = base if predictions.static is None else base + shares[j]
            correct[i, j] = np.count_nonzero(scores.argmax(axis=1) == truth)
    return correct
