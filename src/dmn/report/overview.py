"""The first screen: one sentence, one figure and one table of the main study, over all places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dmn.report import drawing
from dmn.report.comparisons import in_order
from dmn.report.headline import clearly, overall, places_words
from dmn.report.tables import describe
from dmn.report.words import cell_words, shortly, text_words, variation, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL = ["setting", "shots"]
HONEST = (("fused", "validation"), ("fused", "label_free"), ("fused", "fixed"))
DRAWN = (("text", "none"), ("dynamic", "none"), ("static", "none"))
INTERVALS = (
    "Intervals are the means of those of each data set and backbone, at least as wide as that of "
    "the mean."
)


def answer(gained: pd.DataFrame, least: float) -> list[str]:
    """Return one sentence: what the fusion with honest weights gains, with the most shots.

    gained: paired differences to text alone, one a place, setting, shots and kind.
    """
    found = (
        overall(gained, [*CELL, "component", "weights"], differences=True)
        if len(gained)
        else gained
    )
    kinds = {} if found.empty else _by_kind(found)
    kind = next((kind for kind in HONEST if kind in kinds), None)
    if kind is None:
        return []
    rows = kinds[kind]
    most = rows.groupby("setting", sort=False)["shots"].transform("max")
    largest = rows[rows["shots"] == most].to_dict("records")
    parts = [
        f"{cell_words(row)}, against {text_words(row)}, it {clearly(row, least)}, "
        f"{shortly(row)} points"
        for row in largest
    ]
    # of the cells, the one whose interval is over the most says what all are over
    widest = max(largest, key=lambda row: len(row["over"]) - (row["over"] == "nothing"))
    over = variation(widest)
    told = f" (95% intervals {over})" if over else " (no intervals: nothing varies)"
    begin = f"On {places_words(gained)}, the fusion with {words(kind[1])} weights"
    return [f"{begin}: {'; '.join(parts)}{told}."]


def _by_kind(table: pd.DataFrame) -> dict[tuple[Any, ...], pd.DataFrame]:
    return dict(iter(table.groupby(["component", "weights"], sort=False)))


def overall_table(table: pd.DataFrame, places: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracies of all places together as they are printed."""
    return describe(
        _ordered(table),
        f"Accuracy over {places_words(places)}, by setting and shots." + _note(places),
        best="max",
        within=CELL,
        decimals=1,
        unit="%",
        hide=["n_data_sets", "n_backbones"],
    )


def overall_figure(table: pd.DataFrame, places: pd.DataFrame) -> Figure:
    """Draw text, both memories and the fusion, with honest weights, by setting and shots."""
    fused = [kind for kind in HONEST if kind in _by_kind(table)][:1]
    kinds = [*DRAWN, *fused]
    kept = [kind in kinds for kind in zip(table["component"], table["weights"], strict=True)]
    drawn = _ordered(table[np.array(kept, dtype=bool)])
    drawn = drawn.assign(cell=[cell_words(row) for row in drawn.to_dict("records")])
    return drawing.dots(
        drawn,
        "cell",
        caption=f"Accuracy over {places_words(places)}.",
        panels=(),
        table="overall",
    )


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    """Return settings as they were run, in each the fewest shots first, text before memories."""
    settings = list(dict.fromkeys(table["setting"]))
    rank = table["setting"].map(settings.index)
    order = np.lexsort([table["shots"], rank])
    return in_order(table.iloc[order].reset_index(drop=True), CELL)


def _note(places: pd.DataFrame) -> str:
    return f" {INTERVALS}" if len(places[["dataset", "backbone"]].drop_duplicates()) > 1 else ""
