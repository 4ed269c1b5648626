"""Sensitivity: one setting of the method changed at a time, at the largest number of shots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from dmn.config import Config
from dmn.evaluation.answers import pack
from dmn.evaluation.contract import (
    EXPERIMENT,
    TRAINING,
    Cell,
    Measurement,
    Report,
    StudyData,
    StudyOptions,
)
from dmn.evaluation.summaries import summarise
from dmn.report import drawing
from dmn.report.comparisons import PLACE, SUBJECTS, kind, only, span
from dmn.report.headline import placed
from dmn.report.tables import describe
from dmn.report.words import INFLUENCE, said, verdict, where

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dmn.method.projections import Projections

TITLE = "Sensitivity"
QUESTION = "Which settings of the method matter, and are the paper's good ones here?"
NEEDS = ("projection", "training")
READS = (*EXPERIMENT, *TRAINING)
TABLES = ("sensitivity", "projections")
FIGURES = ("sensitivity", "projections")
READOUTS = ("similarity", "center", "entropy")


class Options(StudyOptions):
    """The values tried; each with all else as configured."""

    beta: list[float] = Field(
        [0.5, 1.5, 3.5, 5.5, 7.5, 10.5], description="sharpness, the paper's values"
    )
    views: list[int] = Field([1, 2, 4, 8, 16, 32], description="views used, of those cached")
    view_share: list[float] = Field(
        [0.1, 0.25, 0.5, 1.0], description="share of views kept; at least one view must be left"
    )
    kinds: list[str] = Field(["bias", "linear"], description="projections trained in the study")
    positions: list[str] = Field(
        ["query", "key", "value", "qkv", "output", "all"], description="where projections act"
    )
    max_orders: int = Field(3, ge=1, description="order seeds of a group that are used, at most")


@dataclass(frozen=True)
class Trial:
    """One value of one parameter, in one cell, and the options that make it so."""

    parameter: str
    level: str
    cell: Cell
    options: dict[str, Any] = field(default_factory=dict)


def measure(
    data: StudyData, config: Config, options: Options, order_seeds: Sequence[int]
) -> Measurement:
    """Run each trial over a few orders, with weights of its own chosen on validation images."""
    from dmn.evaluation.experiment import Experiment

    rows: list[dict[str, Any]] = []
    for trial in _trials(data, config, options):
        experiment = Experiment(data, config, trial.cell, **trial.options)
        for run in experiment.runs(order_seeds[: options.max_orders]):
            rows += run.accuracy_rows(parameter=trial.parameter, level=trial.level)
    return pack(rows, len(data.test))


def _trials(data: StudyData, config: Config, options: Options) -> Iterator[Trial]:
    from dmn.evaluation.experiment import largest, study_cells

    found = list(study_cells(data, config))
    free = largest(found, "training_free") or largest(found, "zero_shot")
    if free is not None:
        for beta in options.beta:
            yield Trial("beta", f"{beta:g}", free, {"beta": beta})
        yield from _view_trials(data, config, options, free)
    for cell in found:
        if cell.setting in ("zero_shot", "training_free"):
            yield Trial("shots", str(cell.shots), cell)
        if cell in (free, largest(found, "zero_shot")):
            for readout in READOUTS:
                # the readout by entropy is defined without shots only
                if readout != "entropy" or cell.shots == 0:
                    name = f"readout, {cell.setting.replace('_', '-')}"
                    yield Trial(name, readout, cell, {"readout": readout})
    trained = largest(found, "few_shot")
    if trained is not None:
        yield from _projection_trials(data, config, options, trained)


def _view_trials(data: StudyData, config: Config, options: Options, cell: Cell) -> Iterator[Trial]:
    cached = data.test.views.shape[1]
    for views in options.views:
        if views <= cached:
            yield Trial("views", str(views), cell, {"views": views})
    for share in options.view_share:
        if int(cached * share) >= 1:
            yield Trial("share of views kept", f"{share:g}", cell, {"view_share": share})


def _projection_trials(
    data: StudyData, config: Config, options: Options, cell: Cell
) -> Iterator[Trial]:
    for form in options.kinds:
        for position in options.positions:
            projections = train(data, config, cell, form, position)
            changed = {"projections": projections, "position": position}
            yield Trial(f"projection, {form}", position, cell, changed)
    own = config.model.projection, config.model.position
    for hidden in (False, True):
        name = "left out" if hidden else "kept"
        changed = {"projections": train(data, config, cell, *own, leave_one_out=hidden)}
        yield Trial("own entry in training", name, cell, changed)


def train(
    data: StudyData,
    config: Config,
    cell: Cell,
    kind: str,
    position: str,
    leave_one_out: bool | None = None,
) -> Projections:
    """Train projections on the shots of a cell as the pipeline does, at another kind or place."""
    from dmn.evaluation import fit as configured_training
    from dmn.method.projections import Projections

    assert data.train is not None
    result = configured_training.train(
        config,
        data.text,
        data.train[:, : cell.shots],
        configured_training.training_schedule(config, data.entry, cell.shots),
        logit_scale=data.logit_scale,
        seed=cell.training_seed or 0,
        kind=kind,  # type: ignore[arg-type]
        position=position,
        leave_one_out=leave_one_out,
    )
    tensors = configured_training.rounded(result.projections)
    return (Projections.bias if kind == "bias" else Projections.linear)(**tensors)


def report(
    rows: pd.DataFrame, samples: Mapping[Any, Mapping[str, np.ndarray]], options: Options
) -> Report:
    """Tabulate accuracy for each value of each parameter; projections by kind and position."""
    rows = rows[(rows["metric"] == "accuracy") & (rows["weights"] != "oracle")]
    rows = rows.astype({"level": str})
    keys = [*PLACE, "parameter", "level", "setting", "shots", "component", "weights"]
    table = summarise(rows, keys)
    trained = table["parameter"].str.startswith(("projection", "own entry"))
    plain, projections = table[~trained], table[trained]
    drawn = {"sensitivity": _grid(plain)}
    if len(projections):
        shown = projections[
            projections["parameter"].str.startswith("projection")
            & (projections["weights"] != "fixed")
        ]
        drawn["projections"] = drawing.dots(
            shown,
            "level",
            caption="Accuracy by the position of the projections, class-wise biases and linear "
            "layers, with the most shots.",
            panels=[*PLACE, "parameter"],
            table="projections",
        )
    how: dict[str, Any] = {
        "best": "max",
        "within": [*PLACE, "parameter", "component", "weights"],
        "unit": "%",
    }
    tables = {
        "sensitivity": describe(
            plain, "Accuracy with one setting changed, all else as configured.", **how
        ),
        "projections": describe(
            projections,
            "Accuracy by kind and position of the projections, and with a training image's own "
            "entry left out of the static memory while it is trained on.",
            **how,
        ),
    }
    return Report(tables, drawn, _findings(rows, options.smallest_difference))


def _grid(plain: pd.DataFrame) -> Figure:
    shown = plain[plain["weights"] != "fixed"]
    levels = shown.groupby([*PLACE, "parameter"], sort=False)["level"].transform("nunique")
    shown = shown[levels > 1]
    return drawing.lines(
        shown.assign(level=[_number(level) for level in shown["level"]]),
        "level",
        caption="Accuracy with one setting changed at a time, all else as configured; drawn "
        "further apart near 100%.",
        panels=[*PLACE, "parameter"],
        x_label="value of the setting",
        scale="ordinal",
        odds=True,
        table="sensitivity",
    )


def _number(level: str) -> float | int | str:
    try:
        number = float(level)
    except ValueError:
        return level
    return int(number) if number.is_integer() else number


def _findings(rows: pd.DataFrame, least: float) -> list[str]:
    sentences, everywhere = [], []
    for names in (("dynamic", "none"), ("fused", "validation")):
        own = only(rows, **kind(*names))
        for keys, part in own.groupby([*PLACE, "parameter"], sort=False):
            place = dict(zip([*PLACE, "parameter"], keys, strict=True))
            far = span(part, "level")
            if far is None:
                continue
            everywhere.append(dict(place) | far.row | {"of": SUBJECTS[names]})
            sentences.append(
                f"{where(place)}: {place['parameter']} {verdict(far.row, least, INFLUENCE)} to "
                f"{SUBJECTS[names]}: from {far.low}, the lowest, to {far.high}, the highest, "
                f"{said(far.row, ' points', signed=True, among=far.comparisons)}."
            )
    spans = pd.DataFrame(everywhere)
    groups = spans.groupby(["parameter", "of"], sort=False) if len(spans) else ()
    return [
        sentence
        for (parameter, of), own in groups
        for sentence in placed(
            own, f"From its lowest to its highest, {parameter}", least, _to(str(of))
        )
    ] + sentences


def _to(subject: str) -> dict[str, str]:
    return {key: f"{phrase} to {subject}" for key, phrase in INFLUENCE.items()}
