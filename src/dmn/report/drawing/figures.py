"""The forms that all studies draw: lines, dots and bars with intervals, points, and more.

Each takes tidy rows (mean, low, high, as `summarise` of dmn.evaluation.summaries gives them; NaN
bounds mean no interval) and returns a `Plot`. Several data sets or backbones become small
multiples: `panels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dmn.report.drawing.labels import label_ends, legend_above
from dmn.report.drawing.landscapes import landscape
from dmn.report.drawing.panels import (
    ACCURACY,
    PANELS,
    SERIES,
    axis_labels,
    combinations,
    finish,
    grid,
    is_number,
    need,
    nothing,
    panel_columns,
    select,
    split_panels,
    word_ticks,
)
from dmn.report.drawing.pictures import gallery, heatmap, reliability
from dmn.report.drawing.style import (
    FAINT,
    INK,
    Mark,
    Plot,
    category_marks,
    in_order,
    marks,
    ordered_marks,
)
from dmn.report.words import in_figure, words

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["dots", "gallery", "heatmap", "landscape", "lines", "nothing", "reliability", "scatter"]

Scale = Literal["auto", "linear", "log", "ordinal"]


def lines(
    rows: pd.DataFrame,
    x: str,
    *,
    caption: str,
    series: Sequence[str] = SERIES,
    panels: Sequence[str] = PANELS,
    x_label: str | None = None,
    y_label: str = ACCURACY,
    scale: Scale = "auto",
    band: bool = False,
    ordered: bool = False,
    reference: float | None = None,
    width: float | None = None,
    height: float = 2.3,
    table: str | None = None,
) -> Plot:
    """Draw mean against `x`, one line a series, intervals as bars or as a `band`.

    scale: ordinal sets the values of x at equal steps; auto does so for words and for few, widely
    spaced numbers. ordered: the series are a scale (severities), shown light to dark. reference:
    a horizontal line, such as 0 for gains.
    """
    need(rows, [x, "mean", *series], "lines")
    if rows.empty:
        return nothing(caption)
    groups, names = split_panels(rows, panels), combinations(rows, series)
    if not ordered:
        names = in_order(names)
    drawn = ordered_marks(_ordered_labels(series, names)) if ordered else marks(names)
    plot, axes = grid(len(groups), width, height, sharey=True)
    steps = scale == "ordinal" or (scale == "auto" and _is_ordinal(rows[x].unique().tolist()))
    inches = plot.get_figwidth() / panel_columns(len(groups)) - 1.0
    for axis, (title, part) in zip(axes, groups, strict=True):
        if reference is not None:
            axis.axhline(reference, color=FAINT, linewidth=0.8, zorder=1)
        values = _sorted(part[x].unique().tolist()) if steps else []
        present = _present(part, series, names, drawn)
        for position, (own, how) in enumerate(present):
            at = [float(values.index(v)) for v in own[x]] if steps else own[x].astype(float)
            shift = 0.0 if band or not steps else (position - (len(present) - 1) / 2) * 0.05
            _line(axis, np.asarray(at) + shift, own, how, band)
        if steps:
            axis.set_xlim(-0.4, len(values) - 0.6)
            word_ticks(axis, values, inches)
        elif scale == "log":
            axis.set_xscale("log")
        axis.set_title(title)
    axis_labels(plot, axes, x_label or words(x), y_label)
    if len(names) > 1:
        (label_ends if len(groups) == 1 else legend_above)(plot, axes[0], drawn)
    return finish(plot, rows, [*panels, *series, x], caption, y_label, table)


def dots(
    rows: pd.DataFrame,
    category: str,
    *,
    caption: str,
    series: Sequence[str] = SERIES,
    panels: Sequence[str] = PANELS,
    x_label: str = ACCURACY,
    category_label: str | None = None,
    bars: bool = False,
    reference: float | None = None,
    width: float | None = None,
    row_height: float = 0.13,
    table: str | None = None,
) -> Plot:
    """Draw mean of each category (top down) as dots, or as bars from zero, with intervals.

    With `series=()` each category that is a method has its own mark. Panels with different
    categories each name their own.
    """
    need(rows, [category, "mean", *series], "dots")
    if rows.empty:
        return nothing(caption)
    groups = split_panels(rows, panels)
    names = in_order(combinations(rows, series)) if series else combinations(rows, [category])
    drawn = marks(names) if series else category_marks(names)
    lanes = len(names) if series else 1
    own_categories = [list(dict.fromkeys(part[category].tolist())) for _, part in groups]
    shared = len({frozenset(found) for found in own_categories}) == 1
    most = max(map(len, own_categories))
    height = max(0.55 + row_height * most * (lanes + 0.8), 1.2)
    plot, axes = grid(len(groups), width, height, sharex=shared, sharey=shared)
    for axis, (title, part), found in zip(axes, groups, own_categories, strict=True):
        categories = own_categories[0] if shared else found
        if reference is not None or bars:
            axis.axvline(reference or 0.0, color=FAINT, linewidth=0.8, zorder=1)
        present = _present(part, series or [category], names, drawn)
        last = len(present) - 1 if series else 0
        for lane, (own, how) in enumerate(present):
            step = (lane - last / 2) / (last + 1.8) if last else 0.0
            y = np.array([categories.index(c) + step for c in own[category]], dtype=float)
            (_bars if bars else _dots)(axis, y, own, how, 0.95 / (last + 1.8))
        _category_axis(axis, categories, title)
    if category_label is None:
        category_label = words(category) if is_number(own_categories[0][0]) else ""
    axis_labels(plot, axes, x_label, category_label)
    if lanes > 1:
        legend_above(plot, axes[0], drawn, "bar" if bars else "dot")
    return finish(plot, rows, [*panels, category, *series], caption, x_label, table)


def _present(
    rows: pd.DataFrame, keys: Sequence[str], names: Sequence[Any], drawn: Sequence[Mark]
) -> list[tuple[pd.DataFrame, Mark]]:
    """Return rows and mark of each series that a panel has, so that the others leave no gap."""
    chosen = [(select(rows, keys, name), how) for name, how in zip(names, drawn, strict=True)]
    return [(own, how) for own, how in chosen if len(own)]


def _category_axis(axis: Any, categories: Sequence[Any], title: str) -> None:
    axis.set_yticks(range(len(categories)), [in_figure(c) for c in categories])
    axis.set_ylim(len(categories) - 0.45, -0.55)
    axis.grid(axis="y", visible=False)
    axis.tick_params(axis="y", length=0)
    axis.set_title(title)


def scatter(
    rows: pd.DataFrame,
    x: str,
    y: str,
    *,
    caption: str,
    series: Sequence[str] = (),
    panels: Sequence[str] = PANELS,
    x_label: str | None = None,
    y_label: str = ACCURACY,
    reference: float | None = None,
    log_x: bool = False,
    width: float | None = None,
    table: str | None = None,
) -> Plot:
    """Draw `y` against `x` as points of each series; `low` and `high`, if there, are y's."""
    need(rows, [x, y, *series], "scatter")
    if rows.empty:
        return nothing(caption)
    groups = split_panels(rows, panels)
    names = in_order(combinations(rows, series)) if series else [("none",)]
    drawn = marks(names)
    plot, axes = grid(len(groups), width, 2.4, sharex=True, sharey=True)
    for axis, (title, part) in zip(axes, groups, strict=True):
        if reference is not None:
            axis.axhline(reference, color=FAINT, linewidth=0.8, zorder=1)
        for name, how in zip(names, drawn, strict=True):
            own = (select(part, series, name) if series else part).assign(mean=lambda f: f[y])
            _line(axis, own[x].to_numpy(dtype=float), own, how, band=False, joined=False)
        if log_x:
            axis.set_xscale("log")
        axis.set_title(title)
    axis_labels(plot, axes, x_label or words(x), y_label)
    if len(names) > 1:
        legend_above(plot, axes[0], drawn, "dot")
    return finish(plot, rows, [*panels, *series, x, y], caption, y_label, table)


