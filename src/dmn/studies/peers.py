"""Peers in the same harness: same features, same shots, same validation images, same orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, ValidationInfo, field_validator

from dmn.config import Config
from dmn.errors import ConfigError
from dmn.evaluation.answers import counted, pack
from dmn.evaluation.contract import EXPERIMENT, Measurement, Report, StudyData, StudyOptions
from dmn.evaluation.summaries import summarise
from dmn.peers.contract import Peer
from dmn.peers.kept import keep
from dmn.peers.loading import load_peers
from dmn.peers.selection import oracle
from dmn.peers.table import BY_DEFAULT, module_name
from dmn.report import drawing
from dmn.report.across import (
    GROUP,
    ONE,
    across,
    across_table,
    across_words,
    average_ranks,
    ranks_table,
    ranks_words,
    with_most_shots_anywhere,
)
from dmn.report.comparisons import CELL, LEVEL, PLACE, with_level
from dmn.report.headline import leads
from dmn.report.peers.published import beside_the_published, chosen_table
from dmn.report.peers.selection import (
    optimism,
    selection_figures,
    selection_tables,
    selection_words,
    with_transfers,
)
from dmn.report.peers.standing import against_dmn, cost_table, preferred
from dmn.report.tables import describe
from dmn.report.words import BESIDE, RIVALRY, cell_words, said, verdict, where, words

if TYPE_CHECKING:
    from dmn.peers.bench import Answers, Bench

TITLE = "Peers"
QUESTION = "How do other methods fare on the same features, and what does an answer cost?"
NEEDS = ("projection",)
CHOICES: tuple[Literal["released", "validation"], ...] = ("released", "validation")
READS = EXPERIMENT
TABLES = (
    *("peers", "against_dmn", "across_data_sets", "average_ranks", "cost"),
    *("selection", "optimism", "optimism_across", "literature", "published"),
)
FIGURES = ("peers", "average_ranks", "accuracy_against_cost", "selection")


class Options(StudyOptions):
    """Which peers are run, and how much of the design."""

    files: list[str] = Field(
        [], description="Python files with methods of your own (docs/extending.md), run as well"
    )
    methods: list[str] = Field(
        [*BY_DEFAULT], validate_default=True, description="peers of the table that are run"
    )
    options: dict[str, dict[str, Any]] = Field(
        {}, description="changes to the options of a method, by its name"
    )
    max_orders: int = Field(10, ge=1, description="order seeds of a group that are used, at most")
    search: bool = Field(
        True, description="try all candidates as well: validation, transfers and oracle"
    )
    transfer_orders: int = Field(
        5, ge=1, description="of them, for how many the answers of every candidate are kept"
    )
    shots: list[int] = Field(
        [], description="K for which peers are run; empty: all that the configuration has"
    )

    @field_validator("files", "methods", "options")
    @classmethod
    def _known(cls, value: Any, info: ValidationInfo) -> Any:
        known = {"files": [], "methods": [], "options": {}} | info.data | {info.field_name: value}
        try:
            load_peers(known["methods"], known["files"], known["options"])
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return value

    def peers(self) -> list[Peer]:
        """Return the peers that are run."""
        return load_peers(self.methods, self.files, self.options)


def code(options: Options) -> list[str]:
    """Return the modules and files that the peers are read from."""
    return [*(module_name(name) for name in options.methods), *options.files]


def measure(
    data: StudyData, config: Config, options: Options, order_seeds: Sequence[int]
) -> Measurement:
    """Run every peer in the cells that it can serve, and DMN itself."""
    from dmn.evaluation.experiment import study_cells
    from dmn.peers.bench import Bench
    from dmn.peers.itself import dmn_beside

    rows: list[dict[str, Any]] = []
    samples: dict[str, np.ndarray] = {}
    used = order_seeds[: options.max_orders]
    kept = used[: options.transfer_orders]
    peers = [p if options.search else replace(p, candidates=()) for p in options.peers()]
    for cell in study_cells(data, config):
        if cell.shots and options.shots and cell.shots not in options.shots:
            continue
        if cell.setting in ("zero_shot", "training_free"):
            bench = Bench(data, config, cell)
            for peer in filter(bench.serves, peers):
                place = bench.cell.keys() | {"setting": bench.setting(peer), "component": "peer"}
                place |= {"method": peer.name}
                answers = bench.answers(peer, used, CHOICES)
                rows += _peer_rows(bench, peer, place, used, answers)
                samples |= _kept(place, peer, answers[: len(kept)], data, kept)
        own_rows, own_samples = dmn_beside(data, config, cell, used, kept)
        rows, samples = rows + own_rows, samples | own_samples
    return pack(rows, len(data.test), samples)


def _kept(
    place: dict[str, Any],
    peer: Peer,
    answers: Sequence[Answers],
    data: StudyData,
    order_seeds: Sequence[int],
) -> dict[str, np.ndarray]:
    if not len(answers[0].candidates):
        return {}
    once = answers if peer.in_order else answers[:1]
    validated = [own.validated for own in once if own.validated is not None]
    candidates = [own.candidates for own in once]
    return keep(place, candidates, data.test.labels, order_seeds, validated)


def _peer_rows(
    bench: Bench,
    peer: Peer,
    place: dict[str, Any],
    order_seeds: Sequence[int],
    answered: Sequence[Answers],
) -> list[dict[str, Any]]:
    labels = bench.data.test.labels
    cost = bench.cost(peer)
    rows = []
    for seed, found in zip(order_seeds, answered, strict=True):
        keys = {"order_seed": seed} | place
        ways = dict(found.chosen)
        if len(found.candidates):
            ways["oracle"] = found.candidates[oracle(found.candidates, labels)]
        for weights, answers in ways.items():
            rows.append(keys | {"weights": weights} | counted("accuracy", answers == labels))
        for metric, number in asdict(cost).items():
            measured = {"metric": metric, "value": float(number), "n": 1}
            rows.append(keys | {"weights": "none"} | measured)
    return rows


def report(
    rows: pd.DataFrame, samples: Mapping[Any, Mapping[str, np.ndarray]], options: Options
) -> Report:
    """Tabulate accuracy and cost of every method, and paired differences to DMN."""
    from dmn.report.drawing.ranks import critical_difference

    accuracy = rows[rows["metric"] == "accuracy"]
    table = summarise(accuracy, [*CELL, "method", "weights"])
    against = against_dmn(accuracy)
    cost = cost_table(rows)
    drawn = preferred(table)
    least = options.smallest_difference
    audited = with_transfers(accuracy, samples)
    gaps = optimism(audited)
    over = across(against, ["method", "weights"], least)
    ranks = average_ranks(drawn)
    # both settings with shots begin at none
    start = drawn[drawn["setting"] == "zero_shot"]
    settings_with_shots = drawn.loc[drawn["shots"] > 0, "setting"].unique()
    starts = [start.assign(setting=name) for name in settings_with_shots]
    course = pd.concat([*starts, drawn[drawn["shots"] > 0]], ignore_index=True)
    bench = drawn[drawn["shots"].isin([0, drawn["shots"].max()])]
    bench = bench.assign(labels=[f"{k} shots" if k else "no shots" for k in bench["shots"]])
    tables = {
        "peers": describe(
            with_level(table, accuracy, CELL, ["method", "weights"]),
            "Accuracy of each method, with its paper's settings (fixed) and with strengths chosen "
            "on the same validation images.",
            best="max",
            within=CELL,
            level=LEVEL,
            unit="%",
        ),
        "against_dmn": describe(
            against,
            "DMN minus each method with as many shots, paired by split and order seed.",
            unit="points",
        ),
        "across_data_sets": across_table(over, "DMN minus each method, across data sets."),
        "average_ranks": ranks_table(
            ranks,
            "Average rank of each method over data sets, 1 the best; with strengths chosen on "
            "validation images where a method has any.",
        ),
        "cost": describe(
            cost,
            "Cost of one test image: passes through the image encoder, multiply-adds beyond them, "
            "and numbers kept in memory.",
            decimals=0,
        ),
        **selection_tables(audited, gaps, least),
        "literature": chosen_table(),
        "published": beside_the_published(accuracy),
    }
    drawings = {
        "peers": drawing.lines(
            course if starts else drawn,
            "shots",
            series=["method"],
            caption="Accuracy of each method against shots; strengths chosen on validation images "
            "where a method has any.",
            panels=[*PLACE, "setting"],
            x_label="shots per class",
            odds=True,
            table="peers",
        ),
        "average_ranks": critical_difference(
            with_most_shots_anywhere(ranks),
            caption="Average ranks over data sets, the best at the left. A bar joins methods that "
            "Nemenyi's test does not find apart.",
            reason=f"{ONE}.".capitalize(),
            table="average_ranks",
        ),
        "accuracy_against_cost": drawing.scatter(
            bench.merge(cost, on=[*CELL, "method"]),
            "operations",
            "mean",
            series=["method"],
            caption="Accuracy against multiply-adds an image beyond its encoding, without and "
            "with the most shots. Steps: the best for a cost. Views are encodings of their own.",
            panels=[*PLACE, "labels"],
            frontier=True,
            x_label="multiply-adds an image, without the encoder",
            log_x=True,
            odds=True,
            named=True,
            table="cost",
        ),
        **selection_figures(gaps),
    }
    sentences = _across(over, ranks, least) + _findings(against, cost, least)
    return Report(tables, drawings, sentences + selection_words(gaps))


def _across(over: pd.DataFrame, ranks: pd.DataFrame, least: float) -> list[str]:
    sentences = [
        across_words(row, "DMN", words(row["method"]), least, rivals=True)
        for row in with_most_shots_anywhere(over).to_dict("records")
    ]
    most = with_most_shots_anywhere(ranks)
    parts = most.groupby(GROUP, sort=False) if len(most) else ()
    return sentences + [ranks_words(part) for _, part in parts]


def _findings(against: pd.DataFrame, cost: pd.DataFrame, least: float) -> list[str]:
    sentences = []
    for method, own in against.groupby("method", sort=False):
        sentences += leads(own, f"DMN, beside {words(method)},", least, BESIDE)
    for row in against.to_dict("records"):
        shown = verdict(row, least, RIVALRY)
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
                f"{int(dearest['operations']):,} (counts, which have no interval)."
            )
    return sentences
