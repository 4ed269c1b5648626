"""The audit of selection: what each way of choosing a method's settings gives, and claims.

Ways: released (the authors' settings for the data set, where they are not their fixed ones), fixed,
label_free, validation, other_data_sets, other_backbones, oracle. Two are looked up here, among the
answers that `dmn.peers.kept` kept: `other_data_sets` takes the candidate with the best mean on the
labelled test images of the other data sets (same backbone), `other_backbones` the one that is best
on the validation images of the same data set and split, seen by the other backbones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from dmn.evaluation.answers import COLUMN, COUNT, PERCENT, Answers
from dmn.evaluation.summaries import summarise
from dmn.peers.kept import Kept, read_kept
from dmn.report import drawing
from dmn.report.across import across, across_table
from dmn.report.comparisons import CELL, PLACE, differences, only, with_most_shots, worst
from dmn.report.tables import describe, empty
from dmn.report.words import cell_words, counted, said, where, words

if TYPE_CHECKING:
    from dmn.report.drawing.style import Plot

WAYS = (
    "released",
    "fixed",
    "label_free",
    "validation",
    "other_data_sets",
    "other_backbones",
    "oracle",
)
LOOKED_UP = ("other_data_sets", "other_backbones")
Samples = Mapping[Any, Mapping[str, np.ndarray]]


class Job(NamedTuple):
    """What one job kept of a method in a cell, and how many test images there are."""

    dataset: str
    backbone: str
    split: int
    images: int
    kept: Kept


def jobs_by_method(samples: Samples) -> dict[tuple[str, int, str], list[Job]]:
    """Return the jobs of each setting, number of shots and method."""
    found: dict[tuple[str, int, str], list[Job]] = {}
    for (dataset, backbone, split, _), arrays in samples.items():
        for kept in read_kept(arrays):
            job = Job(dataset, backbone, int(split), int(arrays[COUNT][0]), kept)
            found.setdefault((kept.setting, kept.shots, kept.method), []).append(job)
    return found


def by_other_data_sets(target: Job, jobs: Sequence[Job]) -> int | None:
    """Return the candidate that is best on the other data sets' test images, None without any."""
    shares: dict[str, list[np.ndarray]] = {}
    for job in jobs:
        if job.backbone == target.backbone and job.dataset != target.dataset:
            shares.setdefault(job.dataset, []).append(job.kept.shares(job.images))
    means = [np.mean(own, axis=0) for own in shares.values()]
    return _best(means)


def by_other_backbones(target: Job, jobs: Sequence[Job]) -> int | None:
    """Return the candidate that is best on the split's validation images by other backbones."""
    means = [
        job.kept.validation.mean(axis=0)
        for job in jobs
        if job.backbone != target.backbone
        and (job.dataset, job.split) == (target.dataset, target.split)
        and job.kept.validation is not None
    ]
    return _best(means)


def _best(means: Sequence[np.ndarray]) -> int | None:
    # rounded: whether two are equal is no matter of the order that they were added up in
    return int(np.mean(means, axis=0).round(9).argmax()) if len(means) else None


def with_transfers(accuracy: pd.DataFrame, samples: Samples) -> pd.DataFrame:
    """Return the rows of accuracy and, beside them, those of the ways that are looked up."""
    jobs = jobs_by_method(samples)
    place = ["setting", "shots", "method", "dataset", "backbone", "split_seed", "order_seed"]
    bounds = only(accuracy, weights="oracle")
    names = bounds[place].itertuples(index=False, name=None)
    known = dict(zip(names, bounds.to_dict("records"), strict=True))
    rows = [
        known[(*cell, job.dataset, job.backbone, job.split, seed)] | found
        for cell, own in jobs.items()
        for job in own
        for seed, found in _looked_up(job, own)
    ]
    return pd.concat([accuracy, pd.DataFrame(rows)], ignore_index=True) if rows else accuracy


def _looked_up(job: Job, jobs: Sequence[Job]) -> Iterator[tuple[int, dict[str, Any]]]:
    found = (by_other_data_sets(job, jobs), by_other_backbones(job, jobs))
    for way, candidate in zip(LOOKED_UP, found, strict=True):
        if candidate is None:
            continue
        for place, seed in enumerate(job.kept.orders.tolist()):
            bits = job.kept.bits(place, candidate)
            value = PERCENT * int(np.bitwise_count(bits).sum()) / job.images
            yield seed, {"weights": way, "value": value, COLUMN: Answers(job.images, bits)}


