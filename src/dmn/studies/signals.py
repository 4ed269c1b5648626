"""When does memory help? Its gain beside signals that need no label, and a memory that abstains.

A unit is a stream: a data set and backbone, a kind of order, and how much of it has passed. Signals
are of the text predictions and of both answers; labels serve the gain and two diagnostics only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from dmn.config import Config
from dmn.evaluation.answers import Chosen, counted, mask, pack
from dmn.evaluation.contract import EXPERIMENT, Cell, Measurement, Report, StudyData, StudyOptions
from dmn.evaluation.streams.remedies import LEAST_BALANCE, LEAST_IMAGES, abstains, balance
from dmn.report import drawing
from dmn.report.comparisons import PLACE, differences, only
from dmn.report.headline import placed
from dmn.report.signals import correlations, predicted, prediction_words
from dmn.report.tables import describe
from dmn.report.words import said, tally, verdict, where
from dmn.studies.order import Options as Arrangements
from dmn.studies.order import arrangements

if TYPE_CHECKING:
    from dmn.evaluation.experiment import Run

TITLE = "Signals of the gain"
QUESTION = "Can a stream without labels tell whether the dynamic memory will help?"
NEEDS = ()
READS = EXPERIMENT
TABLES = ("signals", "abstaining", "prediction")
FIGURES = ("gain_against_images", "abstaining")
SIGNALS = ("text_entropy", "balance", "images_a_class", "agreement")
DIAGNOSTICS = ("zero_shot_accuracy", "purity")
UNIT = [*PLACE, "stream", "share"]
SIDES = (
    ("always - text", "always", "text"),
    ("abstaining - text", "abstaining", "text"),
    ("abstaining - always", "abstaining", "always"),
)


class Options(StudyOptions):
    """Which streams, and when the memory abstains."""

    concentrations: list[float] = Field(
        [0.1], description="Dirichlet parameters of correlated streams, beside random and sorted"
    )
    shares: list[float] = Field(
        [0.125, 0.25, 0.5, 1.0], min_length=1, description="how much of a stream has passed"
    )
    least_images: float = Field(
        LEAST_IMAGES, ge=0, description="images a class so far, below which the memory abstains"
    )
    least_balance: float = Field(
        LEAST_BALANCE,
        ge=0,
        le=1,
        description="balance of pseudo-labels so far, below which the memory abstains",
    )
    max_orders: int = Field(5, ge=1, description="order seeds of a group that are used, at most")


def measure(
    data: StudyData, config: Config, options: Options, order_seeds: Sequence[int]
) -> Measurement:
    """Run the zero-shot memory over each kind of order; a shorter stream is a beginning."""
    from dmn.evaluation.experiment import Experiment

    experiment = Experiment(data, config, Cell("zero_shot"), fusions=())
    used = order_seeds[: options.max_orders]
    drawn = Arrangements(concentrations=options.concentrations, bursts=[])
    arranged = [arrangements(data.test.labels, seed, drawn) for seed in used]
    rows: list[dict[str, Any]] = []
    for name in arranged[0]:
        for run in experiment.runs(used, permutations=[found[name] for found in arranged]):
            rows += _rows(run, config, options, stream=name)
    return pack(rows, len(data.test))


def _rows(run: Run, config: Config, options: Options, **others: Any) -> list[dict[str, Any]]:
    text, dynamic = run.answers("text"), run.answers("dynamic")
    silent = np.empty(len(text), dtype=bool)
    labels = run.pseudo_label[run.order]
    silent[run.order] = abstains(labels, run.classes, options.least_images, options.least_balance)
    answered = {"text": text, "always": dynamic, "abstaining": np.where(silent, text, dynamic)}
    right = {memory: answers == run.labels for memory, answers in answered.items()}
    rows = []
    for share in options.shares:
        seen = max(1, round(share * len(run.order)))
        some = run.order[:seen]
        asked = Chosen(mask(some, len(text)))
        keys = others | {"share": share}
        for memory, own in right.items():
            kind = ("text" if memory == "text" else "dynamic", "none")
            rows.append(
                run.keys(kind, **keys) | {"memory": memory} | counted("accuracy", own, asked)
            )
        found = _signals(run, some, text, dynamic) | {
            "zero_shot_accuracy": 100 * float(right["text"][some].mean()),
            "purity": _purity(run, config.model.length, seen),
            "abstained": 100 * float(silent[some].mean()),
        }
        rows += [
            run.keys(("dynamic", "none"), **keys)
            | {"memory": "always", "metric": metric, "value": float(value), "n": seen}
            for metric, value in found.items()
        ]
    return rows


def _signals(run: Run, some: np.ndarray, text: np.ndarray, dynamic: np.ndarray) -> dict[str, float]:
    """Return the signals of a stream's images so far; no label is read."""
    classes = run.classes
    return {
        "text_entropy": 100 * float(run.entropy[some].mean() / np.log(max(classes, 2))),
        "balance": 100 * float(balance(run.pseudo_label[some], classes)[-1]),
        "images_a_class": len(some) / classes,
        "agreement": 100 * float((text[some] == dynamic[some]).mean()),
    }


