"""The figures of the study of weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dmn.report import drawing
from dmn.report.comparisons import PLACE
from dmn.report.words import cell_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETTINGS = ("zero_shot", "training_free", "few_shot")
WIDE = 7.0  # inches: names of cells stand at both sides


def weight_figures(
    grids: Mapping[tuple[Any, ...], tuple[np.ndarray, np.ndarray]],
    chosen: pd.DataFrame,
    gaps: pd.DataFrame,
    transfer: pd.DataFrame,
) -> dict[str, Figure]:
    """Draw the grid with the weights of each kind, and what each kind and each carrying loses."""
    return {
        "grid": drawing.landscape(
            grids,
            chosen,
            caption="Accuracy below the best of the grid by dynamic and static weight, mean over "
            "splits and orders, with the median weights of each kind; the oracle's are the middle "
            "of those that tie.",
            panels=[*PLACE, "setting", "shots"],
            table="optimum",
        ),
        "below_the_oracle": _below(gaps),
        "transfer": _carried(transfer),
    }


def _below(rows: pd.DataFrame) -> Figure:
    """Draw how far each kind of weights stays below the oracle, against shots."""
    return drawing.lines(
        rows,
        "shots",
        caption="How far each kind of weights stays below weights searched on the test labels.",
        panels=[*PLACE, "setting"],
        x_label="shots per class",
        y_label="below the oracle (points)",
        reference=0.0,
        table="search",
    )


def _carried(rows: pd.DataFrame) -> Figure:
    """Draw what the best weights of one cell (`source`) lose in another."""
    named = rows.assign(cell=[cell_words(row) for row in rows.to_dict("records")])
    ranked = named.assign(rank=named["setting"].map(SETTINGS.index)).sort_values(["rank", "shots"])
    order = list(dict.fromkeys(ranked["cell"]))
    return drawing.heatmap(
        named,
        "cell",
        "source",
        caption="What weights that are best in one cell (column) lose in another (row), against "
        "its own oracle.",
        panels=PLACE,
        row_label="used in",
        column_label="best in",
        value_label="against the oracle (points)",
        order=order,
        width=WIDE,
        table="transfer",
    )
