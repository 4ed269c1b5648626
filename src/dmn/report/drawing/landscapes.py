"""The grid of fusion weights: accuracy below its best, and the weights that each kind chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dmn.report.drawing.labels import legend_above
from dmn.report.drawing.panels import axis_labels, combinations, finish, grid, nothing
from dmn.report.drawing.style import Mark, Plot, in_order, marks
from dmn.report.words import counted, in_figure

if TYPE_CHECKING:
    import pandas as pd

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
    plot, axes = grid(len(grids), None, 2.0)
    image: Any = None
    for axis, (key, (weights, accuracy)) in zip(axes, grids.items(), strict=True):
        below = accuracy - accuracy.max()
        image = axis.imshow(
            below, cmap="cividis", vmin=-DEEPEST, vmax=0, aspect="auto", origin="lower"
        )
        _ticks(axis, weights, accuracy.shape[1])
        own = chosen[(chosen[list(panels)] == list(key)).all(axis=1)]
        _mark(axis, own, names, drawn, weights, accuracy.shape[1] > 1)
        axis.set_title(_title(panels, key))
        axis.grid(visible=False)
    bar = plot.colorbar(image, ax=list(axes), shrink=0.9, pad=0.02, extend="min")
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


def _ticks(axis: Any, weights: np.ndarray, columns: int) -> None:
    every = max(1, len(weights) // 4)
    names = [f"{weight:g}" for weight in weights]
    axis.set_yticks(range(0, len(weights), every), names[::every])
    if columns > 1:
        axis.set_xticks(range(0, len(weights), every), names[::every])
    else:
        axis.set_xticks([])


def _places(values: pd.Series, weights: np.ndarray) -> np.ndarray:
    """Return where weights stand on the axis, between two candidates in proportion."""
    return np.interp(values.to_numpy(dtype=float), weights, np.arange(len(weights)))


def _title(panels: Sequence[str], key: Sequence[Any]) -> str:
    cell = dict(zip(panels, key, strict=True))
    shots = f", {counted(cell['shots'], 'shots')}" if cell.get("shots") else ""
    return in_figure(cell["setting"]) + shots