def _purity(run: Run, length: int | None, seen: int) -> float:
    """Return how many slots hold an image of their class, of those that are filled by then."""
    schedule = run.schedule(length, seen)
    kept = (schedule.slot >= 0) & (schedule.end >= seen)
    return 100 * float((schedule.label == run.labels[run.order[:seen]])[kept].mean())


def report(
    rows: pd.DataFrame, samples: Mapping[Any, Mapping[str, np.ndarray]], options: Options
) -> Report:
    """Tabulate gains beside signals, what they predict elsewhere, and what abstaining changes."""
    accuracy = rows[rows["metric"] == "accuracy"]
    compared = differences(
        accuracy, UNIT, [(name, {"memory": a}, {"memory": b}) for name, a, b in SIDES]
    )
    gain = only(compared, comparison="always - text").drop(columns="comparison")
    known = [*SIGNALS, *DIAGNOSTICS, "abstained"]
    means = rows[rows["metric"].isin(known)].groupby([*UNIT, "metric"], sort=False)["value"].mean()
    beside = gain.merge(means.unstack()[known].reset_index(), on=UNIT)
    table = beside[[*UNIT, *known, *gain.columns[len(UNIT) :]]]
    related, found = correlations(table, SIGNALS, DIAGNOSTICS), predicted(table, SIGNALS)
    drawn = {
        "gain_against_images": drawing.lines(
            table,
            "images_a_class",
            series=["stream"],
            caption="Gain of the dynamic memory over text alone against the images a class that "
            "the stream has shown.",
            x_label="images a class",
            y_label="gain over text alone (points)",
            scale="linear",
            reference=0.0,
            table="signals",
        ),
        "abstaining": drawing.dots(
            compared[compared["share"] == max(options.shares)],
            "stream",
            series=["comparison"],
            caption="Whole streams: the memory, and the memory that abstains, against text alone, "
            "and against each other.",
            x_label="difference (points)",
            reference=0.0,
            table="abstaining",
        ),
    }
    tables = {
        "signals": describe(
            table,
            "Gain over text alone beside signals that need no label, and beside diagnostics that "
            "use labels: zero-shot accuracy and purity of the memory.",
            unit="points",
            labels={name: f"{name.replace('_', ' ')}, uses labels (%)" for name in DIAGNOSTICS}
            | {name: f"{name.replace('_', ' ')} (%)" for name in ("balance", "agreement")}
            | {"text_entropy": "text entropy (%)", "abstained": "abstained (%)"},
        ),
        "abstaining": describe(
            compared, "What abstaining gains and loses, paired by order seed.", unit="points"
        ),
        "prediction": describe(
            related,
            "Rank correlation of each signal with the gain over the streams of a data set and "
            "backbone, which share images, so that it has no interval.",
        ),
    }
    return Report(tables, drawn, _findings(compared, related, found, options))


def _findings(
    compared: pd.DataFrame, related: pd.DataFrame, found: pd.DataFrame, options: Options
) -> list[str]:
    least = options.smallest_difference
    whole = only(compared, share=max(options.shares), stream="random")
    what = "To abstain, against a memory that never does, over whole random streams"
    sentences = placed(only(whole, comparison="abstaining - always"), what, least)
    sentences += prediction_words(found, least)
    for names, part in compared.groupby(PLACE, sort=False):
        place = where(dict(zip(PLACE, names, strict=True)))
        whole = part[part["share"] == max(options.shares)]
        for name, subject, control in (
            ("always - text", "the dynamic memory", "text alone"),
            ("abstaining - always", "the memory that abstains", "the one that never does"),
        ):
            own = only(whole, comparison=name).to_dict("records")
            sentences.append(
                f"{place}: over the orders of the stream, {subject} against {control} "
                f"{tally(own, 'stream', least)}."
            )
        start = only(part, comparison="abstaining - always", share=min(options.shares))
        for row in only(start, stream="random").to_dict("records"):
            sentences.append(
                f"{place}: in the first {100 * row['share']:g}% of a random stream, to abstain "
                f"{verdict(row, least)} against a memory that never does, "
                f"{said(row, ' points', signed=True)}."
            )
        ranked = related[(related[PLACE] == list(names)).all(axis=1)]
        told = ", ".join(
            f"{row['signal'].replace('_', ' ')} {row['correlation']:+.2f}"
            for row in only(ranked, uses_labels="no").dropna().to_dict("records")
        )
        sentences.append(
            f"{place}: rank correlation with the gain over {int(ranked['streams'].iloc[0])} "
            f"streams: {told} (no interval: streams share images)."
        )
    return sentences