def optimism(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the oracle less each other way, and each way less fixed, paired, by cell and method.

    Where a way is measured in some orders only, the other side is taken in those.
    """
    found = []
    for method in rows["method"].unique():
        own = only(rows, method=method)
        ways = [way for way in WAYS if way in set(own["weights"])]
        pairs = [("oracle", way) for way in ways if way != "oracle"]
        pairs += [(way, "fixed") for way in ways if way not in ("fixed", "oracle")]
        for first, second in pairs if "oracle" in ways else ():
            both = _in_same_orders(own, first, second)
            sides = (f"{first} - {second}", {"weights": first}, {"weights": second})
            table = differences(both, CELL, [sides])
            if len(table):
                found.append(table.assign(method=method, weights=first, less=second))
    if not found:
        return pd.DataFrame()
    table = pd.concat(found, ignore_index=True)
    first_columns = [*CELL, "method", "weights", "less"]
    rest = [c for c in table.columns if c not in (*first_columns, "comparison")]
    order = rows[[*CELL, "method"]].drop_duplicates()
    return order.merge(table[[*first_columns, *rest]], on=[*CELL, "method"])


def _in_same_orders(rows: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    sides = [only(rows, weights=way) for way in (first, second)]
    if not {first, second} & set(LOOKED_UP):
        return pd.concat(sides)
    seeds = [*CELL, "split_seed", "order_seed"]
    shared = sides[0][seeds].drop_duplicates().merge(sides[1][seeds].drop_duplicates(), on=seeds)
    kept = set(shared.itertuples(index=False, name=None))
    both = pd.concat(sides)
    return both[[name in kept for name in both[seeds].itertuples(index=False, name=None)]]


def selection_tables(
    rows: pd.DataFrame, gaps: pd.DataFrame, least: float
) -> dict[str, pd.DataFrame]:
    """Return the accuracy of every way, and how far the oracle is above it, also across sets."""
    searched = rows.groupby([*CELL, "method"], sort=False)["weights"].transform(
        lambda own: "oracle" in set(own)
    )
    found = summarise(rows[searched], [*CELL, "method", "weights"])
    ways = {way: place for place, way in enumerate(WAYS)}
    found = found.assign(_way=found["weights"].map(ways)).dropna(subset="_way")
    cells = found[[*CELL, "method"]].drop_duplicates().reset_index(drop=True)
    found = cells.merge(found.sort_values("_way", kind="stable"), on=[*CELL, "method"])
    found = found.drop(columns="_way")
    over = across(gaps.rename(columns={"less": "than"}), ["method", "weights", "than"], least)
    labels = {"weights": "of", "less": "less", "than": "less"}
    gap_caption = (
        "What the search on test labels (oracle) is above each honest way of choosing, and each "
        "way above the fixed setting; paired by split, order and image."
    )
    return {
        "selection": describe(
            found,
            "Accuracy of every method with something to choose, by the way it is chosen. Released: "
            "the authors' setting for this data set, where it is not their fixed one. Other data "
            "sets: the best on their labels. Other backbones: the best on their validation images "
            "of this data set. Oracle: searched on the test labels.",
            spread="weights",
            labels={"weights": ""},
            unit="%",
        )
        if len(found)
        else empty("selection"),
        "optimism": describe(gaps, gap_caption, unit="points", labels=labels)
        if len(gaps)
        else empty("optimism"),
        "optimism_across": across_table(over, f"{gap_caption} Across data sets."),
    }


def selection_figures(gaps: pd.DataFrame) -> dict[str, Plot]:
    """Draw each way less fixed, with the most shots, where any method has something to choose."""
    if gaps.empty:
        return {}
    drawn = drawing.dots(
        with_most_shots(only(gaps, less="fixed")),
        "method",
        caption="Each way of choosing a method's settings, less its one fixed setting, with the "
        "most shots. What only the oracle gains is the search on test labels.",
        series=["weights"],
        panels=[*PLACE, "setting"],
        x_label="less the fixed setting (points)",
        reference=0.0,
        table="optimism",
    )
    return {"selection": drawn}


def selection_words(gaps: pd.DataFrame) -> list[str]:
    """Return for each place and setting which method's oracle flatters it most."""
    sentences: list[str] = []
    if gaps.empty:
        return sentences
    above = with_most_shots(only(gaps, weights="oracle"))
    for less in ("validation", *LOOKED_UP, "fixed"):
        for _, part in only(above, less=less).groupby([*PLACE, "setting"], sort=False):
            negated = part.assign(mean=-part["mean"])
            row = part.loc[worst(negated).name].to_dict()
            sentences.append(
                f"{where(row)}, {cell_words(row)}: of {counted(len(part), 'methods')}, the search "
                f"on test labels flatters {words(row['method'])} most against {_way(less)}, "
                f"{said(row, ' points', signed=True, among=len(part))}."
            )
    return sentences


def _way(way: str) -> str:
    told = {
        "validation": "a choice on validation images",
        "other_data_sets": "a choice on other data sets",
        "other_backbones": "a choice by other backbones' validation images",
    }
    return told.get(way, "the fixed setting")
