"""What is kept of answers that pass by in blocks: never all classes of all images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from dmn.engine.requests import Block, Request
from dmn.engine.search import Fronts
from dmn.method.fusion import Predictions


class Measure(Protocol):
    """Takes what it needs of all classes from the answers of one run, block by block."""

    def add(self, rows: np.ndarray, predictions: Predictions) -> None:
        """See the answers to some rows; each row comes once, and several threads may call."""


class Gathering:
    """The fronts of each request, order and length, and what a study measures of them."""

    def __init__(
        self,
        requests: Sequence[Request],
        orders: int,
        labels: np.ndarray,
        measure: Callable[[np.ndarray], Measure] | None = None,
    ) -> None:
        keys = [
            (i, o, n)
            for i, request in enumerate(requests)
            for o in range(orders)
            for n in range(len(request.lengths))
        ]
        self._parts: dict[tuple[int, int, int], list[tuple[np.ndarray, Fronts]]]
        self._parts = {key: [] for key in keys}
        self._measures = {} if measure is None else {key: measure(labels) for key in keys}

    def add(self, block: Block) -> None:
        """Take in a block of answers."""
        text = block.text.cpu().numpy()
        static = None if block.static is None else block.static.cpu().numpy()
        dynamic = block.dynamic.cpu().numpy()
        for o, order in enumerate(block.orders):
            for n, length in enumerate(block.lengths):
                key = block.request, order, length
                predictions = Predictions(text, dynamic[o, n], static)
                self._parts[key].append((block.rows, Fronts.of(predictions)))
                if key in self._measures:
                    self._measures[key].add(block.rows, predictions)

    def fronts(self, request: int, order: int, length: int) -> Fronts:
        """Return the fronts of a run by row, once: what they were made of is let go."""
        parts = self._parts.pop((request, order, length))
        rows = np.concatenate([rows for rows, _ in parts])
        return Fronts.joined([fronts for _, fronts in parts]).taken(np.argsort(rows))

    def measured(self, request: int, order: int, length: int) -> Any:
        """Return what measured a run, None where nothing did."""
        return self._measures.get((request, order, length))
