"""Component ablation: which memory helps, and what each choice in the method contributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from dmn.config import Config
from dmn.evaluation.answers import counted, pack
from dmn.evaluation.contract import EXPERIMENT, Cell, Measurement, Report, StudyData, StudyOptions
from dmn.evaluation.summaries import summarise
from dmn.report import drawing
from dmn.report.comparisons import (
    CELL,
    DYNAMIC,
    LEVEL,
    PLACE,
    TEXT,
    differences,
    kind,
    only,
    with_level,
    with_most_shots,
)
from dmn.report.headline import leads
from dmn.report.tables import describe
from dmn.report.words import cell_words, said, verdict, where

if TYPE_CHECKING:
    from dmn.evaluation.run import Run

TITLE = "Component ablation"
QUESTION = "Where does the gain come from: which memory, and which of the method's choices?"
NEEDS = ("projection",)
READS = EXPERIMENT
TABLES = ("memories", "choices", "centred")
FIGURES = ("memories", "choices", "centred")

# the method without one of its choices
VARIANTS: dict[str, dict[str, Any]] = {
    "reading before updating": {"update_before_read": False},
    "no text slot": {"text_slot": False},
    "no shots in the dynamic memory": {"shots_in_dynamic": False},
    "one view": {"views": 1, "view_share": 1.0},
}
# the centred memory (docs/method.md, section 13) without one of its parts
CENTRED = "centred"
PARTS: dict[str, dict[str, Any]] = {
    "no means taken off": {"centre": False},
    "own slot attended to": {"own_slot": True},
    "50 slots": {"length": 50},
    "beta 5.5": {"beta": 5.5},
    "a tenth of the weight": {"weight": 0.05},
    "twice the weight": {"weight": 1.0},
    "probabilities summed": {"logarithms": False, "weight": 1.0},
    "no memory": {"weight": 0.0},
}
MEMORIES = {"dynamic only": "dynamic", "static only": "static"}
FULL, ALL = "full", "both"


class Options(StudyOptions):
    """How much of the design is run."""

    max_orders: int = Field(10, ge=1, description="order seeds of a group that are used, at most")
    centred_orders: int = Field(5, ge=1, description="of them, for how many the centred one runs")


def measure(
    data: StudyData, config: Config, options: Options, order_seeds: Sequence[int]
) -> Measurement:
    """Fuse text with no, one and both memories; then take away one choice at a time."""
    from dmn.evaluation.experiment import Experiment, study_cells

    rows: list[dict[str, Any]] = []
    used = order_seeds[: options.max_orders]
    for cell in study_cells(data, config):
        full = Experiment(data, config, cell)
        for run in full.runs(used):
            rows += run.accuracy_rows(variant=FULL, memories=ALL)
            for name in MEMORIES:
                part = _fused_with(config, run, name)
                rows += [] if part is None else part.accuracy_rows(variant=FULL, memories=name)
        for name in _variants(cell):
            changed = Experiment(data, config, cell, **VARIANTS[name])
            for run in changed.runs(used):
                rows += run.accuracy_rows(variant=name, memories=ALL)
        if not cell.shots:
            rows += _centred_rows(data, config, cell, used[: options.centred_orders])
    return pack(rows, len(data.test))


def _centred_rows(
    data: StudyData, config: Config, cell: Cell, order_seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """Return accuracy of the centred memory with its fixed setting, whole and without a part."""
    from dmn.peers.bench import Bench
    from dmn.peers.contract import from_module
    from dmn.peers.online import dmn_centred

    bench, labels, rows = Bench(data, config, cell), data.test.labels, []
    for name, changes in {FULL: {}, **PARTS}.items():
        peer = replace(from_module("dmn_centred", dmn_centred, changes), candidates=())
        for seed, found in zip(order_seeds, bench.answers(peer, order_seeds, ()), strict=True):
            keys = {"order_seed": seed} | cell.keys() | {"component": "peer", "weights": "fixed"}
            measured = counted("accuracy", found.chosen[peer.fixed] == labels)
            rows.append(keys | measured | {"variant": name, "memories": CENTRED})
    return rows


def _variants(cell: Cell) -> list[str]:
    return [n for n in VARIANTS if cell.shots or n != "no shots in the dynamic memory"]


def _fused_with(config: Config, run: Run, memory: str) -> Run | None:
    """Return the run with one memory beside text, its weights found anew; None without it."""
    from dmn.evaluation.experiment import weigh

    part = _keep(run, memory)
    if part is None:
        return None
    validated = None if run.validated is None else _keep(run.validated, memory)
    part = replace(part, validated=validated)
    return replace(part, weights=weigh(part, config))


def _keep(run: Run, memory: str) -> Run | None:
    # a lone memory stands in the dynamic place: what the fusion sees is text and one other
    kept = MEMORIES[memory]
    if kept == "static" and not run.fronts.has_static:
        return None
    return replace(run, fronts=run.fronts.beside_text(kept))


def report(
    rows: pd.DataFrame, samples: Mapping[Any, Mapping[str, np.ndarray]], options: Options
) -> Report:
    """Tabulate which memories help, and what each choice of the method contributes."""
    rows = rows[rows["metric"] == "accuracy"]
    fused, choices, centred = _memories(rows), _choices(rows), _centred(rows)
    memories = summarise(fused, [*CELL, "weights", "memories"])
    drawn = {
        "memories": drawing.dots(
            with_most_shots(memories),
            "memories",
            series=["weights"],
            caption="Text fused with no memory, one or both; with the most shots where the "
            "setting has shots.",
            panels=[*PLACE, "setting"],
            table="memories",
        ),
        "choices": drawing.dots(
            with_most_shots(choices),
            "variant",
            caption="What is lost or gained without each choice of the method, paired.",
            panels=[*PLACE, "setting"],
            x_label="change without it (points)",
            reference=0.0,
            table="choices",
        ),
    }
    if len(centred):
        drawn["centred"] = drawing.dots(
            centred,
            "variant",
            series=(),
            caption="What the centred memory loses or gains without each of its parts, paired.",
            panels=PLACE,
            x_label="change without it (points)",
            reference=0.0,
            table="centred",
        )
    tables = {
        "memories": describe(
            with_level(memories, fused, [*CELL, "weights"], ["memories"]),
            "Accuracy of text fused with no memory, the dynamic one, the static one, or both.",
            best="max",
            within=[*CELL, "weights"],
            level=LEVEL,
            unit="%",
        ),
        "choices": describe(
            choices,
            "Change of accuracy without each choice of the method: paired differences to the "
            "full method.",
            unit="points",
        ),
        "centred": describe(
            centred,
            "Change of accuracy of the centred dynamic memory (DMN, centred) without each of its "
            "parts: paired differences to its fixed setting.",
            unit="points",
        ),
    }
    return Report(tables, drawn, _findings(rows, choices, options.smallest_difference))


def _centred(rows: pd.DataFrame) -> pd.DataFrame:
    """Return paired differences of the centred memory without a part to all of it."""
    own = only(rows, memories=CENTRED)
    comparisons = [(name, {"variant": name}, {"variant": FULL}) for name in PARTS]
    found = differences(own, CELL, comparisons) if len(own) else own
    return found.rename(columns={"comparison": "variant"})


def _memories(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of the fusions; memories `none` is text alone, whatever the weights."""
    full = only(rows, variant=FULL)
    fused = only(full, component="fused")
    text = only(full, memories=ALL, **TEXT)
    kinds = fused["weights"].unique()
    none = [text.assign(memories="none", weights=w) for w in kinds]
    parts = [only(fused, memories=name) for name in MEMORIES]
    both = only(fused, memories=ALL)
    # without shots, the dynamic memory is all there is
    parts.append(both[both["shots"] > 0])
    return pd.concat([*none, *parts])


