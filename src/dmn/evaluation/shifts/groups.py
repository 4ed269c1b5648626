"""Accuracy in each group of the test images, and in the worst one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from dmn.evaluation.answers import KINDS
from dmn.evaluation.contract import Part

if TYPE_CHECKING:
    from dmn.evaluation.run import Run

WORST = "worst_group_accuracy"


def groups_of(part: Part, least: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield each grouping and group with its images' rows, where it has `least` images."""
    for name, values in part.groups.items():
        for value in np.unique(values):
            rows = np.flatnonzero(values == value)
            if len(rows) >= least:
                yield name, str(value), rows


def group_name(grouping: str, group: str) -> str:
    """Return a group in words, as it stands where a corruption would."""
    return f"{grouping} {group or 'not stated'}"


def group_rows(run: Run, part: Part, least: int, **others: Any) -> list[dict[str, Any]]:
    """Return accuracy of each kind in each group, and for each grouping that of the worst one.

    Groups of fewer than `least` images have no row of their own and are never the worst.
    """
    rows: list[dict[str, Any]] = []
    lowest: dict[tuple[str, str, str], dict[str, Any]] = {}
    for name, value, some in groups_of(part, least):
        for row in run.accuracy_rows(
            some, corruption=group_name(name, value), severity=0, **others
        ):
            rows.append(row)
            key = name, row["component"], row["weights"]
            if key not in lowest or row["value"] < lowest[key]["value"]:
                lowest[key] = row
    for (name, *_), row in lowest.items():
        kept = {key: content for key, content in row.items() if key not in KINDS}
        rows.append(kept | {"corruption": name, "metric": WORST})
    return rows
