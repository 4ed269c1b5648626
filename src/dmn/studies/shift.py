"""Distribution shift: the dynamic memory's gain against how far the shift is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from dmn.config import Config
from dmn.evaluation.answers import pack
from dmn.evaluation.contract import EXPERIMENT, Measurement, Report, StudyData, StudyOptions
from dmn.report import drawing
from dmn.report.comparisons import CELL, DYNAMIC, PLACE, TEXT, best, gains, only, worst
from dmn.report.tables import describe
from dmn.report.words import cell_words, said, tally, where

TITLE = "Distribution shift"
QUESTION = "Does adapting to the test stream pay more, the further the images have moved?"
NEEDS = ("shifts",)
REQUIRES = ("shifts",)
READS = EXPERIMENT
TABLES = ("shift",)
FIGURES = ("gain_under_shift", "gain_against_distance")


class Options(StudyOptions):
    """How much of the design is run."""

    max_orders: int = Field(10, ge=1, description="order seeds of a group that are used, at most")


def measure(
    data: StudyData, config: Config, options: Options, order_seeds: Sequence[int]
) -> Measurement:
    """Run zero-shot and the largest training-free cell on every corruption and severity.

    Validation weights come from clean images: a deployed model has no others.
    """
    from dmn.evaluation.experiment import Experiment, largest, study_cells

    found = list(study_cells(data, config))
    rows: list[dict[str, Any]] = []
    for cell in (largest(found, "zero_shot"), largest(found, "training_free")):
        if cell is None:
            continue
        experiment = Experiment(data, config, cell)
        for run in experiment.runs(order_seeds[: options.max_orders]):
            rows += run.accuracy_rows(corruption="none", severity=0)
        for kind, severity in sorted(data.shifts):
            part = data.shifts[kind, severity]
            for run in experiment.runs(order_seeds[: options.max_orders], part):
                rows += run.accuracy_rows(corruption=kind, severity=severity)
    return pack(rows, len(data.test))


def report(
    rows: pd.DataFrame, samples: Mapping[Any, Mapping[str, np.ndarray]], options: Options
) -> Report:
    """Tabulate gains over text alone under each shift, beside how far text alone falls."""
    keys = [*CELL, "corruption", "severity"]
    rows = rows[rows["metric"] == "accuracy"]
    table = gains(rows, keys).merge(_distance(rows, keys), on=keys)
    leading = [*keys, "text_accuracy", "text_drop"]
    table = table[[*leading, *(c for c in table.columns if c not in leading)]]
    dynamic = only(table, **DYNAMIC)
    shifted = dynamic[dynamic["corruption"] != "none"]
    drawn = {
        "gain_under_shift": drawing.lines(
            shifted,
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
            "alone loses to the corruption.",
            panels=[*PLACE, "setting"],
            x_label="loss of text alone (points)",
            y_label="gain over text alone (points)",
            reference=0.0,
            table="shift",
        ),
    }
    printed = describe(
        table,
        "Gain over text alone under each corruption, with the accuracy of text alone and what it "
        "loses to the corruption.",
        unit="points",
    )
    return Report({"shift": printed}, drawn, _findings(dynamic, options.smallest_difference))


def _distance(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the accuracy of text alone under each shift, and its loss against clean images."""
    text = only(rows, **TEXT).groupby(keys, sort=False)["value"].mean()
    table = text.rename("text_accuracy").reset_index()
    clean = table[table["corruption"] == "none"].set_index(CELL)["text_accuracy"]
    before = clean.loc[list(table[CELL].itertuples(index=False, name=None))].to_numpy()
    return table.assign(text_drop=before - table["text_accuracy"])


def _findings(dynamic: pd.DataFrame, least: float) -> list[str]:
    sentences = []
    for names, part in dynamic.groupby(CELL, sort=False):
        place = dict(zip(CELL, names, strict=True))
        start = f"{where(place)}, {cell_words(place)}"
        shifted = part[part["corruption"] != "none"]
        kinds = shifted.assign(
            shift=shifted["corruption"] + " " + shifted["severity"].astype(str)
        ).to_dict("records")
        sentences.append(
            f"{start}: the dynamic memory alone against text alone {tally(kinds, 'shift', least)}."
        )
        sentences += _extremes(shifted, start)
        if len(shifted) > 2:
            r = float(np.corrcoef(shifted["text_drop"], shifted["mean"])[0, 1])
            sentences.append(
                f"{start}: over the shifts, gain and loss of text alone correlate with "
                f"r = {r:.2f}; there is no interval, as the shifts were chosen, not drawn."
            )
    return sentences


def _extremes(shifted: pd.DataFrame, start: str) -> list[str]:
    """Return in words under which shifts the gain is largest and least."""
    return [
        f"{start}: of {len(shifted)} shifts, the gain is {word} under {row['corruption']} of "
        f"severity {row['severity']}, where text alone loses {row['text_drop']:.1f} points: "
        f"{said(row, ' points', signed=True)}; the choice flatters it."
        for word, row in (("largest", best(shifted)), ("least", worst(shifted)))
    ]
