"""Calibration: whether the probabilities of each component and of the fusion mean what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from dmn.config import Config
from dmn.evaluation import metrics
from dmn.evaluation.answers import SPREAD, pack
from dmn.evaluation.contract import EXPERIMENT, Measurement, Report, StudyData, StudyOptions
from dmn.evaluation.summaries import summarise
from dmn.report import drawing
from dmn.report.comparisons import (
    CELL,
    LEVEL,
    PLACE,
    differences,
    in_order,
    leader,
    span,
    with_level,
)
from dmn.report.headline import leads
from dmn.report.tables import describe
from dmn.report.words import INFLUENCE, cell_words, leading, said, verdict, where, words

if TYPE_CHECKING:
    from dmn.evaluation.run import Kind, Run

TITLE = "Calibration"
QUESTION = "How far can the probabilities of each component be trusted?"
NEEDS = ("projection",)
READS = EXPERIMENT
TABLES = ("calibration",)
FIGURES = ("reliability", "calibration_error")


class Options(StudyOptions):
    """How calibration is measured."""

    bins: int = Field(15, ge=2, le=100, description="bins of confidence, of equal width")
    max_orders: int = Field(10, ge=1, description="order seeds of a group that are used, at most")


def measure(
    data: StudyData, config: Config, options: Options, order_seeds: Sequence[int]
) -> Measurement:
    """Measure ECE, NLL, Brier score and reliability in the largest cell of each setting."""
    from dmn.evaluation.experiment import Experiment, largest, study_cells

    found = list(study_cells(data, config))
    rows: list[dict[str, Any]] = []
    for setting in ("zero_shot", "training_free", "few_shot"):
        cell = largest(found, setting)
        if cell is None:
            continue
        experiment = Experiment(data, config, cell, whole=True)
        own: list[tuple[Kind, dict[str, Any]]] = []
        added: dict[tuple[Kind, str], list[np.ndarray]] = {}
        for runs in experiment.groups(order_seeds[: options.max_orders]):
            while runs:
                # its probabilities go before the next group's come
                _measure(runs.pop(0), options.bins, own, added)
        # what each image adds to a measure, [N], in the mean of the runs
        spread = {key: np.mean(values, axis=0) for key, values in added.items()}
        rows += [row | {SPREAD: spread.get((kind, row["metric"]))} for kind, row in own]
    return pack(rows, len(data.test))


def _measure(
    run: Run,
    bins: int,
    own: list[tuple[Kind, dict[str, Any]]],
    added: dict[tuple[Kind, str], list[np.ndarray]],
) -> None:
    """Add a run's rows to `own`, and what each image adds to a measure to `added`."""
    for kind in run.kinds():
        outcomes = run.outcomes(*kind)
        own += [(kind, row) for row in _rows(run.keys(kind), outcomes, bins)]
        for metric, values in _added(outcomes, bins).items():
            added.setdefault((kind, metric), []).append(values)


def _added(outcomes: metrics.Outcomes, bins: int) -> dict[str, np.ndarray]:
    """Return what each image adds to a measure, [N]."""
    return {
        "ece": metrics.gaps(outcomes, bins),
        "nll": metrics.nlls(outcomes),
        "brier": outcomes.distance,
    }


def _rows(keys: dict[str, Any], outcomes: metrics.Outcomes, bins: int) -> list[dict[str, Any]]:
    diagram = metrics.reliability(outcomes, bins)
    measured = {
        "ece": metrics.ece(outcomes, bins),
        "nll": metrics.nll(outcomes),
        "brier": metrics.brier(outcomes),
        "confidence": float(outcomes.confidence.mean()),
        "accuracy": 100 * metrics.accuracy(outcomes),
    }
    rows = [
        keys | {"metric": name, "value": value, "n": len(outcomes), "bin": -1}
        for name, value in measured.items()
    ]
    for b in np.flatnonzero(diagram.count):
        for name, value in (
            ("bin_accuracy", diagram.accuracy[b]),
            ("bin_confidence", diagram.confidence[b]),
        ):
            rows.append(
                keys | {"metric": name, "value": value, "n": int(diagram.count[b]), "bin": int(b)}
            )
    return rows


