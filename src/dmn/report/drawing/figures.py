"""The forms that all studies draw: lines, dots and bars with intervals, points, and more.

Each takes tidy rows (mean, low, high, as `summarise` of dmn.evaluation.summaries gives them; NaN
bounds mean no interval) and returns a `Plot`. Several data sets or backbones become small
multiples: `panels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dmn.report.drawing.labels import label_ends, legend_above
from dmn.report.drawing.landscapes import landscape
from dmn.report.drawing.marking import (
    draw_line,
    errors_of,
    hint_at,
    merge_coincident,
    name_points,
    odds_scale,
)
from dmn.report.drawing.panels import (
    ACCURACY,
    PANELS,
    SERIES,
    across,
    axis_labels,
    combinations,
    finish,
    grid,
    is_number,
    need,
    nothing,
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

NEAR = 0.25  # of an axis: a reference line that is farther away is left out
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
    odds: bool = False,
    reference: float | None = None,
    width: float | None = None,
    height: float = 2.3,
    table: str | None = None,
) -> Plot:
    """Draw mean against `x`, one line a series, intervals as bars or as a `band`.

    odds: percentages near 100 are drawn further apart, each row of panels by itself. Series that
    coincide everywhere are one line with all their names.

    scale: ordinal sets the values of x at equal steps; auto does so for words and for few, widely
    spaced numbers. ordered: the series are a scale (severities), shown light to dark. reference:
    a horizontal line, such as 0 for gains.
    """
    need(rows, [x, "mean", *series], "lines")
    if rows.empty:
        return nothing(caption)
    rows, joined = merge_coincident(rows, series, [*panels, x])
    groups, names = split_panels(rows, panels), combinations(rows, series)
    if not ordered:
        names = in_order(names)
    drawn = ordered_marks(_ordered_labels(series, names)) if ordered else marks(names)
    drawn = [
        replace(
            how, label=" = ".join([how.label, *(_label(series, n) for n in joined.get(name, ()))])
        )
        for name, how in zip(names, drawn, strict=True)
    ]
    shared: Any = "row" if odds else True
    plot, axes = grid(groups, width, height, sharey=shared)
    steps = scale == "ordinal" or (scale == "auto" and _is_ordinal(rows[x].unique().tolist()))
    inches = plot.get_figwidth() / across(groups) - 1.0
    for axis, panel in zip(axes, groups, strict=True):
        if reference is not None:
            axis.axhline(reference, color=FAINT, linewidth=0.8, zorder=1)
        values = _sorted(panel.rows[x].unique().tolist()) if steps else []
        present = _present(panel.rows, series, names, drawn)
        for position, (own, how) in enumerate(present):
            at = np.array([values.index(v) for v in own[x]] if steps else own[x], dtype=float)
            # lines keep their place; only intervals, and lone points, stand beside each other
            shift = (position - (len(present) - 1) / 2) * 0.04 if steps else 0.0
            if len(own) == 1:
                at, shift = at + shift, 0.0
            draw_line(axis, at, own, how, band, shift=shift)
            hint_at(plot, axis, at, own["mean"], own, how.label, own[x])
        if steps:
            axis.set_xlim(-0.4, len(values) - 0.6)
            word_ticks(axis, values, inches)
        elif scale == "log":
            axis.set_xscale("log")
        axis.set_title(panel.title)
    if odds:
        odds_scale(axes, groups)
    axis_labels(plot, axes, x_label or words(x), y_label)
    if len(names) > 1:
        (label_ends if len(groups) == 1 and not band else legend_above)(plot, axes[0], drawn)
    return finish(plot, rows, [*panels, *series, x], caption, y_label, table, series=series)


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
    own_categories = [list(dict.fromkeys(panel.rows[category].tolist())) for panel in groups]
    every = list(dict.fromkeys(c for own in sorted(own_categories, key=len)[::-1] for c in own))
    most = max(map(len, own_categories))
    # where one panel has all categories, the others leave gaps, and all are named once
    shared = len(every) == most
    height = max(0.55 + row_height * most * (lanes + 0.8), 1.2)
    plot, axes = grid(groups, width, height, sharex="col" if shared else False, sharey=shared)
    for axis, panel, found in zip(axes, groups, own_categories, strict=True):
        categories = every if shared else found
        present = _present(panel.rows, series or [category], names, drawn)
        last = len(present) - 1 if series else 0
        for lane, (own, how) in enumerate(present):
            step = (lane - last / 2) / (last + 1.8) if last else 0.0
            y = np.array([categories.index(c) + step for c in own[category]], dtype=float)
            (_bars if bars else _dots)(axis, y, own, how, 0.95 / (last + 1.8))
            hint_at(plot, axis, own["mean"], y, own, how.label, own[category])
        _category_axis(axis, categories, panel.title)
    for axis in axes:
        zero = reference if reference is not None else 0.0 if bars else None
        if zero is not None and (bars or _near(zero, axis.get_xlim())):
            axis.axvline(zero, color=FAINT, linewidth=0.8, zorder=1)
    if category_label is None:
        category_label = words(category) if is_number(own_categories[0][0]) else ""
    axis_labels(plot, axes, x_label, category_label)
    if lanes > 1:
        legend_above(plot, axes[0], drawn, "bar" if bars else "dot")
    return finish(plot, rows, [*panels, category, *series], caption, x_label, table, series=series)


def _near(value: float, limits: tuple[float, float]) -> bool:
    """Say whether a value stands in the limits or so near that they may be widened to it."""
    low, high = limits
    return low - NEAR * (high - low) <= value <= high + NEAR * (high - low)


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
    odds: bool = False,
    named: bool = False,
    frontier: bool = False,
    width: float | None = None,
    table: str | None = None,
) -> Plot:
    """Draw `y` against `x` as points of each series; `low` and `high`, if there, are y's.

    odds: as in `lines`; named: each point has its name beside it in place of a legend; frontier:
    steps join the points of a panel that none with less of x has more of y than.
    """
    need(rows, [x, y, *series], "scatter")
    if rows.empty:
        return nothing(caption)
    groups = split_panels(rows, panels)
    names = in_order(combinations(rows, series)) if series else [("none",)]
    drawn = marks(names)
    plot, axes = grid(groups, width, 2.4, sharex=True, sharey="row" if odds else True)
    for axis, panel in zip(axes, groups, strict=True):
        if reference is not None:
            axis.axhline(reference, color=FAINT, linewidth=0.8, zorder=1)
        for name, how in zip(names, drawn, strict=True):
            own = (select(panel.rows, series, name) if series else panel.rows).assign(
                mean=lambda f: f[y]
            )
            at = own[x].to_numpy(dtype=float)
            draw_line(axis, at, own, how, band=False, joined=False)
            hint_at(plot, axis, at, own["mean"], own, how.label, own[x])
        if frontier:
            best = undominated(panel.rows[x], panel.rows[y])
            steps = {"drawstyle": "steps-post", "linewidth": 0.8, "marker": "", "zorder": 1}
            axis.plot(*best, color=FAINT, **steps)
        if log_x:
            axis.set_xscale("log")
        axis.set_title(panel.title)
    if odds:
        odds_scale(axes, groups)
    axis_labels(plot, axes, x_label or words(x), y_label)
    if len(names) > 1 and named:
        for axis, panel in zip(axes, groups, strict=True):
            name_points(plot, axis, panel.rows, x, y, series, dict(zip(names, drawn, strict=True)))
    elif len(names) > 1:
        legend_above(plot, axes[0], drawn, "dot")
    return finish(plot, rows, [*panels, *series, x, y], caption, y_label, table, series=series)


def undominated(cost: Any, gain: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return costs and gains of the points than which no point of at most their cost has more.

    >>> [part.tolist() for part in undominated([3, 1, 2, 4], [5, 1, 0, 5])]
    [[1.0, 3.0], [1.0, 5.0]]
    """
    x, y = np.asarray(cost, dtype=float), np.asarray(gain, dtype=float)
    order = np.lexsort((-y, x))
    rises = np.diff(np.maximum.accumulate(y[order]), prepend=-np.inf) > 0
    return x[order][rises], y[order][rises]