def _is_ordinal(values: Sequence[Any]) -> bool:
    if not all(is_number(v) for v in values):
        return True
    low, high = min(values), max(values)
    return len(values) <= 10 and (low <= 0 or high / low >= 8) and high > 1


def _sorted(values: list[Any]) -> list[Any]:
    """Return numbers in order, then words in the order of the rows."""
    numbers = sorted(v for v in values if is_number(v))
    return numbers + [v for v in values if not is_number(v)]


def _ordered_labels(keys: Sequence[str], names: Sequence[tuple[Any, ...]]) -> list[str]:
    """Return labels that say the key of a number: `severity 3`."""
    return [
        ", ".join(
            f"{words(k)} {v}" if is_number(v) else in_figure(v)
            for k, v in zip(keys, n, strict=True)
        )
        for n in names
    ]


def _errors(rows: pd.DataFrame) -> np.ndarray | None:
    """Return distances [2, N] from mean to low and high; zero where there is no interval."""
    if "low" not in rows or not rows["low"].notna().any():
        return None
    mean = rows["mean"].to_numpy(dtype=float)
    low, high = (rows[c].to_numpy(dtype=float) for c in ("low", "high"))
    return np.nan_to_num(np.stack([mean - low, high - mean]))


def _line(
    axis: Any, x: np.ndarray, rows: pd.DataFrame, how: Mark, band: bool, joined: bool = True
) -> None:
    order = np.argsort(x, kind="stable")
    x, rows = x[order], rows.iloc[order]
    options = how.line_options()
    if not joined:
        options["linestyle"] = "none"
    if band:
        options["marker"] = ""
        if (errors := _errors(rows)) is not None:
            low, high = rows["mean"] - errors[0], rows["mean"] + errors[1]
            axis.fill_between(x, low, high, color=how.color, alpha=0.15, linewidth=0)
    elif (errors := _errors(rows)) is not None:
        axis.errorbar(x, rows["mean"], errors, fmt="none", ecolor=how.color, elinewidth=0.8)
    axis.plot(x, rows["mean"], label=how.label, **options)


def _dots(axis: Any, y: np.ndarray, rows: pd.DataFrame, how: Mark, thickness: float) -> None:
    del thickness
    options = how.line_options() | {"linestyle": "none"}
    errors = _errors(rows)
    if errors is not None:
        axis.errorbar(rows["mean"], y, xerr=errors, fmt="none", ecolor=how.color, elinewidth=0.9)
    axis.plot(rows["mean"], y, label=how.label, **options)


def _bars(axis: Any, y: np.ndarray, rows: pd.DataFrame, how: Mark, thickness: float) -> None:
    axis.barh(y, rows["mean"], height=thickness, label=how.label, **how.bar_options())
    errors = _errors(rows)
    if errors is not None:
        axis.errorbar(rows["mean"], y, xerr=errors, fmt="none", ecolor=INK, elinewidth=0.8)
