"""The main results: settings x shots x data sets, every component and every kind of weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from dmn.config import Config
from dmn.evaluation.contract import EXPERIMENT, Measurement, Report, StudyData, StudyOptions
from dmn.report.comparisons import (
    CELL,
    PLACE,
    SUBJECTS,
    cell_words,
    differences,
    gains,
    in_order,
    kind,
    said,
    text_words,
    verdict,
    where,
    with_most_shots,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TITLE = "Main results"
QUESTION = "How much does each memory add to text alone, and how much is the weight search?"
NEEDS = ("projection",)
READS = EXPERIMENT
TABLES = ("main", "optimism", "beside_the_paper")
FIGURES = ("accuracy_against_shots", "accuracy_along_stream")
COMPARISONS = [
    (f"{first} - {second}", kind("fused", first), kind("fused", second))
    for first, second in (
        ("oracle", "validation"),
        ("oracle", "fixed"),
        ("validation", "fixed"),
    )
]


class Options(StudyOptions):
    """How the course of accuracy along the stream is recorded."""

    checkpoints: int = Field(
        20, ge=2, le=200, description="points of the stream, evenly spaced, the end included"
    )


def measure(
    data: StudyData, config: Config, options: Options, order_seeds: Sequence[int]
) -> Measurement:
    """Run every cell over the orders; keep each component's answer for every sample."""
    import pandas as pd

    from dmn.evaluation.experiment import Experiment, cell_name, run_all, study_cells

    rows: list[dict[str, Any]] = []
    samples: dict[str, np.ndarray] = {
        "labels": data.test.labels.astype(np.int16),
        "order_seeds": np.asarray(order_seeds, dtype=np.int64),
    }
    experiments = [Experiment(data, config, cell) for cell in study_cells(data, config)]
    for experiment, (runs,) in zip(experiments, run_all(experiments, order_seeds), strict=True):
        samples["orders"] = np.stack([run.order for run in runs]).astype(np.int32)
        for run in runs:
            rows += run.accuracy_rows(seen=0) + run.weight_rows(seen=0)
            rows += run.course_rows(options.checkpoints)
        name = cell_name(experiment.cell)
        for names in runs[0].kinds():
            answers = np.stack([run.answers(*names) for run in runs])
            samples["/".join([name, *names])] = answers.astype(np.int16)
        samples[f"{name}/pseudo_label"] = runs[0].pseudo_label.astype(np.int16)
        samples[f"{name}/entropy"] = runs[0].entropy.round(4).astype(np.float32)
    return Measurement(pd.DataFrame(rows), samples)


def report(
    rows: pd.DataFrame, samples: Mapping[Any, Mapping[str, np.ndarray]], options: Options
) -> Report:
    """Tabulate every cell, the oracle's optimism, and draw accuracy against shots and time."""
    from dmn.evaluation.statistics import summarise
    from dmn.report.published import beside_the_paper, closeness
    from dmn.report.tables import describe

    whole = rows[rows["metric"] == "accuracy"]
    table = in_order(summarise(whole, [*CELL, "component", "weights"]))
    main = describe(
        table,
        "Accuracy of each component and of the fusion, by setting and shots.",
        best="max",
        within=CELL,
        unit="%",
    )
    optimism = differences(whole, CELL, COMPARISONS)
    if not optimism.empty:
        optimism = describe(
            optimism,
            "What a weight search on test labels adds: paired differences of accuracy.",
            unit="points",
        )
    figures = {
        "accuracy_against_shots": _against_shots(table),
        "accuracy_along_stream": _along_stream(rows),
    }
    beside = beside_the_paper(rows)
    tables = {"main": main, "optimism": optimism, "beside_the_paper": beside}
    return Report(tables, figures, _findings(whole, optimism) + closeness(beside))


def _against_shots(table: pd.DataFrame) -> Figure:
    import pandas as pd

    from dmn.report import figures

    # zero-shot is the common start of both few-shot settings
    start = table[table["setting"] == "zero_shot"]
    panels = [table[table["setting"] == s] for s in ("training_free", "few_shot")]
    drawn = [
        pd.concat([start.assign(setting=part["setting"].iloc[0]), part])
        for part in panels
        if not part.empty
    ]
    return figures.lines(
        in_order(pd.concat(drawn or [start], ignore_index=True), []),
        "shots",
        caption="Accuracy against shots per class. 0 shots is the zero-shot setting.",
        panels=[*PLACE, "setting"],
        x_label="shots per class",
        table="main",
    )


def _along_stream(rows: pd.DataFrame) -> Figure:
    from dmn.evaluation.statistics import summarise
    from dmn.report import figures

    part = rows[rows["metric"] == "accuracy_so_far"]
    part = part[part["weights"] != "fixed"]
    course = summarise(with_most_shots(part), [*CELL, "component", "weights", "seen"])
    return figures.lines(
        in_order(course, ["setting"]),
        "seen",
        caption="Accuracy on all images so far, along the stream; with the most shots where "
        "the setting has shots. Bands are 95% intervals.",
        panels=[*PLACE, "setting"],
        x_label="test images seen",
        scale="linear",
        band=True,
    )


def _findings(whole: pd.DataFrame, optimism: pd.DataFrame) -> list[str]:
    table = gains(whole, CELL)
    if table.empty:
        return []
    sentences = []
    for row in with_most_shots(table).to_dict("records"):
        names = row["component"], row["weights"]
        if names[1] != "oracle":
            sentences.append(
                f"{where(row)}, {cell_words(row)}: {SUBJECTS[names]} {verdict(row)} against "
                f"{text_words(row)}, {said(row, ' points', signed=True)}."
            )
    for row in optimism.to_dict("records"):
        if row["comparison"] == COMPARISONS[0][0]:
            sentences.append(
                f"{where(row)}, {cell_words(row)}: weights searched on test labels look "
                f"{said(row, ' points', signed=True)} better than weights chosen on validation "
                "images: the oracle's optimism."
            )
    return sentences
