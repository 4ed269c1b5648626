"""The first screen: one sentence, one figure and one table of the main study, over all places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dmn.report import drawing
from dmn.report.comparisons import LEVEL, PLACE, best, differences, in_order, kind
from dmn.report.headline import clearly, overall, places_words
from dmn.report.tables import describe
from dmn.report.words import EFFECT, cell_words, shortly, text_words, variation, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL = ["setting", "shots"]
KIND = ["component", "weights"]
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
    honest = next((own for own in HONEST if own in kinds), None)
    if honest is None:
        return []
    rows = kinds[honest]
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
    begin = f"On {places_words(gained)}, the fusion with {words(honest[1])} weights"
    return [f"{begin}: {'; '.join(parts)}{told}."]


def _by_kind(table: pd.DataFrame) -> dict[tuple[Any, ...], pd.DataFrame]:
    return dict(iter(table.groupby(["component", "weights"], sort=False)))


def overall_table(
    table: pd.DataFrame, places: pd.DataFrame, rows: pd.DataFrame, least: float
) -> pd.DataFrame:
    """Return the accuracies of all places together as they are printed.

    rows: the measured accuracies, from which what is not clearly behind the best is told, paired.
    """
    shown = _ordered(table)
    return describe(
        shown.assign(**{LEVEL: _level(shown, rows, least)}),
        f"Accuracy over {places_words(places)}, by setting and shots." + _note(places),
        best="max",
        within=CELL,
        level=LEVEL,
        decimals=1,
        unit="%",
        hide=["n_data_sets", "n_backbones"],
    )


def _level(table: pd.DataFrame, rows: pd.DataFrame, least: float) -> list[str]:
    """Return `yes` for the best of each cell and what it is not clearly ahead of, else `no`."""
    level: dict[Any, str] = {}
    for names, cell in table[table["weights"] != "oracle"].groupby(CELL, sort=False):
        measured = rows[(rows[CELL] == list(names)).all(axis=1)]
        top = kind(*best(cell)[KIND])
        for index, row in cell.iterrows():
            other = kind(*row[KIND])
            found = differences(measured, PLACE, [("", top, other)]) if other != top else None
            ahead = found is not None and any(
                clearly(own, least) == EFFECT["gain"]
                for own in overall(found, ["comparison"], differences=True).to_dict("records")
            )
            level[index] = "no" if ahead else "yes"
        # where all are level, none is marked
        if len(set(level[index] for index in cell.index)) == 1:
            level |= dict.fromkeys(cell.index, "no")
    return [level.get(index, "no") for index in table.index]


def overall_figure(table: pd.DataFrame, places: pd.DataFrame) -> Figure:
    """Draw text, both memories and the fusion, with honest weights, by setting and shots."""
    fused = [own for own in HONEST if own in _by_kind(table)][:1]
    kinds = [*DRAWN, *fused]
    kept = [own in kinds for own in zip(table["component"], table["weights"], strict=True)]
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
