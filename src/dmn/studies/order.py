"""Stream order: what the dynamic memory is worth where test images do not come at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from dmn.config import Config
from dmn.evaluation.answers import pack, placed
from dmn.evaluation.contract import (
    EXPERIMENT,
    Cell,
    Measurement,
    Part,
    Report,
    StudyData,
    StudyOptions,
    stream_order,
)
from dmn.evaluation.streams.recipes import correlated, in_bursts, sorted_by_class
from dmn.randomness import generator
from dmn.report import drawing
from dmn.report.comparisons import CELL, DYNAMIC, PLACE, differences, gains, only, worst
from dmn.report.headline import leads
from dmn.report.tables import describe
from dmn.report.words import cell_words, said, tally, verdict, where

if TYPE_CHECKING:
    from dmn.evaluation.experiment import Experiment

TITLE = "Stream order"
QUESTION = "Does the dynamic memory survive sorted, correlated or drifting streams?"
NEEDS = ("shifts",)
READS = EXPERIMENT
TABLES = ("order", "domains")
FIGURES = ("gain_by_order", "accuracy_after_the_change")


class Options(StudyOptions):
    """Which orders are drawn."""

    concentrations: list[float] = Field(
        [10.0, 1.0, 0.1],
        description="Dirichlet parameters of correlated streams; less is more correlated",
    )
    bursts: list[int] = Field([5, 20], description="images of one class in a row, at most")
    severity: int = Field(5, ge=1, le=5, description="of the corruption that a stream changes to")
    max_orders: int = Field(10, ge=1, description="order seeds of a group that are used, at most")


def arrangements(labels: np.ndarray, seed: int, options: Options) -> dict[str, np.ndarray]:
    """Return the orders of one seed by name; labels decide when an image comes, never an answer."""

    def draws(name: str) -> np.random.Generator:
        return generator(seed, "stream order", name, len(labels))

    found = {
        "random": stream_order(seed, len(labels)),
        "sorted by class": sorted_by_class(labels, draws("sorted")),
    }
    for value in options.concentrations:
        name = f"Dirichlet {value:g}"
        found[name] = correlated(labels, draws(name), value)
    for length in options.bursts:
        name = f"bursts of {length}"
        found[name] = in_bursts(labels, draws(name), length)
    return found


def measure(
    data: StudyData, config: Config, options: Options, order_seeds: Sequence[int]
) -> Measurement:
    """Run each arrangement over the orders, then streams whose domain changes half-way."""
    from dmn.evaluation.experiment import Experiment, run_all

    rows: list[dict[str, Any]] = []
    used = order_seeds[: options.max_orders]
    arranged = {seed: arrangements(data.test.labels, seed, options) for seed in used}
    streams = [(name, seed) for name in arranged[used[0]] for seed in used]
    orders = [arranged[seed][name] for name, seed in streams]
    experiments = [Experiment(data, config, cell) for cell in _cells(data, config)]
    # all at once, because they share the products of images with images
    answered = run_all(experiments, [seed for _, seed in streams], permutations=orders)
    for experiment, [runs] in zip(experiments, answered, strict=True):
        for (name, _), run in zip(streams, runs, strict=True):
            rows += run.accuracy_rows(stream=name, part="whole", corruption="none")
        runs.clear()
        for kind, severity in sorted(data.shifts):
            if severity == options.severity:
                for seed in used:
                    rows += _domains(experiment, seed, kind, data.shifts[kind, severity])
    return pack(rows, len(data.test))


def _cells(data: StudyData, config: Config) -> list[Cell]:
    from dmn.evaluation.experiment import largest, study_cells

    found = list(study_cells(data, config))
    chosen = [largest(found, "zero_shot"), largest(found, "training_free")]
    return [cell for cell in chosen if cell is not None]


def _domains(experiment: Experiment, seed: int, kind: str, shifted: Part) -> list[dict[str, Any]]:
    """Return accuracy on the corrupted half of the images: last in the stream, mixed, or alone.

    In all three streams the same images are clean and the same corrupted.
    """
    from dmn.evaluation.experiment import take

    clean = experiment.data.test
    N = len(clean)
    order = stream_order(seed, N)
    first, second = order[: N // 2], order[N // 2 :]
    views = clean.views.copy()
    views[second] = shifted.views[second]
    mixed = generator(seed, "stream order", "mixed", N).permutation(N)
    both = Part(views, clean.labels, clean.ids)
    later, among = experiment.runs([seed] * 2, both, [np.concatenate([first, second]), mixed])
    alone = experiment.run(seed, take(both, second), np.arange(len(second)))
    runs = {
        "clean, then corrupted": (later, second),
        "mixed": (among, second),
        "corrupted only": (alone, np.arange(len(second))),
    }
    found = []
    for name, (run, corrupted) in runs.items():
        own = run.accuracy_rows(corrupted, stream=name, part="corrupted", corruption=kind)
        found += own if run is not alone else placed(own, second, N)
    return found


def report(
    rows: pd.DataFrame, samples: Mapping[Any, Mapping[str, np.ndarray]], options: Options
) -> Report:
    """Tabulate gains over text alone in each order, and accuracy after a change of domain."""
    rows = rows[rows["metric"] == "accuracy"]
    whole, later = (rows[rows["part"] == part] for part in ("whole", "corrupted"))
    table = gains(whole, [*CELL, "stream"])
    drawn = table[table["weights"].isin(["none", "validation"]) & (table["component"] != "static")]
    drawn_figures = {
        "gain_by_order": drawing.dots(
            drawn,
            "stream",
            caption="Gain over text alone in accuracy, by the order of the stream.",
            panels=[*PLACE, "setting"],
            x_label="gain over text alone (points)",
            reference=0.0,
            table="order",
        )
    }
    changed = _after_change(later)
    if not changed.empty:
        drawn_figures["accuracy_after_the_change"] = drawing.dots(
            only(changed, **DYNAMIC),
            "corruption",
            series=["stream"],
            caption="Dynamic memory on the corrupted half of the images: gain over text alone "
            "where clean images came first, were mixed in, or were left out.",
            panels=[*PLACE, "setting"],
            x_label="gain over text alone (points)",
            reference=0.0,
            table="domains",
        )
    tables = {
        "order": describe(
            table,
            "Gain over text alone by the order of the stream, paired by split and order seed.",
            unit="points",
        ),
        "domains": describe(
            changed,
            "Gain over text alone on the corrupted half of a stream that is clean at first.",
            unit="points",
        )
        if not changed.empty
        else changed,
    }
    return Report(
        tables, drawn_figures, _findings(whole, table, later, options.smallest_difference)
    )


def _after_change(later: pd.DataFrame) -> pd.DataFrame:
    if later.empty:
        return later
    return gains(later, [*CELL, "corruption", "stream"])


def _findings(
    whole: pd.DataFrame, table: pd.DataFrame, later: pd.DataFrame, least: float
) -> list[str]:
    sentences = []
    others = [name for name in whole["stream"].unique() if name != "random"]
    changes = differences(
        whole,
        CELL,
        [(n, {"stream": n} | DYNAMIC, {"stream": "random"} | DYNAMIC) for n in others],
        among=len(others),
    )
    if len(changes):
        lowest = str(changes.groupby("comparison", sort=False)["mean"].mean().idxmin())
        what = f"the dynamic memory with {lowest}, in the mean its lowest order, against random"
        sentences += leads(only(changes, comparison=lowest), what, least)
    for names, part in only(table, **DYNAMIC).groupby(CELL, sort=False):
        place = dict(zip(CELL, names, strict=True))
        begin = f"{where(place)}, {cell_words(place)}"
        sentences.append(
            f"{begin}: over the orders of the stream, the dynamic memory alone against text alone "
            f"{tally(part.to_dict('records'), 'stream', least)}."
        )
        own = only(changes, **place)
        dearest = worst(own)
        sentences.append(
            f"{begin}: the dynamic memory is lowest with {dearest['comparison']}, which "
            f"{verdict(dearest, least)} against random order, "
            f"{said(dearest, ' points', signed=True, among=len(others))}."
        )
    if later.empty:
        return sentences
    carried = [
        (
            "clean images first",
            {"stream": "clean, then corrupted"} | DYNAMIC,
            {"stream": "corrupted only"} | DYNAMIC,
        )
    ]
    changes = differences(later, [*CELL, "corruption"], carried)
    for names, part in changes.groupby(CELL, sort=False):
        place = dict(zip(CELL, names, strict=True))
        found = tally(part.to_dict("records"), "corruption", least)
        sentences.append(
            f"{where(place)}, {cell_words(place)}: on corrupted images, a memory that clean images "
            f"filled first, against a fresh one, {found}."
        )
    return sentences
