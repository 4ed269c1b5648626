"""Streams: what each method gains where images come as they do in the field, and what helps DMN.

Zero-shot. Every stream is a seeded recipe (docs/streams.md): correlated, of few classes a batch, of
classes that never come, long-tailed, with unknown images, over domains. Remedies of the dynamic
memory stand beside it, none of which reads a label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from dmn.config import Config
from dmn.digests import of_arrays
from dmn.errors import ConfigError
from dmn.evaluation.answers import counted, mask, pack
from dmn.evaluation.contract import EXPERIMENT, Measurement, Report, StudyData, StudyOptions
from dmn.evaluation.streams.methods import MEMORY, REMEDIES, ZERO_SHOT, kind
from dmn.evaluation.streams.recipes import ABSENT, Scenario
from dmn.evaluation.streams.remedies import LEAST_CONFIDENCE
from dmn.peers.contract import Peer
from dmn.peers.loading import load_peers
from dmn.peers.table import module_name
from dmn.report import drawing
from dmn.report.comparisons import LEVEL, PLACE, differences, only, with_level
from dmn.report.headline import everywhere
from dmn.report.streams import placed_by_rank, worst_tenths
from dmn.report.tables import describe
from dmn.report.words import listed, tally, where, words

if TYPE_CHECKING:
    from dmn.evaluation.streams.course import Course

TITLE = "Streams"
QUESTION = "On which streams does the dynamic memory pay, and which method leads there?"
NEEDS = ("shifts",)
READS = EXPERIMENT
TABLES = ("streams", "gains", "ranks", "remedies", "unknown")
FIGURES = ("gain_by_stream", "remedies")
STREAM = [*PLACE, "stream"]
SCENARIOS: dict[str, dict[str, Any]] = {
    "random": {},
    "sorted": {"arrangement": "sorted"},
    "Dirichlet 0.1": {"arrangement": "dirichlet", "concentration": 0.1},
    "Dirichlet 0.01": {"arrangement": "dirichlet", "concentration": 0.01},
    "1 to 4 classes a batch": {"arrangement": "few_classes", "classes": (1, 4)},
    "5 to 25 classes a batch": {"arrangement": "few_classes", "classes": (5, 25)},
    "classes arriving": {"arrangement": "arriving"},
    "half the classes": {"present": 0.5},
    "long tail 20": {"imbalance": 20.0},
    "a third unknown": {"unknown": 1 / 3},
    "all at once": {"batch": 0},
}


class Options(StudyOptions):
    """Which streams, and which methods meet them."""

    scenarios: dict[str, Scenario] = Field(
        {name: Scenario(**recipe) for name, recipe in SCENARIOS.items()},
        min_length=1,
        description="streams by name (docs/streams.md)",
    )
    methods: list[str] = Field(
        ["dmn_centred", "tda", "bca", "ecalp", "oga", "onzeta", "transclip", "stata", "zlap"],
        description="peers of the table that meet them",
    )
    severity: int = Field(5, ge=1, le=5, description="of the corruptions that are domains")
    short_length: int = Field(5, ge=1, description="slots a class of the short memory")
    least_confidence: float = Field(
        LEAST_CONFIDENCE, ge=0, le=1, description="of text in an image that enters as confident"
    )
    max_orders: int = Field(3, ge=1, description="order seeds of a group that are used, at most")

    @field_validator("methods")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        try:
            peers = load_peers(value)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        if wrong := [peer.name for peer in peers if "zero_shot" not in peer.settings]:
            raise ValueError(f"{', '.join(wrong)} cannot do without shots, and streams have none")
        return value


def code(options: Options) -> list[str]:
    """Return the modules that the peers are read from."""
    return [module_name(name) for name in options.methods]


def measure(
    data: StudyData, config: Config, options: Options, order_seeds: Sequence[int]
) -> Measurement:
    """Show every stream to the memory, its remedies and the peers; splits share the answers."""
    used = tuple(order_seeds[: options.max_orders])
    # neither text nor test images belong to a split: a job of several measures them once
    key = (_digest(data), config.model_dump_json(), options.model_dump_json(), used)
    if key not in _KEPT:
        _KEPT.clear()
        _KEPT[key] = _measured(data, config, options, used)
    return pack(_KEPT[key], len(data.test))


_KEPT: dict[Any, list[dict[str, Any]]] = {}


def _digest(data: StudyData) -> str:
    parts = [data.test, *(data.shifts[key] for key in sorted(data.shifts))]
    views = (part.views for part in parts)
    return of_arrays(data.logit_scale, data.text, data.test.labels, *views)


def _measured(
    data: StudyData, config: Config, options: Options, seeds: Sequence[int]
) -> list[dict[str, Any]]:
    from dmn.evaluation.streams.course import courses, domains

    peers = load_peers(options.methods)
    rows = []
    for seed in seeds:
        for name, scenario in options.scenarios.items():
            for course in courses(data, name, scenario, seed):
                rows += _course_rows(data, config, options, course, peers, seed)
        for course in domains(data, options.severity, Scenario().batch, seed):
            rows += _course_rows(data, config, options, course, peers, seed)
    return rows


def _course_rows(
    data: StudyData,
    config: Config,
    options: Options,
    course: Course,
    peers: Sequence[Peer],
    seed: int,
) -> list[dict[str, Any]]:
    """Return accuracy, macro F1 and open-set measures of every method on one stream."""
    from dmn.evaluation.metrics import macro_f1
    from dmn.evaluation.streams.course import UNKNOWN
    from dmn.peers.streamed import answers

    labels, images = course.labels, course.rows
    known = labels != UNKNOWN
    keys = {"order_seed": seed} | ZERO_SHOT.keys() | {"stream": course.name}
    asked = mask(images[known], len(data.test))
    rows = []
    met = answers(data, config, course, peers, seed, options.short_length, options.least_confidence)
    for method, given, confidence in met:
        component, weights = kind(method)
        own = keys | {"component": component, "weights": weights, "method": method}
        right = np.zeros(len(data.test), dtype=bool)
        right[images] = given == labels
        rows.append(own | counted("accuracy", right, asked))
        f1 = macro_f1(labels[known], given[known])
        rows.append(own | {"metric": "macro_f1", "value": f1, "n": int(known.sum())})
        if confidence is not None and not known.all():
            measured = _open_set(confidence, known, given == labels)
            rows += [own | {"metric": m, "value": v, "n": len(labels)} for m, v in measured.items()]
    return rows


def _open_set(confidence: np.ndarray, known: np.ndarray, right: np.ndarray) -> dict[str, float]:
    from dmn.evaluation.streams.unknown import auroc, false_positives, oscr

    return {
        "auroc": auroc(confidence, known),
        "fpr95": false_positives(confidence, known),
        "oscr": oscr(confidence, known, right),
    }


def report(
    rows: pd.DataFrame, samples: Mapping[Any, Mapping[str, np.ndarray]], options: Options
) -> Report:
    """Tabulate accuracies, gains over text, ranks and remedies on every stream."""
    from dmn.evaluation.summaries import summarise

    accuracy = rows[rows["metric"] == "accuracy"]
    methods = [m for m in accuracy["method"].unique() if m not in REMEDIES]
    kept = accuracy[~accuracy["method"].isin(REMEDIES)]
    table = summarise(kept, [*STREAM, "method"])
    f1 = _means(rows, "macro_f1")
    table = table.merge(f1, on=[*STREAM, "method"], how="left")
    table = table.merge(worst_tenths(kept, [*STREAM, "method"]), on=[*STREAM, "method"])
    gains = _against(kept, "text", [m for m in methods if m != "text"])
    remedies = _against(accuracy, MEMORY, REMEDIES)
    ranks = placed_by_rank(table, gains, STREAM)
    tables = {
        "streams": describe(
            with_level(table, kept, STREAM, ["method"]),
            "Accuracy on each stream, zero-shot, with the mean of the worst tenth of the orders "
            "and macro F1 over the classes that come.",
            best="max",
            within=STREAM,
            level=LEVEL,
            unit="%",
            labels={"macro_f1": "macro F1 (%)", "worst_tenth": "worst tenth (%)"},
        ),
        "gains": describe(
            gains, "Gain over text alone on each stream, paired by order seed.", unit="points"
        ),
        "ranks": describe(
            ranks,
            "Place of the dynamic memory among all methods on each stream, by mean accuracy.",
        ),
        "remedies": describe(
            remedies,
            "What each remedy gains on the dynamic memory as it is, paired by order seed.",
            unit="points",
        ),
        "unknown": _unknown_table(rows),
    }
    # a twin stands beside its stream
    in_turn = [name for own in options.scenarios for name in (own, f"{own}, {ABSENT}")]
    figures = {
        "gain_by_stream": drawing.heatmap(
            gains,
            "stream",
            "method",
            caption="Gain over text alone by stream and method, zero-shot: where rankings flip.",
            panels=PLACE,
            value_label="gain over text alone (points)",
            diverging=True,
            order=in_turn,
            table="gains",
        ),
        "remedies": drawing.dots(
            remedies,
            "stream",
            series=["method"],
            caption="What each remedy gains on the dynamic memory as it is.",
            panels=PLACE,
            x_label="difference (points)",
            reference=0.0,
            table="remedies",
        ),
    }
    sentences = _findings(gains, ranks, remedies, options.smallest_difference)
    return Report(tables, figures, sentences)


def _means(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    part = rows[rows["metric"] == metric]
    found = part.groupby([*STREAM, "method"], sort=False)["value"].mean()
    return found.rename(metric).reset_index()


def _against(rows: pd.DataFrame, control: str, methods: Sequence[str]) -> pd.DataFrame:
    sides = [(name, {"method": name}, {"method": control}) for name in methods]
    found = differences(rows, STREAM, sides).rename(columns={"comparison": "method"})
    place = {name: i for i, name in enumerate(dict.fromkeys(rows["stream"]))}
    order = found["stream"].map(place)
    return found.assign(_place=order).sort_values("_place", kind="stable").drop(columns="_place")


def _unknown_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how confidences tell the unknown, and nothing where no stream has any."""
    metrics = ["auroc", "fpr95", "oscr"]
    part = rows[rows["metric"].isin(metrics)]
    caption = (
        "Open set: how well the largest probability tells images of known classes from unknown "
        "ones; means over orders, without an interval."
    )
    if part.empty:
        return describe(pd.DataFrame({"result": ["no stream has unknown classes"]}), caption)
    wide = part.groupby([*STREAM, "method", "metric"], sort=False)["value"].mean().unstack()
    names = {"auroc": "AUROC (%)", "fpr95": "FPR at 95 % (%)", "oscr": "OSCR (%)"}
    return describe(wide[metrics].reset_index(), caption, labels=names)


