"""Distribution shift: the dynamic memory's gain against how far images have moved.

A shift is a corruption of one severity, or a group of the test images such as a domain, a hospital
or a camera, against all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from dmn.config import Config
from dmn.digests import of_arrays
from dmn.evaluation.answers import counted, mask, pack
from dmn.evaluation.contract import (
    EXPERIMENT,
    Cell,
    Measurement,
    Part,
    Report,
    StudyData,
    StudyOptions,
)
from dmn.report import drawing
from dmn.report.comparisons import CELL, DYNAMIC, PLACE, gains, only
from dmn.report.shifts.findings import findings
from dmn.report.shifts.tables import (
    broken,
    distance_tables,
    group_table,
    length_gains,
    most_severe,
    moved,
)
from dmn.report.tables import describe

if TYPE_CHECKING:
    from dmn.evaluation.run import Run

TITLE = "Distribution shift"
QUESTION = "Does adapting to the test stream pay more, the further the images have moved?"
NEEDS = ("shifts",)
REQUIRES = ("shifts",)
READS = EXPERIMENT
TABLES = ("shift", "distances", "correlations", "pseudo_labels", "lengths", "groups")
FIGURES = (
    "gain_under_shift",
    "gain_against_distance",
    "gain_against_pseudo_labels",
    "gain_against_length",
)
CONFIGURED = "configured"  # the length of the memory in rows of the usual network
ZERO_SHOT = Cell("zero_shot")
OF_TEXT = {"component": "text", "weights": "none"}  # what distances belong to


class Options(StudyOptions):
    """How much of the design is run."""

    max_orders: int = Field(10, ge=1, description="order seeds of a group that are used, at most")
    lengths: list[int] = Field(
        [10, 50, 100, 200], description="slots a class that zero-shot runs again under each shift"
    )
    length_orders: int = Field(3, ge=1, description="order seeds of a group for these, at most")
    least_images: int = Field(
        10, ge=1, description="images of a group, below which it is not told apart"
    )


def measure(
    data: StudyData, config: Config, options: Options, order_seeds: Sequence[int]
) -> Measurement:
    """Run zero-shot and the largest training-free cell on every corruption, severity and group.

    Validation weights come from clean images: a deployed model has no others.
    """
    from dmn.evaluation.experiment import Experiment, largest, study_cells
    from dmn.evaluation.shifts.groups import group_rows

    found = list(study_cells(data, config))
    used = order_seeds[: options.max_orders]
    rows: list[dict[str, Any]] = []
    for cell in (largest(found, "zero_shot"), largest(found, "training_free")):
        if cell is None:
            continue
        experiment = Experiment(data, config, cell)
        for kind, severity, part in _parts(data):
            own: dict[str, Any] = {"corruption": kind, "severity": severity, "length": CONFIGURED}
            for run in experiment.runs(used, part):
                rows += run.accuracy_rows(**own)
                if kind == "none":
                    rows += group_rows(run, part, options.least_images, length=CONFIGURED)
    if found:
        rows += _without_split(data, config, options, tuple(used))
    return pack(rows, len(data.test))


def _parts(data: StudyData) -> Iterator[tuple[str, int, Part]]:
    """Yield the clean images, then each shifted copy."""
    yield "none", 0, data.test
    for kind, severity in sorted(data.shifts):
        yield kind, severity, data.shifts[kind, severity]


_KEPT: dict[Any, list[dict[str, Any]]] = {}


def _without_split(
    data: StudyData, config: Config, options: Options, seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """Return what belongs to no split: distances, zero-shot pseudo-labels and lengths.

    A job of several splits measures it once.
    """
    arrays = [part.views for _, _, part in _parts(data)]
    digest = of_arrays(np.array([data.logit_scale]), data.text, data.test.labels, *arrays)
    key = (digest, config.model_dump_json(), options.model_dump_json(), tuple(seeds))
    if key not in _KEPT:
        _KEPT.clear()
        rows = _distance_rows(data, options, seeds[0])
        for kind, severity, part in _parts(data):
            own = {"corruption": kind, "severity": severity}
            rows += _zero_shot_rows(data, config, options, seeds, part, own)
        _KEPT[key] = rows
    return _KEPT[key]


def _distance_rows(data: StudyData, options: Options, seed: int) -> list[dict[str, Any]]:
    """Return each distance of each shift from the clean images, of a group from all others."""
    from dmn.evaluation.shifts.distances import distances
    from dmn.evaluation.shifts.groups import group_name, groups_of

    clean = data.test.views[:, 0]
    pairs = [(kind, s, clean, part.views[:, 0]) for kind, s, part in _parts(data) if kind != "none"]
    for name, value, rows in groups_of(data.test, options.least_images):
        others = np.setdiff1d(np.arange(len(clean)), rows)
        if len(others) > 1:
            pairs.append((group_name(name, value), 0, clean[others], clean[rows]))
    keys = {"order_seed": seed} | ZERO_SHOT.keys() | OF_TEXT | {"length": CONFIGURED}
    return [
        keys
        | {
            "corruption": kind,
            "severity": severity,
            "metric": name,
            "value": value,
            "n": len(there),
        }
        for kind, severity, here, there in pairs
        for name, value in distances(here, there, data.text, data.logit_scale).items()
    ]


def _zero_shot_rows(
    data: StudyData,
    config: Config,
    options: Options,
    seeds: Sequence[int],
    part: Part,
    own: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return how right pseudo-labels are of what is written, and accuracy by memory length."""
    from dmn.evaluation.experiment import Experiment
    from dmn.evaluation.shifts.groups import group_name, groups_of

    experiment = Experiment(data, config, ZERO_SHOT, ())
    lengths = sorted(set(options.lengths))
    some = seeds[: options.length_orders]
    rows = []
    for run in experiment.runs(seeds, part):
        wrote, right = _written(run, config.model.length), run.pseudo_label == run.labels
        units = [(own, np.ones(len(part), dtype=bool))]
        if own["corruption"] == "none":
            units += [
                ({"corruption": group_name(name, value), "severity": 0}, mask(images, len(part)))
                for name, value, images in groups_of(part, options.least_images)
            ]
        for keys, among in units:
            if (wrote & among).any():
                row = run.keys(("dynamic", "none"), **keys, length=CONFIGURED)
                rows.append(row | counted("pseudo_label_accuracy", right, wrote & among))
    for length, runs in zip(lengths, experiment.runs_by_length(some, lengths, part), strict=True):
        for run in runs:
            rows += run.accuracy_rows(**own, length=str(length))
    return rows


