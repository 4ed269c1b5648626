"""Calibration: whether the probabilities of each component and of the fusion mean what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from dmn.config import Config
from dmn.evaluation.contract import EXPERIMENT, Measurement, Report, StudyData, StudyOptions
from dmn.report.comparisons import CELL, PLACE, best, cell_words, in_order, said, where, worst

if TYPE_CHECKING:
    import pandas as pd

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
    import pandas as pd

    from dmn.evaluation.experiment import Experiment, largest, study_cells
    from dmn.evaluation.moments import Moments

    found = list(study_cells(data, config))
    rows: list[dict[str, Any]] = []
    for setting in ("zero_shot", "training_free", "few_shot"):
        cell = largest(found, setting)
        if cell is None:
            continue
        used = order_seeds[: options.max_orders]
        for run in Experiment(data, config, cell).runs(used, measure=Moments):
            for kind in run.kinds():
                rows += _rows(run, kind, options.bins)
    return Measurement(pd.DataFrame(rows))


def _rows(run: Any, kind: tuple[str, str], bins: int) -> list[dict[str, Any]]:
    from dmn.evaluation import metrics

    judged = run.measured.judged(run.fronts, run.weights_of(*kind))
    diagram = metrics.reliability(judged, bins)
    measured = {
        "ece": metrics.calibration_error(diagram),
        "nll": metrics.nll(judged),
        "brier": metrics.brier(judged),
        "confidence": float(judged.confidence.mean()),
        "accuracy": 100 * int(judged.correct.sum()) / len(judged),
    }
    keys = run.keys(kind)
    rows = [
        keys | {"metric": name, "value": value, "n": len(judged), "bin": -1}
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
    from dmn.evaluation.statistics import summarise
    from dmn.report import figures
    from dmn.report.tables import describe

    keys = [*CELL, "component", "weights"]
    measured = rows[rows["metric"].isin(["ece", "nll", "brier"])]
    table = summarise(measured, [*keys, "metric"])
    error = in_order(table[(table["metric"] == "ece") & (table["weights"] != "oracle")])
    percent = error.assign(**{c: 100 * error[c] for c in ("mean", "low", "high")})
    drawn = {
        "reliability": figures.reliability(
            _drawn(_bins(rows, keys)),
            caption="Accuracy against confidence in bins; a mark's area is its share of the "
            "answers. Fused scores are divided by their sum.",
            panels=[*(k for k in PLACE if rows[k].nunique() > 1), "setting"],
            table="calibration",
        ),
        "calibration_error": figures.dots(
            percent,
            "setting",
            caption=f"Expected calibration error over {options.bins} bins; less is better.",
            x_label="expected calibration error (%)",
            table="calibration",
        ),
    }
    printed = describe(
        table,
        "Calibration: expected calibration error (ECE), negative log-likelihood in nats (NLL) and "
        "Brier score. Less is better.",
        best="min",
        within=[*CELL, "metric"],
        decimals=3,
    )
    return Report({"calibration": printed}, drawn, _findings(error))


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


def _findings(error: pd.DataFrame) -> list[str]:
    sentences = []
    for names, part in error.groupby(CELL, sort=False):
        place = dict(zip(CELL, names, strict=True))
        low, high = worst(part), best(part)
        sentences.append(
            f"{where(place)}, {cell_words(place)}: best calibrated is {_named(low)}, ECE "
            f"{said(low, '', digits=3)}; worst is {_named(high)}, {said(high, '', digits=3)}."
        )
    return sentences


def _named(row: Any) -> str:
    weights = "" if row["weights"] == "none" else f" with {row['weights']} weights"
    return f"{row['component']}{weights}"
