"""The forms that all studies draw: lines, dots and bars with intervals, heat maps, reliability.

Each takes tidy rows (mean, low, high, as dmn.statistics.summarise gives them; NaN bounds mean no
interval) and returns a `Plot`. Several data sets or backbones become small multiples: `panels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dmn.errors import ArtifactError
from dmn.report.labels import label_ends, legend_above
from dmn.report.style import COLUMN, FAINT, INK, PAGE, Mark, Plot, marks, new_figure, ordered_marks
from dmn.report.words import words

if TYPE_CHECKING:
    import pandas as pd

Scale = Literal["auto", "linear", "log", "ordinal"]
SERIES = ("component", "weights")
PANELS = ("dataset", "backbone")
ACCURACY = "accuracy (%)"
MAX_PANEL_COLUMNS = 3


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
    _need(rows, [x, "mean", *series], "lines")
    groups = _panels(rows, panels)
    names = _series(rows, series)
    drawn = ordered_marks(_ordered_labels(series, names)) if ordered else marks(names)
    plot, axes = _grid(len(groups), width, height, sharey=True)
    values = list(dict.fromkeys(rows[x].tolist()))
    steps = scale == "ordinal" or (scale == "auto" and _is_ordinal(values))
    if steps:
        values = _sorted(values)
    for axis, (title, part) in zip(axes, groups, strict=False):
        if reference is not None:
            axis.axhline(reference, color=FAINT, linewidth=0.8, zorder=1)
        for position, (name, how) in enumerate(zip(names, drawn, strict=True)):
            own = _select(part, series, name)
            at = [float(values.index(v)) for v in own[x]] if steps else own[x].astype(float)
            shift = 0.0 if band or not steps else (position - (len(names) - 1) / 2) * 0.05
            _line(axis, np.asarray(at) + shift, own, how, band)
        if steps:
            _word_ticks(axis, values, plot.get_figwidth() / _columns(len(groups)) - 1.0)
        elif scale == "log":
            axis.set_xscale("log")
        axis.set_title(title)
    _axis_labels(plot, axes, len(groups), x_label or words(x), y_label)
    if len(names) > 1:
        (label_ends if len(groups) == 1 else legend_above)(plot, axes[0], drawn)
    return _finish(plot, rows, [*panels, *series, x], caption, y_label, table)


def dots(
    rows: pd.DataFrame,
    category: str,
    *,
    caption: str,
    series: Sequence[str] = SERIES,
    panels: Sequence[str] = PANELS,
    x_label: str = ACCURACY,
    bars: bool = False,
    reference: float | None = None,
    width: float | None = None,
    row_height: float = 0.13,
    table: str | None = None,
) -> Plot:
    """Draw mean of each category (top down) as dots, or as bars from zero, with intervals.

    With `series=()` each category is its own method and gets its own mark.
    """
    _need(rows, [category, "mean", *series], "dots")
    groups = _panels(rows, panels)
    names = _series(rows, series) if series else [(c,) for c in dict.fromkeys(rows[category])]
    drawn = marks(names)
    categories = list(dict.fromkeys(rows[category].tolist()))
    lanes = len(names) if series else 1
    height = 0.75 + row_height * len(categories) * (lanes + 0.8)
    plot, axes = _grid(len(groups), width, max(height, 1.4), sharex=True, sharey=True)
    for axis, (title, part) in zip(axes, groups, strict=False):
        if reference is not None or bars:
            axis.axvline(reference or 0.0, color=FAINT, linewidth=0.8, zorder=1)
        for lane, (name, how) in enumerate(zip(names, drawn, strict=True)):
            own = _select(part, series or [category], name)
            step = 0.0 if lanes == 1 else (lane - (lanes - 1) / 2) / (lanes + 0.8)
            y = np.array([categories.index(c) + step for c in own[category]], dtype=float)
            thickness = 0.95 / (lanes + 0.8)
            (_bars if bars else _dots)(axis, y, own, how, thickness)
        axis.set_yticks(range(len(categories)), [words(c) for c in categories])
        axis.set_ylim(len(categories) - 0.45, -0.55)
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", length=0)
        axis.set_title(title)
    _axis_labels(plot, axes, len(groups), x_label, "")
    if lanes > 1:
        legend_above(plot, axes[0], drawn, "bar" if bars else "dot")
    return _finish(plot, rows, [*panels, category, *series], caption, x_label, table)


def heatmap(
    rows: pd.DataFrame,
    row: str,
    column: str,
    *,
    caption: str,
    value: str = "mean",
    panels: Sequence[str] = PANELS,
    row_label: str | None = None,
    column_label: str | None = None,
    value_label: str = ACCURACY,
    diverging: bool = False,
    decimals: int = 1,
    width: float | None = None,
    table: str | None = None,
) -> Plot:
    """Draw a value over two keys as shaded cells with their numbers; diverging centres on zero."""
    _need(rows, [row, column, value], "heatmap")
    groups = _panels(rows, panels)
    ys, xs = (list(dict.fromkeys(rows[key].tolist())) for key in (row, column))
    height = 1.1 + 0.2 * len(ys)
    plot, axes = _grid(len(groups), width, height, sharex=True, sharey=True)
    numbers = rows[value].to_numpy(dtype=float)
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    if diverging:
        high = max(abs(low), abs(high), 1e-9)
        low = -high
    image: Any = None
    for axis, (title, part) in zip(axes, groups, strict=False):
        cells = np.full((len(ys), len(xs)), np.nan)
        for y, x, number in zip(part[row], part[column], part[value], strict=True):
            cells[ys.index(y), xs.index(x)] = number
        image = axis.imshow(
            cells, cmap="PuOr_r" if diverging else "cividis", vmin=low, vmax=high, aspect="auto"
        )
        _numbers(axis, image, cells, decimals)
        _word_ticks(axis, xs, plot.get_figwidth() / _columns(len(groups)) - 1.2)
        axis.set_yticks(range(len(ys)), [words(y) for y in ys])
        axis.grid(visible=False)
        axis.set_title(title)
    bar = plot.colorbar(image, ax=list(axes), shrink=0.9, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label(value_label)
    _axis_labels(plot, axes, len(groups), column_label or words(column), row_label or words(row))
    return _finish(plot, rows, [*panels, row, column], caption, value_label, table)


def reliability(
    rows: pd.DataFrame,
    *,
    caption: str,
    series: Sequence[str] = SERIES,
    panels: Sequence[str] = (),
    table: str | None = None,
) -> Plot:
    """Draw accuracy against confidence in bins, one panel a series; marks grow with their share.

    rows: confidence and accuracy in percent, share (of the samples) between 0 and 1.
    """
    _need(rows, ["confidence", "accuracy", "share", *series], "reliability")
    keys = [*panels, *series]
    names = _series(rows, keys)
    drawn = marks([name[len(panels) :] for name in names])
    columns = _columns(len(names))
    width = 0.5 + 1.95 * columns
    plot, axes = _grid(len(names), width, 2.1, sharex=True, sharey=True)
    for axis, name, how in zip(axes, names, drawn, strict=False):
        own = _select(rows, keys, name).sort_values("confidence")
        axis.plot([0, 100], [0, 100], color=FAINT, linewidth=0.8, linestyle="--", zorder=1)
        axis.vlines(own["confidence"], own["confidence"], own["accuracy"], how.color, alpha=0.35)
        face = "white" if how.hollow else how.color
        size = 6 + 110 * own["share"]
        axis.plot(own["confidence"], own["accuracy"], color=how.color, linewidth=0.9)
        axis.scatter(
            own["confidence"], own["accuracy"], s=size, c=face, edgecolors=how.color, zorder=3
        )
        axis.set(xlim=(-3, 103), ylim=(-3, 103), aspect="equal")
        axis.set_title(", ".join([*(words(n) for n in name[: len(panels)]), how.label]))
    _axis_labels(plot, axes, len(names), "confidence (%)", ACCURACY)
    return _finish(plot, rows, keys, caption, ACCURACY, table)


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
    _need(rows, [x, y, *series], "scatter")
    groups = _panels(rows, panels)
    names = _series(rows, series) if series else [("text",)]
    drawn = marks(names)
    plot, axes = _grid(len(groups), width, 2.4, sharex=True, sharey=True)
    for axis, (title, part) in zip(axes, groups, strict=False):
        if reference is not None:
            axis.axhline(reference, color=FAINT, linewidth=0.8, zorder=1)
        for name, how in zip(names, drawn, strict=True):
            own = (_select(part, series, name) if series else part).assign(mean=lambda f: f[y])
            _line(axis, own[x].to_numpy(dtype=float), own, how, band=False, joined=False)
        if log_x:
            axis.set_xscale("log")
        axis.set_title(title)
    _axis_labels(plot, axes, len(groups), x_label or words(x), y_label)
    if len(names) > 1:
        legend_above(plot, axes[0], drawn, "dot")
    return _finish(plot, rows, [*panels, *series, x, y], caption, y_label, table)


def gallery(
    images: Sequence[np.ndarray], titles: Sequence[str], *, caption: str, columns: int = 8
) -> Plot:
    """Draw small pictures [H, W] or [H, W, 3] with a line or two of text under each."""
    if len(images) != len(titles):
        raise ArtifactError(f"a gallery of {len(images)} images has {len(titles)} titles")
    count = max(len(images), 1)
    columns = min(columns, count)
    rows = -(-count // columns)
    lines_of_text = max((title.count("\n") + 1 for title in titles), default=1)
    size = PAGE / 8
    plot, axes = new_figure(
        size * max(columns, 3), rows * (size + 0.13 * lines_of_text), rows, columns
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, image, title in zip(axes.flat, images, titles, strict=False):
        axis.imshow(image, cmap="gray", interpolation="nearest")
        axis.set_title(title, fontsize=6, loc="center", fontweight="normal", y=0, va="top", pad=-2)
    plot.caption = caption
    plot.alt = f"{len(images)} pictures. {caption}"
    return plot


def _need(rows: pd.DataFrame, columns: Sequence[str], form: str) -> None:
    for column in columns:
        if column not in rows:
            raise ArtifactError(
                f"{form}: the rows have no column {column!r}; they have: "
                + ", ".join(map(str, rows.columns))
            )
    if not len(rows):
        raise ArtifactError(f"{form}: there are no rows to draw; check the study's selection")


def _panels(rows: pd.DataFrame, keys: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
    """Return title and rows of each panel; keys with one value are not said."""
    keys = [key for key in keys if key in rows and rows[key].nunique() > 1]
    if not keys:
        return [("", rows)]
    return [
        (", ".join(words(n) for n in name), _select(rows, keys, name))
        for name in _series(rows, keys)
    ]


def _series(rows: pd.DataFrame, keys: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return the combinations of `keys` in the order of their first appearance."""
    return (
        list(dict.fromkeys(rows[list(keys)].itertuples(index=False, name=None))) if keys else [()]
    )


