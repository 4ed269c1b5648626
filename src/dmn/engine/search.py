"""The classes that can come first in a fusion, and the search over its weights (method.md, 10).

Under weights that are not negative a class never comes first if one rival has more of text,
dynamic and static probability. What is left of a thousand classes is a handful: the Pareto front,
which answers for every choice of weights as all classes would, ties and rounding included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmn.engine.compiled.fronts import answer, collect, count_correct
from dmn.errors import FeatureError
from dmn.method.fusion import Predictions, Weights
from dmn.workers import workers

ROWS = 1024
# Of two classes with equal sums the first wins. A class that has less than 1 - MARGIN of a rival's
# three probabilities can never reach an equal sum: three roundings take less away.
MARGIN = {"float32": 2.0**-18, "float64": 2.0**-45}
BITS = {"float32": np.int32, "float64": np.int64}
# weights that neither overflow nor make the largest probability vanish
LARGEST = 1e9


@dataclass(frozen=True)
class Fronts:
    """The classes that can come first in a fusion of each of N samples, under any weights.

    start [N + 1]: where the classes of each sample begin in classes [M], ascending, and in
    values [3, M], their text, dynamic and static probabilities. Without a static memory
    `has_static` is False and the third row repeats the first.
    """

    start: np.ndarray
    classes: np.ndarray
    values: np.ndarray
    has_static: bool

    def __len__(self) -> int:
        return len(self.start) - 1

    @classmethod
    def of(cls, predictions: Predictions) -> Fronts:
        """Return the fronts of probabilities [N, C]. Raises FeatureError for anything else."""
        p = predictions
        count, classes = p.text.shape
        kind = np.result_type(p.text, p.dynamic, np.float32)
        given = (p.text, p.dynamic, p.text if p.static is None else p.static)
        flat = [np.ascontiguousarray(part, dtype=kind).reshape(-1) for part in given]
        start = np.zeros(count + 1, np.int64)
        found, values, bad = collect(
            *flat, tuple(part.view(BITS[kind.name]) for part in flat), classes,
            kind.type(1 - MARGIN[kind.name]), start,
        )  # fmt: skip
        if bad >= 0:
            raise FeatureError(
                f"the predictions of sample {bad} are not probabilities: one is negative, NaN or "
                "infinite, or all are zero; pass what the network answered"
            )
        return cls(start, found, values, p.static is not None)

    @classmethod
    def joined(cls, parts: Sequence[Fronts]) -> Fronts:
        """Return the fronts of several groups of samples as one, in their order."""
        counts = [np.diff(part.start) for part in parts]
        start = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
        classes = np.concatenate([part.classes for part in parts])
        values = np.concatenate([part.values for part in parts], axis=1)
        return cls(start.astype(np.int64), classes, values, parts[0].has_static)

    def taken(self, rows: np.ndarray) -> Fronts:
        """Return the fronts of some samples, in the order given."""
        count = np.diff(self.start)[rows]
        start = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
        place = np.repeat(self.start[rows] - start[:-1], count) + np.arange(start[-1])
        return Fronts(start, self.classes[place], self.values[:, place], self.has_static)

    def answers(self, weights: Weights) -> np.ndarray:
        """Return the answers [N] of the fusion: `fusion.fuse(..., weights).argmax(axis=1)`."""
        first, second, third = weights
        given = np.array([first, second, third if self.has_static else 0], self.values.dtype)
        _check_weights(given)
        answers = np.empty(len(self), np.int64)
        answer(self.start, self.classes, self.values, given, answers)
        return answers

    def beside_text(self, component: str) -> Fronts:
        """Return the fronts of text and one memory, `dynamic` or `static`, in the dynamic place."""
        row = {"dynamic": 1, "static": 2}[component]
        return Fronts(self.start, self.classes, self.values[[0, row, 0]], has_static=False)

    def grid_answers(
        self, dynamic_grid: Sequence[float], static_grid: Sequence[float]
    ) -> np.ndarray:
        """Return the answers [G, H, N] of each dynamic with each static weight; text has 1."""
        pairs = self._pairs(dynamic_grid, static_grid)
        found = np.empty((pairs.shape[1], len(self)), np.int64)
        for place, given in enumerate(np.ascontiguousarray(pairs.T)):
            answer(self.start, self.classes, self.values, given, found[place])
        return found.reshape(len(dynamic_grid), len(static_grid), len(self))

    def grid_correct(
        self, labels: np.ndarray, dynamic_grid: Sequence[float], static_grid: Sequence[float]
    ) -> np.ndarray:
        """Return the correct answers [G, H] of each dynamic with each static weight; text has 1."""
        pairs = self._pairs(dynamic_grid, static_grid)
        correct = np.zeros(pairs.shape[1], BITS[self.values.dtype.name])
        count_correct(
            self.start, self.classes, self.values, np.asarray(labels, np.int64), pairs[1],
            pairs[2], correct,
        )  # fmt: skip
        return correct.reshape(len(dynamic_grid), len(static_grid)).astype(np.int64)

    def _pairs(self, dynamic_grid: Sequence[float], static_grid: Sequence[float]) -> np.ndarray:
        """Return the checked weights [3, G * H] of all pairs."""
        static = static_grid if self.has_static else np.zeros(len(static_grid))
        weights = np.stack(np.meshgrid([1.0], dynamic_grid, static, indexing="ij"))
        pairs = weights.reshape(3, -1).astype(self.values.dtype)
        _check_weights(pairs)
        return pairs


def grid_correct(
    predictions: Predictions | Fronts, labels: np.ndarray, grid: Sequence[float]
) -> np.ndarray:
    """Return how many of N samples each pair of weights answers with their label [N]; text has 1.

    [G, G], dynamic weight by static weight; [G, 1] without a static memory. The counts are those
    of `fusion.fuse` and its first largest score, for each pair. Raises FeatureError.
    """
    count = len(predictions if isinstance(predictions, Fronts) else predictions.text)
    labels = np.asarray(labels)
    if labels.shape != (count,) or count == 0:
        raise FeatureError(
            f"a weight search needs one label for each of its samples and at least one sample, "
            f"got {count} samples and labels of shape {list(labels.shape)}"
        )
    if len(grid) == 0:
        raise FeatureError("a weight search needs at least one candidate, the grid is empty")
    static_grid = grid if predictions.has_static else [0.0]
    if isinstance(predictions, Fronts):
        return predictions.grid_correct(labels, grid, static_grid)

    def block(start: int) -> np.ndarray:
        rows = slice(start, start + ROWS)
        return Fronts.of(predictions.taken(rows)).grid_correct(labels[rows], grid, static_grid)

    starts = range(0, count, ROWS)
    if len(starts) == 1:
        return block(0)
    with workers(None) as pool:
        return np.sum(list(pool.map(block, starts)), axis=0)


def _check_weights(weights: np.ndarray) -> None:
    """Raise FeatureError for weights [3, ...] that fronts do not answer for."""
    fitting = (weights >= 0) & (weights <= LARGEST)
    if not fitting.all():
        bad = float(weights[~fitting].flat[0])
        raise FeatureError(f"a fusion weight is {bad:g}; weights are between 0 and {LARGEST:g}")
    if not (weights.max(axis=0) >= 1 / LARGEST).all():
        raise FeatureError(f"all fusion weights are below {1 / LARGEST:g}; give one above that")
