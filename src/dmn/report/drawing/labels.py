"""Names of the series in a figure: at the ends of their lines, or in one row above all panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import offset_copy

from dmn.report.drawing.style import PAGE, Mark, Plot

Form = Literal["line", "dot", "bar"]
LINE_HEIGHT = 1.25  # distance of two labels, in font sizes
POINTS = 72.0


def spread_apart(wanted: Sequence[float], distance: float, low: float, high: float) -> np.ndarray:
    """Return positions near `wanted`, in the same order, at least `distance` apart.

    They stay between `low` and `high` where there is room. Blocks of crowded labels are centred on
    the mean of what they wanted.
    """
    order = np.argsort(np.asarray(wanted, dtype=float), kind="stable")
    blocks: list[list[float]] = []  # start of the first label, number of labels
    for value in np.asarray(wanted, dtype=float)[order]:
        blocks.append([value, 1.0])
        while len(blocks) > 1 and blocks[-1][0] - _end(blocks[-2], distance) < distance:
            last = blocks.pop()
            first = blocks[-1]
            total = first[1] + last[1]
            # a label wants `value`; the block's start is the mean of the starts that all want
            start = (first[0] * first[1] + (last[0] - distance * first[1]) * last[1]) / total
            blocks[-1] = [start, total]
    placed = [start + distance * i for start, count in blocks for i in range(int(count))]
    positions = np.empty(len(placed))
    positions[order] = _inside(np.array(placed), distance, low, high)
    return positions


def _end(block: list[float], distance: float) -> float:
    return block[0] + distance * (block[1] - 1)


def _inside(placed: np.ndarray, distance: float, low: float, high: float) -> np.ndarray:
    """Push sorted positions below `high`, then above `low`, keeping their distance."""
    for i in range(len(placed) - 1, -1, -1):
        above = placed[i + 1] - distance if i + 1 < len(placed) else high
        placed[i] = min(placed[i], above)
    for i in range(len(placed)):
        below = placed[i - 1] + distance if i else low
        placed[i] = max(placed[i], below)
    return placed


def label_ends(plot: Plot, axis: Any, drawn: Sequence[Mark]) -> None:
    """Write each line's name at its right end; a thin leader joins a label that had to move."""
    names = {how.label: how for how in drawn}
    lines = [line for line in axis.get_lines() if line.get_label() in names]
    ends = [(line.get_xdata()[-1], line.get_ydata()[-1]) for line in lines]
    right = max((x for x, _ in ends), default=0.0)
    low, high = axis.get_ylim()
    size = axis.yaxis.label.get_size()
    # the height of the axes in points is not known before layout; about 70% of the figure
    points = plot.get_figheight() * POINTS * 0.7
    distance = (high - low) * size * LINE_HEIGHT / points
    places = spread_apart([y for _, y in ends], distance, low, high)
    axis.set_ylim(low, high)
    beside = offset_copy(axis.transAxes, fig=plot, x=size * 1.2, units="points")
    for line, (x, y), place in zip(lines, ends, places, strict=True):
        how = names[line.get_label()]
        moved = abs(place - y) > 0.3 * distance or x != right
        leader = {
            "arrowstyle": "-",
            "color": how.color,
            "linewidth": 0.5,
            "shrinkA": 0,
            "shrinkB": 3,
            "relpos": (0.0, 0.5),
        }
        axis.annotate(
            how.label,
            xy=(x, y),
            xytext=(1.0, (place - low) / (high - low)),
            textcoords=beside,
            color=_readable(how),
            fontsize=size - 0.5,
            va="center",
            arrowprops=leader if moved else None,
            annotation_clip=False,
        )


def _readable(how: Mark) -> str:
    """Return a colour dark enough for text: light marks are named in ink."""
    red, green, blue = (int(how.color[i : i + 2], 16) for i in (1, 3, 5))
    return how.color if 0.299 * red + 0.587 * green + 0.114 * blue < 140 else "#222222"


def legend_above(plot: Plot, axis: Any, drawn: Sequence[Mark], form: Form = "line") -> None:
    """Set one legend over all panels, in rows that fit the figure's width."""
    del axis
    if form == "bar":
        handles: list[Any] = [Patch(label=how.label, **how.bar_options()) for how in drawn]
    else:
        lines = {"linestyle": "none"} if form == "dot" else {}
        options = [how.line_options() | lines | {"label": how.label} for how in drawn]
        handles = [Line2D([], [], **option) for option in options]
    # width of an entry: handle, gaps and letters of about half the font size
    entry = max(len(how.label) for how in drawn) * 0.055 + 0.5
    columns = max(1, min(len(drawn), int(min(plot.get_figwidth(), PAGE) / entry)))
    plot.legend(handles=handles, loc="outside upper left", ncols=columns, borderaxespad=0.2)
