"""The grid of fusion weights: accuracy below its best, and the weights that each kind chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dmn.report.drawing.labels import legend_above
from dmn.report.drawing.panels import (
    Panel,
    across,
    axis_labels,
    combinations,
    finish,
    grid,
    nothing,
)
from dmn.report.drawing.style import Mark, Plot, in_order, marks
from dmn.report.words import counted, in_figure

MOST_BESIDE = 4  # panels; more are smaller
DEEPEST = 10.0  # points below the best that are told apart


def landscape(
    grids: Mapping[tuple[Any, ...], tuple[np.ndarray, np.ndarray]],
    chosen: pd.DataFrame,
    *,
    caption: str,
    panels: Sequence[str],
    table: str | None = None,
) -> Plot:
    """Draw how far each pair of weights stays below the best of its panel, and chosen pairs.

    grids: by the values of `panels` the weights [G] and accuracy in percent [G, H], H = 1 without
    a static memory. chosen: rows with `panels`, component, weights, dynamic and static.
    """
    if not grids:
        return nothing(caption)
    names = in_order(combinations(chosen, ["component", "weights"]))
    drawn = marks(names)
    places = _placed(panels, list(grids))
    plot, axes = grid(places, None, 1.45 if across(places) > MOST_BESIDE else 2.0, sharey="row")
    image: Any = None
    several = across(places) > MOST_BESIDE
    for axis, panel, (key, (weights, accuracy)) in zip(axes, places, grids.items(), strict=True):
        below = accuracy - accuracy.max()
        image = axis.imshow(
            below, cmap="cividis", vmin=-DEEPEST, vmax=0, aspect="auto", origin="lower"
        )
        _ticks(axis, weights, accuracy.shape[1], 2 if several else 4)
        own = chosen[(chosen[list(panels)] == list(key)).all(axis=1)]
        _mark(axis, own, names, drawn, weights, accuracy.shape[1] > 1)
        axis.set_title(panel.title, fontsize=6 if several else None)
        axis.grid(visible=False)
    bar = plot.colorbar(
        image, ax=list(axes), shrink=0.9, pad=0.02, aspect=25 * (1 + places[-1].row), extend="min"
    )
    bar.outline.set_visible(False)
    bar.set_label("below the best (points)")
    axis_labels(plot, axes, "static weight", "dynamic weight")
    legend_above(plot, axes[0], drawn, "dot")
    numbers = chosen.assign(mean=chosen["dynamic"])
    keys = [*panels, "weights", "dynamic", "static"]
    return finish(plot, numbers, keys, caption, "dynamic weight", table)


def _mark(
    axis: Any,
    rows: pd.DataFrame,
    names: Sequence[tuple[Any, ...]],
    drawn: Sequence[Mark],
    weights: np.ndarray,
    static: bool,
) -> None:
    """Mark the chosen pairs; kinds that chose the same pair stand beside each other."""
    for place, (name, how) in enumerate(zip(names, drawn, strict=True)):
        point = rows[rows["weights"] == name[1]].dropna(subset=["dynamic"])
        shift = (place - (len(names) - 1) / 2) * (0.3 if static else 0.1)
        x = _places(point["static"], weights) if static else np.zeros(len(point))
        edge = how.color if how.hollow else "white"
        options = how.line_options() | {"linestyle": "none", "markeredgecolor": edge}
        axis.plot(x + shift, _places(point["dynamic"], weights), label=how.label, **options)


def _ticks(axis: Any, weights: np.ndarray, columns: int, named: int) -> None:
    every = max(1, len(weights) // named)
    names = [f"{weight:g}" for weight in weights]
    axis.set_yticks(range(0, len(weights), every), names[::every])
    if columns > 1:
        axis.set_xticks(range(0, len(weights), every), names[::every])
    else:
        axis.set_xticks([])


def _places(values: pd.Series, weights: np.ndarray) -> np.ndarray:
    """Return where weights stand on the axis, between two candidates in proportion."""
    return np.interp(values.to_numpy(dtype=float), weights, np.arange(len(weights)))


def _placed(panels: Sequence[str], keys: Sequence[tuple[Any, ...]]) -> list[Panel]:
    """Return settings and shots across, a row for each data set and backbone."""
    cells = [dict(zip(panels, key, strict=True)) for key in keys]
    cells_across = [(cell["setting"], cell["shots"]) for cell in cells]
    settings = list(dict.fromkeys(setting for setting, _ in cells_across))
    columns = sorted(
        dict.fromkeys(cells_across), key=lambda cell: (settings.index(cell[0]), cell[1])
    )
    downs = [
        tuple(cell[key] for key in panels if key not in ("setting", "shots")) for cell in cells
    ]
    rows = list(dict.fromkeys(downs))
    found = []
    for cell, down in zip(cells_across, downs, strict=True):
        setting, shots = cell
        name = in_figure(setting) + (f"\n{counted(shots, 'shots')}" if shots else "\n")
        place = f"{in_figure(down[-1])}\n" if len(rows) > 1 else ""
        empty = pd.DataFrame()
        found.append(Panel(place + name, empty, rows.index(down), columns.index(cell)))
    if len(rows) == 1:
        found = [p._replace(row=p.column // 4, column=p.column % 4) for p in found]
    return found
