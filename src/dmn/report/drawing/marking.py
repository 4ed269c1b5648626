"""What forms put on their axes: lines with intervals, names of points, hints, the scale of odds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from dmn.report.drawing.labels import POINTS, spread_apart
from dmn.report.drawing.panels import combinations, is_number, select
from dmn.report.drawing.style import Hint, Mark, Plot
from dmn.report.words import COINCIDE, cell_words, plain, words

if TYPE_CHECKING:
    import pandas as pd

    from dmn.report.drawing.panels import Panel

TICKS = (0, 20, 40, 50, 60, 70, 80, 85, 90, 95, 97, 98, 99, 100)
CEILING = 100.5  # percent: 100 has a place on the scale of odds
MOST_TICKS = 6


def errors_of(rows: pd.DataFrame) -> np.ndarray | None:
    """Return distances [2, N] from mean to low and high; zero where there is no interval."""
    if "low" not in rows or not rows["low"].notna().any():
        return None
    mean = rows["mean"].to_numpy(dtype=float)
    low, high = (rows[c].to_numpy(dtype=float) for c in ("low", "high"))
    return np.nan_to_num(np.stack([mean - low, high - mean]))


def draw_line(
    axis: Any,
    x: np.ndarray,
    rows: pd.DataFrame,
    how: Mark,
    band: bool,
    joined: bool = True,
    shift: float = 0.0,
) -> None:
    """Draw the means of rows at x [N], intervals as a band, or as bars that stand beside."""
    order = np.argsort(x, kind="stable")
    x, rows = x[order], rows.iloc[order]
    options = how.line_options()
    if not joined:
        options["linestyle"] = "none"
    if band:
        options["marker"] = ""
        if (errors := errors_of(rows)) is not None:
            low, high = rows["mean"] - errors[0], rows["mean"] + errors[1]
            axis.fill_between(x, low, high, color=how.color, alpha=0.15, linewidth=0)
    elif (errors := errors_of(rows)) is not None:
        axis.errorbar(
            x + shift, rows["mean"], errors, fmt="none", ecolor=how.color, elinewidth=0.8, alpha=0.7
        )
    axis.plot(x, rows["mean"], label=how.label, **options)


def hint_at(
    plot: Plot,
    axis: Any,
    x: Iterable[float],
    y: Iterable[float],
    rows: pd.DataFrame,
    label: str,
    names: Iterable[Any],
) -> None:
    """Remember what the page says at each point: series, place on the axis, mean and interval."""
    label = label.replace(r"\$", "$")
    for at, height, row, name in zip(x, y, rows.to_dict("records"), names, strict=True):
        shown = f"{name:g}" if is_number(name) else words(name)
        text = f"{label}, {shown}: {plain(row['mean'])}"
        if row.get("low", np.nan) == row.get("low", np.nan):
            text += f" [{plain(row['low'])}, {plain(row['high'])}]"
        plot.hints.append(Hint(axis, float(at), float(height), text))


def merge_coincident(
    rows: pd.DataFrame, series: Sequence[str], keys: Sequence[str]
) -> tuple[pd.DataFrame, dict[tuple[Any, ...], list[tuple[Any, ...]]]]:
    """Return rows without the series that coincide with an earlier one, and which those are."""
    keys = [key for key in keys if key in rows]
    names = combinations(rows, series)
    means = {name: select(rows, series, name).set_index(keys)["mean"] for name in names}
    joined: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for name in names:
        for first in joined:
            own, other = means[name], means[first]
            if set(own.index) == set(other.index) and (
                (own - other.reindex(own.index)).abs().max() <= COINCIDE
            ):
                joined[first].append(name)
                break
        else:
            joined[name] = []
    kept = [name in joined for name in rows[list(series)].itertuples(index=False, name=None)]
    return rows[kept], {name: others for name, others in joined.items() if others}


def odds_scale(axes: Sequence[Any], panels: Sequence[Panel]) -> None:
    """Draw percentages so that what is near 100 is told apart; the limits are those of the means.

    An interval that reaches far below all means is cut by the edge.
    """

    def forward(value: Any) -> Any:
        return -np.log(np.maximum(CEILING - np.asarray(value, dtype=float), 1e-3))

    def back(value: Any) -> Any:
        return CEILING - np.exp(-np.asarray(value, dtype=float))

    for row in sorted({panel.row for panel in panels}):
        own = [(a, p) for a, p in zip(axes, panels, strict=True) if p.row == row]
        means = np.concatenate([p.rows["mean"].to_numpy(dtype=float) for _, p in own])
        low, high = forward(means.min()), forward(means.max())
        margin = 0.12 * max(high - low, 0.2)
        limits = back(low - 1.5 * margin), min(float(back(high + margin)), 100.2)
        inside = [float(tick) for tick in TICKS if limits[0] <= tick <= limits[1]]
        if len(inside) < 2:
            inside = [float(np.round(v, 1)) for v in np.linspace(means.min(), means.max(), 3)]
        for axis, _ in own:
            axis.set_yscale("function", functions=(forward, back))
            axis.set_ylim(*limits)
            axis.yaxis.set_major_locator(FixedLocator(_apart(inside, forward)))
            axis.yaxis.set_minor_locator(NullLocator())
            axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _apart(ticks: Sequence[float], forward: Any) -> list[float]:
    """Return ticks from the top down that leave room for each other's names."""
    places = forward(np.array(ticks))
    least = (places.max() - places.min()) / MOST_TICKS
    kept: list[int] = []
    for i in range(len(ticks) - 1, -1, -1):
        if not kept or places[kept[-1]] - places[i] >= least:
            kept.append(i)
    return [ticks[i] for i in kept[::-1]]


def name_points(
    plot: Plot,
    axis: Any,
    rows: pd.DataFrame,
    x: str,
    y: str,
    series: Sequence[str],
    drawn: Mapping[tuple[Any, ...], Mark],
) -> None:
    """Write each point's name at the right edge of its panel, with a thin line to the point."""
    names = list(rows[list(series)].itertuples(index=False, name=None))
    labels = [drawn[name].label for name in names]
    if "setting" in rows:
        several = {label for label in labels if labels.count(label) > 1}
        labels = [
            f"{label}, {cell_words(row)}" if label in several else label
            for label, row in zip(labels, rows.to_dict("records"), strict=True)
        ]
    colors = [drawn[name].color for name in names]
    to_axes = axis.transScale + axis.transLimits
    points = to_axes.transform(rows[[x, y]].to_numpy(dtype=float))
    specs = [a.get_subplotspec() for a in plot.axes]
    rows_of_panels = len({spec.rowspan.start for spec in specs if spec is not None})
    room = 0.7 * POINTS * plot.get_figheight() / rows_of_panels
    places = spread_apart(points[:, 1].tolist(), 7.0 / room, 0.02, 0.98)
    for row, label, color, place in zip(
        rows.to_dict("records"), labels, colors, places, strict=True
    ):
        axis.annotate(
            label,
            xy=(row[x], row[y]),
            xytext=(1.02, place),
            textcoords="axes fraction",
            fontsize=5.5,
            color=color,
            va="center",
            arrowprops={
                "arrowstyle": "-",
                "color": color,
                "linewidth": 0.3,
                "shrinkA": 0,
                "shrinkB": 2,
                "relpos": (0, 0.5),
            },
        )
