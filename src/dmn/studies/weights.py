"""Weights of the fusion: where the best ones lie, what the search adds, what one rule loses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from dmn.config import Config
from dmn.evaluation.answers import counted, pack
from dmn.evaluation.contract import (
    EXPERIMENT,
    Cell,
    Measurement,
    Report,
    StudyData,
    StudyOptions,
)
from dmn.evaluation.summaries import paired
from dmn.report.comparisons import CELL, PLACE, TEXT, differences, in_order, kind, only, worst
from dmn.report.drawing.weights import weight_figures
from dmn.report.headline import leads
from dmn.report.tables import describe
from dmn.report.words import cell_words, listed, said, shortly, tally, verdict, where, words

if TYPE_CHECKING:
    from dmn.evaluation.run import Run

TITLE = "Weights of the fusion"
QUESTION = (
    "How do the best weights move, how much of the gain is their search, and what do rules lose?"
)
NEEDS = ("projection",)
READS = EXPERIMENT
TABLES = ("search", "optimum", "transfer")
FIGURES = ("grid", "below_the_oracle", "transfer")
OWN = "own"  # weights are those of the cell and order themselves
KINDS = ("fixed", "label_free", "validation", "oracle")
PARTS = ("dynamic", "static")
ORACLE = kind("fused", "oracle")
GAIN = "oracle - text"
SEARCH = [
    (GAIN, ORACLE, TEXT),
    *((f"{k} - text", kind("fused", k), TEXT) for k in KINDS[:-1]),
    *((f"oracle - {k}", ORACLE, kind("fused", k)) for k in KINDS[:-1]),
]


class Options(StudyOptions):
    """How much of the design is run."""

    max_orders: int = Field(5, ge=1, description="order seeds of a group that are used, at most")


def measure(
    data: StudyData, config: Config, options: Options, order_seeds: Sequence[int]
) -> Measurement:
    """Count the right answers of the whole grid in every cell, and carry optima between cells.

    The samples have the counts [orders, G, G] of a cell, [orders, G, 1] without a static memory.
    """
    from dmn.engine.search import grid_correct
    from dmn.evaluation.experiment import Experiment, cell_name, run_all, study_cells

    grid = config.fusion.grid
    rows: list[dict[str, Any]] = []
    samples: dict[str, np.ndarray] = {"grid": np.asarray(grid, dtype=np.float32)}
    found: dict[Cell, tuple[list[Run], np.ndarray]] = {}
    experiments = [Experiment(data, config, cell) for cell in study_cells(data, config)]
    answered = run_all(experiments, order_seeds[: options.max_orders])
    for experiment, [runs] in zip(experiments, answered, strict=True):
        counts = np.stack([grid_correct(run.fronts, run.labels, grid) for run in runs])
        # what compared the answers is as large as the features
        kept = [replace(run, coherence=None) for run in runs]
        runs.clear()
        found[experiment.cell] = kept, counts
        samples[f"counts/{cell_name(experiment.cell)}"] = counts.astype(np.int32)
        for run, count in zip(kept, counts, strict=True):
            rows += run.accuracy_rows(source=OWN) + run.weight_rows(source=OWN)
            rows += _optimum_rows(run, count, grid)
    for cell, (runs, _) in found.items():
        for other, (_, counts) in found.items():
            if other != cell and bool(other.shots) >= bool(cell.shots):
                best = np.unravel_index(int(counts.sum(axis=0).argmax()), counts.shape[1:])
                rows += _carried_rows(runs, grid, best, cell_name(other))
    return pack(rows, len(data.test), samples)


def _optimum_rows(run: Run, count: np.ndarray, grid: Sequence[float]) -> list[dict[str, Any]]:
    """Return the best weights, in the middle of those that tie."""
    from dmn.evaluation.weights.selection import middle

    dynamic, static = middle(count)
    best = {"dynamic": grid[dynamic], "static": grid[static] if run.fronts.has_static else 0}
    return [
        run.keys(("fused", "oracle"))
        | {"metric": f"best_{name}", "value": float(best[name]), "n": len(run.labels)}
        | {"source": OWN}
        for name in PARTS
    ]


def _carried_rows(
    runs: Sequence[Run], grid: Sequence[float], place: Sequence[Any], source: str
) -> list[dict[str, Any]]:
    """Return accuracy with the weights that were best, over its orders, in another cell."""
    rows = []
    for run in runs:
        weights = (1.0, grid[place[0]], grid[place[1]] if run.fronts.has_static else 0.0)
        right = run.fronts.answers(weights) == run.labels
        keys = run.keys(("fused", "oracle"))
        rows.append(keys | counted("accuracy", right) | {"source": source})
    return rows


def report(
    rows: pd.DataFrame, samples: Mapping[Any, Mapping[str, np.ndarray]], options: Options
) -> Report:
    """Tabulate and draw the grid's optimum, the share of the search, and the loss of each rule."""
    right = only(rows, metric="accuracy")
    own = only(right, source=OWN)
    search = differences(own, CELL, SEARCH)
    transfer = _transfer(right)
    chosen = _chosen(rows)
    grids = _grids(rows, samples)
    tables = {
        "search": describe(
            search,
            "Gains over text alone with each kind of weights, and how far each stays below the "
            "oracle, whose weights are searched on the test labels.",
            unit="points",
        ),
        "optimum": describe(
            _optimum(chosen, grids, options.smallest_difference),
            "Weights beside 1 for text: median, least and largest over the runs; no intervals. The "
            "oracle's are the middle of those that tie. "
            "Plateau: share of the grid that is not worse than its best by more than "
            f"{options.smallest_difference:g} points.",
            decimals={"plateau_percent": 0},
        ),
        "transfer": transfer
        if transfer.empty
        else describe(
            transfer,
            "Accuracy with the weights that are best in another cell, on its test labels, less "
            "that of the cell's own oracle.",
            unit="points",
        ),
    }
    drawn = weight_figures(grids, chosen, _gaps(search), transfer)
    least = options.smallest_difference
    lost = [
        sentence
        for name in ("validation", "fixed")
        for sentence in leads(
            only(search, comparison=f"oracle - {name}"),
            f"weights searched on test labels, against {name} ones,",
            least,
        )
    ]
    return Report(
        tables, drawn, lost + _moves(rows) + _searched(search) + _lost(search, transfer, least)
    )


