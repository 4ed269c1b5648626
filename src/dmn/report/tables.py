"""Tables for people: a tidy frame as CSV and Markdown, and as cells for the page and for LaTeX.

The CSV keeps every column. The printed forms join `mean`, `low`, `high` into one column such as
`87.52 [86.90, 88.14]`, may spread one key over columns, and set the best of a group in bold. Rows
whose weights were searched on test labels (oracle) never count as best.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from dmn.artifacts import write_rows, write_text
from dmn.errors import ArtifactError
from dmn.report.summary import Cell, Column, Table
from dmn.report.words import plain, uncertainty, words

Best = Literal["max", "min"]
TRIPLE = ("mean", "low", "high")
EMPTY = "–"  # the text of a cell without a number
NAMES = (
    "class",
    "class_name",
    "id",
    "level",
    "dataset",
    "backbone",
)  # columns of names as the data has them
UNCERTAINTY = ("error", "p", "n_splits", "n_orders", "n_trainings", "n_images", "over", "held")
CONTEXT = ("study", "dataset", "backbone", "metric")  # said once where it is the same in all rows


def describe(
    frame: pd.DataFrame,
    caption: str,
    *,
    best: Best | Mapping[str, Best] | None = None,
    within: Sequence[str] = (),
    level: str | None = None,
    spread: str | None = None,
    decimals: int | Mapping[str, int] = 2,
    labels: Mapping[str, str] | None = None,
    unit: str = "",
    hide: Sequence[str] = (),
) -> pd.DataFrame:
    """Return a copy of `frame` that says how to print it.

    best: whether more or less is better, for all means or by measured column; within: the keys of
    the groups that a best is sought in; level: the column that says `yes` of the best and of what
    is not clearly behind it, which are bold then; spread: a key whose values become columns;
    labels: heads of columns; unit: of the means, for their head; hide: columns that only the CSV
    shows.
    """
    missing = [key for key in (*within, *hide, *([spread] if spread else [])) if key not in frame]
    if missing and len(frame.columns):
        raise ArtifactError(
            f"table {caption[:40]!r} has no column {missing[0]!r}; it has: "
            + ", ".join(map(str, frame.columns))
        )
    described = frame.reset_index(drop=True).copy()
    described.attrs["print"] = {
        "caption": caption,
        "best": best,
        "within": tuple(within),
        "level": level,
        "spread": spread,
        "decimals": decimals,
        "labels": dict(labels or {}),
        "unit": unit,
        "hide": tuple(hide),
    }
    return described


def empty(name: str) -> pd.DataFrame:
    """Return a table that says that there is nothing to say."""
    text = "not measured with this configuration"
    return describe(pd.DataFrame({"result": [text]}), words(name).capitalize())


def printed(frame: pd.DataFrame, name: str = "table") -> Table:
    """Return the cells of a frame as they are printed; `describe` says how."""
    described = frame if "print" in frame.attrs else describe(frame, words(name).capitalize())
    how = described.attrs["print"]
    if described.empty:
        return printed(empty(name)).model_copy(update={"name": name, "caption": how["caption"]})
    measures = _measures(described)
    hidden = {f"{stem}{part}" for stem in measures for part in TRIPLE} | set(how["hide"])
    hidden |= {how["level"]}
    same = [c for c in CONTEXT if c in described and described[c].nunique(dropna=False) == 1]
    hidden |= {*UNCERTAINTY, *same} - {how["spread"]}
    shown = [c for c in described.columns if c not in hidden]
    rows = _cells(described, shown, measures, how)
    heads = _heads(shown, measures, how)
    if how["spread"]:
        heads, rows = _spread(described, shown, measures, heads, rows, how)
    note = _note(described, same, bool(measures), how)
    return Table(name=name, caption=how["caption"], note=note, columns=heads, rows=rows)


def _measures(frame: pd.DataFrame) -> list[str]:
    """Return the prefixes of the mean, low, high triples: '' or such as 'gain_'."""
    stems = [str(c).removesuffix("mean") for c in frame.columns if str(c).endswith("mean")]
    return [s for s in stems if all(f"{s}{part}" in frame for part in TRIPLE)]


def _note(frame: pd.DataFrame, same: list[str], intervals: bool, how: dict[str, Any]) -> str:
    parts = []
    if same and len(frame):
        parts.append(", ".join(f"{words(c)}: {_named(frame[c].iloc[0], c)}" for c in same) + ".")
    if intervals:
        parts.append(f"Mean [95% interval {uncertainty(frame)}".rstrip() + "].")
    if how["level"]:
        parts.append("Bold: best, and not clearly behind it, not counting the oracle.")
    elif how["best"]:
        parts.append("Bold: best, not counting the oracle.")
    return " ".join(parts)


def _heads(shown: list[Any], measures: list[str], how: dict[str, Any]) -> list[Column]:
    unit = f" ({how['unit']})" if how["unit"] else ""
    heads = [Column(label=how["labels"].get(c, words(c)), key=str(c)) for c in shown]
    for stem in measures:
        key = f"{stem}mean"
        label = how["labels"].get(key, words(stem.rstrip("_")) if stem else "mean")
        heads.append(Column(label=label + unit, key=key))
    return heads


def _cells(
    frame: pd.DataFrame, shown: list[Any], measures: list[str], how: dict[str, Any]
) -> list[list[Cell]]:
    best = {stem: _best_rows(frame, f"{stem}mean", how) for stem in measures}
    plain_best = {c: _best_rows(frame, c, how) for c in shown if _direction(c, how, only=True)}
    rows = []
    for index, record in enumerate(frame.to_dict("records")):
        row = [_plain_cell(record[c], c, how, index in plain_best.get(c, ())) for c in shown]
        row += [_interval_cell(record, stem, how, index in best[stem]) for stem in measures]
        rows.append(row)
    return rows


def _direction(column: Hashable, how: dict[str, Any], only: bool = False) -> Best | None:
    best = how["best"]
    if isinstance(best, Mapping):
        return best.get(column)
    return None if only else best


def _best_rows(frame: pd.DataFrame, column: str, how: dict[str, Any]) -> set[int]:
    """Return the row numbers that are best in their group as printed; ties are all best."""
    direction = _direction(column, how)
    if direction is None:
        return set()
    if how["level"] is not None:
        return set(frame.index[frame[how["level"]] == "yes"])
    rival = frame[frame["weights"] != "oracle"] if "weights" in frame else frame
    values = rival[column].astype(float).round(_decimals(column, how)).dropna()
    keys = [*how["within"], *([how["spread"]] if how["spread"] else [])]
    by = [rival.loc[values.index, k] for k in keys] or [pd.Series(0, index=values.index)]
    groups = values.groupby(by)
    # where all are equal, or one stands alone, none is the best
    differ = groups.transform("max") > groups.transform("min")
    return set(values.index[(values == groups.transform(direction)) & differ])


def _decimals(column: Hashable, how: dict[str, Any]) -> int:
    decimals = how["decimals"]
    return decimals.get(column, 2) if isinstance(decimals, Mapping) else decimals


def _isplain(value: Any) -> bool:
    return isinstance(value, int | float) or hasattr(value, "dtype")


def _plain_cell(value: Any, column: Hashable, how: dict[str, Any], best: bool) -> Cell:
    if value is None or value != value:
        return Cell(text=EMPTY)
    if isinstance(value, bool) or not _isplain(value):
        return Cell(text=_named(value, column))
    number = float(value)
    text = f"{int(number)}" if number == int(number) and isinstance(value, int) else ""
    return Cell(text=text or plain(number, _decimals(column, how)), value=number, best=best)


def _named(value: object, column: Hashable) -> str:
    return str(value) if str(column).endswith(NAMES) else words(value)


def _interval_cell(record: Mapping[Any, Any], stem: str, how: dict[str, Any], best: bool) -> Cell:
    mean, low, high = (float(record[f"{stem}{part}"]) for part in TRIPLE)
    if mean != mean:
        return Cell(text=EMPTY)
    decimals = _decimals(f"{stem}mean", how)
    text = plain(mean, decimals)
    if low == low and high == high:
        text += f" [{plain(low, decimals)}, {plain(high, decimals)}]"
    return Cell(text=text, value=round(mean, 6) + 0.0, best=best)


def _spread(
    frame: pd.DataFrame,
    shown: list[Any],
    measures: list[str],
    heads: list[Column],
    rows: list[list[Cell]],
    how: dict[str, Any],
) -> tuple[list[Column], list[list[Cell]]]:
    """Return heads and rows with the values of the spread key as columns of the first measure."""
    key = how["spread"]
    keys = [c for c in shown if c != key]
    values = list(dict.fromkeys(frame[key].tolist()))
    measured = len(shown)
    if len(measures) != 1:
        raise ArtifactError(f"a table is spread over {key!r} with one measure, not {len(measures)}")
    label = how["labels"].get(key, words(key))
    spread_heads = [
        Column(label=f"{label} {words(value)}", key=f"{key}={value}") for value in values
    ]
    table: dict[tuple[str, ...], list[Cell]] = {}
    at = [shown.index(c) for c in keys]
    for row, value in zip(rows, frame[key].tolist(), strict=True):
        group = tuple(row[i].text for i in at)
        line = table.setdefault(group, [row[i] for i in at] + [Cell(text=EMPTY)] * len(values))
        line[len(at) + values.index(value)] = row[measured]
    return [heads[i] for i in at] + spread_heads, list(table.values())


def markdown(table: Table) -> str:
    """Return a pipe table in Markdown, the caption above it."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    numeric = numeric_columns(table)
    rule = ["---:" if right else "---" for right in numeric]
    body = [
        line([f"**{_markdown(c.text)}**" if c.best else _markdown(c.text) for c in row])
        for row in table.rows
    ]
    head = line([_markdown(c.label) for c in table.columns])
    parts = [_markdown(table.caption), "", head, line(rule), *body, "", _markdown(table.note)]
    return "\n".join(parts) + "\n"


def _markdown(text: str) -> str:
    text = re.sub(r"([\\`*_\[\]|#~])", r"\\\1", " ".join(text.split()))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def numeric_columns(table: Table) -> list[bool]:
    """Say which columns hold numbers: those go to the right and sort by value."""
    columns = zip(*table.rows, strict=True) if table.rows else [()] * len(table.columns)
    return [any(c.value is not None for c in column) for column in columns]


def write(frame: pd.DataFrame, stem: Path | str) -> Table:
    """Write `stem`.csv (tidy) and .md; return the printed table. Raises OutputError."""
    table = printed(frame, Path(stem).name)
    write_rows(f"{stem}.csv", frame)
    write_text(f"{stem}.md", markdown(table))
    return table
