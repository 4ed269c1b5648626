"""What every candidate answered, kept as bits, so that another place's choice can be looked up.

In a job's samples, below `candidates/<setting>/<shots>/<method>/`: `right` [R, G, N/8], bits by
order and candidate; `validation` [R, G], right answers on validation images, where there are any;
`orders` [O] the seeds, one row of `right` for each, or R = 1 for all where order does not count.
Of more than `MOST` candidates as many are kept, at even steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dmn.peers.selection import right_answers

MOST = 256
FOLDER = "candidates"


class Kept(NamedTuple):
    """One method's candidates in one cell: see above. shots: K of the cell."""

    setting: str
    shots: int
    method: str
    right: np.ndarray
    orders: np.ndarray
    validation: np.ndarray | None

    def bits(self, order: int, candidate: int) -> np.ndarray:
        """Return which answers of a candidate are right, bits [N/8]."""
        return np.asarray(self.right[order if len(self.right) > 1 else 0, candidate])

    def shares(self, count: int) -> np.ndarray:
        """Return the share of right answers [G] among `count`, the mean over orders."""
        return np.asarray(np.bitwise_count(self.right).sum(axis=-1).mean(axis=0) / count)


def keep(
    place: Mapping[str, Any],
    answers: Sequence[np.ndarray],
    labels: np.ndarray,
    orders: Sequence[int],
    validated: Sequence[np.ndarray],
) -> dict[str, np.ndarray]:
    """Return the samples of one method, of answers [G, N] by order, or of one for all orders.

    place: setting, shots and method. validated: right answers [G] on validation images, as many.
    """
    name = "/".join([FOLDER, place["setting"], str(place["shots"]), place["method"]])
    some = thinned(len(answers[0]))
    right = np.stack([np.packbits(own[some] == labels, axis=-1) for own in answers])
    found: dict[str, np.ndarray] = {
        f"{name}/right": right,
        f"{name}/orders": np.asarray(orders, dtype=np.int64),
    }
    if len(validated):
        counts = np.stack([own[some] for own in validated])
        found[f"{name}/validation"] = counts.astype(np.int32)
    return found


def keep_grid(
    place: Mapping[str, Any],
    grids: Sequence[np.ndarray],
    labels: np.ndarray,
    orders: Sequence[int],
    validated: Sequence[tuple[np.ndarray, np.ndarray]],
) -> dict[str, np.ndarray]:
    """Return `keep` of grids of answers [G, G, N]; validated: such grids and their labels."""
    flat = [grid.reshape(-1, grid.shape[-1]) for grid in grids]
    counts = [right_answers(grid.reshape(-1, grid.shape[-1]), known) for grid, known in validated]
    return keep(place, flat, labels, orders, counts)


def thinned(count: int) -> np.ndarray:
    """Return which candidates are kept of so many."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST)).round().astype(np.int64))


def read_kept(samples: Mapping[str, Any]) -> Iterator[Kept]:
    """Yield what a job's samples keep."""
    for name, right in samples.items():
        if name.startswith(f"{FOLDER}/") and name.endswith("/right"):
            folder = name.removesuffix("/right")
            _, setting, shots, method = folder.split("/")
            rest = samples[f"{folder}/orders"], samples.get(f"{folder}/validation")
            yield Kept(setting, int(shots), method, right, *rest)