def report(
    rows: pd.DataFrame, samples: Mapping[Any, Mapping[str, np.ndarray]], options: Options
) -> Report:
    """Tabulate the calibration measures and draw reliability diagrams."""
    keys = [*CELL, "component", "weights"]
    measured = rows[rows["metric"].isin(["ece", "nll", "brier"])]
    table = summarise(measured, [*keys, "metric"])
    error = in_order(table[(table["metric"] == "ece") & (table["weights"] != "oracle")])
    percent = error.assign(**{c: 100 * error[c] for c in ("mean", "low", "high")})
    drawn = {
        "reliability": drawing.reliability(
            _drawn(_bins(rows, keys)),
            caption="Accuracy against confidence in bins; a mark's area is its share of the "
            "answers. Fused scores are divided by their sum.",
            panels=[*(k for k in PLACE if rows[k].nunique() > 1), "setting"],
            table="calibration",
        ),
        "calibration_error": drawing.dots(
            percent,
            "setting",
            caption=f"Expected calibration error over {options.bins} bins; less is better.",
            x_label="expected calibration error (%)",
            table="calibration",
        ),
    }
    printed = describe(
        with_level(table, measured, [*CELL, "metric"], ["component", "weights"], largest=False),
        "Calibration: expected calibration error (ECE), negative log-likelihood in nats (NLL) and "
        "Brier score. Less is better.",
        best="min",
        within=[*CELL, "metric"],
        level=LEVEL,
        decimals=3,
    )
    return Report(
        {"calibration": printed}, drawn, _findings(rows, options.smallest_difference / 100)
    )


def _bins(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return accuracy, confidence in percent and share of the answers of each bin, all runs."""
    part = rows[rows["metric"].isin(["bin_accuracy", "bin_confidence"])]
    part = part.assign(total=part["value"] * part["n"])
    sums = part.groupby([*keys, "bin", "metric"], sort=False)[["total", "n"]].sum().reset_index()
    wide = sums.pivot(index=[*keys, "bin"], columns="metric", values=["total", "n"])
    count = wide["n"]["bin_accuracy"]
    share = count / count.groupby(level=list(range(len(keys)))).transform("sum")
    table = wide["total"].div(count, axis=0).mul(100).assign(share=share).reset_index()
    table = table.rename(columns={"bin_accuracy": "accuracy", "bin_confidence": "confidence"})
    table.columns.name = None
    order = sums[keys].drop_duplicates().reset_index(drop=True)
    return order.merge(table, on=keys, how="left")


def _drawn(bins: pd.DataFrame) -> pd.DataFrame:
    """Return the bins without the oracle and fixed weights, and without text drawn again."""
    again = (bins["component"] == "text") & (bins["setting"] == "training_free")
    return bins[~again & bins["weights"].isin(["none", "validation"])]


def _findings(rows: pd.DataFrame, least: float) -> list[str]:
    error = rows[(rows["metric"] == "ece") & (rows["weights"] != "oracle")]
    kinds = zip(error["component"], error["weights"], strict=True)
    named = error.assign(kind=[_named(*kind) for kind in kinds])
    fused, text = ({"kind": _named(*own)} for own in (("fused", "validation"), ("text", "none")))
    fallen = differences(named, CELL, [("fall", text, fused)])
    if len(fallen):
        fallen[["mean", "low", "high"]] *= 100
    sentences = leads(
        fallen, "the fusion with validation weights, as a fall of text's error,", 100 * least
    )
    for names, part in named.groupby(CELL, sort=False):
        place = dict(zip(CELL, names, strict=True))
        begin = f"{where(place)}, {cell_words(place)}"
        found = leading(leader(part, "kind", largest=False), least, "the best calibrated", "", 3)
        sentences.append(f"{begin}: by the expected calibration error, {found}.")
        if far := span(part, "kind"):
            sentences.append(
                f"{begin}: the component {verdict(far.row, least, INFLUENCE)} to the expected "
                f"calibration error: from {far.low}, the lowest, to {far.high}, the highest, "
                f"{said(far.row, '', True, 3, far.comparisons)}."
            )
    return sentences


def _named(component: str, weights: str) -> str:
    return component if weights == "none" else f"{component} with {words(weights)} weights"
