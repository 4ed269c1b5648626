"""Critical-difference diagrams (Demsar 2006): average ranks, and which methods are not apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from dmn.report.drawing.panels import combinations, finish, nothing, select
from dmn.report.drawing.style import INK, Plot, marks, new_figure
from dmn.report.words import cell_words, in_figure

PANELS = ("backbone", "setting", "shots")
WIDTH, HEIGHT, ROW = 4.6, 0.85, 0.13  # inches of a panel, and more for each method
BAR = 1.8  # points


def critical_difference(
    rows: pd.DataFrame,
    *,
    caption: str,
    reason: str,
    name: str = "method",
    table: str | None = None,
) -> Plot:
    """Draw average ranks of each panel, bars joining methods that Nemenyi's test leaves together.

    rows: as `average_ranks` gives them. Panels without a test draw no bar. reason: what stands
    there without rows.
    """
    if rows.empty:
        return nothing(caption, reason)
    from scikit_posthocs import critical_difference_diagram

    found = combinations(rows, PANELS)
    most = max(len(select(rows, PANELS, group)) for group in found)
    height = HEIGHT + ROW * most
    plot, axes = new_figure(WIDTH, height * len(found), len(found), 1)
    for axis, group in zip(axes[:, 0], found, strict=True):
        own = select(rows, PANELS, group)
        labels = [in_figure(method) for method in own[name]]
        tested = own["critical_difference"].notna().all()
        apart = [set(text.split("; ")) for text in own["apart"]]
        together = [[float(tested and m not in others) for m in own[name]] for others in apart]
        colors = [mark.color for mark in marks([(method,) for method in own[name]])]
        drawing = critical_difference_diagram(
            dict(zip(labels, own["average_rank"], strict=True)),
            pd.DataFrame(together, index=labels, columns=labels),
            ax=axis,
            color_palette=dict(zip(labels, colors, strict=True)),
            label_fmt_left="{label}, {rank:.2f}",
            label_fmt_right="{label}, {rank:.2f}",
            text_h_margin=0.06 * len(own),
            label_props={"fontsize": 6.5},
            marker_props={"s": 8},
            elbow_props={"linewidth": 0.9},
            crossbar_props={"color": INK, "linewidth": BAR},
        )
        for (bar,) in drawing["crossbars"]:
            # it visits its methods in the order of a set, another in every process
            (low, high), y = (np.min(bar.get_xdata()), np.max(bar.get_xdata())), bar.get_ydata()[0]
            bar.set_data([low, high], [y, y])
        axis.grid(visible=False)
        axis.spines["top"].set_visible(True)
        axis.set(xlim=(1, len(own)), xticks=range(1, len(own) + 1))
        axis.set_title(_title(own.iloc[0], rows["backbone"].nunique() > 1), pad=14)
    drawn = rows.rename(columns={"average_rank": "mean"})
    return finish(plot, drawn, [*PANELS, name], caption, "average rank", table)


def _title(row: Any, several: bool) -> str:
    place = f"{in_figure(row['backbone'])}, " if several else ""
    difference = row["critical_difference"]
    told = "" if difference != difference else f"\ncritical difference {difference:.2f}"
    return f"{place}{cell_words(row)}{told}"
