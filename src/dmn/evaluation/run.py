"""What the network answered in one stream order, and tidy rows about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from dmn.engine.recorded import blocks
from dmn.engine.schedule import Schedule, write_schedule
from dmn.engine.search import Fronts
from dmn.errors import FeatureError
from dmn.evaluation.answers import Chosen, counted, mask
from dmn.evaluation.contract import Cell
from dmn.evaluation.metrics import Outcomes
from dmn.evaluation.weights.coherence import Coherence
from dmn.method import fusion
from dmn.method.fusion import Predictions, Weights

Kind = tuple[str, str]
ROWS = 1024  # of the images whose probabilities are looked at together
ALONE: dict[str, Weights] = {
    "text": (1.0, 0.0, 0.0),
    "dynamic": (0.0, 1.0, 0.0),
    "static": (0.0, 0.0, 1.0),
}


@dataclass(frozen=True)
class Run:
    """What the network answered in one stream order; all arrays by row of the part, not by time.

    `fronts` are the classes that can win, of `classes`; `weights` has an entry for each kind of
    fusion that could be weighted; `validated` are the answers to the validation images, `coherence`
    compares answers to the part without labels. `predictions` of all classes are kept where an
    experiment is asked to.
    """

    cell: Cell
    order_seed: int
    order: np.ndarray
    labels: np.ndarray
    classes: int
    fronts: Fronts
    pseudo_label: np.ndarray
    entropy: np.ndarray
    weights: dict[str, Weights]
    validated: Run | None = None
    coherence: Coherence | None = None
    predictions: Predictions | None = None

    def kinds(self) -> Iterator[Kind]:
        """Yield the components alone, and the fusion with each kind of weights."""
        yield "text", "none"
        yield "dynamic", "none"
        if self.fronts.has_static:
            yield "static", "none"
        for weights in self.weights:
            yield "fused", weights

    def scores(
        self, component: str, weights: str = "none", rows: slice = slice(None)
    ) -> np.ndarray:
        """Return the scores [N, C] of a component, or of the fusion with a kind of weights.

        rows: of the images, all by default.
        """
        p = self.predictions
        if p is None:
            raise FeatureError("the experiment kept no scores of all classes; ask it for `whole`")
        p = p.taken(rows)
        if component == "fused":
            return fusion.fuse(p.text, p.dynamic, p.static, self.weights[weights])
        return getattr(p, component)

    def outcomes(self, component: str, weights: str = "none") -> Outcomes:
        """Return what calibration measures need of `scores`, block by block of the images."""
        found = (slice(*span) for span in blocks(len(self.labels), ROWS))
        return Outcomes.joined(
            [
                Outcomes.of(self.scores(component, weights, rows), self.labels[rows])
                for rows in found
            ]
        )

    def answers(self, component: str, weights: str = "none") -> np.ndarray:
        """Return the predicted classes [N]."""
        fused = component == "fused"
        return self.fronts.answers(self.weights[weights] if fused else ALONE[component])

    def schedule(self, length: int | None, seen: int | None = None) -> Schedule:
        """Return the writes of a memory of `length` slots, of the whole stream or the first `seen`.

        What enters follows from pseudo-labels and entropies alone, so any length can be asked.
        """
        order = self.order[:seen]
        return write_schedule(self.pseudo_label[order], self.entropy[order], self.classes, length)

    def right(self, component: str, weights: str = "none") -> np.ndarray:
        """Return which answers are the label, booleans [N]."""
        return self.answers(component, weights) == self.labels

    def keys(self, kind: Kind, **others: Any) -> dict[str, Any]:
        """Return the key columns of a row about one component and kind of weights."""
        component, weights = kind
        named = {"component": component, "weights": weights}
        return {"order_seed": self.order_seed} | self.cell.keys() | named | others

    def accuracy_rows(self, rows: np.ndarray | None = None, **others: Any) -> list[dict[str, Any]]:
        """Return accuracy in percent for each kind, on all of the part or on some `rows`.

        Beside it the answers, and which images they are of where it is some: see `answers`.
        """
        asked = None if rows is None else Chosen(mask(rows, len(self.labels)))
        return [
            self.keys(kind, **others) | counted("accuracy", self.right(*kind), asked)
            for kind in self.kinds()
        ]

    def course_rows(self, checkpoints: int, **others: Any) -> list[dict[str, Any]]:
        """Return accuracy up to, and between, evenly spaced points of the stream (`seen`)."""
        found = []
        ends = np.unique(np.linspace(0, len(self.order), checkpoints + 1).round().astype(int))
        windows = [
            (metric, end, Chosen(mask(self.order[first:end], len(self.labels))))
            for start, end in pairwise(ends.tolist())
            for metric, first in (("accuracy_so_far", 0), ("accuracy_between", start))
        ]
        for kind in self.kinds():
            if kind[1] == "oracle":
                continue
            right, keys = Chosen(self.right(*kind)), self.keys(kind, **others)
            found += [
                keys | {"seen": end} | counted(metric, right, asked)
                for metric, end, asked in windows
            ]
        return found

    def weight_rows(self, **others: Any) -> list[dict[str, Any]]:
        """Return the fusion weights in use, for each kind."""
        return [
            self.keys(("fused", kind), **others)
            | {"metric": f"weight_{name}", "value": float(value), "n": len(self.labels)}
            for kind, weights in self.weights.items()
            for name, value in zip(("text", "dynamic", "static"), weights, strict=True)
        ]
