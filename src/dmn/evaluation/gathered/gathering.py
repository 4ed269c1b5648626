"""What is kept of answers that pass by in blocks: the classes that can win, not all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from dmn.engine.search import Fronts
from dmn.engine.together.blockwise import answer_blockwise
from dmn.engine.together.requests import Answered, Block, Request
from dmn.evaluation.gathered.finished import Finished
from dmn.evaluation.gathered.progress import progress
from dmn.method.fusion import Predictions

Key = tuple[int, int, int]


class Gathering:
    """The answers of several requests to some of N images, by (request, order, length).

    rows [M]: of the images that are kept, ascending; `whole`: keep the probabilities of all
    classes too. What a stopped job has `finished` is not answered again. `what`: for a
    terminal.
    """

    def __init__(
        self,
        requests: Sequence[Request],
        permutations: Sequence[np.ndarray],
        rows: np.ndarray,
        whole: bool = False,
        finished: Finished | None = None,
        what: str = "a stream",
    ) -> None:
        keys = [
            (i, o, n)
            for i, request in enumerate(requests)
            for o in range(len(permutations))
            for n in range(len(request.lengths))
        ]
        self._place = np.full(len(permutations[0]), -1)
        self._place[rows] = np.arange(len(rows))
        self._parts: dict[Key, list[tuple[np.ndarray, Fronts]]] = {key: [] for key in keys}
        self._whole: dict[Key, Predictions] = {}
        self._shared: dict[int, tuple[np.ndarray, np.ndarray | None]] = {}
        if whole:
            for key in keys:
                self._whole[key] = self._room(requests[key[0]], key[0], len(rows))
        self._fronts: dict[Key, Fronts] = {}
        names: list[str] = []
        if finished is not None and not whole:
            names = finished.names(requests, permutations, rows)
        known = [None if finished is None else finished.read(name) for name in names]
        self.answered: list[Answered] = []
        if names and all(own is not None for own in known):
            for place, own in enumerate(known):
                assert own is not None
                self.answered.append(own[0])
                self._fronts |= {(place, o, n): fronts for (o, n), fronts in own[1].items()}
            return
        with progress(f"{what}: answers", len(keys) * len(rows)) as self._count:
            self.answered += answer_blockwise(requests, permutations, self._take, rows=rows)
        for key in keys:
            self._fronts[key] = self._joined(key)
        for place, name in enumerate(names):
            assert finished is not None
            kept = {(o, n): fronts for (i, o, n), fronts in self._fronts.items() if i == place}
            finished.write(name, self.answered[place], kept)

    def _room(self, request: Request, place: int, count: int) -> Predictions:
        """Return room for probabilities; text and static are those of all orders and lengths."""
        model = request.model
        kind = str(model.dtype).removeprefix("torch.")
        text, static, dynamic = (np.empty((count, model.classes), kind) for _ in range(3))
        common = self._shared.setdefault(place, (text, None if model.static is None else static))
        return Predictions(common[0], dynamic, common[1])

    def _take(self, block: Block) -> None:
        places = self._place[block.rows]
        kept = np.flatnonzero(places >= 0)
        if not len(kept):
            return
        some = slice(None) if len(kept) == len(places) else kept
        text = _array(block.text)[some]
        static = None if block.static is None else _array(block.static)[some]
        for o, order in enumerate(block.orders):
            for n, length in enumerate(block.lengths):
                key = block.request, order, length
                found = Predictions(text, _array(block.dynamic[o, n])[some], static)
                self._parts[key].append((places[some], Fronts.of(found)))
                if key in self._whole:
                    _copy(self._whole[key], places[some], found)
        self._count(len(kept) * len(block.orders) * len(block.lengths))

    def fronts(self, key: Key) -> Fronts:
        """Return the fronts of the rows."""
        return self._fronts[key]

    def _joined(self, key: Key) -> Fronts:
        parts = self._parts.pop(key)
        places = np.concatenate([places for places, _ in parts])
        return Fronts.joined([fronts for _, fronts in parts]).taken(np.argsort(places))

    def predictions(self, key: Key) -> Predictions | None:
        """Return the probabilities of all classes for the rows, where they were kept."""
        return self._whole.get(key)


def _copy(whole: Predictions, places: np.ndarray, part: Predictions) -> None:
    whole.text[places], whole.dynamic[places] = part.text, part.dynamic
    if whole.static is not None and part.static is not None:
        whole.static[places] = part.static


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy()