def _gaps(search: pd.DataFrame) -> pd.DataFrame:
    """Return how far each kind of weights stays below the oracle, by component and weights."""
    part = search[search["comparison"].isin([f"oracle - {k}" for k in KINDS[:-1]])]
    names = part["comparison"].str.removeprefix("oracle - ")
    return part.assign(component="fused", weights=names)


def _transfer(right: pd.DataFrame) -> pd.DataFrame:
    """Return what each cell loses with the best weights of each other cell, paired."""
    oracle = only(right, **ORACLE)
    sources = [source for source in oracle["source"].unique() if source != OWN]
    pairs = [(source, {"source": source}, {"source": OWN}) for source in sources]
    found = differences(oracle, CELL, pairs)
    if found.empty:
        return pd.DataFrame(columns=[*CELL, "source", "mean"])
    cells = right[["setting", "shots", "training_seed"]].drop_duplicates().to_dict("records")
    names = {_name(cell): cell_words(cell) for cell in cells}
    return found.rename(columns={"comparison": "source"}).replace({"source": names})


def _chosen(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the weights of each kind by cell, relative to text's: median, least and largest."""
    part = only(rows, source=OWN)
    part = part[part["metric"].str.startswith(("weight_", "best_"))]
    # the oracle's own are the first of those that tie; the middle says where the best lie
    place = part["metric"].str.removeprefix("weight_").str.removeprefix("best_")
    first = (part["weights"] == "oracle") & part["metric"].str.startswith("weight_")
    part = part.assign(metric=place)[~first | (place == "text")]
    seeds = ["split_seed", "order_seed", "training_seed"]
    wide = part.pivot_table(index=[*CELL, "weights", *seeds], columns="metric", values="value")
    wide = wide.div(wide["text"].where(wide["text"] > 0), axis=0)
    groups = wide.groupby(level=list(range(len(CELL) + 1)))
    columns: dict[str, pd.Series] = {}
    for name in PARTS:
        own = groups[name]
        columns |= {name: own.median(), f"{name}_least": own.min(), f"{name}_most": own.max()}
    table = pd.DataFrame(columns).reset_index().assign(component="fused")
    return rows[CELL].drop_duplicates().merge(in_order(table), on=CELL)


def _grids(
    rows: pd.DataFrame, samples: Mapping[Any, Mapping[str, np.ndarray]]
) -> dict[tuple[Any, ...], tuple[np.ndarray, np.ndarray]]:
    """Return by cell the grid [G] in order, and accuracy in percent [G, G] as the runs' mean."""
    found: dict[tuple[Any, ...], list[np.ndarray]] = {}
    grids: dict[tuple[Any, ...], np.ndarray] = {}
    cells = rows[[*CELL, "training_seed", "n"]].drop_duplicates().to_dict("records")
    for cell in cells:
        key = tuple(cell[name] for name in CELL)
        for (dataset, backbone, *_), arrays in samples.items():
            if (dataset, backbone) == key[:2] and (
                counts := arrays.get(f"counts/{_name(cell)}")
            ) is not None:
                order = np.argsort(arrays["grid"], kind="stable")
                grids[key] = arrays["grid"][order].astype(np.float64)
                columns = order if counts.shape[2] > 1 else [0]
                found.setdefault(key, []).append(100 / cell["n"] * counts[:, order][..., columns])
    return {key: (grids[key], np.concatenate(part).mean(axis=0)) for key, part in found.items()}


def _name(cell: Mapping[Any, Any]) -> str:
    """Return the name of a row's cell in the samples and as a source."""
    from dmn.evaluation.experiment import cell_name

    seed = cell["training_seed"]
    training = None if str(seed) == "none" else int(seed)
    return cell_name(Cell(cell["setting"], int(cell["shots"]), training))


def _optimum(
    chosen: pd.DataFrame,
    grids: Mapping[tuple[Any, ...], tuple[np.ndarray, np.ndarray]],
    least: float,
) -> pd.DataFrame:
    """Return the weights of each kind, with the share of the grid that is as good as its best."""
    plateau = {key: 100 * (a >= a.max() - least).mean() for key, (_, a) in grids.items()}
    keys = chosen[CELL].itertuples(index=False, name=None)
    return chosen.drop(columns="component").assign(plateau_percent=[plateau[key] for key in keys])


def _moves(rows: pd.DataFrame) -> list[str]:
    """Return how far the optimum moves from the fewest to the most shots of each setting."""
    sentences = []
    for name in PARTS:
        part = only(rows, metric=f"best_{name}", source=OWN)
        part = part.assign(value=np.log10(part["value"].where(part["value"] > 0))).dropna(
            subset=["value"]
        )
        for place, own in part.groupby([*PLACE, "setting"], sort=False):
            setting = place[-1]
            start = {"setting": setting, "shots": own["shots"].min()}
            zero = only(part, **dict(zip(PLACE, place, strict=False)), setting="zero_shot")
            if name == "dynamic" and len(zero):
                start = {"setting": "zero_shot", "shots": 0}
            end = {"setting": setting, "shots": own["shots"].max()}
            if start == end:
                continue
            both = part[(part[PLACE] == list(place[:2])).all(axis=1)]
            row = paired(both, PLACE, end, start).iloc[0].to_dict()
            sentences.append(
                f"{where(row)}: from {cell_words(start)} to {cell_words(end)} the best {name} "
                f"weight moves by {said(row, ' powers of ten', signed=True, digits=2)}."
            )
    return sentences


def _searched(search: pd.DataFrame) -> list[str]:
    """Return how much of the gain with searched weights is left with honest ones."""
    sentences = []
    for names, part in search.groupby(CELL, sort=False):
        place = dict(zip(CELL, names, strict=True))
        by_name = {row["comparison"]: row for row in part.to_dict("records")}
        rest = [
            f"{words(k)} {shortly(by_name[f'oracle - {k}'])}"
            for k in KINDS[:-1]
            if f"oracle - {k}" in by_name
        ]
        sentences.append(
            f"{where(place)}, {cell_words(place)}: weights searched on test labels gain "
            f"{said(by_name[GAIN], ' points', signed=True)} over text; of that is the search, "
            f"against the other weights: {listed(rest)} points."
        )
    return sentences


def _lost(search: pd.DataFrame, transfer: pd.DataFrame, least: float) -> list[str]:
    """Return in which cells fixed weights, and those of another cell, lose against the oracle."""
    fixed = only(search, comparison="oracle - fixed")
    sentences = []
    for _, part in fixed.groupby(PLACE, sort=False):
        losses = [_negated(row) | {"cell": cell_words(row)} for row in part.to_dict("records")]
        sentences.append(
            f"{where(losses[0])}: one fixed pair of weights, against the oracle, "
            f"{tally(losses, 'cell', least)}."
        )
    for _, part in () if transfer.empty else transfer.groupby(PLACE, sort=False):
        row, among = worst(part).to_dict(), len(part)
        word = verdict(row, least, p_value=min(1.0, among * row["p"]))
        sentences.append(
            f"{where(row)}: of weights that are best in another cell, those of {row['source']} in "
            f"{cell_words(row)} are farthest below the oracle; the carrying {word}, "
            f"{said(row, ' points', signed=True, among=among)}."
        )
    return sentences


def _negated(row: Mapping[Any, Any]) -> dict[Any, Any]:
    return dict(row) | {"mean": -row["mean"], "low": -row["high"], "high": -row["low"]}
