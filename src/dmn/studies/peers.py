"""Peers in the same harness: same features, same shots, same validation images, same orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from dmn.config import Config
from dmn.evaluation.contract import Cell, Measurement, Report, StudyData, StudyOptions
from dmn.peers.harness import open_bench, peer_answers, peer_cost
from dmn.report.comparisons import CELL, PLACE, cell_words, differences, said, verdict, where

if TYPE_CHECKING:
    import pandas as pd

TITLE = "Peers"
QUESTION = "How do other methods fare on the same features, and what does an answer cost?"
NEEDS = ("few_shot", "projection")
TABLES = ("peers", "against_dmn", "cost")
FIGURES = ("peers", "accuracy_against_cost")


class Options(StudyOptions):
    """How much of the design is run."""

    max_orders: int = Field(10, ge=1, description="order seeds of a group that are used, at most")
    shots: list[int] = Field(
        [], description="K for which peers are run; empty: all that the configuration has"
    )


def measure(
    data: StudyData, config: Config, options: Options, order_seeds: Sequence[int]
) -> Measurement:
    """Run every peer in the cells that it can serve, and DMN itself."""
    import pandas as pd

    from dmn.evaluation.experiment import study_cells

    rows: list[dict[str, Any]] = []
    used = order_seeds[: options.max_orders]
    for cell in study_cells(data, config):
        if cell.shots and options.shots and cell.shots not in options.shots:
            continue
        if cell.setting in ("zero_shot", "training_free"):
            rows += _peer_rows(data, config, cell, used)
        rows += _dmn_rows(data, config, cell, used)
    return Measurement(pd.DataFrame(rows))


def _peer_rows(
    data: StudyData, config: Config, cell: Cell, order_seeds: Sequence[int]
) -> list[dict[str, Any]]:
    bench = open_bench(data, config, cell)
    answers = peer_answers(bench, order_seeds)
    rows = []
    for name, by_order in answers.items():
        setting = "few_shot" if name == "tip_adapter_f" else cell.setting
        for seed, kinds in zip(order_seeds, by_order, strict=True):
            keys = {"order_seed": seed} | cell.keys() | {"setting": setting, "component": "peer"}
            for weights, predicted in kinds.items():
                right = int((predicted == data.test.labels).sum())
                measured = {"metric": "accuracy", "value": 100 * right / len(predicted)}
                named = {"method": name, "weights": weights, "n": len(predicted)}
                rows.append(keys | named | measured)
            for metric, count in peer_cost(name, bench).items():
                named = {"method": name, "weights": "none", "n": 1}
                rows.append(keys | named | {"metric": metric, "value": float(count)})
    return rows


def _dmn_rows(
    data: StudyData, config: Config, cell: Cell, order_seeds: Sequence[int]
) -> list[dict[str, Any]]:
    from dmn.evaluation.experiment import Experiment

    rows = []
    for run in Experiment(data, config, cell, fusions=("fixed", "validation")).runs(order_seeds):
        for row in run.accuracy_rows(method="dmn"):
            if row["component"] == "fused":
                rows.append(row)
        for metric, count in _dmn_cost(data, config, cell).items():
            measured = {"metric": metric, "value": float(count), "n": 1}
            rows.append(run.keys(("fused", "none"), method="dmn") | measured)
    return rows


def _dmn_cost(data: StudyData, config: Config, cell: Cell) -> dict[str, int]:
    """Return the cost of a full memory: similarities and weighted sums of both memories."""
    C, D = data.text.shape
    V = data.test.views.shape[1]
    dynamic, static = config.model.length + 1 + cell.shots, (1 + cell.shots) if cell.shots else 0
    slots = C * (dynamic + static)
    return {
        "encodings": V,
        "operations": V * C * D + 2 * slots * D + C * D * (2 if static else 1),
        "numbers": C * D * (config.model.length + cell.shots),
    }


def report(
    rows: pd.DataFrame, samples: Mapping[Any, Mapping[str, np.ndarray]], options: Options
) -> Report:
    """Tabulate accuracy and cost of every method, and paired differences to DMN."""
    import pandas as pd

    from dmn.evaluation.statistics import summarise
    from dmn.report import figures
    from dmn.report.tables import describe

    accuracy = rows[rows["metric"] == "accuracy"]
    table = summarise(accuracy, [*CELL, "method", "weights"])
    against = _against_dmn(accuracy)
    cost = _cost_table(rows)
    drawn = table[table["weights"] != "fixed"]
    # both settings with shots begin at none
    start = drawn[drawn["setting"] == "zero_shot"]
    settings_with_shots = drawn.loc[drawn["shots"] > 0, "setting"].unique()
    starts = [start.assign(setting=name) for name in settings_with_shots]
    course = pd.concat([*starts, drawn[drawn["shots"] > 0]], ignore_index=True)
    bench = drawn[drawn["shots"].isin([0, drawn["shots"].max()])]
    tables = {
        "peers": describe(
            table,
            "Accuracy of each method, with its paper's settings (fixed) and with strengths chosen "
            "on the same validation images.",
            best="max",
            within=CELL,
            unit="%",
        ),
        "against_dmn": describe(
            against,
            "DMN minus each method with as many shots, paired by split and order seed.",
            unit="points",
        ),
        "cost": describe(
            cost,
            "Cost of one test image: passes through the image encoder, multiply-adds beyond them, "
            "and numbers kept in memory.",
            decimals=0,
        ),
    }
    drawings = {
        "peers": figures.lines(
            course if starts else drawn,
            "shots",
            series=["method"],
            caption="Accuracy of each method against shots; strengths chosen on validation images "
            "where a method has any.",
            panels=[*PLACE, "setting"],
            x_label="shots per class",
            table="peers",
        ),
        "accuracy_against_cost": figures.scatter(
            bench.merge(cost, on=[*CELL, "method"]),
            "operations",
            "mean",
            series=["method"],
            caption="Accuracy against multiply-adds an image beyond its encoding, without and "
            "with the most shots. DMN and no other needs several encodings of an image.",
            x_label="multiply-adds an image, without the encoder",
            log_x=True,
            table="cost",
        ),
    }
    return Report(tables, drawings, _findings(against, cost))


def _cost_table(rows: pd.DataFrame) -> pd.DataFrame:
    part = rows[rows["metric"].isin(["encodings", "operations", "numbers"])]
    keys = [*CELL, "method"]
    counts = part.groupby([*keys, "metric"], sort=False)["value"].first().unstack()
    order = part[keys].drop_duplicates()
    return order.merge(counts.reset_index(), on=keys).reset_index(drop=True)


def _against_dmn(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Return DMN minus each peer; both with validation weights, or else the peer's only ones.

    A peer that is not trained stands against training-free DMN, a trained one against few-shot.
    """
    import pandas as pd

    found = []
    for name in accuracy["method"].unique():
        if name == "dmn":
            continue
        own = accuracy[accuracy["method"] == name]
        for weights in ("validation", "none", "fixed"):
            peer = own[own["weights"] == weights]
            if len(peer):
                break
        control = "fixed" if weights == "fixed" else "validation"
        dmn = accuracy[(accuracy["method"] == "dmn") & (accuracy["weights"] == control)]
        both = pd.concat([dmn, peer])
        table = differences(both, CELL, [(name, {"method": "dmn"}, {"method": name})])
        if len(table):
            found.append(table.rename(columns={"comparison": "method"}).assign(weights=weights))
    if not found:
        return pd.DataFrame(columns=[*CELL, "method", "weights", "mean", "low", "high"])
    table = pd.concat(found, ignore_index=True)
    first = [*CELL, "method", "weights"]
    return table[[*first, *(c for c in table.columns if c not in first)]]


def _findings(against: pd.DataFrame, cost: pd.DataFrame) -> list[str]:
    from dmn.report.words import words

    sentences = []
    for row in against.to_dict("records"):
        shown = verdict(row, "is ahead of", "is behind")
        shown = shown.replace("makes no clear difference", "is not clearly apart from")
        sentences.append(
            f"{where(row)}, {cell_words(row)}: DMN {shown} {words(row['method'])}, "
            f"{said(row, ' points', signed=True)}."
        )
    for names, part in cost.groupby(PLACE, sort=False):
        place = dict(zip(PLACE, names, strict=True))
        dmn = part[part["method"] == "dmn"]
        most = dmn.iloc[int(dmn["operations"].to_numpy().argmax())]
        rest = part[(part["method"] != "dmn") & (part["shots"] == most["shots"])]
        if len(rest):
            dearest = rest.iloc[int(rest["operations"].to_numpy().argmax())]
            sentences.append(
                f"{where(place)}: an answer of DMN {cell_words(most)} takes "
                f"{int(most['encodings'])} encodings and {int(most['operations']):,} "
                "multiply-adds; "
                f"{words(dearest['method'])}, the dearest peer, 1 encoding and "
                f"{int(dearest['operations']):,}."
            )
    return sentences