def _select(rows: pd.DataFrame, keys: Sequence[str], name: Sequence[Any]) -> pd.DataFrame:
    chosen = np.ones(len(rows), dtype=bool)
    for key, value in zip(keys, name, strict=True):
        chosen &= (rows[key] == value).to_numpy()
    return rows[chosen]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _is_ordinal(values: Sequence[Any]) -> bool:
    if not all(_is_number(v) for v in values):
        return True
    low, high = min(values), max(values)
    return len(values) <= 10 and (low <= 0 or high / low >= 8) and high > 1


def _sorted(values: list[Any]) -> list[Any]:
    """Return numbers in order, then words in the order of the rows."""
    numbers = sorted(v for v in values if _is_number(v))
    return numbers + [v for v in values if not _is_number(v)]


def _ordered_labels(keys: Sequence[str], names: Sequence[tuple[Any, ...]]) -> list[str]:
    """Return labels that say the key of a number: `severity 3`."""
    return [
        ", ".join(
            f"{words(k)} {v}" if _is_number(v) else words(v) for k, v in zip(keys, n, strict=True)
        )
        for n in names
    ]


def _word_ticks(axis: Any, values: Sequence[Any], inches: float) -> None:
    """Name the steps of the x axis; names that do not fit beside each other are slanted."""
    names = [words(v) for v in values]
    widest = max(map(len, names))
    axis.set_xticks(range(len(values)), names)
    if widest * len(names) * 0.065 > inches and widest > 3:
        axis.set_xticks(range(len(values)), names, rotation=40, ha="right", rotation_mode="anchor")