def _choices(rows: pd.DataFrame) -> pd.DataFrame:
    """Return paired differences of each variant to the full method."""
    rows = only(rows, memories=ALL)
    found = []
    for names in (("dynamic", "none"), ("fused", "fixed"), ("fused", "validation")):
        part = rows[(rows["component"] == names[0]) & (rows["weights"] == names[1])]
        comparisons = [(v, {"variant": v}, {"variant": FULL}) for v in VARIANTS]
        table = differences(part, CELL, comparisons) if len(part) else part
        if len(table):
            found.append(table.rename(columns={"comparison": "variant"}).assign(**kind(*names)))
    table = pd.concat(found, ignore_index=True)
    first = [*CELL, "variant", "component", "weights"]
    return table[[*first, *(c for c in table.columns if c not in first)]]


def _findings(rows: pd.DataFrame, choices: pd.DataFrame, least: float) -> list[str]:
    fused = only(rows, variant=FULL, component="fused", weights="validation")
    fused = with_most_shots(fused[fused["shots"] > 0])
    pairs = [(one, {"memories": ALL}, {"memories": one}) for one in ("dynamic only", "static only")]
    sentences = []
    if len(fused):
        found = differences(fused, CELL, pairs)
        for other, one in (("static", "dynamic only"), ("dynamic", "static only")):
            added = only(found, comparison=one) if len(found) else found
            what = f"adding the {other} memory to text and the other memory"
            sentences += leads(added, what, least)
        for row in found.to_dict("records"):
            other = "static" if row["comparison"] == "dynamic only" else "dynamic"
            sentences.append(
                f"{where(row)}, {cell_words(row)}: adding the {other} memory to text and the other "
                f"memory {verdict(row, least)}, {said(row, ' points', signed=True)}."
            )
    dynamic = with_most_shots(only(choices, **DYNAMIC))
    for row in dynamic.to_dict("records"):
        sentences.append(
            f"{where(row)}, {cell_words(row)}: {row['variant']} {verdict(row, least)} for the "
            f"dynamic memory, {said(row, ' points', signed=True)}."
        )
    return sentences
