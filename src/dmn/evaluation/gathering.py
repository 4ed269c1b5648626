"""What is kept of answers that pass by in blocks: the classes that can win, not all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from dmn.engine.many import Answered, Block, answer_many
from dmn.engine.search import Fronts
from dmn.method.fusion import Predictions
from dmn.method.model import Model


class Gathering:
    """The answers of one model to some rows of its views, by order and memory length.

    rows [M]: which are kept, ascending; `whole`: keep the probabilities of all classes too, in
    dynamic [orders, lengths, N, C].
    """

    def __init__(self, rows: np.ndarray, orders: int, lengths: int, whole: bool = False) -> None:
        self.rows, self.whole = rows, whole
        self._shape = orders, lengths
        self._parts: dict[tuple[int, int], list[tuple[np.ndarray, Fronts]]]
        self._parts = {(o, n): [] for o in range(orders) for n in range(lengths)}
        self._dynamic: np.ndarray | None = None
        self._answered: Answered | None = None

    def fill(
        self,
        model: Model,
        views: np.ndarray,
        permutations: Sequence[np.ndarray],
        lengths: Sequence[int],
    ) -> Answered:
        """Answer all orders and lengths; return what they have in common."""
        self._wanted = np.zeros(len(views), dtype=bool)
        self._wanted[self.rows] = True
        if self.whole:
            kind = str(model.dtype).removeprefix("torch.")
            self._dynamic = np.empty((*self._shape, len(views), model.classes), kind)
        found = answer_many(model, views, permutations, lengths, [model.beta], self._take)
        self._answered = found
        return found

    def _take(self, block: Block) -> None:
        kept = self._wanted[block.rows]
        if not kept.any():
            return
        rows, some = block.rows[kept], slice(None) if kept.all() else np.flatnonzero(kept)
        text = _array(block.text)[some]
        static = None if block.static is None else _array(block.static[0])[some]
        for o, answers in zip(block.orders, block.dynamic, strict=True):
            for n in range(len(answers)):
                dynamic = _array(answers[n, 0])[some]
                self._parts[o, n].append((rows, Fronts.of(Predictions(text, dynamic, static))))
                if self._dynamic is not None:
                    self._dynamic[o, n, rows] = dynamic

    def fronts(self, order: int, length: int) -> Fronts:
        """Return the fronts of the rows, once: what they were made of is let go."""
        parts = self._parts.pop((order, length))
        rows = np.concatenate([rows for rows, _ in parts])
        return Fronts.joined([fronts for _, fronts in parts]).taken(np.argsort(rows))

    def predictions(self, order: int, length: int) -> Predictions | None:
        """Return the probabilities of all classes for the rows, where they were kept."""
        if self._dynamic is None or self._answered is None:
            return None
        found = self._answered
        static = None if found.static is None else _array(found.static[0])
        whole = Predictions(_array(found.text), self._dynamic[order, length], static)
        return whole if len(self.rows) == len(whole.text) else whole.taken(self.rows)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy()