def _columns(count: int) -> int:
    return 2 if count in (2, 4) else min(count, MAX_PANEL_COLUMNS)


def _grid(count: int, width: float | None, height: float, **options: Any) -> tuple[Plot, list[Any]]:
    columns = _columns(count)
    rows = -(-count // columns)
    width = width or (COLUMN if count == 1 else PAGE)
    plot, axes = new_figure(width, height * rows if rows > 1 else height, rows, columns, **options)
    flat = list(axes.flat)
    for spare in flat[count:]:
        spare.remove()
    return plot, flat[:count]


def _axis_labels(plot: Plot, axes: list[Any], count: int, x_label: str, y_label: str) -> None:
    if count == 1:
        axes[0].set(xlabel=x_label, ylabel=y_label)
        return
    size = axes[0].xaxis.label.get_size()
    plot.supxlabel(x_label, fontsize=size)
    if y_label:
        plot.supylabel(y_label, fontsize=size)


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
        if _errors(rows) is not None:
            axis.fill_between(
                x, rows["low"], rows["high"], color=how.color, alpha=0.15, linewidth=0
            )
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


def _numbers(axis: Any, image: Any, cells: np.ndarray, decimals: int) -> None:
    """Write each cell's number in black or white, whichever is read better on its shade."""
    for (y, x), number in np.ndenumerate(cells):
        if np.isnan(number):
            continue
        red, green, blue, _ = image.cmap(image.norm(number))
        light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
        text = f"{number:.{decimals}f}"
        color = INK if light else "white"
        axis.text(x, y, text, ha="center", va="center", fontsize=6, color=color)


def _finish(
    plot: Plot,
    rows: pd.DataFrame,
    keys: Sequence[str],
    caption: str,
    measure: str,
    table: str | None,
) -> Plot:
    numbers = (
        "mean",
        "low",
        "high",
        "confidence",
        "accuracy",
        "share",
        "over",
        "n_splits",
        "n_orders",
    )
    wanted = [c for c in dict.fromkeys([*keys, *numbers]) if c in rows]
    plot.data = rows[wanted].reset_index(drop=True)
    plot.caption, plot.table = caption, table
    means = rows[next(c for c in ("mean", "accuracy", *wanted[::-1]) if c in rows)].astype(float)
    plot.alt = f"{caption} {measure}: from {means.min():.1f} to {means.max():.1f}."
    return plot
