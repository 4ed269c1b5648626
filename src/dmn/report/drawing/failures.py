"""The figures of the study of failure modes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dmn.report import drawing
from dmn.report.comparisons import CELL, DYNAMIC, LEADING, PLACE, gains, only
from dmn.report.drawing.fonts import shown_or_index
from dmn.report.explorer.stories import gathered
from dmn.report.words import COINCIDE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 8  # classes drawn at each end
NO_PICTURES = "These features came without images."
BESIDE = 4  # pictures turned right, and wrong, of each of several data sets


def failure_figures(
    rows: pd.DataFrame, samples: Any, purity: pd.DataFrame, classes: pd.DataFrame
) -> dict[str, Figure]:
    """Draw purity, gains by class and along the stream, and the images that turned."""

    panels = [*PLACE, "setting"]
    windows = rows[rows["metric"] == "accuracy_so_far"]
    course = gains(windows, [*CELL, "seen"], LEADING)
    dynamic = only(classes, **DYNAMIC)
    order = dynamic.groupby("class_name", sort=False)["mean"].mean().sort_values(kind="stable")
    ranks = {name: rank for rank, name in enumerate(order.index)}
    called = _called(rows)
    if len(ranks) > 2 * SHOWN:
        ends = [*order.index[:SHOWN], *order.index[-SHOWN:]]
        dynamic = dynamic[dynamic["class_name"].isin(ends)]
    # classes from loss to gain in every panel, settings as they stand
    parts = [part for _, part in dynamic.groupby("setting", sort=False)]
    shown = pd.concat(
        [p.iloc[np.argsort([ranks[n] for n in p["class_name"]], kind="stable")] for p in parts]
    )
    shown["class_name"] = [
        called[dataset][name]
        for dataset, name in zip(shown["dataset"], shown["class_name"], strict=True)
    ]
    return {
        "purity_along_stream": drawing.lines(
            _differing(purity),
            "seen",
            series=["metric"],
            caption="Purity: share of filled slots whose image is of the slot's class; beside it "
            "the share of right pseudo-labels so far, which an unlimited memory would hold. "
            "Settings that agree are drawn once.",
            panels=panels,
            x_label="test images seen",
            y_label="share (%)",
            scale="linear",
            band=True,
            table="poison",
        ),
        "gain_by_class": drawing.dots(
            shown,
            "class_name",
            caption="Gain of the dynamic memory alone over text alone, by class.",
            panels=panels,
            x_label="gain over text alone (points)",
            reference=0.0,
            table="classes",
        ),
        "gain_along_stream": drawing.lines(
            course,
            "seen",
            caption="Gain over text alone on all images so far: the start is cold where it is "
            "below the end.",
            panels=panels,
            x_label="test images seen",
            y_label="gain over text alone (points)",
            scale="linear",
            band=True,
            reference=0.0,
            table="cold_start",
        ),
        "turned_samples": _gallery(samples, called),
    }


def _differing(purity: pd.DataFrame) -> pd.DataFrame:
    """Return the first setting of each place, and the others where their means differ from it."""
    parts: list[pd.DataFrame] = []
    for _, place in purity.groupby(PLACE, sort=False):
        first: np.ndarray | None = None
        for _, own in place.groupby("setting", sort=False):
            means = own["mean"].to_numpy(dtype=float)
            if first is None or len(means) != len(first) or np.abs(means - first).max() > COINCIDE:
                parts.append(own)
            first = means if first is None else first
    return pd.concat(parts) if parts else purity


def _called(rows: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return what figures call each class, by data set and class name."""
    every = rows[rows["metric"] == "wrong_entries"].groupby("dataset", sort=False)
    return {str(name): shown_or_index(own["class_name"].unique()) for name, own in every}


def _gallery(samples: Any, called: Mapping[str, Mapping[str, str]]) -> Figure:
    """Draw the images that the zero-shot memory turned right and wrong, of every data set.

    Of several data sets and backbones each has fewer, and its pictures say whose they are.
    """
    first: dict[tuple[str, str], Mapping[str, np.ndarray]] = {}
    for (dataset, backbone, *_), arrays in samples.items():
        first.setdefault((dataset, backbone), arrays)
    pictures: list[np.ndarray] = []
    titles: list[str] = []
    for (dataset, backbone), arrays in first.items():
        begin = f"{dataset} ({backbone})\n" if len(first) > 1 else ""
        names = list(called[dataset].values())
        for picture, title in _turned(arrays, names, BESIDE if begin else None):
            pictures.append(picture)
            titles.append(begin + title)
    alone = f"{next(iter(first))[0]}: images" if len(first) == 1 else "Images"
    caption = (
        f"{alone} that the dynamic memory alone most often turned right or wrong "
        "against text alone; true class, then both answers."
    )
    stories = gathered(samples)
    bare = bool(stories) and not any(place.pictures for place in stories)
    plot = drawing.gallery(pictures, titles, caption=caption, empty=NO_PICTURES if bare else "")
    plot.stories = stories
    return plot


def _turned(
    arrays: Mapping[str, np.ndarray], names: list[str], most: int | None
) -> Iterator[tuple[np.ndarray, str]]:
    """Yield pictures of one data set, `most` of those turned right and of those turned wrong."""
    cell = min((n.removesuffix("/text") for n in arrays if n.endswith("/text")), key=len)
    labels, before, after = (arrays[k] for k in ("labels", f"{cell}/text", f"{cell}/dynamic"))
    for turned in ("right", "wrong"):
        shown = arrays.get(f"{cell}/turned_{turned}_pictures", ())[:most]
        chosen = arrays[f"{cell}/turned_{turned}"][: len(shown)]
        for row, picture in zip(chosen, shown, strict=True):
            label, answers = labels[row], after[:, row]
            # of the orders, those in which it did turn
            usual = np.bincount(answers[(answers == label) == (turned == "right")]).argmax()
            yield picture, f"{turned}: {names[label]}\n{names[before[row]]} to {names[usual]}"
