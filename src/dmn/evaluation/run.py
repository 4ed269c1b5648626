"""What the network answered in one stream order, and the rows that a study makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from dmn.evaluation.contract import Cell
from dmn.method.fusion import Weights

if TYPE_CHECKING:
    from dmn.engine.search import Fronts

Kind = tuple[str, str]
ALONE: dict[str, Weights] = {
    "text": (1.0, 0.0, 0.0),
    "dynamic": (0.0, 1.0, 0.0),
    "static": (0.0, 0.0, 1.0),
}


@dataclass(frozen=True)
class Run:
    """What the network answered in one stream order; all arrays by row of the part, not by time.

    `fronts` are the classes that can win, which answer for every choice of weights; `weights` has
    an entry for each kind of fusion that could be weighted; `measured` is what a study had taken
    of all classes while the answers passed by.
    """

    cell: Cell
    order_seed: int
    order: np.ndarray
    labels: np.ndarray
    fronts: Fronts
    pseudo_label: np.ndarray
    entropy: np.ndarray
    weights: dict[str, Weights] = field(default_factory=dict)
    measured: Any = None

    def kinds(self) -> Iterator[Kind]:
        """Yield the components alone, and the fusion with each kind of weights."""
        yield "text", "none"
        yield "dynamic", "none"
        if self.fronts.has_static:
            yield "static", "none"
        for weights in self.weights:
            yield "fused", weights

    def weights_of(self, component: str, weights: str = "none") -> Weights:
        """Return the weights of text, dynamic and static prediction that stand for a kind."""
        return self.weights[weights] if component == "fused" else ALONE[component]

    def answers(self, component: str, weights: str = "none") -> np.ndarray:
        """Return the predicted classes [N] of a component, or of the fusion."""
        return self.fronts.answers(self.weights_of(component, weights))

    def right(self, component: str, weights: str = "none") -> np.ndarray:
        """Return which answers are the label, booleans [N]."""
        return self.answers(component, weights) == self.labels

    def keys(self, kind: Kind, **others: Any) -> dict[str, Any]:
        """Return the key columns of a row about one component and kind of weights."""
        component, weights = kind
        named = {"component": component, "weights": weights}
        return {"order_seed": self.order_seed} | self.cell.keys() | named | others

    def accuracy_rows(self, rows: np.ndarray | None = None, **others: Any) -> list[dict[str, Any]]:
        """Return accuracy in percent for each kind, on all of the part or on some `rows`."""
        found = []
        for kind in self.kinds():
            right = self.right(*kind)
            right = right if rows is None else right[rows]
            value = 100 * int(right.sum()) / len(right)
            measured = {"metric": "accuracy", "value": value, "n": len(right)}
            found.append(self.keys(kind, **others) | measured)
        return found

    def course_rows(self, checkpoints: int, **others: Any) -> list[dict[str, Any]]:
        """Return accuracy up to, and between, evenly spaced points of the stream (`seen`)."""
        found = []
        ends = np.unique(np.linspace(0, len(self.order), checkpoints + 1).round().astype(int))
        for kind in self.kinds():
            if kind[1] == "oracle":
                continue
            total = np.concatenate([[0], self.right(*kind)[self.order].cumsum()])
            for start, end in pairwise(ends.tolist()):
                for metric, first in (("accuracy_so_far", 0), ("accuracy_between", start)):
                    value = 100 * int(total[end] - total[first]) / (end - first)
                    measured = {"metric": metric, "value": value, "n": end - first}
                    found.append(self.keys(kind, seen=end, **others) | measured)
        return found

    def weight_rows(self, **others: Any) -> list[dict[str, Any]]:
        """Return the fusion weights in use, for each kind."""
        return [
            self.keys(("fused", kind), **others)
            | {"metric": f"weight_{name}", "value": float(value), "n": len(self.labels)}
            for kind, weights in self.weights.items()
            for name, value in zip(("text", "dynamic", "static"), weights, strict=True)
        ]
