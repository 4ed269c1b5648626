"""The main results: settings x shots x data sets, every component and every kind of weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from dmn.config import Config
from dmn.evaluation.answers import pack
from dmn.evaluation.contract import EXPERIMENT, Measurement, Report, StudyData, StudyOptions
from dmn.evaluation.summaries import summarise
from dmn.report import drawing
from dmn.report.across import across, across_table, across_words, with_most_shots_anywhere
from dmn.report.comparisons import (
    CELL,
    LEVEL,
    PLACE,
    SUBJECTS,
    differences,
    gains,
    in_order,
    kind,
    with_level,
    with_most_shots,
    worst_orders,
)
from dmn.report.headline import overall, placed
from dmn.report.overview import answer, overall_figure, overall_table
from dmn.report.published import beside_the_paper, closeness
from dmn.report.tables import describe
from dmn.report.words import cell_words, said, text_words, verdict, where

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dmn.evaluation.run import Run

TITLE = "Main results"
QUESTION = "How much does each memory add to text alone, and how much is the weight search?"
NEEDS = ("projection",)
READS = EXPERIMENT
TABLES = ("overall", "main", "optimism", "worst_orders", "across_data_sets", "beside_the_paper")
FIGURES = ("overall", "accuracy_against_shots", "accuracy_along_stream")
COMPARISONS = [
    (f"{first} - {second}", kind("fused", first), kind("fused", second))
    for first, second in (
        ("oracle", "validation"),
        ("oracle", "label_free"),
        ("oracle", "fixed"),
        ("label_free", "fixed"),
        ("validation", "fixed"),
    )
]
OPTIMISM = {
    COMPARISONS[0][0]: "weights chosen on validation images",
    COMPARISONS[1][0]: "weights found from the unlabelled stream",
}


class Options(StudyOptions):
    """How the course of accuracy along the stream is recorded."""

    checkpoints: int = Field(
        20, ge=2, le=200, description="points of the stream, evenly spaced, the end included"
    )


def measure(
    data: StudyData, config: Config, options: Options, order_seeds: Sequence[int]
) -> Measurement:
    """Run every cell over the orders; keep each component's answer for every sample."""
    from dmn.evaluation.experiment import Experiment, cell_name, run_all, study_cells

    rows: list[dict[str, Any]] = []
    samples: dict[str, np.ndarray] = {
        "labels": data.test.labels.astype(np.int16),
        "order_seeds": np.asarray(order_seeds, dtype=np.int64),
    }
    experiments = [Experiment(data, config, cell) for cell in study_cells(data, config)]
    found = run_all(experiments, order_seeds)
    for experiment, [runs] in zip(experiments, found, strict=True):
        samples["orders"] = np.stack([run.order for run in runs]).astype(np.int32)
        rows += [row for run in runs for row in _rows(run, options)]
        name = cell_name(experiment.cell)
        for names in runs[0].kinds():
            answers = np.stack([run.answers(*names) for run in runs])
            samples["/".join([name, *names])] = answers.astype(np.int16)
        samples[f"{name}/pseudo_label"] = runs[0].pseudo_label.astype(np.int16)
        samples[f"{name}/entropy"] = runs[0].entropy.round(4).astype(np.float32)
        # what compares the answers of this cell goes before the next cell's comes
        runs.clear()
    return pack(rows, len(data.test), samples)


def _rows(run: Run, options: Options) -> list[dict[str, Any]]:
    found = run.accuracy_rows(seen=0) + run.weight_rows(seen=0)
    return found + run.course_rows(options.checkpoints)


def report(
    rows: pd.DataFrame, samples: Mapping[Any, Mapping[str, np.ndarray]], options: Options
) -> Report:
    """Tabulate every cell, the oracle's optimism, and draw accuracy against shots and time."""
    whole = rows[rows["metric"] == "accuracy"]
    table = in_order(summarise(whole, [*CELL, "component", "weights"]))
    main = describe(
        with_level(table, whole, CELL, ["component", "weights"]),
        "Accuracy of each component and of the fusion, by setting and shots.",
        best="max",
        within=CELL,
        level=LEVEL,
        unit="%",
    )
    optimism = differences(whole, CELL, COMPARISONS)
    if not optimism.empty:
        optimism = describe(
            optimism,
            "What a weight search on test labels adds: paired differences of accuracy.",
            unit="points",
        )
    whole_run = overall(table, ["setting", "shots", "component", "weights"])
    figures = {
        "overall": overall_figure(whole_run, table),
        "accuracy_against_shots": _against_shots(table),
        "accuracy_along_stream": _along_stream(rows),
    }
    least = options.smallest_difference
    gained, worst = gains(whole, CELL), worst_orders(whole)
    over = across(gained, ["component", "weights"], least)
    beside = beside_the_paper(rows)
    tables = {
        "overall": overall_table(whole_run, table, whole, least),
        "main": main,
        "optimism": optimism,
        "worst_orders": _worst_table(worst),
        "across_data_sets": across_table(over, "Gain over text alone, across data sets."),
        "beside_the_paper": beside,
    }
    sentences = [*answer(gained, least), *_everywhere(gained, optimism, least)]
    sentences += [*_across(over, least), *_findings(gained, optimism, least), *_worst(worst)]
    return Report(tables, figures, sentences + closeness(beside))


