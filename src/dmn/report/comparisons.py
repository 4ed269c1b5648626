"""Paired differences by name, and which rows of a table are meant: what all studies share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from dmn.evaluation.across import worst_tenth
from dmn.evaluation.summaries import paired, summarise

Comparison = tuple[str, Mapping[str, Any], Mapping[str, Any]]
PLACE = ["dataset", "backbone"]
CELL = [*PLACE, "setting", "shots"]
KINDS = (
    ("text", "none"),
    ("dynamic", "none"),
    ("static", "none"),
    ("fused", "fixed"),
    ("fused", "label_free"),
    ("fused", "validation"),
    ("fused", "oracle"),
)
LEADING = (
    ("dynamic", "none"),
    ("fused", "fixed"),
    ("fused", "label_free"),
    ("fused", "validation"),
)
SUBJECTS = {
    ("dynamic", "none"): "the dynamic memory alone",
    ("static", "none"): "the static memory alone",
    ("fused", "fixed"): "the fusion with fixed weights",
    ("fused", "label_free"): "the fusion with label-free weights",
    ("fused", "validation"): "the fusion with validation weights",
    ("fused", "oracle"): "the fusion with oracle weights",
}


def kind(component: str, weights: str = "none") -> dict[str, str]:
    """Return the columns that name one component or fusion."""
    return {"component": component, "weights": weights}


TEXT, DYNAMIC = kind("text"), kind("dynamic")


def gains(
    rows: pd.DataFrame,
    keys: Sequence[str],
    kinds: Sequence[tuple[str, str]] = KINDS[1:],
    among: int = 1,
) -> pd.DataFrame:
    """Return paired differences to text alone, with columns component and weights."""
    found = [
        differences(rows, keys, [("", kind(*names), TEXT)], among).assign(**kind(*names))
        for names in kinds
        if _groups(rows, keys, kind(*names))
    ]
    if not found:
        return pd.DataFrame()
    table = pd.concat(found, ignore_index=True).drop(columns="comparison")
    return table[[*keys, "component", "weights", *table.columns[len(keys) : -2]]]


def differences(
    rows: pd.DataFrame,
    keys: Sequence[str],
    comparisons: Sequence[Comparison],
    among: int = 1,
) -> pd.DataFrame:
    """Return `paired` of each (name, treatment, control), where both sides were measured.

    A data set without validation images, say, has no row of a comparison with their weights.
    A p-value is corrected for the choice `among` so many.
    """
    found = []
    for name, treatment, control in comparisons:
        both = _groups(rows, keys, treatment) & _groups(rows, keys, control)
        if not both:
            continue
        kept = rows[[names in both for names in _index(rows, keys)]]
        # in the order of the rows, whatever the order that the pairs were found in
        places = kept[list(keys)].drop_duplicates()
        pairs = paired(kept, keys, treatment, control, comparisons=among)
        table = places.merge(pairs, on=list(keys), how="left")
        table.insert(len(keys), "comparison", name)
        found.append(table)
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _groups(rows: pd.DataFrame, keys: Sequence[str], wanted: Mapping[str, Any]) -> set[Any]:
    for column, value in wanted.items():
        rows = rows[rows[column] == value]
    return set(_index(rows, keys))


def only(table: pd.DataFrame, **wanted: Any) -> pd.DataFrame:
    """Return the rows of a table with these values."""
    for column, content in wanted.items():
        table = table[table[column] == content]
    return table


def in_order(table: pd.DataFrame, keys: Sequence[str] = CELL) -> pd.DataFrame:
    """Return the rows with text first, then the memories, then the fusions, for equal `keys`."""
    place = {names: i for i, names in enumerate(KINDS)}
    cells = {names: i for i, names in enumerate(dict.fromkeys(_index(table, keys)))}
    ranks = [
        (cells[cell], place.get(names, len(place)))
        for cell, names in zip(
            _index(table, keys), _index(table, ["component", "weights"]), strict=True
        )
    ]
    order = sorted(range(len(table)), key=ranks.__getitem__)
    return table.iloc[order].reset_index(drop=True)


def _index(table: pd.DataFrame, keys: Sequence[str]) -> list[tuple[Any, ...]]:
    return list(table[list(keys)].itertuples(index=False, name=None))


def with_most_shots(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of each data set and setting that have the most shots."""
    most = table.groupby([*PLACE, "setting"], sort=False)["shots"].transform("max")
    return table[table["shots"] == most]


