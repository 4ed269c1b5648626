"""What all forms of figures share: small multiples, choice of rows, names of axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dmn.errors import ArtifactError
from dmn.report.drawing.style import COLUMN, PAGE, Plot, new_figure
from dmn.report.words import in_figure, listed, plain, uncertainty, words

if TYPE_CHECKING:
    import pandas as pd

MAX_PANEL_COLUMNS = 3
MOST_ACROSS = 4  # values of the last key that stand beside each other
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


class Panel(NamedTuple):
    """One of several small pictures: its title, its rows, and where it stands."""

    title: str
    rows: pd.DataFrame
    row: int
    column: int


def split_panels(rows: pd.DataFrame, keys: Sequence[str]) -> list[Panel]:
    """Return the panels of a figure; keys with one value are not said.

    Of several keys the last one goes across, where it has few values, so that the panels of a
    column can be compared.
    """
    keys = [key for key in keys if key in rows and rows[key].nunique() > 1]
    names = combinations(rows, keys)
    last = list(dict.fromkeys(name[-1:] for name in names))
    if len(keys) > 1 and len(last) <= MOST_ACROSS:
        down = list(dict.fromkeys(name[:-1] for name in names))
        places = [(down.index(name[:-1]), last.index(name[-1:])) for name in names]
    else:
        columns = panel_columns(len(names))
        places = [divmod(place, columns) for place in range(len(names))]
    # narrow panels have their title in lines
    between = "\n" if 1 + max(column for _, column in places) > MAX_PANEL_COLUMNS else ", "
    titles = [between.join(in_figure(n) for n in name) for name in names]
    parts = [select(rows, keys, name) for name in names]
    return [Panel(t, part, *at) for t, part, at in zip(titles, parts, places, strict=True)]


def across(panels: Sequence[Panel]) -> int:
    """Return how many columns the panels stand in."""
    return 1 + max(panel.column for panel in panels)


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


def grid(
    panels: Sequence[Panel], width: float | None, height: float, **options: Any
) -> tuple[Plot, list[Any]]:
    """Return a figure of panels, each row `height` inches high, and their axes."""
    columns, rows = across(panels), 1 + max(panel.row for panel in panels)
    width = width or (COLUMN if len(panels) == 1 else PAGE)
    plot, axes = new_figure(width, height * rows, rows, columns, **options)
    found = [axes[panel.row, panel.column] for panel in panels]
    for spare in set(axes.flat) - set(found):
        spare.remove()
    for panel, axis in zip(panels, found, strict=True):
        # the outermost of what there is names its ticks
        below = [p for p in panels if p.column == panel.column and p.row > panel.row]
        beside = [p for p in panels if p.row == panel.row and p.column < panel.column]
        if not below:
            axis.tick_params(labelbottom=True)
        if not beside:
            axis.tick_params(labelleft=True)
    return plot, found


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
    series: Sequence[str] = (),
) -> Plot:
    """Attach caption, numbers and table; the alternative text says the range and what is highest.

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
    plot.alt = f"{caption} {measure}: from {plain(means.min(), 1)} to {plain(means.max(), 1)}."
    if series and "mean" in rows and rows[list(series)].drop_duplicates().shape[0] > 1:
        by_series = rows.groupby(list(series), sort=False)["mean"].mean()
        named = [
            f"{_joined(name)} {plain(mean, 1)}"
            for name, mean in by_series.sort_values(kind="stable")[::-1].items()
        ]
        plot.alt += f" In the mean of what is drawn, from the highest: {listed(named)}."
    return plot


def _joined(name: Any) -> str:
    parts = name if isinstance(name, tuple) else (name,)
    return ", ".join(words(part) for part in parts if str(part) != "none") or "none"
