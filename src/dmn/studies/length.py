"""Memory length: slots a class against the length of the stream, under four entry rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from dmn.config import Config
from dmn.evaluation.answers import pack
from dmn.evaluation.contract import EXPERIMENT, Cell, Measurement, Report, StudyData, StudyOptions
from dmn.evaluation.summaries import summarise
from dmn.report import drawing
from dmn.report.comparisons import (
    CELL,
    DYNAMIC,
    LEVEL,
    PLACE,
    differences,
    gains,
    leader,
    only,
    with_level,
)
from dmn.report.headline import leads
from dmn.report.tables import describe
from dmn.report.words import COINCIDE, cell_words, leading, said, tally, verdict, where, words

if TYPE_CHECKING:
    from dmn.evaluation.run import Run

TITLE = "Memory length"
QUESTION = "How many test images should a class remember, and which ones?"
NEEDS = ()
READS = EXPERIMENT
TABLES = ("length", "entry_rules")
FIGURES = ("accuracy_against_length", "gain_against_stream")
UNLIMITED = "unlimited"
WIDTH = 5.0  # inches
RULES = ("entropy", "fifo", "random", "reservoir")


class Options(StudyOptions):
    """Which lengths and streams are run."""

    lengths: list[int] = Field(
        [1, 3, 5, 10, 20, 50, 100, 200],
        min_length=1,
        description="slots a class; unlimited is always added",
    )
    stream_shares: list[float] = Field(
        [0.125, 0.25, 0.5, 1.0],
        min_length=1,
        description="lengths of the subsampled streams, shares of the test images",
    )
    max_orders: int = Field(10, ge=1, description="order seeds of a group that are used, at most")


def measure(
    data: StudyData, config: Config, options: Options, order_seeds: Sequence[int]
) -> Measurement:
    """Run each length and entry rule in zero-shot, and lengths with the most shots.

    A subsampled stream is a beginning of the whole one: no answer depends on later images.
    """
    from dmn.evaluation.experiment import largest, study_cells

    found = list(study_cells(data, config))
    used = order_seeds[: options.max_orders]
    N = len(data.test)
    ends = sorted({max(1, round(share * N)) for share in options.stream_shares})
    rows: list[dict[str, Any]] = []
    for cell in (largest(found, "zero_shot"), largest(found, "training_free")):
        if cell is None:
            continue
        for rule in RULES if cell.shots == 0 else RULES[:1]:
            for length, run in _runs(data, config, cell, rule, options.lengths, used):
                # without a limit nothing is ever refused, so all rules are one
                rules = RULES if length == UNLIMITED and cell.shots == 0 else (rule,)
                for name in rules:
                    rows += _rows(run, ends, entry_rule=name, length=length)
    return pack(rows, len(data.test))


def _runs(
    data: StudyData,
    config: Config,
    cell: Cell,
    rule: str,
    lengths: Sequence[int],
    order_seeds: Sequence[int],
) -> Iterator[tuple[str, Run]]:
    from dmn.evaluation.experiment import Experiment

    limits: list[int | None] = [*sorted(lengths)]
    if rule == RULES[0]:
        limits.append(None)
    experiment = Experiment(data, config, cell, fusions=("fixed",), entry_rule=rule)
    found = experiment.runs_by_length(order_seeds, limits)
    for limit, runs in zip(limits, found, strict=True):
        for run in runs:
            yield UNLIMITED if limit is None else str(limit), run


def _rows(run: Run, ends: Sequence[int], **others: Any) -> list[dict[str, Any]]:
    return [row for end in ends for row in run.accuracy_rows(run.order[:end], seen=end, **others)]


def report(
    rows: pd.DataFrame, samples: Mapping[Any, Mapping[str, np.ndarray]], options: Options
) -> Report:
    """Tabulate accuracy by length, and each entry rule against the lowest entropy."""
    rows = rows.assign(length=[_number(value) for value in rows["length"]])
    rows = rows.iloc[np.argsort([_rank(value) for value in rows["length"]], kind="stable")]
    whole = rows[rows["seen"] == rows.groupby(PLACE)["seen"].transform("max")]
    dynamic = only(whole, **DYNAMIC)
    table = summarise(dynamic, [*CELL, "entry_rule", "length"])
    rules = differences(
        dynamic,
        [*CELL, "length"],
        [(rule, {"entry_rule": rule}, {"entry_rule": RULES[0]}) for rule in RULES[1:]],
    )
    zero = table[table["shots"] == 0]
    lowest = only(rows, entry_rule=RULES[0], shots=0)
    shown = lowest[lowest["length"].isin(_some(lowest["length"].unique().tolist()))]
    by_stream = gains(shown, [*CELL, "length", "seen"], [("dynamic", "none")])
    drawn = {
        "accuracy_against_length": drawing.lines(
            _changing(zero if len(zero) else table),
            "length",
            series=["entry_rule"],
            caption="Accuracy of the dynamic memory alone against its length, by the rule that "
            "says which images enter. Lengths that change nothing any more are one.",
            x_label="slots a class",
            scale="ordinal",
            table="length",
        ),
        "gain_against_stream": drawing.lines(
            by_stream,
            "seen",
            series=["length"],
            ordered=True,
            caption="Gain of the dynamic memory alone over text alone against the length of the "
            "stream, for some lengths of the memory; the lowest entropies enter.",
            x_label="images of the stream",
            y_label="gain over text alone (points)",
            reference=0.0,
            width=WIDTH,
        ),
    }
    tables = {
        "length": describe(
            with_level(table, dynamic, [*CELL, "entry_rule"], ["length"]),
            "Accuracy of the dynamic memory alone by length and entry rule, whole stream.",
            best="max",
            within=[*CELL, "entry_rule"],
            level=LEVEL,
            unit="%",
        ),
        "entry_rules": describe(
            rules.rename(columns={"comparison": "entry_rule"}),
            "Entry rules against the lowest entropy at the same length: paired differences of the "
            "dynamic memory's accuracy.",
            unit="points",
        ),
    }
    return Report(tables, drawn, _findings(dynamic, rules, options.smallest_difference))


def _some(lengths: list[Any], count: int = 5) -> list[Any]:
    """Return at most `count` of the lengths, evenly spaced, first and last included."""
    places = np.unique(np.linspace(0, len(lengths) - 1, count).round().astype(int))
    return [lengths[i] for i in places]


def _number(value: Any) -> int | str:
    return value if str(value) == UNLIMITED else int(value)


def _rank(value: Any) -> float:
    return np.inf if value == UNLIMITED else float(value)


def _changing(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows up to the length after which no mean changes, which says `or more`."""
    wide = table.pivot(index=[*CELL, "entry_rule"], columns="length", values="mean")
    lengths = sorted(wide.columns, key=_rank)
    end = len(lengths)
    while end > 1:
        later = wide[lengths[end - 2 :]]
        if (later.max(axis=1) - later.min(axis=1)).max() > COINCIDE:
            break
        end -= 1
    if end == len(lengths):
        return table
    kept = table[table["length"].isin(lengths[:end])]
    last = [f"{n} or more" if n == lengths[end - 1] else n for n in kept["length"]]
    return kept.assign(length=last)


