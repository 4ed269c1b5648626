"""Tables over shifts: distances and what they foretell, pseudo-labels, lengths and groups."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dmn.evaluation.shifts.distances import LABEL_FREE
from dmn.evaluation.shifts.groups import WORST
from dmn.evaluation.summaries import summarise
from dmn.report.comparisons import CELL, PLACE, TEXT, gains, only
from dmn.report.signals import correlations
from dmn.report.tables import describe
from dmn.report.words import EFFECT, verdict

SHIFT = [*PLACE, "corruption", "severity"]
HALF = 50.0  # percent of what is written, below which most of it is wrong
NEITHER, PSEUDO_LABELS, MEMORY, BOTH = "neither", "pseudo-labels", "the memory", "both"
NO_GROUPS = "no data set has groups"


def moved(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the accuracy of text alone under each shift, and its loss against clean images."""
    text = only(rows, **TEXT).groupby(keys, sort=False)["value"].mean()
    table = text.rename("text_accuracy").reset_index()
    clean = table[table["corruption"] == "none"].set_index(CELL)["text_accuracy"]
    before = clean.loc[list(table[CELL].itertuples(index=False, name=None))].to_numpy()
    return table.assign(text_drop=before - table["text_accuracy"])


def distance_tables(rows: pd.DataFrame, gain: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return distances beside the zero-shot gain, and their rank correlations with it.

    gain: of each shift, with `text_drop`, the one distance that reads labels.
    """
    part = rows[rows["metric"].isin(LABEL_FREE)]
    wide = part.groupby([*SHIFT, "metric"], sort=False)["value"].mean().unstack()
    names = {"mmd": "MMD", "frechet": "Frechet", "text_drop": "loss of text (points)"}
    caption = "Zero-shot: how far each shift moves the images, beside the gain over text alone."
    related = (
        "Spearman's correlation of each distance with the zero-shot gain over the shifts of a data "
        "set and backbone. There is no interval, as the shifts were chosen, not drawn."
    )
    if wide.empty or gain.empty:
        none = pd.DataFrame({"result": ["nothing has moved"]})
        return describe(none, caption), describe(none, related)
    beside = wide[list(LABEL_FREE)].reset_index().merge(gain, on=SHIFT)
    kept = [*SHIFT, *LABEL_FREE, "text_drop", *("mean", "low", "high", "over", "held")]
    found = correlations(beside, LABEL_FREE, ("text_drop",)).rename(
        columns={"signal": "distance", "streams": "shifts"}
    )
    counts = [name for name in beside if str(name).startswith("n_")]
    table = describe(beside[[*kept, *counts]], caption, labels=names, unit="points", decimals=3)
    return table, describe(found, related)


def broken(rows: pd.DataFrame, gain: pd.DataFrame, least: float) -> pd.DataFrame:
    """Return for each shift how right the written pseudo-labels are, the gain, and what breaks."""
    part = only(rows, metric="pseudo_label_accuracy")
    if part.empty or gain.empty:
        return pd.DataFrame(columns=[*SHIFT, "pseudo_label_accuracy", "mean", "breaks"])
    found = summarise(part, SHIFT)[[*SHIFT, "mean", "low", "high"]]
    names = {"mean": "pseudo_label_accuracy", "low": "pseudo_low", "high": "pseudo_high"}
    drop = [*CELL[2:], "component", "weights", "text_accuracy"]
    table = found.rename(columns=names).merge(gain.drop(columns=drop), on=SHIFT)
    table.insert(len(SHIFT) + 3, "breaks", [_breaks(row, least) for _, row in table.iterrows()])
    return table


def _breaks(row: pd.Series, least: float) -> str:
    wrong = row["pseudo_high"] < HALF
    loses = verdict(row, least, EFFECT, p_value=row["p"]) == EFFECT["loss"]
    return (BOTH if loses else PSEUDO_LABELS) if wrong else (MEMORY if loses else NEITHER)


def length_gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the zero-shot gain of each shift and memory length, numbers of slots ascending."""
    if rows.empty:
        return pd.DataFrame(columns=[*SHIFT, "length", "mean", "low", "high"])
    ordered = rows.assign(length=rows["length"].astype(int)).sort_values("length", kind="stable")
    found = gains(ordered, [*SHIFT, "length"], [("dynamic", "none")])
    return found.drop(columns=["component", "weights"])


def most_severe(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of clean images and of each corruption at its largest severity."""
    largest = table.groupby([*PLACE, "corruption"], sort=False)["severity"].transform("max")
    return table[table["severity"] == largest]


def group_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy in each group, and in the worst of each grouping, beside that of all."""
    caption = (
        "Accuracy by group of the test images, the mean over all of them first, the worst group of "
        "each grouping last. The worst is chosen in each order by its outcome, so its interval, "
        "over seeds alone, flatters nobody and bounds nothing."
    )
    worst = only(rows, metric=WORST)
    if worst.empty:
        return describe(pd.DataFrame({"result": [NO_GROUPS]}), caption)
    places = set(worst[PLACE].itertuples(index=False, name=None))
    here = np.array([place in places for place in rows[PLACE].itertuples(index=False, name=None)])
    own = rows[here & (rows["severity"] == 0)]
    keys = [*CELL, "component", "weights", "group"]
    named = own["corruption"].where(own["corruption"] != "none", "all")
    accuracy = summarise(only(own.assign(group=named), metric="accuracy"), keys)
    lowest = summarise(worst.assign(group="worst " + worst["corruption"]), keys)
    table = pd.concat([accuracy, lowest], ignore_index=True)
    order = table.groupby(keys[:-1], sort=False).ngroup()
    table = table.assign(_place=order).sort_values("_place", kind="stable").drop(columns="_place")
    return describe(table, caption, unit="%")
