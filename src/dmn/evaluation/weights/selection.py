"""Weights of the fusion, chosen without test labels or, apart, by the oracle (method.md, 10).

Three choices, by what they see: `select_on_validation` sees labelled validation images and, but
for the rules first and middle, the unlabelled stream; `select_without_labels` sees the unlabelled
stream alone. The search on test labels that the paper's numbers rest on is the function `oracle`;
nothing that predicts calls it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy import special

from dmn.engine.search import Fronts, grid_correct
from dmn.errors import ConfigError
from dmn.evaluation.weights.coherence import Coherence
from dmn.method.fusion import Predictions, Weights

Rule = Literal["coherence", "middle", "first"]
LEVEL = 0.05  # of the exact one-sided test that refutes a candidate


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
    validation: Predictions | Fronts,
    labels: np.ndarray,
    grid: Sequence[float],
    rule: Rule = "first",
    coherence: np.ndarray | None = None,
) -> Search:
    """Return weights chosen on validation samples with `labels` [N], by a rule.

    first: the first of those with the most correct answers, in loop order; middle: of these the
    nearest to their centre on the grid; coherence: of those that the samples do not refute, see
    `unrefuted`, the one of the largest `coherence` [G, G] of its answers to the stream.
    """
    correct = grid_correct(validation, labels, grid)
    if rule == "first":
        place = _first(correct)
    elif rule == "middle":
        place = middle(correct)
    elif rule == "coherence" and coherence is not None:
        right = grid_answers(validation, grid) == np.asarray(labels)
        place = middle(np.where(unrefuted(right), coherence, -np.inf))
    else:
        known = ", ".join(get_args(Rule))
        raise ConfigError(f"rule {rule!r} needs the coherence of a stream, or is none of {known}")
    return _search(validation, labels, grid, correct, place)


def select_without_labels(
    predictions: Predictions | Fronts, grid: Sequence[float], coherence: np.ndarray
) -> Weights:
    """Return the weights whose answers to the stream have the largest `coherence` [G, G]."""
    return _weights(predictions, grid, middle(coherence))


def oracle(
    predictions: Predictions | Fronts, test_labels: np.ndarray, grid: Sequence[float]
) -> Search:
    """Return the best weights in hindsight, the paper's protocol: a bound, never a choice.

    The first strictly better wins, dynamic weight outer and static inner.
    """
    correct = grid_correct(predictions, test_labels, grid)
    return _search(predictions, test_labels, grid, correct, _first(correct))


def grid_answers(predictions: Predictions | Fronts, grid: Sequence[float]) -> np.ndarray:
    """Return what each pair of weights answers, [G, G, N]; [G, 1, N] without a static memory."""
    fronts = predictions if isinstance(predictions, Fronts) else Fronts.of(predictions)
    return fronts.grid_answers(grid, grid if fronts.has_static else [0.0])


def grid_coherence(
    predictions: Predictions | Fronts, grid: Sequence[float], coherence: Coherence
) -> np.ndarray:
    """Return the coherence of each pair's answers to the stream, [G, G] or [G, 1]."""
    fronts = predictions if isinstance(predictions, Fronts) else Fronts.of(predictions)
    static_grid = grid if fronts.has_static else [0.0]
    # to and fro, because neighbours on the grid differ in few answers
    count = len(static_grid)
    path = [(i, j) for i in range(len(grid)) for j in (range(count), reversed(range(count)))[i % 2]]
    found = np.empty((len(grid), count))
    answers = (fronts.answers((1.0, grid[i], static_grid[j])) for i, j in path)
    found[tuple(np.transpose(path))] = coherence.of(answers)
    return found


def unrefuted(right: np.ndarray) -> np.ndarray:
    """Return which candidates are not refuted by right answers [..., N], booleans [...].

    A candidate is refuted where McNemar's exact test, one-sided, finds it worse than the first
    candidate with the most right answers: at most one chance in 20 of so uneven disagreements.
    """
    best = right.reshape(-1, right.shape[-1])[int(right.sum(axis=-1).argmax())]
    lost, gained = (best & ~right).sum(axis=-1), (~best & right).sum(axis=-1)
    # chance that of all disagreements a fair coin gives the candidate no more than it gained
    chance = special.bdtr(gained.astype(float), lost + gained, 0.5)
    return np.asarray(chance > LEVEL)


def middle(scores: np.ndarray) -> tuple[int, int]:
    """Return the largest score's place on the grid; of ties the nearest to their centre.

    Of equally near ones the first.
    """
    tied = np.argwhere(scores == scores.max())
    distance = ((tied - tied.mean(axis=0)) ** 2).sum(axis=1).round(9)
    dynamic, static = tied[int(distance.argmin())]
    return int(dynamic), int(static)


def _first(scores: np.ndarray) -> tuple[int, int]:
    return divmod(int(scores.argmax()), scores.shape[1])


def _search(
    predictions: Predictions | Fronts,
    labels: np.ndarray,
    grid: Sequence[float],
    correct: np.ndarray,
    place: tuple[int, int],
) -> Search:
    return Search(_weights(predictions, grid, place), int(correct[place]), len(labels), correct)


def _weights(
    predictions: Predictions | Fronts, grid: Sequence[float], place: tuple[int, int]
) -> Weights:
    dynamic, static = place
    return 1.0, float(grid[dynamic]), float(grid[static]) if predictions.has_static else 0.0