def worst_orders(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over stream orders and over their worst tenth, where orders matter.

    Of each split and training the worst tenth is taken, then the mean over them. It has no
    interval: it is chosen by its outcome.
    """
    keys = [*CELL, "component", "weights"]
    moved = rows[~rows["component"].isin(["text", "static"])]
    found = []
    for names, part in moved.groupby(keys, sort=False):
        runs = part.groupby(["split_seed", "training_seed"], sort=False)["value"]
        found.append(
            dict(zip(keys, names, strict=True))
            | {"n_orders": part["order_seed"].nunique(), "all_orders": part["value"].mean()}
            | {"worst_tenth": runs.agg(worst_tenth).mean(), "worst_order": runs.min().mean()}
        )
    return pd.DataFrame(found)


class Leader(NamedTuple):
    """The level of a column with the best mean, and its lead over each other level, paired.

    `rivals` are rows of `paired` with their level, the closest first; a lead is positive, for
    errors too.
    """

    level: Any
    row: dict[Any, Any]
    rivals: list[dict[Any, Any]]


def leader(rows: pd.DataFrame, column: str, largest: bool = True) -> Leader:
    """Return the leading level of `column` in the rows of one method in one place."""
    table = summarise(rows, [column])
    means = table["mean"].to_numpy()
    top = table.iloc[int(means.argmax() if largest else means.argmin())].to_dict()
    rivals = []
    for level in table[column]:
        if level != top[column]:
            sides = ({column: top[column]}, {column: level})
            better, other = sides if largest else sides[::-1]
            row = paired(rows, [], better, other).iloc[0].to_dict()
            rivals.append(row | {"level": level})
    return Leader(top[column], top, sorted(rivals, key=lambda row: row["mean"]))


class Span(NamedTuple):
    """The levels of a column with the largest and the least mean, and their paired difference.

    The difference was chosen among so many `comparisons`, for which its p-value is corrected.
    """

    high: Any
    low: Any
    row: dict[Any, Any]
    comparisons: int


def span(rows: pd.DataFrame, column: str) -> Span | None:
    """Return how far a column moves the mean of the rows of one method; None for one level."""
    table = summarise(rows, [column])
    means = table["mean"].to_numpy()
    high, low = (table[column].iloc[int(at)] for at in (means.argmax(), means.argmin()))
    pairs = len(table) * (len(table) - 1) // 2
    if not pairs:
        return None
    if high == low:
        high = table[column].iloc[1]
    row = paired(rows, [], {column: high}, {column: low}, comparisons=pairs).iloc[0].to_dict()
    return Span(high, low, row, pairs)


LEVEL = "level_with_best"


def with_level(
    table: pd.DataFrame,
    rows: pd.DataFrame,
    within: Sequence[str],
    names: Sequence[str],
    largest: bool = True,
) -> pd.DataFrame:
    """Return a table of means with a column that says `yes` of the best and what it does not beat.

    In each group of `within` the best mean is compared with each other, which `names` tell apart:
    it beats those whose paired difference has an interval without zero. Oracles are not compared.
    Where the best beats nothing, nothing is marked. rows: the measurements; largest: more is
    better.
    """
    level = pd.Series("no", index=table.index)
    rivals = table[table["weights"] != "oracle"] if "weights" in table else table
    places = dict(iter(rows.groupby(list(within), sort=False)))
    for group, part in rivals.groupby(list(within), sort=False):
        means = part["mean"]
        top = means.idxmax() if largest else means.idxmin()
        own = places[group]
        wanted = part[list(names)].to_dict("index")
        beaten = [
            index
            for index in part.index
            if index != top and _beats(own, wanted, top, index, largest)
        ]
        if beaten:
            level[part.index.difference(beaten)] = "yes"
    return table.assign(**{LEVEL: level})


def _beats(
    rows: pd.DataFrame, wanted: Mapping[Any, Any], top: Any, other: Any, largest: bool
) -> bool:
    sides = (wanted[top], wanted[other]) if largest else (wanted[other], wanted[top])
    return float(paired(rows, [], *sides)["low"].iloc[0]) > 0


def best(table: pd.DataFrame) -> Any:
    """Return the row of the largest mean, the first of equals."""
    return table.iloc[int(table["mean"].to_numpy().argmax())]


def worst(table: pd.DataFrame) -> Any:
    """Return the row of the least mean, the first of equals."""
    return table.iloc[int(table["mean"].to_numpy().argmin())]