def _written(run: Run, length: int | None) -> np.ndarray:
    """Say which images [N] of a run ever enter the memory."""
    return mask(run.order[run.schedule(length).stored], len(run.order))


def report(
    rows: pd.DataFrame, samples: Mapping[Any, Mapping[str, np.ndarray]], options: Options
) -> Report:
    """Tabulate gains over text alone under each shift, beside how far images have moved."""
    usual = only(rows, length=CONFIGURED)
    accuracy = only(usual, metric="accuracy")
    keys = [*CELL, "corruption", "severity"]
    table = gains(accuracy, keys).merge(moved(accuracy, keys), on=keys)
    leading = [*keys, "text_accuracy", "text_drop"]
    table = table[[*leading, *(c for c in table.columns if c not in leading)]]
    dynamic = only(table, **DYNAMIC)
    shifted = dynamic[dynamic["corruption"] != "none"]
    zero_shot = only(shifted, setting="zero_shot")
    beside, related = distance_tables(usual, zero_shot)
    written = broken(usual, zero_shot, options.smallest_difference)
    lengths = length_gains(rows[(rows["length"] != CONFIGURED) & (rows["metric"] == "accuracy")])
    groups = group_table(usual)
    drawn = {
        "gain_under_shift": drawing.lines(
            shifted[shifted["severity"] > 0],
            "severity",
            series=["corruption"],
            caption="Gain of the dynamic memory alone over text alone, by corruption and severity.",
            panels=[*PLACE, "setting"],
            y_label="gain over text alone (points)",
            scale="ordinal",
            reference=0.0,
            table="shift",
        ),
        "gain_against_distance": drawing.scatter(
            dynamic,
            "text_drop",
            "mean",
            series=["corruption"],
            caption="The same gain against how far the images have moved: the accuracy that text "
            "alone loses to the shift.",
            panels=[*PLACE, "setting"],
            x_label="loss of text alone (points)",
            y_label="gain over text alone (points)",
            reference=0.0,
            table="shift",
        ),
        "gain_against_pseudo_labels": drawing.scatter(
            written,
            "pseudo_label_accuracy",
            "mean",
            series=["corruption"],
            caption="The same gain, zero-shot, against how many of the images that are written "
            "have the right pseudo-label.",
            panels=PLACE,
            x_label="right pseudo-labels of what is written (%)",
            y_label="gain over text alone (points)",
            reference=0.0,
            table="pseudo_labels",
        ),
        "gain_against_length": drawing.lines(
            most_severe(lengths),
            "length",
            series=["corruption"],
            caption="The same gain, zero-shot, by the length of the memory, on clean images and "
            "under each corruption at its most severe.",
            panels=PLACE,
            x_label="slots a class",
            y_label="gain over text alone (points)",
            scale="ordinal",
            reference=0.0,
            table="lengths",
        ),
    }
    tables = {
        "shift": describe(
            table,
            "Gain over text alone under each shift, with the accuracy of text alone and what it "
            "loses to the shift.",
            unit="points",
        ),
        "distances": beside,
        "correlations": related,
        "pseudo_labels": describe(
            written,
            "Zero-shot: how many of the images that are written have the right pseudo-label, with "
            "a 95 % interval, beside the gain of the dynamic memory alone over text alone, and "
            "what the shift breaks: pseudo-labels, where most of what is written is clearly wrong, "
            "or the memory, where it clearly loses to text.",
            unit="points",
            labels={
                "pseudo_label_accuracy": "right pseudo-labels (%)",
                "pseudo_low": "low (%)",
                "pseudo_high": "high (%)",
            },
        ),
        "lengths": describe(
            lengths,
            "Zero-shot gain of the dynamic memory alone over text alone by slots a class.",
            unit="points",
        ),
        "groups": groups,
    }
    found = findings(dynamic, written, related, lengths, usual, options.smallest_difference)
    return Report(tables, drawn, found)