def _is_ordinal(values: Sequence[Any]) -> bool:
    if not all(is_number(v) for v in values):
        return True
    low, high = min(values), max(values)
    return len(values) <= 10 and (low <= 0 or high / low >= 8) and high > 1


def _sorted(values: list[Any]) -> list[Any]:
    """Return numbers in order, then words in the order of the rows."""
    numbers = sorted(v for v in values if is_number(v))
    return numbers + [v for v in values if not is_number(v)]


def _label(keys: Sequence[str], name: tuple[Any, ...]) -> str:
    return ", ".join(in_figure(n) for n in name if str(n) != "none")


def _ordered_labels(keys: Sequence[str], names: Sequence[tuple[Any, ...]]) -> list[str]:
    """Return labels that say the key of a number: `severity 3`."""
    return [
        ", ".join(
            f"{words(k)} {v}" if is_number(v) else in_figure(v)
            for k, v in zip(keys, n, strict=True)
        )
        for n in names
    ]


def _dots(axis: Any, y: np.ndarray, rows: pd.DataFrame, how: Mark, thickness: float) -> None:
    del thickness
    options = how.line_options() | {"linestyle": "none"}
    errors = errors_of(rows)
    if errors is not None:
        axis.errorbar(rows["mean"], y, xerr=errors, fmt="none", ecolor=how.color, elinewidth=0.9)
    axis.plot(rows["mean"], y, label=how.label, **options)


def _bars(axis: Any, y: np.ndarray, rows: pd.DataFrame, how: Mark, thickness: float) -> None:
    axis.barh(y, rows["mean"], height=thickness, label=how.label, **how.bar_options())
    errors = errors_of(rows)
    if errors is not None:
        axis.errorbar(rows["mean"], y, xerr=errors, fmt="none", ecolor=INK, elinewidth=0.8)
