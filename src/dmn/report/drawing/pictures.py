"""Figures of cells and pictures: heat maps, reliability diagrams, galleries of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dmn.errors import ArtifactError
from dmn.report.drawing.panels import (
    ACCURACY,
    PANELS,
    SERIES,
    axis_labels,
    combinations,
    finish,
    grid,
    need,
    nothing,
    panel_columns,
    select,
    split_panels,
    word_ticks,
)
from dmn.report.drawing.style import FAINT, INK, PAGE, Plot, marks, new_figure
from dmn.report.words import in_figure, words

if TYPE_CHECKING:
    import pandas as pd


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
    need(rows, [row, column, value], "heatmap")
    if rows.empty:
        return nothing(caption)
    groups = split_panels(rows, panels)
    ys, xs = (list(dict.fromkeys(rows[key].tolist())) for key in (row, column))
    height = 1.1 + 0.2 * len(ys)
    plot, axes = grid(len(groups), width, height, sharex=True, sharey=True)
    numbers = rows[value].to_numpy(dtype=float)
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    if diverging:
        high = max(abs(low), abs(high), 1e-9)
        low = -high
    image: Any = None
    for axis, (title, part) in zip(axes, groups, strict=True):
        cells = np.full((len(ys), len(xs)), np.nan)
        for y, x, number in zip(part[row], part[column], part[value], strict=True):
            cells[ys.index(y), xs.index(x)] = number
        image = axis.imshow(
            cells, cmap="PuOr_r" if diverging else "cividis", vmin=low, vmax=high, aspect="auto"
        )
        _numbers(axis, image, cells, decimals)
        word_ticks(axis, xs, plot.get_figwidth() / panel_columns(len(groups)) - 1.2)
        axis.set_yticks(range(len(ys)), [in_figure(y) for y in ys])
        axis.grid(visible=False)
        axis.set_title(title)
    bar = plot.colorbar(image, ax=list(axes), shrink=0.9, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label(value_label)
    axis_labels(plot, axes, column_label or words(column), row_label or words(row))
    keys = [*panels, row, column]
    return finish(plot, rows, keys, caption, value_label, table, "Means; 95% intervals")


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
    need(rows, ["confidence", "accuracy", "share", *series], "reliability")
    if rows.empty:
        return nothing(caption)
    keys = [*panels, *series]
    names = combinations(rows, keys)
    methods = list(dict.fromkeys(name[len(panels) :] for name in names))
    by_method = dict(zip(methods, marks(methods), strict=True))
    columns = panel_columns(len(names))
    width = 0.5 + 1.95 * columns
    plot, axes = grid(len(names), width, 2.1, sharex=True, sharey=True)
    for axis, name in zip(axes, names, strict=True):
        how = by_method[name[len(panels) :]]
        own = select(rows, keys, name).sort_values("confidence")
        axis.plot([0, 100], [0, 100], color=FAINT, linewidth=0.8, linestyle="--", zorder=1)
        axis.vlines(own["confidence"], own["confidence"], own["accuracy"], how.color, alpha=0.35)
        face = "white" if how.hollow else how.color
        size = 6 + 110 * own["share"]
        axis.plot(own["confidence"], own["accuracy"], color=how.color, linewidth=0.9)
        axis.scatter(
            own["confidence"],
            own["accuracy"],
            s=size,
            c=face,
            edgecolors=how.color,
            zorder=3,
            clip_on=False,
        )
        axis.set(xlim=(-3, 103), ylim=(-3, 103), aspect="equal")
        place = ", ".join(in_figure(n) for n in name[: len(panels)])
        axis.set_title(f"{place}\n{how.label}" if place else how.label)
    axis_labels(plot, axes, "confidence (%)", ACCURACY)
    return finish(plot, rows, keys, caption, ACCURACY, table)


def gallery(
    images: Sequence[np.ndarray], titles: Sequence[str], *, caption: str, columns: int = 8
) -> Plot:
    """Draw small pictures [H, W] or [H, W, 3] with a line or two of text under each."""
    if len(images) != len(titles):
        raise ArtifactError(f"a gallery of {len(images)} images has {len(titles)} titles")
    if not images:
        return nothing(caption, "There are no such images.")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    lines_of_text = max((title.count("\n") + 1 for title in titles), default=1)
    size = PAGE / 8
    plot, axes = new_figure(
        size * max(columns, 3), rows * (size + 0.13 * lines_of_text), rows, columns
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, image, title in zip(axes.flat, images, titles, strict=False):
        axis.imshow(image, cmap="gray", interpolation="nearest")
        axis.set_title(
            in_figure(title), fontsize=6, loc="center", fontweight="normal", y=0, va="top", pad=-2
        )
    plot.caption = caption
    plot.alt = f"{len(images)} pictures. {caption}"
    return plot


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
