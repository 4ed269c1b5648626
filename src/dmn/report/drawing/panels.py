"""What all forms of figures share: small multiples, choice of rows, names of axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dmn.errors import ArtifactError
from dmn.report.drawing.style import COLUMN, PAGE, Plot, new_figure
from dmn.report.words import in_figure, uncertainty

if TYPE_CHECKING:
    import pandas as pd

MAX_PANEL_COLUMNS = 3
# the columns that tell lines and panels apart where a figure does not say which
SERIES = ("component", "weights")
PANELS = ("dataset", "backbone")
ACCURACY = "accuracy (%)"


def need(rows: pd.DataFrame, columns: Sequence[str], form: str) -> None:
    """Raise ArtifactError where `rows` lacks a column that a form draws."""
    for column in columns:
        if column not in rows:
            raise ArtifactError(
                f"{form}: the rows have no column {column!r}; they have: "
                + ", ".join(map(str, rows.columns))
            )


def nothing(caption: str, reason: str = "Not measured with this configuration.") -> Plot:
    """Return a figure that says why there is none, so that every declared file is made."""
    plot, axes = new_figure(height=0.6)
    axes[0, 0].set_axis_off()
    axes[0, 0].text(0, 0.5, reason, va="center", transform=axes[0, 0].transAxes)
    plot.caption, plot.alt = caption, reason
    return plot


def split_panels(rows: pd.DataFrame, keys: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
    """Return title and rows of each panel; keys with one value are not said."""
    keys = [key for key in keys if key in rows and rows[key].nunique() > 1]
    if not keys:
        return [("", rows)]
    return [
        (", ".join(in_figure(n) for n in name), select(rows, keys, name))
        for name in combinations(rows, keys)
    ]


def combinations(rows: pd.DataFrame, keys: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return the combinations of `keys` in the order of their first appearance."""
    return (
        list(dict.fromkeys(rows[list(keys)].itertuples(index=False, name=None))) if keys else [()]
    )


def select(rows: pd.DataFrame, keys: Sequence[str], name: Sequence[Any]) -> pd.DataFrame:
    """Return the rows where each key has its value."""
    chosen = np.ones(len(rows), dtype=bool)
    for key, value in zip(keys, name, strict=True):
        chosen &= (rows[key] == value).to_numpy()
    return rows[chosen]


def is_number(value: object) -> bool:
    """Say whether a value is a number; a truth value is none."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def word_ticks(axis: Any, values: Sequence[Any], inches: float) -> None:
    """Name the steps of the x axis; names that do not fit beside each other are slanted."""
    names = [in_figure(v) for v in values]
    widest = max(map(len, names))
    axis.set_xticks(range(len(values)), names)
    if widest * len(names) * 0.065 > inches and widest > 3:
        axis.set_xticks(range(len(values)), names, rotation=40, ha="right", rotation_mode="anchor")


def panel_columns(count: int) -> int:
    """Return how many panels stand side by side."""
    return 2 if count in (2, 4) else min(count, MAX_PANEL_COLUMNS)


def grid(count: int, width: float | None, height: float, **options: Any) -> tuple[Plot, list[Any]]:
    """Return a figure of `count` panels, each row `height` inches high, and their axes."""
    columns = panel_columns(count)
    rows = -(-count // columns)
    width = width or (COLUMN if count == 1 else PAGE)
    plot, axes = new_figure(width, height * rows if rows > 1 else height, rows, columns, **options)
    flat = list(axes.flat)
    for spare in flat[count:]:
        spare.remove()
    return plot, flat[:count]


def axis_labels(plot: Plot, axes: list[Any], x_label: str, y_label: str) -> None:
    """Name the axes once for all panels."""
    if len(axes) == 1:
        axes[0].set(xlabel=x_label, ylabel=y_label)
        return
    size = axes[0].xaxis.label.get_size()
    plot.supxlabel(x_label, fontsize=size)
    if y_label:
        plot.supylabel(y_label, fontsize=size)


def finish(
    plot: Plot,
    rows: pd.DataFrame,
    keys: Sequence[str],
    caption: str,
    measure: str,
    table: str | None,
    intervals: str = "95% intervals",
) -> Plot:
    """Attach caption, numbers and table; the alternative text says the range of the means.

    The caption says over what the intervals are; `intervals` is what it calls them.
    """
    numbers = (
        "mean",
        "low",
        "high",
        "confidence",
        "accuracy",
        "share",
        "over",
        "held",
        "n_splits",
        "n_orders",
        "n_trainings",
        "n_images",
    )
    wanted = [c for c in dict.fromkeys([*keys, *numbers]) if c in rows]
    plot.data = rows[wanted].reset_index(drop=True)
    varied = uncertainty(rows)
    plot.caption = f"{caption} {intervals} {varied}." if varied else caption
    plot.table = table
    means = rows[next(c for c in ("mean", "accuracy", *wanted[::-1]) if c in rows)].astype(float)
    plot.alt = f"{caption} {measure}: from {means.min():.1f} to {means.max():.1f}."
    return plot
