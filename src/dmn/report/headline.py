"""What a run says as a whole: means over its data sets and backbones, and sentences of all places.

A mean over places has the mean of their intervals: its standard error is at most the mean of
theirs, however they depend on each other. Differences on three data sets or more have the interval
of a random-effects model over data sets instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dmn.evaluation.across import DATA_SETS, pooled
from dmn.evaluation.intervals import LEAST_LEVELS
from dmn.report.comparisons import PLACE, with_most_shots
from dmn.report.words import EFFECT, cell_words, counted, tally, verdict, words

COUNTS = ("n_splits", "n_orders", "n_trainings")
BOUNDS = ("mean", "low", "high", "error")


def overall(table: pd.DataFrame, keys: Sequence[str], differences: bool = False) -> pd.DataFrame:
    """Return one row for each of `keys`, over all data sets and backbones that have it.

    table: summaries of each place, as `summarise` and `paired` give them; differences: whether data
    sets are a sample of more, which at least three then are.
    """
    rows = []
    for names, part in table.groupby(list(keys), sort=False):
        sets = part.groupby("dataset", sort=False)
        means = sets[list(BOUNDS)].mean().where(sets[list(BOUNDS)].count().eq(sets.size(), axis=0))
        row = dict(zip(keys, names, strict=True)) | means.mean(skipna=False).to_dict()
        row |= {name: int(part[name].max()) for name in COUNTS}
        first = part.iloc[0]
        row |= {"n_images": int(sets["n_images"].max().sum()), "n_data_sets": len(means)}
        row |= {
            "n_backbones": part["backbone"].nunique(),
            "over": first["over"],
            "held": first["held"],
        }
        if differences and len(means) >= LEAST_LEVELS:
            interval, _ = pooled(means["mean"].tolist(), means["error"].tolist())
            low, high = interval.bounds()
            row |= {"mean": interval.centre, "low": low, "high": high, "error": interval.error}
            row |= {"over": DATA_SETS if interval.factors else "nothing", "held": ""}
        rows.append(row)
    return pd.DataFrame(rows)


def places_words(table: pd.DataFrame) -> str:
    """Return how many data sets and backbones a table has, or their names where there is one."""
    found = [table[key].unique() for key in PLACE]
    names = [
        str(own[0]) if len(own) == 1 else counted(len(own), name)
        for own, name in zip(found, ("data_sets", "backbones"), strict=True)
    ]
    sets, backbones = names
    return f"{sets} ({backbones})" if len(found[1]) == 1 else f"{sets} with {backbones}"


def clearly(row: Mapping[Any, Any], least: float, phrases: Mapping[str, str] | None = None) -> str:
    """Return the verdict of a row of `overall`, clear where its interval leaves out zero."""
    p_value = 0.0 if row["low"] > 0 or row["high"] < 0 else 1.0
    return verdict(row, least, p_value=p_value, **({"phrases": phrases} if phrases else {}))


def placed(
    table: pd.DataFrame, begin: str, least: float, phrases: Mapping[str, str] = EFFECT
) -> list[str]:
    """Return one sentence of a difference in all places, nothing where there is one place only.

    table: rows of `paired`, one a place.
    """
    if len(table) < 2:
        return []
    rows = table.assign(place=_varying(table)).to_dict("records")
    return [f"{begin} {tally(rows, 'place', least, phrases)}."]


def _varying(table: pd.DataFrame) -> list[str]:
    """Return each row's place in words, without what all rows have in common."""
    varied = [key for key in PLACE if table[key].nunique() > 1] or PLACE[:1]
    return [" with ".join(map(str, own)) for own in table[varied].to_numpy()]


def leads(
    table: pd.DataFrame, what: str, least: float, phrases: Mapping[str, str] = EFFECT
) -> list[str]:
    """Return `placed` of each setting, with its most shots: `Zero-shot, {what} helps in 3 of 3`."""
    sentences = []
    most = with_most_shots(table) if len(table) else table
    for _, part in most.groupby(["setting", "shots"], sort=False) if len(most) else ():
        begin = f"{cell_words(part.iloc[0]).capitalize()}, {what}"
        sentences += placed(part, begin, least, phrases)
    return sentences


def everywhere(table: pd.DataFrame, column: str, begin: str, end: str, least: float) -> list[str]:
    """Return one sentence of a difference at each level of a column, in all places together.

    Nothing where there is one place only. table: rows of `paired`, one a place and level.
    """
    if len(table[PLACE].drop_duplicates()) < 2:
        return []
    named = [f"{level} on {own}" for level, own in zip(table[column], _varying(table), strict=True)]
    found = tally(table.assign(**{column: named}).to_dict("records"), column, least)
    return [f"{begin} {len(table)} {words(column)}s of {places_words(table)}, {end} {found}."]