def _against_shots(table: pd.DataFrame) -> Figure:

    # zero-shot is the common start of both few-shot settings
    start = table[table["setting"] == "zero_shot"]
    panels = [table[table["setting"] == s] for s in ("training_free", "few_shot")]
    drawn = [
        pd.concat([start.assign(setting=part["setting"].iloc[0]), part])
        for part in panels
        if not part.empty
    ]
    whole = pd.concat(drawn or [start], ignore_index=True)
    if (whole["weights"] == "validation").any():
        whole = whole[~whole["weights"].isin(["fixed", "label_free"])]
    return drawing.lines(
        in_order(whole, []),
        "shots",
        caption="Accuracy against shots per class, drawn further apart near 100%. 0 shots is the "
        "zero-shot setting. Fixed and label-free weights are in the table.",
        panels=[*PLACE, "setting"],
        x_label="shots per class",
        odds=True,
        table="main",
    )


def _along_stream(rows: pd.DataFrame) -> Figure:
    part = rows[rows["metric"] == "accuracy_so_far"]
    part = part[part["weights"] != "fixed"]
    course = summarise(with_most_shots(part), [*CELL, "component", "weights", "seen"])
    return drawing.lines(
        in_order(course, ["setting"]),
        "seen",
        caption="Accuracy on all images so far, along the stream; with the most shots where "
        "the setting has shots. Bands are 95% intervals.",
        panels=[*PLACE, "setting"],
        x_label="test images seen",
        scale="linear",
        band=True,
    )


def _worst_table(worst: pd.DataFrame) -> pd.DataFrame:
    shown = ("all_orders", "worst_tenth", "worst_order")
    return describe(
        worst,
        "Accuracy over the orders of the stream, over the worst tenth of them, and in the worst: "
        "of each split and training, then the mean.",
        labels={name: f"{name.replace('_', ' ')} (%)" for name in shown} | {"n_orders": "orders"},
    )


def _everywhere(gained: pd.DataFrame, optimism: pd.DataFrame, least: float) -> list[str]:
    """Return what the dynamic memory, and the search on test labels, gain in all places."""
    if gained.empty:
        return []
    dynamic = gained[(gained["setting"] == "zero_shot") & (gained["component"] == "dynamic")]
    sentences = placed(dynamic, "Zero-shot, the dynamic memory alone against text alone", least)
    if not optimism.empty:
        searched = with_most_shots(optimism[optimism["comparison"] == COMPARISONS[0][0]])
        searched = searched[searched["setting"] == "training_free"]
        begin = "Training-free with the most shots, weights searched on test labels against"
        sentences += placed(searched, f"{begin} {OPTIMISM[COMPARISONS[0][0]]}", least)
    return sentences


def _across(over: pd.DataFrame, least: float) -> list[str]:
    return [
        across_words(row, SUBJECTS[row["component"], row["weights"]], text_words(row), least)
        for row in with_most_shots_anywhere(over).to_dict("records")
        if row["weights"] != "oracle"
    ]


def _worst(worst: pd.DataFrame) -> list[str]:
    own = worst[(worst["component"] == "dynamic") & (worst["n_orders"] > 1)]
    return [
        f"{where(row)}, {cell_words(row)}: in the worst tenth of {row['n_orders']} orders the "
        f"dynamic memory alone answers {row['worst_tenth']:.1f}% right, "
        f"{row['all_orders'] - row['worst_tenth']:.1f} points below the mean of all (no interval: "
        "they are chosen by their outcome)."
        for row in with_most_shots(own).to_dict("records")
    ]


def _findings(table: pd.DataFrame, optimism: pd.DataFrame, least: float) -> list[str]:
    if table.empty:
        return []
    sentences = []
    for row in with_most_shots(table).to_dict("records"):
        names = row["component"], row["weights"]
        if names[1] != "oracle":
            sentences.append(
                f"{where(row)}, {cell_words(row)}: {SUBJECTS[names]} {verdict(row, least)} against "
                f"{text_words(row)}, {said(row, ' points', signed=True)}."
            )
    for row in optimism.to_dict("records"):
        if row["comparison"] in OPTIMISM:
            sentences.append(
                f"{where(row)}, {cell_words(row)}: weights searched on test labels look "
                f"{said(row, ' points', signed=True)} better than {OPTIMISM[row['comparison']]}: "
                "the oracle's optimism."
            )
    return sentences