def _findings(dynamic: pd.DataFrame, rules: pd.DataFrame, least: float) -> list[str]:
    lowest = only(dynamic, entry_rule=RULES[0])
    least_length = lowest["length"].iloc[0]
    every = differences(lowest, CELL, [("all", {"length": UNLIMITED}, {"length": least_length})])
    what = f"remembering every image instead of {least_length} a class"
    sentences = leads(every, what, least)
    for names, part in only(dynamic, entry_rule=RULES[0]).groupby(CELL, sort=False):
        place = dict(zip(CELL, names, strict=True))
        begin = f"{where(place)}, {cell_words(place)}"
        found = leading(leader(part, "length"), least, "the most accurate")
        sentences.append(f"{begin}: of the slots a class of the dynamic memory alone, {found}.")
        first = part["length"].iloc[0]
        pair = [("unlimited", {"length": UNLIMITED}, {"length": first})]
        for row in differences(part, CELL, pair).to_dict("records"):
            sentences.append(
                f"{begin}: remembering every image instead of {first} a class "
                f"{verdict(row, least)}, {said(row, ' points', signed=True)}."
            )
    limited = rules[rules["length"] != UNLIMITED] if len(rules) else rules
    for names, part in limited.groupby([*CELL, "comparison"]) if len(rules) else ():
        place = dict(zip([*CELL, "comparison"], names, strict=True))
        sentences.append(
            f"{where(place)}, {cell_words(place)}: against the lowest entropy, over the slots a "
            f"class, the entry rule {words(place['comparison'])} "
            f"{tally(part.to_dict('records'), 'length', least)}."
        )
    return sentences
