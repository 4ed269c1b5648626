"""Paired differences by name, and numbers said in words: what the studies' reports share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

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
    rows: pd.DataFrame, keys: Sequence[str], kinds: Sequence[tuple[str, str]] = KINDS[1:]
) -> pd.DataFrame:
    """Return paired differences to text alone, with columns component and weights."""
    import pandas as pd

    found = [
        differences(rows, keys, [("", kind(*names), TEXT)]).assign(**kind(*names))
        for names in kinds
        if _groups(rows, keys, kind(*names))
    ]
    if not found:
        return pd.DataFrame()
    table = pd.concat(found, ignore_index=True).drop(columns="comparison")
    return table[[*keys, "component", "weights", *table.columns[len(keys) : -2]]]


def differences(
    rows: pd.DataFrame, keys: Sequence[str], comparisons: Sequence[Comparison]
) -> pd.DataFrame:
    """Return `paired` of each (name, treatment, control), where both sides were measured.

    A data set without validation images, say, has no row of a comparison with their weights.
    """
    import pandas as pd

    from dmn.evaluation.statistics import paired

    found = []
    for name, treatment, control in comparisons:
        both = _groups(rows, keys, treatment) & _groups(rows, keys, control)
        if not both:
            continue
        kept = rows[[names in both for names in _index(rows, keys)]]
        # in the order of the rows, whatever the order that the pairs were found in
        places = kept[list(keys)].drop_duplicates()
        table = places.merge(paired(kept, keys, treatment, control), on=list(keys), how="left")
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


def said(row: Any, unit: str = "%", signed: bool = False, digits: int = 1) -> str:
    """Return a mean with its interval and what it is over.

    >>> said({"mean": 1.25, "low": 0.5, "high": 2.0, "over": "splits", "n_splits": 3}, signed=True)
    '+1.2% (95% interval +0.5 to +2.0, over 3 splits)'
    """
    form = f"{{:{'+' if signed else ''}.{digits}f}}"
    mean = form.format(row["mean"]) + unit
    if math.isnan(row["low"]):
        return f"{mean} (no interval: nothing varies)"
    over = f"over {row['n_' + row['over']]} {row['over']}"
    low, high = form.format(row["low"]), form.format(row["high"])
    return f"{mean} (95% interval {low} to {high}, {over})"


def verdict(row: Any, gain: str = "helps", loss: str = "hurts") -> str:
    """Return what a difference with its interval shows: a gain, a loss, or neither."""
    if row["mean"] == 0 or row["low"] <= 0 <= row["high"]:
        return "makes no clear difference"
    return gain if row["mean"] > 0 else loss


def best(table: pd.DataFrame) -> Any:
    """Return the row of the largest mean, the first of equals."""
    return table.iloc[int(table["mean"].to_numpy().argmax())]


def worst(table: pd.DataFrame) -> Any:
    """Return the row of the least mean, the first of equals."""
    return table.iloc[int(table["mean"].to_numpy().argmin())]


def tally(rows: Sequence[Mapping[Any, Any]], name: str) -> str:
    """Return in words where differences are gains, where losses, and where neither.

    >>> tally([{"at": "noise", "mean": 2.0, "low": 1.0, "high": 3.0}], "at")
    'helps in 1 of 1 (noise)'
    """
    parts = []
    for word in ("helps", "hurts", "makes no clear difference"):
        found = [str(row[name]) for row in rows if verdict(row) == word]
        if found:
            parts.append(f"{word} in {len(found)} of {len(rows)} ({', '.join(found)})")
    return "; ".join(parts)


def where(row: Any) -> str:
    """Return data set and backbone of a row in words."""
    return f"{row['dataset']} ({row['backbone']})"


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


def text_words(row: Any) -> str:
    """Return what a row's text prediction is; the projections of few-shot train it too."""
    return "its trained text classifier" if row["setting"] == "few_shot" else "text alone"


def with_most_shots(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of each data set and setting that have the most shots."""
    most = table.groupby([*PLACE, "setting"], sort=False)["shots"].transform("max")
    return table[table["shots"] == most]


def cell_words(row: Any) -> str:
    """Return setting and shots of a row in words.

    >>> cell_words({"setting": "training_free", "shots": 16})
    'training-free with 16 shots'
    """
    name = str(row["setting"]).replace("_", "-")
    shots = int(row["shots"])
    return f"{name} with {shots} shot{'s' if shots != 1 else ''}" if shots else name