def _findings(
    gains: pd.DataFrame, ranks: pd.DataFrame, remedies: pd.DataFrame, least: float
) -> list[str]:
    memory = only(gains, method=MEMORY)
    sentences = everywhere(
        memory, "stream", "Zero-shot, on", "the dynamic memory against text alone", least
    )
    for names, part in memory.groupby(PLACE, sort=False):
        place = dict(zip(PLACE, names, strict=True))
        begin = where(place)
        sentences.append(
            f"{begin}: the dynamic memory against text alone "
            f"{tally(part.to_dict('records'), 'stream', least)}."
        )
        own = only(ranks, **place)
        leaders = own["first"].value_counts()
        led = listed([f"{words(name)} ({count})" for name, count in leaders.items()])
        top = own.iloc[int(own["rank"].to_numpy().argmin())]
        low = own.iloc[int(own["rank"].to_numpy().argmax())]
        sentences.append(
            f"{begin}: first by mean accuracy on {len(own)} streams are {led}; of "
            f"{top['methods']} methods the dynamic memory is number {top['rank']} on "
            f"{top['stream']} and number {low['rank']} on {low['stream']} "
            "(places have no interval)."
        )
        tried = only(remedies, **place)
        named = [
            f"{words(m)} on {s}" for m, s in zip(tried["method"], tried["stream"], strict=True)
        ]
        rows = tried.assign(remedy=named).to_dict("records")
        sentences.append(
            f"{begin}: a remedy against the memory as it is {tally(rows, 'remedy', least)}."
        )
    return sentences
