"""What shifts do, in sentences made from the rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from dmn.evaluation.shifts.groups import WORST
from dmn.report.comparisons import CELL, PLACE, best, only, worst
from dmn.report.headline import everywhere
from dmn.report.shifts.tables import BOTH, MEMORY, PSEUDO_LABELS
from dmn.report.words import cell_words, listed, said, shortly, tally, variation, where, words


def shift_name(row: Any) -> str:
    """Return a shift in words: a corruption with its severity, or a group."""
    return f"{row['corruption']} {row['severity']}" if row["severity"] else str(row["corruption"])


def findings(
    dynamic: pd.DataFrame,
    written: pd.DataFrame,
    related: pd.DataFrame,
    lengths: pd.DataFrame,
    rows: pd.DataFrame,
    least: float,
) -> list[str]:
    """Return one sentence over all places, then those of each place."""
    shifted = dynamic[dynamic["corruption"] != "none"]
    sentences = [*_everywhere(shifted, least)]
    for names, part in shifted.groupby(CELL, sort=False):
        place = dict(zip(CELL, names, strict=True))
        start = f"{where(place)}, {cell_words(place)}"
        rows_of = part.assign(shift=[shift_name(row) for _, row in part.iterrows()])
        sentences.append(
            f"{start}: the dynamic memory alone against text alone "
            f"{tally(rows_of.to_dict('records'), 'shift', least)}."
        )
        if place["setting"] == "zero_shot":
            here = {key: place[key] for key in PLACE}
            sentences += _first_to_break(only(written, **here), start)
            sentences += _lengths(only(lengths, **here), start)
            sentences += _foretold(related, here, start)
        sentences += _extremes(part, start)
    return [*sentences, *_worst_groups(rows)]


def _everywhere(shifted: pd.DataFrame, least: float) -> Iterator[str]:
    """Yield one sentence of each setting over all places, where there are several."""
    for names, part in shifted.groupby(CELL[2:], sort=False):
        cell = dict(zip(CELL[2:], names, strict=True))
        yield from everywhere(
            part.assign(shift=[shift_name(row) for _, row in part.iterrows()]),
            "shift",
            f"{cell_words(cell).capitalize()}, under",
            "the dynamic memory alone against text alone",
            least,
        )


def _first_to_break(written: pd.DataFrame, start: str) -> Iterator[str]:
    """Yield which shifts break the pseudo-labels, and whether the memory holds there."""
    if written.empty:
        return

    def told(kind: str) -> list[str]:
        found = only(written, breaks=kind).sort_values("pseudo_label_accuracy")
        return [
            f"{shift_name(row)} ({row['pseudo_label_accuracy']:.0f} % "
            f"[{row['pseudo_low']:.0f}, {row['pseudo_high']:.0f}] right, gain {shortly(row)})"
            for _, row in found.iterrows()
        ]

    parts = [
        f"{what}, under {listed(told(kind))}"
        for kind, what in (
            (
                PSEUDO_LABELS,
                "most of what is written is wrong, and the memory does not clearly lose",
            ),
            (BOTH, "most of what is written is wrong, and the memory clearly loses to text"),
            (MEMORY, "the memory clearly loses although most of what is written is right"),
        )
        if told(kind)
    ]
    if not parts:
        low = written.iloc[int(written["pseudo_label_accuracy"].to_numpy().argmin())]
        parts = [
            "no shift breaks pseudo-labels or memory; fewest pseudo-labels are right under "
            f"{shift_name(low)}, {low['pseudo_label_accuracy']:.1f} % "
            f"[{low['pseudo_low']:.1f}, {low['pseudo_high']:.1f}]"
        ]
    over = variation(*written.to_dict("records")) or "over nothing"
    yield (
        f"{start}, what breaks first: {'; '.join(parts)} (of {len(written)} shifts; 95% intervals "
        f"{over})."
    )


def _lengths(lengths: pd.DataFrame, start: str) -> Iterator[str]:
    """Yield under how many shifts each length has the largest mean gain."""
    if lengths["length"].nunique() < 2:
        return
    shifts = lengths[lengths["corruption"] != "none"]
    leaders: dict[str, int] = {}
    for _, part in shifts.groupby(["corruption", "severity"], sort=False):
        # the shortest of equals
        top = part[part["mean"] >= part["mean"].max() - 1e-9]["length"].min()
        leaders[str(top)] = leaders.get(str(top), 0) + 1
    if leaders:
        ranked = sorted(leaders.items(), key=lambda pair: (-pair[1], int(pair[0])))
        told = listed([f"{length} slots ({count})" for length, count in ranked])
        yield (
            f"{start}: of {', '.join(map(str, lengths['length'].unique()))} slots a class, the "
            f"shortest with the largest mean gain is, by shifts, {told} (a count has no interval)."
        )


def _foretold(related: pd.DataFrame, here: dict[str, Any], start: str) -> Iterator[str]:
    """Yield how distances go with the gain over the shifts of a place."""
    if "distance" not in related:
        return
    own = only(related, **here).dropna(subset=["correlation"])
    if len(own) and own["shifts"].max() > 2:
        told = [
            f"{words(d)} {r:+.2f}" for d, r in zip(own["distance"], own["correlation"], strict=True)
        ]
        yield (
            f"{start}: over {own['shifts'].max()} shifts the gain's rank correlation is with "
            f"{listed(told, 10)}; there is no interval, as the shifts were chosen, not drawn."
        )


def _extremes(shifted: pd.DataFrame, start: str) -> list[str]:
    """Return in words under which shifts the gain is largest and least."""
    return [
        f"{start}: of {len(shifted)} shifts, the gain is {word} under {shift_name(row)}, where "
        f"text alone loses {row['text_drop']:.1f} points: {said(row, ' points', signed=True)}; the "
        "choice flatters it."
        for word, row in (("largest", best(shifted)), ("least", worst(shifted)))
    ]


def _worst_groups(rows: pd.DataFrame) -> Iterator[str]:
    """Yield how the worst group fares with and without the memory."""
    lowest = only(rows, metric=WORST)
    lowest = lowest[lowest["component"].isin(["text", "dynamic"])]
    for names, part in lowest.groupby([*CELL, "corruption"], sort=False):
        place = dict(zip([*CELL, "corruption"], names, strict=True))
        means = part.groupby("component")["value"].mean()
        if not np.isnan(means.get("dynamic", np.nan)):
            yield (
                f"{where(place)}, {cell_words(place)}: accuracy in the worst group by "
                f"{words(place['corruption'])} is {means['text']:.1f} % with text alone and "
                f"{means['dynamic']:.1f} % with the dynamic memory alone (chosen by its outcome, "
                "without an interval)."
            )
