"""Figures of cells and pictures: heat maps, reliability diagrams, galleries of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dmn.errors import ArtifactError
from dmn.report.drawing.labels import legend_above
from dmn.report.drawing.marking import hint_at
from dmn.report.drawing.panels import (
    ACCURACY,
    PANELS,
    SERIES,
    across,
    axis_labels,
    combinations,
    finish,
    grid,
    need,
    nothing,
    select,
    split_panels,
    word_ticks,
)
from dmn.report.drawing.style import FAINT, INK, PAGE, Plot, marks, new_figure
from dmn.report.words import in_figure, plain, words

if TYPE_CHECKING:
    import pandas as pd

MOST_BESIDE = 5  # columns of a heat map that has others beside it
LEAST_SHARE = 0.01  # of the answers in a bin


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
    order: Sequence[Any] = (),
    width: float | None = None,
    table: str | None = None,
) -> Plot:
    """Draw a value over two keys as shaded cells with their numbers; diverging centres on zero.

    order: of the values of both keys; those that it lacks come last, in the order of the rows.
    """
    need(rows, [row, column, value], "heatmap")
    if rows.empty:
        return nothing(caption)
    groups = split_panels(rows, panels)
    ys, xs = (list(dict.fromkeys(rows[key].tolist())) for key in (row, column))
    rank = {value: place for place, value in enumerate(order)}
    for values in (ys, xs):
        values.sort(key=lambda value: rank.get(value, len(rank)))
    height = 1.1 + 0.2 * len(ys)
    if len(groups) > 1 and len(xs) > MOST_BESIDE:
        groups = [panel._replace(row=place, column=0) for place, panel in enumerate(groups)]
    plot, axes = grid(groups, width, height, sharex=True, sharey=True)
    numbers = rows[value].to_numpy(dtype=float)
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    if diverging:
        high = max(abs(low), abs(high), 1e-9)
        low = -high
    image: Any = None
    for axis, panel in zip(axes, groups, strict=True):
        part = panel.rows
        cells = np.full((len(ys), len(xs)), np.nan)
        for y, x, number in zip(part[row], part[column], part[value], strict=True):
            cells[ys.index(y), xs.index(x)] = number
        image = axis.imshow(
            cells, cmap="PuOr_r" if diverging else "cividis", vmin=low, vmax=high, aspect="auto"
        )
        _numbers(axis, image, cells, decimals)
        word_ticks(axis, xs, plot.get_figwidth() / across(groups) - 1.2)
        axis.set_yticks(range(len(ys)), [in_figure(y) for y in ys])
        axis.grid(visible=False)
        axis.set_title(panel.title)
    bar = plot.colorbar(image, ax=list(axes), shrink=0.9, pad=0.02, aspect=25)
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
    """Draw accuracy against confidence in bins, one line a series; marks grow with their share.

    rows: confidence and accuracy in percent, share (of the samples) between 0 and 1.
    """
    need(rows, ["confidence", "accuracy", "share", *series], "reliability")
    if rows.empty:
        return nothing(caption)
    shown = rows[rows["share"] >= LEAST_SHARE]
    names = combinations(rows, series)
    groups = split_panels(shown, panels)
    plot, axes = grid(groups, 0.6 + 2.1 * across(groups), 2.1, sharex=True, sharey=True)
    drawn = marks(names)
    for axis, panel in zip(axes, groups, strict=True):
        axis.plot([0, 100], [0, 100], color=FAINT, linewidth=0.8, linestyle="--", zorder=1)
        for name, how in zip(names, drawn, strict=True):
            own = select(panel.rows, series, name).sort_values("confidence")
            x, y = own["confidence"], own["accuracy"]
            axis.plot(x, y, color=how.color, linewidth=0.9, linestyle=how.line)
            face = "white" if how.hollow else how.color
            size, marker = 5 + 35 * own["share"], how.marker
            axis.scatter(
                x, y, s=size, c=face, marker=marker, edgecolors=how.color, zorder=3, clip_on=False
            )
            hint_at(plot, axis, x, y, own.assign(mean=y), how.label, x.round(1))
        axis.set(xlim=(-3, 103), ylim=(-3, 103), aspect="equal")
        axis.set_title(panel.title)
    axis_labels(plot, axes, "confidence (%)", ACCURACY)
    legend_above(plot, axes[0], drawn, "dot")
    least = f"Bins with less than {LEAST_SHARE:.0%} of the answers are left out."
    return finish(
        plot, shown, [*panels, *series], f"{caption} {least}", ACCURACY, table, series=series
    )


def gallery(
    images: Sequence[np.ndarray],
    titles: Sequence[str],
    *,
    caption: str,
    columns: int = 8,
    empty: str = "",
) -> Plot:
    """Draw small pictures [H, W] or [H, W, 3] with a line or two of text under each.

    empty: what is said in place of no pictures.
    """
    if len(images) != len(titles):
        raise ArtifactError(f"a gallery of {len(images)} images has {len(titles)} titles")
    if not images:
        return nothing(caption, empty or "There are no such images.")
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
        text = plain(number, decimals)
        color = INK if light else "white"
        axis.text(x, y, text, ha="center", va="center", fontsize=6, color=color)
